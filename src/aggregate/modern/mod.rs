//! A conversation of the modern era: each request stands alone, and is a task of its own.
//!
//! It holds no state of a client: a question of a server becomes `input_required`, and the retry finds its way by the tool's
//! name.

mod call;
mod listen;

use super::Endpoint;
use super::catalog::Wait;
use super::lists::Kind;
use super::viewer::Viewer;
use crate::access::Caller;
use crate::peer::in_process::{Conversation, Voice};
use crate::telemetry::Request;
use crate::wire::meta::find;
use crate::wire::{Claim, Code, Era, Kind as MessageKind, Message, RpcError};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio_util::sync::CancellationToken;

/// One conversation.
struct Talk {
    endpoint: Arc<Endpoint>,
    voice: Voice,
    caller: Caller,
    /// Requests under way, by their ids.
    calls: Mutex<HashMap<Box<str>, CancellationToken>>,
    over: CancellationToken,
    me: Weak<Self>,
}

/// Begins a conversation with an endpoint.
pub(super) fn begin(endpoint: Arc<Endpoint>, voice: Voice, caller: Caller) -> Arc<dyn Conversation> {
    Arc::new_cyclic(|me| Talk {
        endpoint,
        voice,
        caller,
        calls: Mutex::default(),
        over: CancellationToken::new(),
        me: me.clone(),
    })
}

impl Conversation for Talk {
    fn hear(&self, line: Bytes) {
        let Ok(message) = Message::own(line) else { return };
        match message.kind() {
            MessageKind::Request => self.take(message),
            MessageKind::Notification if message.method() == "notifications/cancelled" => {
                let call = find(message.body(), &["requestId"]).and_then(|id| self.calls().remove(id));
                if let Some(call) = call {
                    call.cancel();
                }
            }
            // There is nothing else that a client of 2026-07-28 says.
            MessageKind::Notification | MessageKind::Result | MessageKind::Error => {}
        }
    }

    fn end(&self) {
        self.over.cancel();
    }
}

impl Talk {
    fn take(&self, message: Message) {
        let Some(talk) = self.me.upgrade() else { return };
        let id: Box<str> = message.id().unwrap_or_default().into();
        let token = self.over.child_token();
        self.calls().insert(id.clone(), token.clone());
        self.endpoint.catalog.tracker().spawn(Request::taken_along(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = talk.answer(&message) => {}
            }
            talk.calls().remove(&id);
        }));
    }

    async fn answer(&self, message: &Message) {
        match self.result(message).await {
            Ok(Some(result)) => {
                let id = message.id().unwrap_or("null");
                self.voice.say(super::answer(id, result));
            }
            Ok(None) => {}
            Err(error) => self.voice.say(error.to_line(message.id())),
        }
    }

    /// The result of a request; nothing if it was said already.
    async fn result(&self, message: &Message) -> Result<Option<String>, RpcError> {
        let claim = Claim::read(message.body())?;
        let endpoint = &self.endpoint;
        match message.method() {
            "server/discover" => Ok(Some(endpoint.discovered(&self.caller).await)),
            "subscriptions/listen" => {
                endpoint.listen(message, &claim, &self.caller, &self.voice).await?;
                Ok(None)
            }
            "tools/call" | "prompts/get" | "resources/read" | "completion/complete" => {
                endpoint.call(message, &claim, &self.caller, &self.voice).await?;
                Ok(None)
            }
            method => {
                let kind = Kind::asked_by(method).ok_or_else(|| unknown(method))?;
                let viewer = Viewer::of(&claim.capabilities, &self.caller);
                let offer = endpoint.offer(&viewer, Wait::Patiently).await;
                offer.page(kind, message.body(), Era::Modern).map(Some)
            }
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<Box<str>, CancellationToken>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is not served here.
pub(super) fn unknown(method: &str) -> RpcError {
    RpcError::new(
        Code::MethodNotFound,
        format!("the aggregate does not know {method:?}: ask the server by its own URL"),
    )
}
