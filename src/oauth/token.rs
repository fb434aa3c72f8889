//! A token, and all that is needed to renew it.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::registration::Registration;
use super::scopes::Scopes;
use super::secret::Secret;

/// A login, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Token {
    /// What the token is for, in the server's words.
    pub(super) resource: String,
    /// Who issued it. Nobody else is shown the client or the refresh token.
    pub(super) issuer: String,
    /// Where another one is got.
    pub(super) endpoint: String,
    pub(super) client: Registration,
    /// What was asked for.
    pub(super) scopes: Scopes,
    pub(super) issued: Issued,
}

/// What a token endpoint gave.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Issued {
    #[serde(serialize_with = "Secret::write")]
    access_token: Secret,
    #[serde(default, serialize_with = "Secret::write_option", skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Secret>,
    /// Seconds of the Unix clock, since other processes and other days read them.
    since: u64,
    /// Seconds that it is valid; None: the authorization server did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
}

impl Issued {
    pub(super) fn new(access: Secret, refresh: Option<Secret>, lifetime: Option<Duration>) -> Self {
        let lifetime = lifetime.map(|lifetime| lifetime.as_secs());
        Self { access_token: access, refresh_token: refresh, since: now(), lifetime }
    }

    /// The header that shows the token to its server; None if no header can hold it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut header = HeaderValue::try_from(format!("Bearer {}", self.access_token.reveal())).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The token that gets another one.
    pub(super) fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    /// Takes over the refresh token of the token before, if this one came without.
    pub(super) fn succeeding(mut self, before: &Self) -> Self {
        // RFC 6749, section 6: "The authorization server MAY issue a new refresh token, in which case the client MUST
        // discard the old refresh token and replace it with the new refresh token."
        self.refresh_token = self.refresh_token.or_else(|| before.refresh_token.clone());
        self
    }

    /// The same without its refresh token, which is worth nothing any more.
    pub(super) fn final_one(mut self) -> Self {
        self.refresh_token = None;
        self
    }

    /// It is no longer valid.
    pub(super) fn is_expired(&self) -> bool {
        self.is_expired_at(now())
    }

    /// It is time for another one.
    pub(super) fn is_due(&self) -> bool {
        self.is_due_at(now())
    }

    fn is_expired_at(&self, now: u64) -> bool {
        self.lifetime.is_some_and(|lifetime| now >= self.since.saturating_add(lifetime))
    }

    fn is_due_at(&self, now: u64) -> bool {
        // A token that lives shorter than that would be due all its life.
        let early = |lifetime: u64| AHEAD.min(lifetime / 2);
        self.lifetime.is_some_and(|lifetime| now >= self.since.saturating_add(lifetime - early(lifetime)))
    }
}

fn now() -> u64 {
    // A clock before 1970 makes every token look fresh, which the server then corrects.
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs())
}

/// How long before its end a token is replaced: longer than a request is on its way.
const AHEAD: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(lifetime: Option<u64>) -> Issued {
        let refresh_token = Some(Secret::new("refresh-word"));
        Issued { access_token: Secret::new("access-word"), refresh_token, since: 1000, lifetime }
    }

    #[test]
    fn a_token_is_due_before_it_expires() {
        let table = [
            (Some(3600), 1000, false, false),
            (Some(3600), 4539, false, false),
            (Some(3600), 4540, true, false),
            (Some(3600), 4600, true, true),
            (Some(2), 1000, false, false),
            (Some(2), 1001, true, false),
            (Some(2), 1002, true, true),
            (Some(0), 1000, true, true),
            (Some(u64::MAX), 1000, false, false),
            (None, u64::MAX, false, false),
        ];
        for (lifetime, now, due, expired) in table {
            let issued = issued(lifetime);
            assert_eq!(
                (issued.is_due_at(now), issued.is_expired_at(now)),
                (due, expired),
                "{lifetime:?} {now}"
            );
        }
    }

    #[test]
    fn a_refresh_token_is_kept_until_another_one_comes() {
        let without = Issued { refresh_token: None, ..issued(None) };
        assert_eq!(without.succeeding(&issued(None)).refresh_token(), Some(&Secret::new("refresh-word")));
        let with = Issued { refresh_token: Some(Secret::new("new")), ..issued(None) };
        assert_eq!(with.succeeding(&issued(None)).refresh_token(), Some(&Secret::new("new")));
    }

    #[test]
    fn it_is_written_and_read_and_nothing_shows_it() {
        let secret = Some(Secret::new("client-word"));
        let token = Token {
            resource: "https://a.example/mcp".to_owned(),
            issuer: "https://b.example".to_owned(),
            endpoint: "https://b.example/token".to_owned(),
            client: Registration {
                client_id: "me".to_owned(),
                client_secret: secret,
                proof: super::super::registration::Proof::Basic,
            },
            scopes: "a b".into(),
            issued: issued(Some(60)),
        };
        let text = serde_json::to_string(&token).expect("it can be written");
        let read: Token = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(serde_json::to_string(&read).expect("it can be written"), text);
        let header = read.issued.header().expect("it fits a header");
        assert_eq!(header, "Bearer access-word");
        let shown = format!("{read:?} {header:?}");
        assert!(!shown.contains("word"), "{shown}");
    }

    #[test]
    fn what_fits_no_header_is_no_token() {
        assert!(Issued::new(Secret::new("a\nb"), None, None).header().is_none());
    }
}
