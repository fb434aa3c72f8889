//! Who sends a request.

use super::allowance::Allowance;
use super::credentials::{Credentials, Digest, Shown, Unusable};
use super::grant::{Grant, Place};
use crate::protocol::Principal;
use crate::wire::RpcError;
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName};
use secrecy::SecretString;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// Who sends a request, and what he may. It is cheap to clone.
///
/// Two callers are equal where nothing may tell them apart; see [`Identity`]. Who he is stays; what he may can become more or
/// less for a caller to whom a session belongs, and for all that were made of him.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Arc<Who>,
    rights: Arc<ArcSwap<Rights>>,
    /// The view through which he comes.
    view: Option<Arc<str>>,
    /// His requests have been counted on their way here.
    inside: bool,
}

#[derive(Debug)]
struct Who {
    principal: Principal,
    /// As the log calls him.
    name: SmolStr,
    /// What he brings for servers to use in his name.
    shown: Option<Shown>,
}

/// What follows from what he has shown.
#[derive(Clone, Debug)]
struct Rights {
    grant: Arc<Grant>,
    /// What his token is good for, where it is one with scopes.
    scopes: Option<Arc<BTreeSet<String>>>,
    /// When what he has shown ends.
    expires: Option<SystemTime>,
    /// Cancelled when what he has shown holds no more.
    revoked: Option<CancellationToken>,
    /// How much he may have, where that is counted.
    allowance: Option<Arc<Allowance>>,
}

/// What tells callers apart: who they are, what they may, by which way they come, and what they bring for servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    principal: Principal,
    grant: u64,
    view: Option<Arc<str>>,
    shown: Option<Digest>,
}

/// To whom a session belongs. A token may be refreshed; who he is stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Who.
    pub principal: Principal,
    /// What he has brought for the server, if it works with what its callers bring.
    pub shown: Option<Digest>,
}

/// A header that a server needs of its callers, and that is of no use as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it works with your own credentials, and the header {header} {why}: send it with every request")]
pub struct Lack {
    /// Which.
    pub header: HeaderName,
    /// What is wrong with it.
    pub why: Unusable,
}

impl Caller {
    /// Anybody, who may do everything: where nobody is asked who he is, and the router itself.
    pub fn anyone() -> Self {
        static ANYONE: LazyLock<Caller> =
            LazyLock::new(|| Caller::new(Principal::anyone(), "anyone", Grant::everything()));
        ANYONE.clone()
    }

    /// Who has shown nothing, where that is enough for some things.
    pub fn anonymous(grant: Arc<Grant>) -> Self {
        Self::new(Principal::named(ANONYMOUS), ANONYMOUS, grant)
    }

    /// Somebody whom the log calls `name`.
    pub fn new(principal: Principal, name: impl Into<SmolStr>, grant: Arc<Grant>) -> Self {
        let who = Arc::new(Who { principal, name: name.into(), shown: None });
        let rights = Rights { grant, scopes: None, expires: None, revoked: None, allowance: None };
        Self { who, rights: Arc::new(ArcSwap::from_pointee(rights)), view: None, inside: false }
    }

    /// The same, whose token is good for these scopes until then.
    #[must_use]
    pub fn with_token(&self, scopes: Arc<BTreeSet<String>>, expires: SystemTime) -> Self {
        self.with(|rights| (rights.scopes, rights.expires) = (Some(scopes), Some(expires)))
    }

    /// The same, until `revoked` is cancelled.
    #[must_use]
    pub fn until(&self, revoked: CancellationToken) -> Self {
        self.with(|rights| rights.revoked = Some(revoked))
    }

    /// The same, with what he has shown in those of `headers` that servers want.
    #[must_use]
    pub fn showing(&self, headers: &HeaderMap, wanted: &[HeaderName]) -> Self {
        match Shown::among(headers, wanted) {
            Some(shown) => {
                let Who { principal, name, .. } = &*self.who;
                let who = Who { principal: principal.clone(), name: name.clone(), shown: Some(shown) };
                Self { who: Arc::new(who), ..self.clone() }
            }
            None => self.clone(),
        }
    }

    /// The same, who may everything: where it is found out what a server has for him, and not yet what he may have of that.
    #[must_use]
    pub fn unbounded(&self) -> Self {
        Self { view: None, ..self.with(|rights| rights.grant = Grant::everything()) }
    }

    /// The same, who comes through the view of this name.
    #[must_use]
    pub fn through(&self, view: &str) -> Self {
        Self { view: Some(view.into()), ..self.clone() }
    }

    /// The same as the owner of a session, whose rights change with what he shows later.
    #[must_use]
    pub fn settled(&self) -> Self {
        self.with(|_| {})
    }

