//! What one server offers: its lists as it gave them, all pages together.

use crate::access::Caller;
use crate::mount::{self, Mount, Unserved, question};
use crate::wire::meta::{find, find_string};
use crate::wire::object::items;
use crate::wire::{Claim, Code, Kind as MessageKind, Message, Object, RpcError};
use std::time::SystemTime;

/// Pages of a list.
const MOST_PAGES: usize = 100;

/// Bytes of a list.
const MOST_BYTES: usize = 32 << 20;

/// The lists that servers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `tools/list`.
    Tools,
    /// `prompts/list`.
    Prompts,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
}

/// What one server offers to clients of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lists {
    /// The result of `server/discover`.
    pub(super) discovered: Box<str>,
    /// Of each [`Kind`], in its order.
    pub(super) lists: [List; 4],
}

/// One list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// The items as the server wrote them.
    pub(super) items: Vec<Box<str>>,
    /// For how many milliseconds it holds.
    pub(super) ttl: u64,
    /// Whether it holds for everybody.
    pub(super) is_public: bool,
}

impl Kind {
    /// Each of them.
    pub(super) const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The list that a method asks for.
    pub(super) fn asked_by(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }

    /// The method that asks for it.
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of the result that holds the items.
    pub(super) const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The member of an item by which it is asked for.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The capability that it needs.
    pub(super) const fn capability(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }
}

impl Lists {
    /// One of them.
    pub(super) fn of(&self, kind: Kind) -> &List {
        &self.lists[kind as usize]
    }

    /// Asks a server for all that it offers to a caller's clients with these capabilities (raw JSON).
    ///
    /// # Errors
    /// Why they could not be had, without secrets.
    pub(super) async fn fetch(mount: &Mount, capabilities: &str, caller: &Caller) -> Result<Self, String> {
        let claim = Claim::read(question("server/discover", capabilities, Object::default()).body())
            .map_err(|error| error.message.into_owned())?;
        let server = Visited { mount, claim, caller };
        let discovered = server.ask("server/discover", Object::default()).await?;
        Self::of_server(&server, discovered.body()).await
    }

    /// Asks a server for its lists, which has said this of itself: a result with its `capabilities`.
    pub(super) async fn of_server(server: &impl Server, discovered: &str) -> Result<Self, String> {
        let discovered: Box<str> = discovered.into();
        let declared = find(&discovered, &["capabilities"]).unwrap_or("{}");
        let list = async |kind: Kind| match find(declared, &[kind.capability()]) {
            Some(_) => List::fetch(server, kind).await,
            None => Ok(List::default()),
        };
        let (tools, prompts, resources, templates) = tokio::try_join!(
            list(Kind::Tools),
            list(Kind::Prompts),
            list(Kind::Resources),
            list(Kind::Templates)
        )?;
        Ok(Self { discovered, lists: [tools, prompts, resources, templates] })
    }
}

impl List {
    async fn fetch(server: &impl Server, kind: Kind) -> Result<Self, String> {
        let mut list = Self { ttl: u64::MAX, is_public: true, ..Self::default() };
        let (mut cursor, mut bytes) = (None::<String>, 0);
        for _ in 0..MOST_PAGES {
            let mut params = Object::default();
            if let Some(cursor) = &cursor {
                params.set("cursor", cursor.as_str());
            }
            let answer = match server.ask(kind.method(), params).await {
                Ok(answer) => answer,
                // Some declare resources, and know no templates.
                Err(Refusal::Unknown) => break,
                Err(Refusal::Other(reason)) => return Err(reason),
            };
            let result = answer.body();
            for item in find(result, &[kind.member()]).and_then(items).unwrap_or_default() {
                bytes += item.len();
                if bytes > MOST_BYTES {
                    return Err(format!("its {} are larger than 32 MiB", kind.member()));
                }
                if find_string(item, &[kind.key()]).is_some() {
                    list.items.push(item.into());
                }
            }
            let ttl = find(result, &["ttlMs"]).and_then(|raw| raw.parse().ok()).unwrap_or(0);
            list.ttl = list.ttl.min(ttl);
            list.is_public &= find_string(result, &["cacheScope"]).as_deref() == Some("public");
            cursor = find(result, &["nextCursor"]).filter(|raw| raw.starts_with('"')).map(str::to_owned);
            if cursor.is_none() {
                return Ok(list);
            }
        }
        Ok(list)
    }
}

/// Somebody who can be asked for lists.
pub(super) trait Server: Sync {
    /// The result of a request.
    fn ask(
        &self,
        method: &'static str,
        params: Object<'_>,
    ) -> impl Future<Output = Result<Message, Refusal>> + Send;
}

/// A server that is visited for each request.
struct Visited<'a> {
    mount: &'a Mount,
    claim: Claim,
    caller: &'a Caller,
}

/// Why there is no result.
pub(super) enum Refusal {
    /// The server does not know the method.
    Unknown,
    /// Why.
    Other(String),
}

impl From<Refusal> for String {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown => "it does not know the method".to_owned(),
            Refusal::Other(reason) => reason,
        }
    }
}

impl Server for Visited<'_> {
    async fn ask(&self, method: &'static str, params: Object<'_>) -> Result<Message, Refusal> {
        let request = question(method, &self.claim.capabilities_raw, params);
        let caller = self.caller.inside();
        match self.mount.ask(request, &self.claim, &caller).await.map_err(Unserved::into_error) {
            Ok(Some(answer)) => result_of(method, answer),
            Ok(None) => Err(Refusal::Other(format!("it does not answer {method}"))),
            Err(RpcError { message, .. }) => Err(Refusal::Other(message.into_owned())),
        }
    }
}

/// The answer to a request, if it is a result.
pub(super) fn result_of(method: &str, answer: Message) -> Result<Message, Refusal> {
    if answer.kind() == MessageKind::Result {
        return Ok(answer);
    }
    if answer.error_code() == Some(Code::MethodNotFound.number()) {
        return Err(Refusal::Unknown);
    }
    let message = find_string(answer.body(), &["message"]).unwrap_or_default();
    Err(Refusal::Other(format!("it refuses {method}: {message}")))
}

/// Lists as they are kept on disk.
impl From<&Lists> for mount::Lists {
    fn from(lists: &Lists) -> Self {
        let items = |kind| Some(lists.of(kind).items.clone());
        Self {
            at: SystemTime::now(),
            discovered: Some(lists.discovered.clone()),
            tools: items(Kind::Tools),
            prompts: items(Kind::Prompts),
            resources: items(Kind::Resources),
            templates: items(Kind::Templates),
        }
    }
}

/// What was kept holds for no time, and for nobody else: the server may be another by now.
impl From<mount::Lists> for Lists {
    fn from(kept: mount::Lists) -> Self {
        let list =
            |items: Option<Vec<Box<str>>>| List { items: items.unwrap_or_default(), ..List::default() };
        Self {
            discovered: kept.discovered.unwrap_or_default(),
            lists: [kept.tools, kept.prompts, kept.resources, kept.templates].map(list),
        }
    }
}
