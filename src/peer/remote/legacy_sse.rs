//! HTTP+SSE of 2024-11-05: a stream that names where to post, and carries everything that the server says.

use std::sync::Arc;
use std::time::Duration;

use super::body::{self, Events};
use super::{Connection, Fault, Way};
use crate::wire::Message;

/// The first event is there within this time, or the stream is none of MCP.
const ENDPOINT_WITHIN: Duration = Duration::from_secs(10);

impl Connection {
    /// Opens the stream, and learns where to post.
    pub(super) async fn open_stream(self: &Arc<Self>) -> Result<(), Fault> {
        let response = self.get(None).await?;
        let mut events = Events::new(response, self.site.line_limit);
        let endpoint = tokio::time::timeout(ENDPOINT_WITHIN, endpoint(&mut events)).await;
        let endpoint = endpoint.map_err(|_| nameless("for 10 s nothing was said"))??;
        // 2024-11-05 leaves open where the endpoint may be; what is posted may be secret, so it stays with the server.
        let url = self.site.spec.url.join(&endpoint).map_err(|_| nameless("it names no URL"))?;
        if url.origin() != self.site.spec.url.origin() {
            return Err(nameless("it names another server"));
        }
        self.talk().way = Way::Sse(url);
        let (connection, over) = (self.clone(), self.over.clone());
        self.readers.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = connection.lost.cancelled() => {}
                () = connection.read(events) => {}
            }
        });
        Ok(())
    }

    /// Posts a request; the answer comes on the stream.
    pub(super) async fn call_by_sse(&self, request: &Message) -> Result<(), Fault> {
        let response = self.post(request).await?;
        if response.status().is_success() {
            return Ok(());
        }
        self.pass_on(self.refused(response, Some(request)).await)
    }

    async fn read(&self, mut events: Events) {
        let reason = loop {
            match events.next().await {
                Ok(Some(event)) => {
                    if let Some(line) = body::message(event) {
                        self.hand_on(line);
                    }
                }
                Ok(None) => break "the server has ended its event stream".to_owned(),
                Err(fault) => break fault.to_error().message.into_owned(),
            }
        };
        self.lose(reason, None);
    }
}

async fn endpoint(events: &mut Events) -> Result<String, Fault> {
    while let Some(event) = events.next().await? {
        if event.name == "endpoint" {
            return Ok(event.data);
        }
    }
    Err(nameless("it ended at once"))
}

fn nameless(what: &str) -> Fault {
    Fault::NotAnAnswer(format!("the event stream does not say where to post: {what}"))
}
