//! The stream of what a server says unasked, opened again whenever it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::body::{self, Events};
use super::open::is_for_now;
use super::{Connection, Fault};

/// The pause before the stream is asked for again, doubled while it does not last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A stream that lived so long was a good one.
const LASTED: Duration = Duration::from_secs(10);

/// Listens until the server says that it has no such stream, or no such session; `answered` tells that it has said for the
/// first time whether there is one.
pub(super) async fn listen(connection: &Arc<Connection>, answered: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    let mut events: Option<Events> = None;
    let mut offered = false;
    loop {
        let begun = Instant::now();
        let last = events.as_ref().and_then(Events::last_id).map(str::to_owned);
        let asked = connection.get(last.as_deref()).await;
        answered.cancel();
        match asked {
            Ok(response) => {
                offered = true;
                let events = match &mut events {
                    Some(events) => {
                        events.go_on(response);
                        events
                    }
                    None => events.insert(Events::new(response, connection.site.line_limit)),
                };
                while let Ok(Some(event)) = events.next().await {
                    if let Some(line) = body::message(event) {
                        connection.hand_on(line);
                    }
                }
            }
            // It may only have forgotten the stream: the next attempt tells.
            Err(Fault::NoSession | Fault::NotAnAnswer(_)) if last.is_some() => {
                events = None;
                continue;
            }
            Err(Fault::Status(status, _)) if last.is_some() && status.is_client_error() => {
                events = None;
                continue;
            }
            // One that never had such a stream may not know GET at all, and answer so: it says nothing about the session.
            Err(Fault::NoSession) if !offered => return,
            Err(Fault::NoSession) => return connection.forgotten(None),
            Err(Fault::Unreachable(_) | Fault::Broken(_)) => {}
            Err(Fault::Status(status, _)) if status.is_server_error() || is_for_now(status) => {}
            // Whoever makes the next request logs in.
            Err(Fault::Unauthorized(..)) if offered => {}
            // 2025-11-25, basic/transports: "or else return HTTP 405 Method Not Allowed, indicating that the server does
            // not offer an SSE stream at this endpoint".
            Err(_) => return,
        }
        if begun.elapsed() >= LASTED {
            pause = FIRST_PAUSE;
        }
        let told = events.as_ref().and_then(Events::retry);
        tokio::time::sleep(told.unwrap_or(pause).max(pause.min(FIRST_PAUSE))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
