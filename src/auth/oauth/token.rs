//! A token as it was sent: which key it names, and whether that has signed it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Invalid;
use super::key_set::{KeySet, algorithm};
use crate::config::SigningAlgorithm;

/// A signed JWT in compact form, of which only the header has been looked at.
///
/// What is in the header decides nothing but which of the issuer's own keys is tried: a key in it, or a URL of one, is never
/// used.
#[derive(Debug)]
pub(super) struct Token<'a> {
    text: &'a str,
    algorithm: SigningAlgorithm,
    key: Option<String>,
}

/// What of a header is read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    cty: Option<String>,
    kid: Option<String>,
    crit: Option<Value>,
    enc: Option<Value>,
    zip: Option<Value>,
}

impl<'a> Token<'a> {
    /// Reads the header.
    pub(super) fn read(text: &'a str, allowed: &[SigningAlgorithm]) -> Result<Self, Invalid> {
        let mut parts = text.split('.');
        // An encrypted one has five parts.
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Invalid::Malformed);
        };
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).map_err(|_| Invalid::Malformed)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| Invalid::Malformed)?;
        let algorithm = SigningAlgorithm::named(&header.alg).ok_or(Invalid::Algorithm)?;
        if !allowed.contains(&algorithm) {
            return Err(Invalid::Algorithm);
        }
        // RFC 7515, section 4.1.11: "If any of the listed extension Header Parameters are not understood and supported by
        // the recipient, then the JWS is invalid." None is.
        if header.crit.is_some() {
            return Err(Invalid::Critical);
        }
        // RFC 9068, section 4: "The resource server MUST verify that the "typ" header value is "at+jwt" or
        // "application/at+jwt" and reject tokens carrying any other value." Many issuers write what JWTs had before.
        if header
            .typ
            .as_deref()
            .is_some_and(|kind| !KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind)))
        {
            return Err(Invalid::Kind);
        }
        // One inside another, or something that is no JWT.
        if header.cty.is_some() || header.enc.is_some() || header.zip.is_some() {
            return Err(Invalid::Malformed);
        }
        Ok(Self { text, algorithm, key: header.kid })
    }

    /// Whether it names the key that has signed it.
    pub(super) fn names_key(&self) -> bool {
        self.key.is_some()
    }

    /// What it claims, if one of these keys has signed it.
    pub(super) fn claims(&self, keys: &KeySet) -> Result<Map<String, Value>, Invalid> {
        let mut validation = Validation::new(algorithm(self.algorithm));
        // The claims are looked at elsewhere, where the time is given and a token that is remembered is looked at again.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        let mut invalid = Invalid::UnknownKey;
        for key in keys.fitting(self.key.as_deref(), self.algorithm) {
            match decode(self.text, key, &validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => {
                    invalid = match error.kind() {
                        ErrorKind::InvalidSignature => Invalid::Signature,
                        ErrorKind::InvalidAlgorithm => Invalid::Algorithm,
                        _ => Invalid::Malformed,
                    }
                }
            }
        }
        Err(invalid)
    }
}

/// RFC 7519, section 5.1, and RFC 9068, section 2.1.
const KINDS: [&str; 4] = ["JWT", "at+jwt", "application/at+jwt", "application/jwt"];
