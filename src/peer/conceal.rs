//! What must not be shown of a whole message: the secrets that are known, however JSON writes them, and what looks like one.

use super::mask::Mask;
use crate::telemetry::Conceal;
use regex_lite::Regex;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// Keys whose values are credentials, as a pattern: these words, also behind others, as in `X-Auth-Token` or `db_password`.
const KEYS: &str = "(?:[a-z0-9]+[-_])*(?:authorization|cookie|(?:api|private|secret|access)[-_]?key|(?:access|refresh|id|auth)?token\
    |(?:client)?secret|credentials?|password|passwd|passphrase)";

/// What stands in place of a secret.
const HIDDEN: &str = "***";

impl Conceal for Mask {
    fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = self.apply(text);
        for secret in self.secrets() {
            for form in forms(secret) {
                if text.contains(&form) {
                    text = text.replace(&form, HIDDEN).into();
                }
            }
        }
        without_credentials(text)
    }
}

/// How else a secret is written in JSON: with what must be escaped, with all escaped that is not ASCII, as PHP does it; and
/// these in a text that holds JSON itself.
fn forms(secret: &str) -> Vec<String> {
    let inner = |text: &str| {
        let written = serde_json::Value::from(text).to_string();
        written[1..written.len() - 1].to_owned()
    };
    let once = inner(secret);
    let ascii = escaped_unless_ascii(&once);
    let slashed = once.replace('/', "\\/");
    let mut forms: Vec<String> =
        [once, ascii, slashed].into_iter().flat_map(|form| [inner(&form), form]).collect();
    forms.retain(|form| form != secret);
    // What is written with more characters may hold what is written with fewer.
    forms.sort_unstable_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

fn escaped_unless_ascii(text: &str) -> String {
    let mut units = [0; 2];
    text.chars().fold(String::new(), |mut escaped, c| {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
        escaped
    })
}

/// The text without what stands where credentials do: behind the name of a scheme, or as the value of a key that is called so.
fn without_credentials(text: Cow<'_, str>) -> Cow<'_, str> {
    static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}").expect("a pattern of ours")
    });
    static MEMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r#"(?i)("(?:{KEYS})"\s*:\s*")(?:[^"\\]|\\.)+"#)).expect("a pattern of ours")
    });
    // The same in a text that holds JSON.
    static NESTED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r#"(?i)(\\"(?:{KEYS})\\"\s*:\s*\\")(?:[^"\\]|\\\\(?:\\.|[^\\]))+"#))
            .expect("a pattern of ours")
    });
    // The patterns are slow beside a look for words, which most texts do not have.
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let text = if has(&["bearer", "basic"]) { replaced(&SCHEME, text, "${1}${2}***") } else { text };
    if !has(&["authorization", "cookie", "key", "token", "secret", "passw", "passphrase", "credential"]) {
        return text;
    }
    let text = replaced(&MEMBER, text, "${1}***");
    replaced(&NESTED, text, "${1}***")
}

fn replaced<'a>(pattern: &Regex, text: Cow<'a, str>, by: &str) -> Cow<'a, str> {
    if pattern.is_match(&text) { pattern.replace_all(&text, by).into_owned().into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandSpec;

    fn mask(secret: &str) -> Mask {
        let mut command = CommandSpec::new("x");
        command.env.insert("KEY".to_owned(), secret.to_owned());
        Mask::new(&command)
    }

    #[test]
    fn a_secret_is_recognised_however_json_writes_it() {
        let secret = "pä\"s/\\s";
        let mask = mask(secret);
        let once = serde_json::to_string(secret).unwrap();
        let nested = serde_json::to_string(&once).unwrap();
        let ascii = once.replace('ä', "\\u00e4");
        let slashed = once.replace('/', "\\/");
        for written in [&once, &nested, &ascii, &slashed, &serde_json::to_string(&ascii).unwrap()] {
            let shown = mask.conceal(written);
            assert!(
                shown.contains("***") && !shown.contains("s/") && !shown.contains("\\s"),
                "{written}: {shown}"
            );
        }
    }

    #[test]
    fn what_stands_where_credentials_do_is_hidden() {
        let table = [
            (r#"{"Authorization":"Bearer abc.DEF-123"}"#, r#"{"Authorization":"***"}"#),
            (r#"{"text":"send Bearer abcdefgh1 now"}"#, r#"{"text":"send Bearer *** now"}"#),
            (r#"{"api_key" : "k\"ey", "n":1}"#, r#"{"api_key" : "***", "n":1}"#),
            (r#""{\"password\":\"hunter22\",\"n\":1}""#, r#""{\"password\":\"***\",\"n\":1}""#),
            (r#""{\"password\":\"h\\\"u\",\"n\":1}""#, r#""{\"password\":\"***\",\"n\":1}""#),
            (r#"{"token":"abc","db_password":"x"}"#, r#"{"token":"***","db_password":"***"}"#),
            (r#"{"X-Auth-Token":"abc","privateKey":"x"}"#, r#"{"X-Auth-Token":"***","privateKey":"***"}"#),
            (r#"{"nextCursor":"abc","progressToken":"x"}"#, r#"{"nextCursor":"abc","progressToken":"x"}"#),
            (r#"{"secretary":"abc","tokens":"x"}"#, r#"{"secretary":"abc","tokens":"x"}"#),
            (r#"{"basic":"of a bearer","n":2}"#, r#"{"basic":"of a bearer","n":2}"#),
        ];
        for (text, shown) in table {
            let concealed = Mask::default().conceal(text);
            assert_eq!(concealed, shown, "{text}");
        }
    }
}