    /// He has shown this: from now on he may what `shown` may, and so may all that were made of him.
    pub fn shows(&self, shown: &Self) {
        // Nearly always he shows what he has shown before, and to write is dearer than to look.
        let now = shown.rights.load();
        if !Arc::ptr_eq(&self.rights.load(), &now) {
            self.rights.store(Arc::clone(&now));
        }
    }

    fn with(&self, change: impl FnOnce(&mut Rights)) -> Self {
        let mut rights = (**self.rights.load()).clone();
        change(&mut rights);
        Self { rights: Arc::new(ArcSwap::from_pointee(rights)), ..self.clone() }
    }

    /// The same, who may have so much.
    #[must_use]
    pub fn within(&self, allowance: Arc<Allowance>) -> Self {
        self.with(|rights| rights.allowance = Some(allowance))
    }

    /// The same behind what serves several servers together: there his requests have been counted.
    #[must_use]
    pub fn inside(&self) -> Self {
        Self { inside: true, ..self.clone() }
    }

    /// Who he is.
    pub fn principal(&self) -> &Principal {
        &self.who.principal
    }

    /// Whether he is anybody: nobody has asked him who he is.
    pub fn is_anyone(&self) -> bool {
        self.who.principal.is_anyone()
    }

    /// Whether he has shown nothing, where that is enough for some things.
    pub fn is_anonymous(&self) -> bool {
        self.who.principal.is_named(ANONYMOUS)
    }

    /// What the log calls him.
    pub fn name(&self) -> &str {
        &self.who.name
    }

    /// The same, to be kept.
    pub fn shared_name(&self) -> SmolStr {
        self.who.name.clone()
    }

    /// What he may.
    pub fn grant(&self) -> impl Deref<Target = Arc<Grant>> {
        arc_swap::access::Access::load(&self.rights.map(|rights: &Rights| &rights.grant))
    }

    /// How much he may have, where that is counted.
    pub fn allowance(&self) -> Option<Arc<Allowance>> {
        self.rights.load().allowance.clone()
    }

    /// Whether what he has is to be counted here, and not before.
    pub fn is_counted(&self) -> bool {
        !self.inside && self.rights.load().allowance.is_some()
    }

    /// Takes something of what he may have, where that is to be counted here, and not before.
    ///
    /// # Errors
    /// He has too much of it.
    pub fn counted<T>(
        &self,
        take: impl FnOnce(&Allowance) -> Result<T, RpcError>,
    ) -> Result<Option<T>, RpcError> {
        let rights = self.rights.load();
        rights.allowance.as_deref().filter(|_| !self.inside).map(take).transpose()
    }

