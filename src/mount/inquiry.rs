//! Questions of the router's own to a server, asked as any modern client asks.

use super::{Mount, Unserved};
use crate::access::Caller;
use crate::protocol::subscription::Filter;
use crate::session::{First, Form, Posted, Refused, StreamReader, Visit, first};
use crate::wire::claim::{CLIENT_CAPABILITIES, PROTOCOL_VERSION};
use crate::wire::{Claim, Message, Object, Payload, Revision};

impl Mount {
    /// The answer to a modern request; nothing if none came. How long it may take is the caller's business: dropping this
    /// cancels the request.
    pub async fn ask(
        &self,
        request: Message,
        claim: &Claim,
        caller: &Caller,
    ) -> Result<Option<Message>, Unserved> {
        let visit = self.receive(&request, claim, caller).await?;
        answered(&visit, request).await.map_err(|refused| self.turned_away(refused))
    }

    /// What the server says to a modern request; nothing if it has nothing to say. The visit is to be held as long as that
    /// is read.
    pub async fn converse(
        &self,
        request: Message,
        claim: &Claim,
        caller: &Caller,
    ) -> Result<Option<(Visit, StreamReader)>, Unserved> {
        let visit = self.receive(&request, claim, caller).await?;
        let posted = visit.post(Payload::One(request), Form::Events).await;
        match posted.map_err(|refused| self.turned_away(refused))? {
            Posted::Response(reader) => Ok(Some((visit, reader))),
            Posted::Accepted => Ok(None),
        }
    }

    /// The stream of a subscription of the router's own, in the name of a client with these capabilities (raw JSON); nothing
    /// if it cannot be had now.
    pub async fn subscribe(
        &self,
        filter: &Filter,
        capabilities: &str,
        caller: &Caller,
    ) -> Option<(Visit, StreamReader)> {
        let mut params = Object::default();
        params.set("notifications", filter.to_json());
        let request = question("subscriptions/listen", capabilities, params);
        let claim = Claim::read(request.body()).ok()?;
        self.converse(request, &claim, caller).await.ok()?
    }
}

/// The answer to a visitor's request; nothing if none came, or no message.
pub(super) async fn answered(visit: &Visit, request: Message) -> Result<Option<Message>, Refused> {
    let Posted::Response(mut reader) = visit.post(Payload::One(request), Form::Json).await? else {
        return Ok(None);
    };
    let First::Answers(mut answers) = first(&mut reader).await else { return Ok(None) };
    Ok(answers.pop().and_then(|line| Message::own(line).ok()))
}

/// A modern request of the router's own, in the name of a client with these capabilities (raw JSON). `params`: what it asks
/// beside them.
pub fn question(method: &str, capabilities: &str, mut params: Object<'_>) -> Message {
    params.change("_meta", |meta| {
        meta.set(PROTOCOL_VERSION, format!("\"{}\"", Revision::V2026_07_28));
        meta.set(CLIENT_CAPABILITIES, capabilities.to_owned());
    });
    let params = params.to_json();
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":"{}/{method}","method":"{method}","params":{params}}}"#,
        env!("CARGO_PKG_NAME")
    );
    Message::own(line).expect("it is made of valid JSON")
}
