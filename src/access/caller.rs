//! Who sends a request.

use super::credentials::{Credentials, Digest, Shown, Unusable};
use super::grant::{Grant, Place};
use crate::protocol::Principal;
use http::{HeaderMap, HeaderName};
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;

/// Who sends a request, and what he may. It is cheap to clone.
///
/// Two callers are equal where nothing may tell them apart; see [`Identity`].
#[derive(Clone, Debug)]
pub struct Caller(Arc<Facts>);

#[derive(Clone, Debug)]
struct Facts {
    principal: Principal,
    /// As the log calls him.
    name: Arc<str>,
    grant: Arc<Grant>,
    /// The view through which he comes.
    view: Option<Arc<str>>,
    /// What his token is good for, where it is one with scopes.
    scopes: Option<Arc<BTreeSet<String>>>,
    /// When what he has shown ends.
    expires: Option<SystemTime>,
    /// Cancelled when what he has shown holds no more.
    revoked: Option<CancellationToken>,
    /// What he brings for servers to use in his name.
    shown: Option<Shown>,
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

    /// Somebody whom the log calls `name`.
    pub fn new(principal: Principal, name: impl Into<Arc<str>>, grant: Arc<Grant>) -> Self {
        let name = name.into();
        Self(Arc::new(Facts {
            principal,
            name,
            grant,
            view: None,
            scopes: None,
            expires: None,
            revoked: None,
            shown: None,
        }))
    }

    /// The same, whose token is good for these scopes until then.
    #[must_use]
    pub fn with_token(&self, scopes: Arc<BTreeSet<String>>, expires: SystemTime) -> Self {
        self.changed(|facts| (facts.scopes, facts.expires) = (Some(scopes), Some(expires)))
    }

    /// The same, until `revoked` is cancelled.
    #[must_use]
    pub fn until(&self, revoked: CancellationToken) -> Self {
        self.changed(|facts| facts.revoked = Some(revoked))
    }

    /// The same, with what he has shown in those of `headers` that servers want.
    #[must_use]
    pub fn showing(&self, headers: &HeaderMap, wanted: &[HeaderName]) -> Self {
        match Shown::among(headers, wanted) {
            Some(shown) => self.changed(|facts| facts.shown = Some(shown)),
            None => self.clone(),
        }
    }

    /// The same, who may everything: where it is found out what a server has for him, and not yet what he may have of that.
    #[must_use]
    pub fn unbounded(&self) -> Self {
        self.changed(|facts| (facts.grant, facts.view) = (Grant::everything(), None))
    }

    /// The same, who comes through the view of this name.
    #[must_use]
    pub fn through(&self, view: &str) -> Self {
        self.changed(|facts| facts.view = Some(view.into()))
    }

    fn changed(&self, change: impl FnOnce(&mut Facts)) -> Self {
        let mut facts = (*self.0).clone();
        change(&mut facts);
        Self(Arc::new(facts))
    }

    /// Who he is.
    pub fn principal(&self) -> &Principal {
        &self.0.principal
    }

    /// What the log calls him.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What he may.
    pub fn grant(&self) -> &Arc<Grant> {
        &self.0.grant
    }

    /// The way by which he comes.
    pub fn place(&self) -> Place<'_> {
        self.0.view.as_deref().map_or(Place::Open, Place::View)
    }

    /// The scopes of his token, if he has shown one that has any.
    pub fn scopes(&self) -> Option<&BTreeSet<String>> {
        self.0.scopes.as_deref()
    }

    /// To whom a session belongs that he opens.
    pub fn owner(&self) -> Owner {
        Owner { principal: self.0.principal.clone(), shown: None }
    }

    /// What he has brought for all servers together, if he has brought anything.
    pub fn shown(&self) -> Option<Digest> {
        self.0.shown.as_ref().map(Shown::digest)
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

    fn value(&self, header: &HeaderName) -> Result<&SecretString, Unusable> {
        self.0.shown.as_ref().map_or(Err(Unusable::Missing), |shown| shown.value(header))
    }

    /// What tells him from others.
    pub fn identity(&self) -> Identity {
        let Facts { principal, grant, view, .. } = &*self.0;
        let (principal, view) = (principal.clone(), view.clone());
        Identity { principal, grant: grant.id(), view, shown: self.shown() }
    }

    /// Whether what he has shown ends one day.
    pub fn is_temporary(&self) -> bool {
        self.0.expires.is_some() || self.0.revoked.is_some()
    }

    /// Waits until what he has shown holds no more.
    pub async fn ended(&self) {
        let expired = async {
            match self.0.expires {
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
            match &self.0.revoked {
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

/// How long it takes at most until a clock that was set is noticed.
const LOOK: std::time::Duration = std::time::Duration::from_secs(30);

impl PartialEq for Caller {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.identity() == other.identity()
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
        revoked.cancel();
        caller.ended().await;
        assert!(!alice().is_temporary() && caller.is_temporary());
    }
}
