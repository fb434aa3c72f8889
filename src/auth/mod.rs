//! Who asks: from the head of a request to a [`Caller`], before anything is read or started for it.
//!
//! A caller is known by a key, by an access token of an authorization server, or by the certificate of his connection. What he may do is in
//! the rules of the configuration; those that concern him make his [`Grant`](crate::access::Grant), and his
//! [`Allowance`](crate::access::Allowance).

mod allowances;
mod challenge;
mod failures;
mod keys;
pub mod oauth;
mod rights;

use crate::access::Caller;
use crate::config::AuthSpec;
use crate::protocol::Principal;
use allowances::Allowances;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use keys::Keys;
use oauth::{Invalid, ResourceServer};
use rights::{Identity, Rights};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use challenge::Challenge;

pub use failures::Failures;

/// Another place for a key, which many clients and gateways can set.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Knows who asks.
#[derive(Debug)]
pub struct Authenticator {
    keys: Keys,
    rights: Rights,
    allowances: Allowances,
    oauth: Option<Arc<ResourceServer>>,
    certificates: bool,
    /// Cancelled when this one holds no more.
    revoked: CancellationToken,
}

/// Why nobody is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Nothing was shown by which somebody could be known.
    #[error(
        "nothing was shown by which you could be known: send `Authorization: Bearer` and a key, or `X-API-Key` (never in the URL); where certificates count, connect with yours"
    )]
    Nothing,
    /// It cannot be told what was shown.
    #[error("the request shows {0}: send one `Authorization: Bearer` header, or one `X-API-Key`")]
    Unclear(&'static str),
    /// What was shown is not, or no longer, good for anything.
    #[error("this key is not known, or is no longer valid")]
    Invalid,
    /// It is no key that is known, and no access token that is good for this.
    #[error("{0}")]
    Token(Invalid),
}

/// Where that is done which nobody waits for, and until when.
#[derive(Clone, Debug, Default)]
pub struct Background {
    /// What is under way.
    pub tracker: TaskTracker,
    /// It ends with this.
    pub stop: CancellationToken,
}

impl Authenticator {
    /// Knows whom `spec` names. Callers who are known from `before` stay known where they still are.
    pub fn new(spec: &AuthSpec, before: Option<&Self>) -> Self {
        let rights = Rights::new(&spec.rules, &spec.limits);
        let allowances = before.map(|before| before.allowances.clone()).unwrap_or_default();
        let revoked = CancellationToken::new();
        let known = before.map(|before| &before.keys);
        let keys = Keys::new(&spec.tokens, &rights, &allowances, known);
        Self { keys, rights, allowances, oauth: None, certificates: spec.certificates, revoked }
    }

    /// Knows the subjects of access tokens, too, as `spec` says. What is known `before` of an authorization server is still
    /// known.
    #[must_use]
    pub fn with_oauth(mut self, spec: &AuthSpec, before: Option<&Self>, background: &Background) -> Self {
        self.oauth = spec.oauth.as_ref().and_then(|spec| {
            let same = before.and_then(|before| before.oauth.as_ref()).filter(|before| before.spec() == spec);
            same.cloned().or_else(|| ResourceServer::start(spec, background))
        });
        self
    }

    /// Whose access tokens are believed.
    pub fn oauth(&self) -> Option<&ResourceServer> {
        self.oauth.as_deref()
    }

    /// Who sends a request with an access token that is for something which goes by one of the names `audiences`. To be asked
    /// when [`caller`](Self::caller) does not know what was shown.
    pub async fn bearer(&self, headers: &HeaderMap, audiences: &[&str]) -> Result<Caller, Unknown> {
        let (Some(oauth), Ok(Some(token))) = (&self.oauth, bearer(headers)) else {
            return Err(Unknown::Invalid);
        };
        let token = oauth.verify(token, audiences).await.map_err(Unknown::Token)?;
        let identity = Identity {
            subject: Some(&token.subject),
            groups: token.groups.iter().map(String::as_str).collect(),
            scopes: token.scopes.iter().map(String::as_str).collect(),
            ..Identity::default()
        };
        // There is no space in the name of an issuer, so that nobody else is called so.
        let principal = Principal::named(&format!("oauth/{} {}", token.issuer, token.subject));
        let caller = Caller::new(principal, plain(&token.subject), self.rights.of(&identity));
        let caller = caller.with_token(token.scopes.clone(), token.expires).until(self.revoked.clone());
        Ok(self.allowances.give(&caller, &self.rights.limits(&identity)))
    }

