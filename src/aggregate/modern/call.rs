//! A request that one of the servers answers.

use super::super::Endpoint;
use super::super::route::Route;
use super::super::viewer::Viewer;
use crate::access::Caller;
use crate::mount::Unserved;
use crate::peer::in_process::Voice;
use crate::wire::claim::RELATED_REQUEST;
use crate::wire::{Claim, Code, Kind as MessageKind, Message, Object, RpcError};
use bytes::Bytes;
use serde_json::Value;

impl Endpoint {
    /// Has the server of a request answer it, and says everything that it says.
    ///
    /// # Errors
    /// What the client is told if the server did not take it.
    pub(super) async fn call(
        &self,
        message: &Message,
        claim: &Claim,
        caller: &Caller,
        voice: &Voice,
    ) -> Result<(), RpcError> {
        let viewer = Viewer::of(&claim.capabilities, caller);
        let Route { member, request, renamed } = self.route(message, &viewer).await?;
        let heard = member.mount.converse(request, claim, caller).await.map_err(Unserved::into_error)?;
        let Some((_visit, mut reader)) = heard else { return Ok(()) };
        while let Some(line) = reader.next().await {
            let Ok(said) = Message::own(line.clone()) else { continue };
            match said.kind() {
                MessageKind::Notification => voice.say(related(&said, message)),
                MessageKind::Request => {}
                MessageKind::Error => {
                    voice.say(line);
                    return Ok(());
                }
                MessageKind::Result => {
                    voice.say(self.led(&said, message.method(), &member, renamed.as_ref(), &viewer).await);
                    return Ok(());
                }
            }
        }
        let server = member.mount.name();
        Err(RpcError::new(Code::ServerExited, format!("the server {server} ended before it answered")))
    }
}

/// A notification that says which request it belongs to: on the way out there may be many.
fn related(said: &Message, request: &Message) -> Bytes {
    if said.method() == "notifications/progress" {
        return said.raw().clone();
    }
    let mut params = Object::read(said.body()).unwrap_or_default();
    params.change("_meta", |meta| meta.set(RELATED_REQUEST, request.id().unwrap_or("null").to_owned()));
    format!(r#"{{"jsonrpc":"2.0","method":{},"params":{}}}"#, Value::from(said.method()), params.to_json())
        .into()
}
