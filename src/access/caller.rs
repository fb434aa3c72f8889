//! Who sends a request.

use super::grant::{Grant, Place};
use crate::protocol::Principal;
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
}

/// What tells callers apart: who they are, what they may, and by which way they come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    principal: Principal,
    grant: u64,
    view: Option<Arc<str>>,
}

/// To whom a session belongs. A token may be refreshed; who he is stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Who.
    pub principal: Principal,
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

    /// Whether he has shown nothing, where that is enough for some things.
    pub fn is_anonymous(&self) -> bool {
        self.0.principal == Principal::named(ANONYMOUS)
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
        Owner { principal: self.0.principal.clone() }
    }

    /// What tells him from others.
    pub fn identity(&self) -> Identity {
        let Facts { principal, grant, view, .. } = &*self.0;
        Identity { principal: principal.clone(), grant: grant.id(), view: view.clone() }
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

/// No key, certificate or subject is called so: these have something before their names.
const ANONYMOUS: &str = "anonymous";

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
