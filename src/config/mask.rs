//! Text without what must not be shown of it.

/// `text` with `***` in the place of each secret, wherever it stands; where secrets overlap, all that they cover goes.
///
/// They are all looked for in the text as it is: what one of them leaves behind would not be found to be a part of another.
pub(super) fn masked(text: &str, secrets: &[String]) -> String {
    let mut covered = Vec::new();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        let found = text.char_indices().filter(|(at, _)| text[*at..].starts_with(&**secret));
        covered.extend(found.map(|(at, _)| at..at + secret.len()));
    }
    covered.sort_unstable_by_key(|span| span.start);
    let (mut shown, mut at) = (String::with_capacity(text.len()), 0);
    for span in covered {
        if span.start >= at {
            shown.push_str(&text[at..span.start]);
            shown.push_str("***");
        }
        at = at.max(span.end);
    }
    shown.push_str(&text[at..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_uncovers_another() {
        let cases: [(&str, &[&str], &str); 7] = [
            ("run-s3cret", &["s3cret"], "run-***"),
            ("an x in exact", &["x", "exact"], "an *** in ***"),
            ("an x in exact", &["exact", "x"], "an *** in ***"),
            ("abcdef", &["abcd", "cdef"], "***"),
            ("aXaXa", &["aXa"], "***"),
            ("s3crets3cret", &["s3cret", ""], "******"),
            ("é***é", &["***", "é"], "*********"),
        ];
        for (text, secrets, shown) in cases {
            let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
            assert_eq!(masked(text, &secrets), shown, "{text} {secrets:?}");
        }
    }
}
