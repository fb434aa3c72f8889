//! What a server that refuses a request asks for: the `WWW-Authenticate` header.

use http::{HeaderValue, StatusCode};

use super::scopes::Scopes;

/// What all `Bearer` challenges of a response say together; the first to say a thing counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Where the metadata of the resource is, RFC 9728.
    pub(super) resource_metadata: Option<String>,
    /// What a token must allow.
    pub(super) scopes: Option<Scopes>,
    /// The error code, RFC 6750.
    pub(super) error: Option<String>,
}

/// What a challenge wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A token, or a valid one.
    Token,
    /// A token that allows more.
    MoreScopes,
    /// Nothing that a login could give.
    Nothing,
}

impl Challenge {
    /// Reads the header's values. What is no challenge is passed over: servers write many things there.
    pub(super) fn read(values: &[HeaderValue]) -> Self {
        let mut challenge = Self::default();
        for value in values {
            let text = String::from_utf8_lossy(value.as_bytes());
            let mut cursor = Cursor(&text);
            let mut is_bearer = false;
            while let Some(word) = cursor.word() {
                match cursor.value() {
                    Some(value) if is_bearer => challenge.note(word, value),
                    Some(_) => {}
                    // A word without a value begins another challenge.
                    None => is_bearer = word.eq_ignore_ascii_case("Bearer"),
                }
            }
        }
        challenge
    }

    /// What the server wants that answered with `status`.
    pub(super) fn want(&self, status: StatusCode) -> Want {
        match (status, self.error.as_deref()) {
            (_, Some("insufficient_scope")) => Want::MoreScopes,
            // Some servers name the scopes in the header and the error only in the body.
            (StatusCode::FORBIDDEN, None) if self.scopes.is_some() => Want::MoreScopes,
            (StatusCode::UNAUTHORIZED, _) => Want::Token,
            _ => Want::Nothing,
        }
    }

    fn note(&mut self, name: &str, value: String) {
        if name.eq_ignore_ascii_case("resource_metadata") {
            self.resource_metadata.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("error") {
            self.error.get_or_insert(value);
        } else if name.eq_ignore_ascii_case("scope") {
            let scopes = Scopes::from(value.as_str());
            if !scopes.is_empty() {
                self.scopes.get_or_insert(scopes);
            }
        }
    }
}

/// What is left to read of a header.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// The next token, wherever it begins.
    fn word(&mut self) -> Option<&'a str> {
        let begin = self.0.find(is_token)?;
        Some(self.token(begin))
    }

    /// The value of a parameter whose name has just been read.
    fn value(&mut self) -> Option<String> {
        let rest = self.0.trim_start_matches(SPACE).strip_prefix('=')?;
        self.0 = rest.trim_start_matches(SPACE);
        match self.0.strip_prefix('"') {
            Some(quoted) => Some(self.quoted(quoted)),
            None => Some(self.token(0).to_owned()),
        }
    }

    fn token(&mut self, begin: usize) -> &'a str {
        let text = &self.0[begin..];
        let (token, rest) = text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()));
        self.0 = rest;
        token
    }

    /// A quoted string from behind its first quote; one that does not end, ends with the header.
    fn quoted(&mut self, text: &'a str) -> String {
        let mut value = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => value.extend(characters.next()),
                other => value.push(other),
            }
        }
        self.0 = characters.as_str();
        value
    }
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

const SPACE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &'static str) -> Challenge {
        Challenge::read(&[HeaderValue::from_static(text)])
    }

    fn challenge(metadata: Option<&str>, scopes: Option<&str>, error: Option<&str>) -> Challenge {
        Challenge {
            resource_metadata: metadata.map(str::to_owned),
            scopes: scopes.map(Scopes::from),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn every_way_to_write_a_challenge_is_read() {
        let table = [
            ("Bearer", challenge(None, None, None)),
            ("", challenge(None, None, None)),
            (r#"bearer RESOURCE_METADATA="https://a/b""#, challenge(Some("https://a/b"), None, None)),
            ("Bearer scope=one, error = invalid_token", challenge(None, Some("one"), Some("invalid_token"))),
            (r#"Bearer realm="a, scope=\"no\"", scope="x y""#, challenge(None, Some("x y"), None)),
            (r#"Basic realm="scope", Bearer scope="x", DPoP scope="y""#, challenge(None, Some("x"), None)),
            (r#"Negotiate abc==, Bearer error="e""#, challenge(None, None, Some("e"))),
            (r#"Basic scope="x""#, challenge(None, None, None)),
            (r#"Bearer scope="""#, challenge(None, None, None)),
            (r#"Bearer scope="one" scope="two""#, challenge(None, Some("one"), None)),
            (r#"Bearer resource_metadata="https://a"#, challenge(Some("https://a"), None, None)),
            ("Bearer scope=", challenge(None, None, None)),
        ];
        for (text, wanted) in table {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn several_headers_are_read_together() {
        let values = [HeaderValue::from_static("Basic"), HeaderValue::from_static("Bearer scope=a")];
        assert_eq!(Challenge::read(&values), challenge(None, Some("a"), None));
    }

    #[test]
    fn only_what_a_login_can_mend_leads_to_one() {
        let table = [
            (StatusCode::UNAUTHORIZED, "", Want::Token),
            (StatusCode::UNAUTHORIZED, "Bearer error=invalid_token", Want::Token),
            (StatusCode::UNAUTHORIZED, "Bearer error=insufficient_scope", Want::MoreScopes),
            (StatusCode::FORBIDDEN, "Bearer error=insufficient_scope", Want::MoreScopes),
            (StatusCode::FORBIDDEN, "Bearer scope=a", Want::MoreScopes),
            (StatusCode::FORBIDDEN, "Bearer scope=a, error=invalid_token", Want::Nothing),
            (StatusCode::FORBIDDEN, "Bearer", Want::Nothing),
            (StatusCode::FORBIDDEN, "", Want::Nothing),
        ];
        for (status, text, wanted) in table {
            assert_eq!(read(text).want(status), wanted, "{status} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = Challenge::read(&[value]);
            }
        }
    }
}
