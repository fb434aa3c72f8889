//! What the tools and prompts of many servers are called behind one endpoint.

use crate::config::{AggregateSpec, Prefix, Rules, ServerName};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;

/// Characters of a name; what models are given may have no more.
pub const LONGEST: usize = 64;

/// Characters of the hash that a shortened name ends in.
const HASH: usize = 8;

/// What stands between server and tool in the names by which the rules of an endpoint call them, whatever it shows.
pub const SEPARATOR: &str = "__";

/// The name in full: `server__tool`. In the server's part `.` becomes `_`, since models' names know no point.
pub fn full(server: &ServerName, separator: &str, name: &str) -> String {
    let server = server.as_str().replace('.', "_");
    format!("{server}{separator}{name}")
}

/// What an endpoint calls things of servers, in their order. `things`: whose each is, what its server calls it, and what rules
/// call it.
pub(super) fn shown<'a>(
    spec: &AggregateSpec,
    rules: &Rules,
    things: impl Iterator<Item = (&'a ServerName, &'a str, &'a str)> + Clone,
) -> Vec<String> {
    let mut owners: HashMap<&str, usize> = HashMap::new();
    for (_, own, _) in things.clone() {
        *owners.entry(own).or_default() += 1;
    }
    let name = |(server, own, full_name): (&ServerName, &str, &str)| {
        let name = match (rules.rename.get(full_name), spec.prefix) {
            (Some(name), _) => name.clone(),
            (None, Prefix::Never) => own.to_owned(),
            (None, Prefix::OnConflict) if owners[own] == 1 => own.to_owned(),
            (None, Prefix::Always | Prefix::OnConflict) => full(server, &spec.separator, own),
        };
        fit(&name).into_owned()
    };
    things.map(name).collect()
}

/// A name of at most [`LONGEST`] characters: one that is longer keeps its beginning, and ends in a hash of the whole, so that
/// it is shortened in the same way every time and everywhere.
pub fn fit(name: &str) -> Cow<'_, str> {
    if name.chars().count() <= LONGEST {
        return Cow::Borrowed(name);
    }
    let kept: String = name.chars().take(LONGEST - HASH - 1).collect();
    let hash = Sha256::digest(name.as_bytes());
    let hash = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    Cow::Owned(format!("{kept}_{hash:0HASH$x}"))
}

/// The tool's own name, if `name` is one of this server's in full.
pub(super) fn own<'a>(server: &ServerName, separator: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(&*full(server, separator, "")).filter(|own| !own.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(name: &str) -> ServerName {
        name.parse().unwrap()
    }

    #[test]
    fn a_name_says_which_server_it_is_of() {
        assert_eq!(full(&server("my.server"), "__", "a.b"), "my_server__a.b");
        assert_eq!(own(&server("my.server"), "__", "my_server__a.b"), Some("a.b"));
        assert_eq!(own(&server("my"), "__", "my_server__a"), None);
        assert_eq!(own(&server("my"), "__", "my__"), None);
    }

    #[test]
    fn a_long_name_is_shortened_in_the_same_way_every_time() {
        let long = full(&server("server"), "__", &"tool_".repeat(20));
        let short = fit(&long);
        assert_eq!(short, "server__tool_tool_tool_tool_tool_tool_tool_tool_tool_to_478011d1");
        assert_eq!(short.len(), LONGEST);
        assert_ne!(short, fit(&format!("{long}x")));
        let just = "x".repeat(LONGEST);
        assert_eq!(fit(&just), just);
    }

    proptest! {
        #[test]
        fn any_name_fits(name in ".{0,200}") {
            prop_assert!(fit(&name).chars().count() <= LONGEST);
            let once = fit(&name).into_owned();
            prop_assert_eq!(fit(&once), once.as_str());
        }
    }
}
