//! What the browser brings back from the authorization server, and whether it is believed.

use url::form_urlencoded;

use super::error::{LoginError, plain};
use super::secret::Secret;

/// What is known of the login that is waited for.
pub(super) struct Expected {
    /// The word that only who began this login knows.
    pub(super) state: Secret,
    /// The authorization server that was asked, to the letter.
    pub(super) issuer: String,
    /// It names itself in each answer.
    pub(super) names_itself: bool,
}

/// What a request to the callback means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Not the answer to this login: it is waited for on.
    Stray,
    /// A code to get a token for.
    Code(Secret),
    /// The login has failed: the authorization server says why.
    Denied(String),
    /// The answer of another authorization server than the one that was asked.
    MixedUp,
}

impl Expected {
    /// Reads the query of a request.
    pub(super) fn judge(&self, query: &str) -> Meaning {
        let mut found = Parameters::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut found.state,
                "code" => &mut found.code,
                "error" => &mut found.error,
                "error_description" => &mut found.description,
                "iss" => &mut found.issuer,
                _ => continue,
            };
            // RFC 6749, section 3.1: "Request and response parameters MUST NOT be included more than once."
            if place.replace(value.into_owned()).is_some() {
                return Meaning::Stray;
            }
        }
        // 2025-11-25, authorization: clients "SHOULD use and verify state parameters [...] and discard any results that
        // do not include or have a mismatch with the original state".
        if found.state.as_deref() != Some(self.state.reveal()) {
            return Meaning::Stray;
        }
        // 2026-07-28, authorization: the table of "Authorization Response Validation". "This validation applies equally
        // to error responses".
        match found.issuer {
            Some(issuer) if issuer != self.issuer => return Meaning::MixedUp,
            None if self.names_itself => return Meaning::MixedUp,
            Some(_) | None => {}
        }
        match (found.error, found.code) {
            (Some(error), _) => Meaning::Denied(match found.description {
                Some(text) => format!("{}: {}", plain(&error), plain(&text)),
                None => plain(&error),
            }),
            (None, Some(code)) => Meaning::Code(Secret::new(code)),
            (None, None) => Meaning::Stray,
        }
    }
}

impl Meaning {
    /// What it says about the login; None if nothing.
    pub(super) fn outcome(self) -> Option<Result<Secret, LoginError>> {
        match self {
            Self::Stray => None,
            Self::Code(code) => Some(Ok(code)),
            Self::Denied(reason) => Some(Err(LoginError::Denied { reason })),
            Self::MixedUp => Some(Err(LoginError::MixedUp)),
        }
    }
}

#[derive(Default)]
struct Parameters {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    description: Option<String>,
    issuer: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_login_is_believed() {
        let code = || Meaning::Code(Secret::new("c"));
        let denied = |reason: &str| Meaning::Denied(reason.to_owned());
        let table = [
            (false, "code=c&state=s", code()),
            (false, "state=s&code=c&more=x", code()),
            (false, "code=c&state=s&iss=https%3A%2F%2Fa.example", code()),
            (true, "code=c&state=s&iss=https%3A%2F%2Fa.example", code()),
            (true, "code=c&state=s", Meaning::MixedUp),
            (false, "code=c&state=s&iss=https%3A%2F%2Fb.example", Meaning::MixedUp),
            (false, "code=c&state=s&iss=https%3A%2F%2Fa.example%2F", Meaning::MixedUp),
            (true, "error=access_denied&state=s", Meaning::MixedUp),
            (false, "error=access_denied&state=s&iss=x", Meaning::MixedUp),
            (false, "error=access_denied&state=s", denied("access_denied")),
            (false, "error=e%07&error_description=no+way&state=s", denied("e: no way")),
            (false, "error=e&code=c&state=s", denied("e")),
            (false, "code=c&state=S", Meaning::Stray),
            (false, "code=c", Meaning::Stray),
            (false, "error=access_denied", Meaning::Stray),
            (false, "state=s", Meaning::Stray),
            (false, "code=c&state=s&code=d", Meaning::Stray),
            (false, "code=c&state=s&state=s", Meaning::Stray),
            (false, "", Meaning::Stray),
        ];
        for (names_itself, query, wanted) in table {
            let issuer = "https://a.example".to_owned();
            let expected = Expected { state: Secret::new("s"), issuer, names_itself };
            assert_eq!(expected.judge(query), wanted, "{names_itself} {query}");
        }
    }
}
