//! Which server a resource is of, where its URI must say so.

/// What a URI begins with that names its server: `switchboard://<server>/<the server's own URI>`.
const SCHEME: &str = "switchboard://";

/// The server's own URI with the server before it.
pub(super) fn prefixed(server: &str, uri: &str) -> String {
    format!("{SCHEME}{server}/{uri}")
}

/// The server's name and its own URI, if the URI names a server.
pub(super) fn split(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix(SCHEME)?.split_once('/').filter(|(_, own)| !own.is_empty())
}

/// Whether a URI can have been made from a template (RFC 6570): an expression stands for any text without `/`, `?` and `#`,
/// one with an operator for any text. It takes no longer than both are long, whatever they are.
pub(super) fn fits(template: &str, uri: &str) -> bool {
    let uri = uri.as_bytes();
    // How much of the URI may stand before what is left of the template.
    let mut ends = vec![false; uri.len() + 1];
    ends[0] = true;
    let mut rest = template;
    loop {
        let (literal, more) =
            rest.split_once('{').map_or((rest, None), |(literal, more)| (literal, Some(more)));
        let literal = literal.as_bytes();
        let mut after = vec![false; uri.len() + 1];
        for at in (0..=uri.len()).filter(|at| ends[*at] && uri[*at..].starts_with(literal)) {
            after[at + literal.len()] = true;
        }
        ends = after;
        let Some(more) = more else { return ends[uri.len()] };
        let Some((expression, more)) = more.split_once('}') else { return false };
        let free = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) || expression.ends_with('*');
        for at in 0..uri.len() {
            ends[at + 1] |= ends[at] && (free || !b"/?#".contains(&uri[at]));
        }
        rest = more;
    }
}

/// The ways to write a URI that servers may take for one: as it is, and with what stands for something else resolved.
pub(super) fn spellings(uri: &str) -> impl Iterator<Item = String> + '_ {
    let resolved = |text: &str| url::Url::parse(text).map(String::from).ok();
    let decoded = percent_decoded(uri);
    let more = [resolved(uri), resolved(&decoded), Some(decoded)];
    std::iter::once(uri.to_owned()).chain(more.into_iter().flatten())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = (*first == b'%').then(|| more.get(..2)).flatten();
        let byte = hex
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = &more[if byte.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_can_be_taken_off_again() {
        let uri = prefixed("a.b", "file:///x/y");
        assert_eq!(uri, "switchboard://a.b/file:///x/y");
        assert_eq!(split(&uri), Some(("a.b", "file:///x/y")));
        assert_eq!(split("file:///x"), None);
        assert_eq!(split("switchboard://a/"), None);
    }

    #[test]
    fn a_template_fits_what_it_can_make() {
        for (template, uri, is_so) in [
            ("test://template/{id}/data", "test://template/7/data", true),
            ("test://template/{id}/data", "test://template/7/8/data", false),
            ("test://template/{id}/data", "test://template/7", false),
            ("file:///{+path}", "file:///a/b/c", true),
            ("file:///{path*}", "file:///a/b", true),
            ("a://{x}-{y}", "a://1-2", true),
            ("a://{x}-{y}", "a://12", false),
            ("plain://", "plain://", true),
            ("broken://{x", "broken://1", false),
            ("a://{x}", "a://\u{e4}", true),
            ("a://x{?q}", "a://x?q=1", true),
        ] {
            assert_eq!(fits(template, uri), is_so, "{template} {uri}");
        }
    }

    #[test]
    fn no_uri_takes_long_to_be_compared() {
        let begun = std::time::Instant::now();
        assert!(!fits("a://{+a}/{+b}/{+c}/{+d}/{+e}!", &format!("a://{}", "/".repeat(8000))));
        assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn a_uri_is_known_however_it_is_written() {
        for uri in [
            "file:///secret/x",
            "FILE:///secret/x",
            "file:///open/../secret/x",
            "file:///open/%2e%2E/secret/x",
            "file:///%73ecret/x",
            "file://localhost/secret/x",
        ] {
            assert!(spellings(uri).any(|uri| uri == "file:///secret/x"), "{uri}");
        }
        assert!(spellings("demo://counter").all(|uri| uri == "demo://counter"));
        assert_eq!(percent_decoded("100%"), "100%");
    }
}
