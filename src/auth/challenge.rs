//! What a refused client is told: the value of `WWW-Authenticate`, of RFC 6750 and RFC 9728.

use http::HeaderValue;

use super::Unknown;
use super::oauth::Invalid;

/// Says what a request should have shown. Nothing of what it has shown is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    error: Option<&'static str>,
    description: Option<String>,
    scopes: Vec<String>,
    metadata: Option<String>,
}

impl Challenge {
    /// It cannot be told what was shown.
    pub fn invalid_request(why: impl Into<String>) -> Self {
        Self { error: Some("invalid_request"), description: Some(why.into()), ..Self::default() }
    }

    /// Nothing was shown.
    ///
    /// RFC 6750, section 3.1: "If the request lacks any authentication information [...], the resource server SHOULD NOT
    /// include an error code or other error information."
    pub fn unknown() -> Self {
        Self::default()
    }

    /// What was shown is not good for anything here.
    pub fn invalid_token(why: impl Into<String>) -> Self {
        Self { error: Some("invalid_token"), description: Some(why.into()), ..Self::default() }
    }

    /// What was shown is not good for this; what would be is said by [`scopes`](Self::scopes).
    pub fn insufficient_scope(why: impl Into<String>) -> Self {
        Self { error: Some("insufficient_scope"), description: Some(why.into()), ..Self::default() }
    }

    /// Scopes that a token for this has to have, beside those that were named before.
    ///
    /// 2026-07-28, authorization: "servers SHOULD include all scopes required for the current operation in a single
    /// challenge".
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        for scope in scopes.into_iter().map(Into::into) {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self
    }

    /// Where the resource says who issues tokens for it.
    #[must_use]
    pub fn metadata(mut self, url: impl Into<String>) -> Self {
        self.metadata = Some(url.into());
        self
    }

    /// The value of the header.
    pub fn header(&self) -> HeaderValue {
        let scope = self.scopes.join(" ");
        let parameters = [
            ("realm", Some("mcp-switchboard")),
            ("error", self.error),
            ("error_description", self.description.as_deref()),
            ("scope", (!scope.is_empty()).then_some(&*scope)),
            ("resource_metadata", self.metadata.as_deref()),
        ];
        let written = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!(r#" {name}="{}""#, quotable(value?))))
            .collect::<Vec<_>>()
            .join(",");
        // Only visible ASCII is left, which every header may have.
        HeaderValue::try_from(format!("Bearer{written}")).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

impl From<&Unknown> for Challenge {
    /// What is said to somebody who is not known.
    fn from(unknown: &Unknown) -> Self {
        match unknown {
            Unknown::Nothing => Self::unknown(),
            Unknown::Unclear(_) => Self::invalid_request(unknown.to_string()),
            Unknown::Invalid => Self::invalid_token(unknown.to_string()),
            Unknown::Token(invalid) => invalid.into(),
        }
    }
}

impl From<&Invalid> for Challenge {
    /// What is said of a token that was refused.
    fn from(invalid: &Invalid) -> Self {
        match invalid {
            Invalid::Scopes { required } => {
                Self::insufficient_scope(invalid.to_string()).scopes(required.iter().cloned())
            }
            // It may well be good, but nobody can tell.
            Invalid::KeysUnavailable { .. } => Self::unknown(),
            _ => Self::invalid_token(invalid.to_string()),
        }
    }
}

/// RFC 6750, section 3: the values "MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E".
fn quotable(text: &str) -> String {
    let plain = |character| match character {
        '"' | '\\' => Some('\''),
        ' '..='~' => Some(character),
        _ => None,
    };
    text.chars().filter_map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_refusal_says_what_would_help() {
        let url = "https://mcp.example.com/.well-known/oauth-protected-resource/servers/a/mcp";
        let required = vec!["mcp:use".to_owned(), "mcp:admin".to_owned()];
        let table = [
            (Challenge::unknown(), r#"Bearer realm="mcp-switchboard""#.to_owned()),
            (
                Challenge::unknown().scopes(["a"]).metadata(url),
                format!(r#"Bearer realm="mcp-switchboard", scope="a", resource_metadata="{url}""#),
            ),
            (
                Challenge::from(&Invalid::Expired).metadata(url),
                format!(
                    r#"Bearer realm="mcp-switchboard", error="invalid_token", error_description="the token has expired", resource_metadata="{url}""#
                ),
            ),
            (
                Challenge::from(&Invalid::Scopes { required }),
                r#"Bearer realm="mcp-switchboard", error="insufficient_scope", error_description="the token lacks a scope that is needed", scope="mcp:use mcp:admin""#
                    .to_owned(),
            ),
            (Challenge::from(&Invalid::KeysUnavailable { retry_after: Duration::ZERO }), r#"Bearer realm="mcp-switchboard""#.to_owned()),
            (
                Challenge::invalid_token("a \"quoted\\\r\nvalue\u{7f}é"),
                r#"Bearer realm="mcp-switchboard", error="invalid_token", error_description="a 'quoted'value""#.to_owned(),
            ),
        ];
        for (challenge, wanted) in table {
            assert_eq!(challenge.header(), wanted.as_str());
        }
    }
}
