//! `subscriptions/listen`: changes of all lists, and of resources of many servers, on one stream.

use super::super::Endpoint;
use super::super::catalog::{Member, Wait};
use super::super::part::PATIENCE;
use super::super::viewer::Viewer;
use crate::access::Caller;
use crate::peer::in_process::Voice;
use crate::protocol::subscription::{Filter, list_changed, stamped};
use crate::wire::meta::{find, find_string};
use crate::wire::{Claim, Kind as MessageKind, Message, RpcError};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A subscription to a server's resources that has ended is opened again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Messages of the servers on their way to the client.
const QUEUE: usize = 64;

/// The resources of one server that a client is subscribed to.
struct Wanted {
    member: Arc<Member>,
    /// What the client calls each, by what the server calls it; JSON strings.
    uris: BTreeMap<Box<str>, Box<str>>,
}

/// Said by the subscription to one server's resources.
enum Heard {
    /// These it will tell of, as the client calls them.
    Honoured(BTreeSet<Box<str>>),
    /// One has changed.
    Updated(Bytes),
}

impl Endpoint {
    /// Tells of changes for as long as the client wants to hear of them: it ends by being dropped.
    pub(super) async fn listen(
        &self,
        message: &Message,
        claim: &Claim,
        caller: &Caller,
        voice: &Voice,
    ) -> Result<(), RpcError> {
        let filter = Filter::read(message.body())?;
        let id = message.id().unwrap_or("null");
        let viewer = Viewer::of(&claim.capabilities, caller);
        let capabilities = &*viewer.capabilities;
        // From before the acknowledgement on nothing is missed.
        let mut news = self.catalog.news();
        let _listening = (!filter.lists.is_empty()).then(|| self.catalog.listen(capabilities));
        let (heard, mut said) = mpsc::channel(QUEUE);
        let wanted = self.wanted(&filter.uris, &viewer).await;
        let mut open = wanted.len();
        let mut subscriptions: FuturesUnordered<_> =
            wanted.iter().map(|wanted| wanted.follow(&viewer, id, &heard)).collect();
        let mut honoured = Filter { lists: filter.lists.clone(), uris: BTreeSet::new() };
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut waiting = Vec::new();
        while open > 0 {
            tokio::select! {
                Some(()) = subscriptions.next() => {}
                heard = said.recv() => match heard {
                    Some(Heard::Honoured(uris)) => {
                        open -= 1;
                        honoured.uris.extend(uris);
                    }
                    Some(Heard::Updated(line)) => waiting.push(line),
                    None => break,
                },
                () = tokio::time::sleep_until(until) => break,
            }
        }
        voice.say(honoured.acknowledged(id));
        for line in waiting {
            voice.say(line);
        }
        loop {
            tokio::select! {
                Some(()) = subscriptions.next() => {}
                heard = said.recv() => if let Some(Heard::Updated(line)) = heard {
                    voice.say(line);
                },
                Some(changed) = news.next() => {
                    for kind in changed.into_iter().filter(|kind| filter.lists.contains(kind)) {
                        voice.say(list_changed(kind, id));
                    }
                }
            }
        }
    }

    /// Which resources of which servers are meant; what no server has is left out.
    async fn wanted(&self, uris: &BTreeSet<Box<str>>, viewer: &Viewer) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        if uris.is_empty() {
            return wanted;
        }
        let offer = self.offer(viewer, Wait::Patiently).await;
        for asked in uris {
            let Ok(uri) = serde_json::from_str::<String>(asked) else { continue };
            let Some((member, own)) = self.resource(&offer, &uri, &viewer.caller) else { continue };
            let own = Value::from(own).to_string().into();
            match wanted.iter_mut().find(|wanted| Arc::ptr_eq(&wanted.member, &member)) {
                Some(wanted) => drop(wanted.uris.insert(own, asked.clone())),
                None => wanted.push(Wanted { member, uris: [(own, asked.clone())].into() }),
            }
        }
        wanted
    }
}

impl Wanted {
    /// Hears what the server says of its resources, and asks again when it has stopped to.
    async fn follow(&self, viewer: &Viewer, id: &str, heard: &mpsc::Sender<Heard>) {
        let mut told = false;
        loop {
            let work = async {
                self.hear(viewer, id, heard, &mut told).await;
                if !std::mem::replace(&mut told, true) {
                    // Whoever waits for what can be honoured is to wait no longer.
                    let _ = heard.send(Heard::Honoured(BTreeSet::new())).await;
                }
                tokio::time::sleep(AGAIN).await;
            };
            tokio::select! {
                () = self.member.gone() => return,
                () = work => {}
            }
        }
    }

    async fn hear(&self, viewer: &Viewer, id: &str, heard: &mpsc::Sender<Heard>, told: &mut bool) {
        let filter = Filter { uris: self.uris.keys().cloned().collect(), ..Filter::default() };
        let (mount, Viewer { capabilities, caller, .. }) = (&self.member.mount, viewer);
        let Some((_visit, mut reader)) = mount.subscribe(&filter, capabilities, caller).await else { return };
        while let Some(line) = reader.next().await {
            let Ok(message) = Message::own(line) else { continue };
            if message.kind() != MessageKind::Notification {
                return;
            }
            let said = match message.method() {
                "notifications/subscriptions/acknowledged" if !std::mem::replace(told, true) => {
                    Heard::Honoured(self.honoured(&message))
                }
                "notifications/resources/updated" => Heard::Updated(self.renamed(&message, id)),
                _ => continue,
            };
            if heard.send(said).await.is_err() {
                return;
            }
        }
    }

    fn honoured(&self, message: &Message) -> BTreeSet<Box<str>> {
        let raw = find(message.body(), &["notifications", "resourceSubscriptions"]);
        let own: Vec<String> = raw.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        own.into_iter()
            .filter_map(|own| self.uris.get(Value::from(own).to_string().as_str()).cloned())
            .collect()
    }

    /// The notification with the client's own name of the resource and of the subscription.
    fn renamed(&self, message: &Message, id: &str) -> Bytes {
        let params = message.body();
        let asked = find_string(params, &["uri"])
            .and_then(|own| self.uris.get(Value::from(own).to_string().as_str()));
        match (asked, find(params, &["uri"])) {
            (Some(asked), Some(raw)) => {
                let line = message.spliced("", Some((raw, asked)));
                Message::own(line).map_or_else(|_| stamped(message, id), |message| stamped(&message, id))
            }
            _ => stamped(message, id),
        }
    }
}