    /// Whether his requests have been counted on their way here, and some of them are not his but the router's.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// The way by which he comes.
    pub fn place(&self) -> Place<'_> {
        self.view.as_deref().map_or(Place::Open, Place::View)
    }

    /// The scopes of his token, if he has shown one that has any.
    pub fn scopes(&self) -> Option<Arc<BTreeSet<String>>> {
        self.rights.load().scopes.clone()
    }

    /// To whom a session belongs that he opens.
    pub fn owner(&self) -> Owner {
        Owner { principal: self.who.principal.clone(), shown: None }
    }

    /// What he has brought for all servers together, if he has brought anything.
    pub fn shown(&self) -> Option<Digest> {
        self.who.shown.as_ref().map(Shown::digest)
    }

    /// What he has shown in these headers, as far as it is of use.
    pub fn shown_in<'a>(&'a self, headers: impl Iterator<Item = &'a HeaderName>) -> Digest {
        Digest::of(headers.map(|header| (header, self.value(header).ok())))
    }

    /// The variables of a server's environment that are to have the values of headers.
    ///
    /// # Errors
    /// The first header that is of no use as it was sent.
    pub fn credentials<'a>(
        &self,
        variables: impl Iterator<Item = (&'a str, &'a HeaderName)>,
    ) -> Result<Credentials, Lack> {
        let value = |(variable, header): (&str, &HeaderName)| match self.value(header) {
            Ok(value) => Ok((variable.into(), value.clone())),
            Err(why) => Err(Lack { header: header.clone(), why }),
        };
        variables.map(value).collect::<Result<_, _>>().map(Credentials::new)
    }

    /// All that he has brought for servers.
    pub fn brought(&self) -> Credentials {
        Credentials::new(self.who.shown.iter().flat_map(Shown::all).collect())
    }

    fn value(&self, header: &HeaderName) -> Result<&SecretString, Unusable> {
        self.who.shown.as_ref().map_or(Err(Unusable::Missing), |shown| shown.value(header))
    }

    /// What tells him from others.
    pub fn identity(&self) -> Identity {
        let (principal, grant) = (self.who.principal.clone(), self.rights.load().grant.id());
        Identity { principal, grant, view: self.view.clone(), shown: self.shown() }
    }

    /// Whether what he has shown ends one day.
    pub fn is_temporary(&self) -> bool {
        let rights = self.rights.load();
        rights.expires.is_some() || rights.revoked.is_some()
    }

    /// Whether what he has shown holds no more.
    pub fn has_ended(&self) -> bool {
        let rights = self.rights.load();
        rights.expires.is_some_and(|at| at <= SystemTime::now())
            || rights.revoked.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// Waits until what he has shown holds no more.
    pub async fn ended(&self) {
        let Rights { expires, revoked, .. } = &*self.rights.load_full();
        let expired = async {
            match expires {
                // A clock that is set forward must not let him stay: it is looked at now and then.
                Some(at) => {
                    while let Ok(left) = at.duration_since(SystemTime::now()) {
                        tokio::time::sleep(left.min(LOOK)).await;
                    }
                }
                None => std::future::pending().await,
            }
        };
        let revoked = async {
            match revoked {
                Some(revoked) => revoked.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expired => {}
            () = revoked => {}
        }
    }
}

/// No key, certificate or subject is called so: these have something before their names.
const ANONYMOUS: &str = "anonymous";

/// How long it takes at most until a clock that was set is noticed.
const LOOK: std::time::Duration = std::time::Duration::from_secs(30);

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Caller {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn alice() -> Caller {
        Caller::new(Principal::named("alice"), "alice", Grant::everything())
    }

    #[test]
    fn callers_are_the_same_where_nothing_tells_them_apart() {
        let scopes = Arc::new(BTreeSet::new());
        assert_eq!(alice(), alice().with_token(scopes, SystemTime::now()), "a token may be refreshed");
        assert_ne!(alice(), alice().through("dev"));
        assert_ne!(alice(), Caller::anyone());
        let other = Caller::new(
            Principal::named("alice"),
            "alice",
            Arc::new(Grant::new(Vec::new(), Vec::new(), false)),
        );
        assert_ne!(alice(), other);
        assert_eq!(alice().owner(), other.owner(), "her sessions stay hers, whatever she may");
    }

    #[test]
    fn the_rights_of_a_sessions_owner_change_with_what_he_shows() {
        let nothing = || Arc::new(Grant::new(Vec::new(), Vec::new(), false));
        let (owner, other) = (alice().settled(), alice());
        let inside = owner.through("dev");
        assert!(inside.grant().view("dev"));
        owner.shows(&Caller::new(Principal::named("alice"), "alice", nothing()));
        assert!(inside.grant().is_empty(), "who was made of her may no more than she");
        assert!(!other.grant().is_empty(), "what she shows elsewhere is her other affair");
    }

    #[test]
    fn who_brings_something_else_is_somebody_else() {
        let (github, other) = (HeaderName::from_static("x-github-token"), HeaderName::from_static("x-other"));
        let wanted = [github.clone()];
        let with = |header: &HeaderName, value: &str| {
            let headers = [(header.clone(), value.parse().unwrap())].into_iter().collect();
            alice().showing(&headers, &wanted)
        };
        assert_eq!(with(&github, "one"), with(&github, "one"));
        assert_ne!(with(&github, "one"), with(&github, "two"));
        assert_eq!(with(&other, "one"), alice(), "nobody wants that");
        let caller = with(&github, "one");
        assert_ne!(caller.shown_in(wanted.iter()), alice().shown_in(wanted.iter()));
        let credentials = caller.credentials([("TOKEN", &github)].into_iter()).unwrap();
        assert_eq!(credentials.reveal().collect::<Vec<_>>(), [("TOKEN", "one")]);
        let lack = caller.through("dev").credentials([("TOKEN", &github), ("X", &other)].into_iter());
        assert!(lack.unwrap_err().to_string().contains("the header x-other is missing"));
        assert!(!format!("{caller:?}").contains("one\""), "{caller:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_shown_ends_with_its_time_or_when_it_is_revoked() {
        let now = SystemTime::now();
        let scopes = Arc::new(BTreeSet::new());
        alice().with_token(scopes.clone(), now - Duration::from_secs(1)).ended().await;
        let revoked = CancellationToken::new();
        let caller = alice().with_token(scopes, now + Duration::from_hours(1)).until(revoked.clone());
        assert!(tokio::time::timeout(Duration::from_mins(1), caller.ended()).await.is_err());
        assert!(!caller.has_ended());
        revoked.cancel();
        caller.ended().await;
        assert!(caller.has_ended());
        assert!(!alice().is_temporary() && caller.is_temporary());
    }
}
