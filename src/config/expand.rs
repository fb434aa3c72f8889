//! `${VAR}`: what a string of the file means where the environment is known.

/// Looks a variable up.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string whose `${}` are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    /// The whole string.
    pub(super) text: String,
    /// What was put into it; never to be shown.
    pub(super) produced: Vec<String>,
}

/// Why a `${}` cannot be replaced; the text names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unexpandable {
    #[error("the variable `{0}` is set neither in the environment nor in .env, and has no default")]
    Unset(String),
    #[error("`${{{0}:...}}` is not supported; `${{VAR}}`, `${{env:VAR}}` and `${{VAR:-default}}` are")]
    Unknown(String),
    #[error(
        "a `${{` does not begin `${{VAR}}`, `${{env:VAR}}` or `${{VAR:-default}}`; write `$${{` for the two characters"
    )]
    Malformed,
}

/// Replaces every `${VAR}`, `${env:VAR}` and `${VAR:-default}` once: what comes in is not looked at again.
/// A default counts where the variable is unset or empty, as in a shell. `$${` is a literal `${`.
pub(super) fn expand(text: &str, variables: Variables<'_>) -> Result<Expanded, Unexpandable> {
    let mut expanded = Expanded::default();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let before = &rest[..start];
        let inside = &rest[start + 2..];
        if let Some(before) = before.strip_suffix('$') {
            expanded.text.push_str(before);
            expanded.text.push_str("${");
            rest = inside;
            continue;
        }
        expanded.text.push_str(before);
        let (reference, after) = inside.split_once('}').ok_or(Unexpandable::Malformed)?;
        let value = value_of(reference, variables)?;
        expanded.text.push_str(&value);
        if !value.is_empty() {
            expanded.produced.push(value);
        }
        rest = after;
    }
    expanded.text.push_str(rest);
    Ok(expanded)
}

fn value_of(reference: &str, variables: Variables<'_>) -> Result<String, Unexpandable> {
    let reference = reference.strip_prefix("env:").unwrap_or(reference);
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if let Some((word, _)) = name.split_once(':')
        && is_word(word)
    {
        return Err(Unexpandable::Unknown(word.to_owned()));
    }
    // A `${` inside a default would end at the wrong brace.
    if !is_name(name) || default.is_some_and(|default| default.contains("${")) {
        return Err(Unexpandable::Malformed);
    }
    match (variables(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Unexpandable::Unset(name.to_owned())),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("s3cret".to_owned()),
            "NESTED" => Some("${TOKEN}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text_of(text: &str) -> Result<String, String> {
        expand(text, &variables).map(|expanded| expanded.text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_spelling_is_replaced_once() {
        let cases = [
            ("plain $TOKEN", "plain $TOKEN"),
            ("${TOKEN}", "s3cret"),
            ("a${TOKEN}b${env:TOKEN}c", "as3cretbs3cretc"),
            ("${NESTED}", "${TOKEN}"),
            ("${NONE:-x y}", "x y"),
            ("${NONE:-}", ""),
            ("${env:NONE:-d}", "d"),
            ("${NONE:-a:-b:c}", "a:-b:c"),
            ("${TOKEN:-x}", "s3cret"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("$${TOKEN}", "${TOKEN}"),
            ("$$${TOKEN}", "$${TOKEN}"),
            ("$", "$"),
        ];
        for (written, meant) in cases {
            assert_eq!(text_of(written).as_deref(), Ok(meant), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        assert_eq!(
            text_of("x${NONE}").unwrap_err(),
            "the variable `NONE` is set neither in the environment nor in .env, and has no default"
        );
        assert_eq!(
            text_of("${input:api-key}").unwrap_err(),
            "`${input:...}` is not supported; `${VAR}`, `${env:VAR}` and `${VAR:-default}` are"
        );
        for malformed in ["${", "${A", "${}", "${a b}", "${1}", "${A-b}", "${A:-${B}}"] {
            assert_eq!(expand(malformed, &variables), Err(Unexpandable::Malformed), "{malformed}");
        }
    }

    #[test]
    fn what_was_put_in_is_known() {
        let expanded = expand("a${TOKEN}${EMPTY}${X:-d}", &variables).unwrap();
        assert_eq!(expanded.produced, ["s3cret", "d"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), value in any::<Option<String>>()) {
            let _ = expand(&text, &|_| value.clone());
        }

        #[test]
        fn no_arrangement_of_the_special_characters_panics(text in "[${}:A -]{0,24}") {
            let _ = expand(&text, &|_| Some("${A}".to_owned()));
        }

        #[test]
        fn an_escaped_text_comes_back(text in any::<String>()) {
            // A `$` just before `${` cannot be told from the escape: the one thing that cannot be written.
            prop_assume!(!text.contains("$${"));
            let escaped = text.replace("${", "$${");
            let expanded = expand(&escaped, &|_| None);
            prop_assert_eq!(expanded, Ok(Expanded { text, produced: Vec::new() }));
        }
    }
}
