//! A server's own announcements of changes, listened to for as long as somebody wants to know.

use super::catalog::{Catalog, Member};
use super::part::Changes;
use crate::access::Caller;
use crate::protocol::subscription::{Filter, LISTS};
use crate::wire::meta::find;
use crate::wire::{Code, Kind, Message, Object};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The pause before a subscription that has ended is opened again, doubled for each one that ends at once.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a subscription ended.
enum Ended {
    /// The server announces nothing.
    Needless,
    /// It was refused, or its stream has ended.
    Lost,
    /// A client needed the process.
    GaveWay,
}

/// Listens to a server's changes until `stop`.
pub(super) async fn watch(
    catalog: Weak<Catalog>,
    member: Arc<Member>,
    capabilities: Box<str>,
    stop: CancellationToken,
) {
    let work = async {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            pause = match listen(&catalog, &member, &capabilities).await {
                Ended::Needless => return,
                Ended::GaveWay => LONGEST_PAUSE,
                Ended::Lost if begun.elapsed() > LONGEST_PAUSE => FIRST_PAUSE,
                Ended::Lost => (pause * 2).min(LONGEST_PAUSE),
            };
            tokio::time::sleep(pause).await;
            let Some(catalog) = catalog.upgrade() else { return };
            // What was not heard may have been missed.
            catalog.renew(&member, &capabilities, Changes::default()).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = member.gone() => {}
        () = work => {}
    }
}

async fn listen(catalog: &Weak<Catalog>, member: &Arc<Member>, capabilities: &str) -> Ended {
    let filter = Filter { lists: LISTS.into(), ..Filter::default() };
    let Some((_visit, mut reader)) = member.mount.subscribe(&filter, capabilities, &Caller::anyone()).await
    else {
        return Ended::Lost;
    };
    let mut crowded = std::pin::pin!(member.mount.crowded());
    loop {
        let line = tokio::select! {
            () = &mut crowded => return Ended::GaveWay,
            line = reader.next() => line,
        };
        let Some(line) = line else { return Ended::Lost };
        let Ok(message) = Message::own(line) else { continue };
        match message.kind() {
            // It knows no subscriptions: what it offers is looked at from time to time.
            Kind::Error if message.error_code() == Some(Code::MethodNotFound.number()) => {
                return Ended::Needless;
            }
            Kind::Error | Kind::Result => return Ended::Lost,
            Kind::Request => {}
            Kind::Notification => {
                if message.method() == "notifications/subscriptions/acknowledged" {
                    let honoured = find(message.body(), &["notifications"]).and_then(Object::read);
                    if honoured.is_none_or(|honoured| honoured.is_empty()) {
                        return Ended::Needless;
                    }
                    continue;
                }
                let changed = |kind: &str| message.method() == format!("notifications/{kind}/list_changed");
                let kinds = LISTS.map(changed);
                let Some(catalog) = catalog.upgrade() else { return Ended::Lost };
                if kinds.contains(&true) {
                    catalog.renew(member, capabilities, Changes { kinds }).await;
                }
            }
        }
    }
}