    /// Who sends a request with these headers, on a connection with a certificate of this name.
    pub fn caller(&self, headers: &HeaderMap, certificate: Option<&str>) -> Result<Caller, Unknown> {
        if let Some(shown) = shown(headers)? {
            return self.keys.find(shown).ok_or(Unknown::Invalid);
        }
        if let Some(name) = certificate.filter(|_| self.certificates) {
            let principal = Principal::named(&format!("cert/{name}"));
            let identity = Identity { certificate: Some(name), ..Identity::default() };
            let caller = Caller::new(principal, name, self.rights.of(&identity)).until(self.revoked.clone());
            return Ok(self.allowances.give(&caller, &self.rights.limits(&identity)));
        }
        match self.rights.of_anonymous() {
            Some(grant) => {
                let caller = Caller::anonymous(grant).until(self.revoked.clone());
                Ok(self.allowances.give(&caller, &self.rights.limits_of_anonymous()))
            }
            None => Err(Unknown::Nothing),
        }
    }

    /// What was shown to this one is worth nothing any more, but for what `next` knows, too.
    pub fn retire(&self, next: Option<&Self>) {
        self.revoked.cancel();
        self.keys.retire(next.map(|next| &next.keys));
    }
}

/// The key that a request shows, if it shows one.
fn shown(headers: &HeaderMap) -> Result<Option<&str>, Unknown> {
    match (bearer(headers)?, one(headers, &X_API_KEY)?) {
        (Some(_), Some(_)) => Err(Unknown::Unclear("two keys")),
        (bearer, key) => Ok(bearer.or(key.map(str::trim))),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unknown> {
    let bearer = one(headers, &AUTHORIZATION)?.map(|value| {
        let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
        // RFC 9110, 11.1: the scheme has no case.
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(key.trim())
        } else {
            Err(Unknown::Unclear("another scheme"))
        }
    });
    bearer.transpose()
}

/// A name as a log may show it.
fn plain(name: &str) -> String {
    name.chars().filter(|character| !character.is_control()).take(LONGEST_NAME).collect()
}

/// How much of a name a log shows.
const LONGEST_NAME: usize = 100;

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unknown> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::to_str).transpose();
    match (first, values.next()) {
        (_, Some(_)) => Err(Unknown::Unclear("several keys")),
        (Err(_), None) => Err(Unknown::Unclear("a key that is no text")),
        (Ok(first), None) => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Place;
    use crate::config::{RuleSpec, Who};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn spec(text: &str) -> AuthSpec {
        let mut spec = AuthSpec::default();
        spec.add_lines(text).unwrap();
        spec
    }

    fn by(who: Who, server: &str) -> RuleSpec {
        RuleSpec { who: vec![who], servers: vec![server.to_owned()], ..RuleSpec::default() }
    }

    #[test]
    fn who_shows_a_key_is_its_owner_and_nobody_else_is() {
        let auth = Authenticator::new(&spec("alice key-of-alice\nbob key-of-bob"), None);
        let name = |pairs: &[(&'static str, &str)]| {
            auth.caller(&headers(pairs), None).map(|caller| caller.name().to_owned())
        };
        assert_eq!(name(&[("authorization", "Bearer key-of-alice")]).as_deref(), Ok("alice"));
        assert_eq!(name(&[("authorization", "bearer  key-of-bob ")]).as_deref(), Ok("bob"));
        assert_eq!(name(&[("x-api-key", "key-of-bob")]).as_deref(), Ok("bob"));
        assert_eq!(name(&[]), Err(Unknown::Nothing));
        for wrong in
            ["Bearer key-of-alicf", "Bearer", "Bearer ", "Bearer KEY-OF-ALICE", "Bearer key-of-alice x"]
        {
            assert_eq!(name(&[("authorization", wrong)]), Err(Unknown::Invalid), "{wrong}");
        }
        for unclear in [
            &[("authorization", "Basic YTpi")][..],
            &[("authorization", "Bearer key-of-alice"), ("authorization", "Bearer key-of-alice")],
            &[("authorization", "Bearer key-of-alice"), ("x-api-key", "key-of-alice")],
        ] {
            assert!(matches!(name(unclear), Err(Unknown::Unclear(_))), "{unclear:?}");
        }
    }

    #[test]
    fn a_certificate_counts_only_where_it_is_to_and_a_key_goes_before_it() {
        let mut with = spec("alice key");
        assert_eq!(
            Authenticator::new(&with, None).caller(&headers(&[]), Some("box")).err(),
            Some(Unknown::Nothing)
        );
        with.certificates = true;
        let auth = Authenticator::new(&with, None);
        assert_eq!(auth.caller(&headers(&[]), Some("box")).unwrap().name(), "box");
        assert_eq!(auth.caller(&headers(&[("x-api-key", "key")]), Some("box")).unwrap().name(), "alice");
        let keys = headers(&[("x-api-key", "wrong")]);
        assert_eq!(
            auth.caller(&keys, Some("box")).err(),
            Some(Unknown::Invalid),
            "a wrong key is not nothing"
        );
    }

    #[test]
    fn the_rules_say_what_each_may() {
        let mut with = spec("alice key-a dev\nbob key-b");
        with.rules = vec![
            by(Who::Group("dev".into()), "git*"),
            by(Who::Everybody, "time"),
            by(Who::Anonymous, "open"),
            RuleSpec { admin: true, ..by(Who::Token("bob".into()), "none") },
        ];
        let auth = Authenticator::new(&with, None);
        let grant = |key: &str| {
            let shown = [("x-api-key", key)];
            let shown = if key.is_empty() { &[][..] } else { &shown[..] };
            auth.caller(&headers(shown), None).unwrap().grant().clone()
        };
        let may = |key: &str, server: &str| grant(key).server(Place::Open, server);
        assert!(may("key-a", "github") && may("key-a", "time") && !may("key-a", "open"));
        assert!(!may("key-b", "github") && may("key-b", "time"));
        assert!(may("", "open") && !may("", "time"), "everybody is whoever is known");
        assert!(grant("key-b").administers() && !grant("key-a").administers());
        assert_eq!(grant("key-a").id(), grant("key-a").id());
    }

    #[tokio::test]
    async fn who_stays_known_is_not_disturbed_and_who_does_not_is_told() {
        let first = Authenticator::new(&spec("alice key-a\nbob key-b"), None);
        let who = |auth: &Authenticator, key: &str| auth.caller(&headers(&[("x-api-key", key)]), None);
        let (alice, bob) = (who(&first, "key-a").unwrap(), who(&first, "key-b").unwrap());
        let second = Authenticator::new(&spec("alice key-a\nbob key-c"), Some(&first));
        first.retire(Some(&second));
        bob.ended().await;
        assert_eq!(who(&second, "key-a").unwrap(), alice);
        let still = tokio::time::timeout(std::time::Duration::from_millis(20), alice.ended()).await;
        assert!(still.is_err(), "her key is still good");
        assert_eq!(who(&second, "key-b").err(), Some(Unknown::Invalid));
        assert_eq!(
            who(&second, "key-c").unwrap().owner(),
            bob.owner(),
            "his sessions stay his with his new key"
        );
        second.retire(None);
        alice.ended().await;
    }
}
