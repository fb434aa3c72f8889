//! What a token says, once it is known who has signed it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::Invalid;
use crate::config::ResourceServerSpec;

/// What a token says that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who says so.
    pub issuer: Arc<str>,
    /// Whom it stands for; unique at that issuer.
    pub subject: Arc<str>,
    /// The program that acts for him, as the issuer calls it.
    pub client: Option<Arc<str>>,
    /// What it is good for.
    pub scopes: Arc<BTreeSet<String>>,
    /// The groups that the subject is in.
    pub groups: BTreeSet<String>,
    /// From when on it is refused.
    pub expires: SystemTime,
}

/// A token that its issuer has signed, with what has to be looked at again each time that it is used.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) verified: Arc<Verified>,
    audiences: Vec<String>,
    begins: Option<SystemTime>,
}

impl Signed {
    /// Reads the claims.
    pub(super) fn read(
        claims: &Map<String, Value>,
        spec: &ResourceServerSpec,
        issuer: &Arc<str>,
    ) -> Result<Self, Invalid> {
        if text(claims, "iss") != Some(issuer) {
            return Err(Invalid::Issuer);
        }
        if claims.contains_key("cnf") {
            return Err(Invalid::Bound);
        }
        let expires = time(claims, "exp")?.ok_or(Invalid::Endless)?;
        let expires = expires.checked_add(spec.leeway).ok_or(Invalid::Endless)?;
        let begins = time(claims, "nbf")?.max(time(claims, "iat")?);
        let begins = begins.map(|begins| begins.checked_sub(spec.leeway).unwrap_or(begins));
        let subject = text(claims, "sub").filter(|subject| !subject.is_empty()).ok_or(Invalid::NoSubject)?;
        let audiences = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(audience)) => vec![audience.clone()],
            Some(Value::Array(audiences)) => {
                audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(_) => return Err(Invalid::Malformed),
        };
        let client = text(claims, "client_id").or_else(|| text(claims, "azp"));
        let scopes = match &spec.scopes_claim {
            Some(claim) => find(claims, claim),
            None => claims.get("scope").or_else(|| claims.get("scp")),
        };
        let verified = Verified {
            issuer: issuer.clone(),
            subject: subject.into(),
            client: client.map(Arc::from),
            scopes: Arc::new(scopes.map(|found| words(found, true)).unwrap_or_default()),
            groups: find(claims, &spec.groups_claim).map(|found| words(found, false)).unwrap_or_default(),
            expires,
        };
        Ok(Self { verified: Arc::new(verified), audiences, begins })
    }

    /// Whether it may be used now for something that goes by one of these names.
    pub(super) fn check(
        &self,
        audiences: &[&str],
        spec: &ResourceServerSpec,
        now: SystemTime,
    ) -> Result<(), Invalid> {
        // RFC 7519, section 4.1.4: it "MUST NOT be accepted" on or after that time.
        if now >= self.verified.expires {
            return Err(Invalid::Expired);
        }
        if self.begins.is_some_and(|begins| now < begins) {
            return Err(Invalid::NotYet);
        }
        let fits =
            |audience: &String| audiences.contains(&audience.as_str()) || spec.audiences.contains(audience);
        if !self.audiences.iter().any(fits) {
            return Err(Invalid::Audience);
        }
        if !spec.scopes.iter().all(|scope| self.verified.scopes.contains(scope)) {
            return Err(Invalid::Scopes { required: spec.scopes.clone() });
        }
        Ok(())
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// A claim of this name; else, since issuers nest them, the value at such a path: `realm_access.roles`.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}

/// A list of words, or one text: with spaces between the words, or a single one.
fn words(found: &Value, is_spaced: bool) -> BTreeSet<String> {
    match found {
        Value::String(text) if is_spaced => {
            text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Value::String(text) => BTreeSet::from([text.clone()]),
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }
}

/// RFC 7519, section 2: seconds since 1970, "non-integer values can be represented".
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<SystemTime>, Invalid> {
    let Some(written) = claims.get(name) else { return Ok(None) };
    let unreadable = if name == "exp" { Invalid::Endless } else { Invalid::Malformed };
    let since = written.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    time.map(Some).ok_or(unreadable)
}
