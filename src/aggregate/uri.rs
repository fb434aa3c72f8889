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
/// one with an operator for any text.
pub(super) fn fits(template: &str, uri: &str) -> bool {
    let Some((literal, rest)) = template.split_once('{') else { return template == uri };
    let Some(uri) = uri.strip_prefix(literal) else { return false };
    let Some((expression, rest)) = rest.split_once('}') else { return false };
    let free = expression.starts_with(['+', '#', '.', '/', ';', '?', '&']) || expression.ends_with('*');
    let ends = uri.char_indices().map(|(at, _)| at).chain([uri.len()]);
    let reach = uri.find(['/', '?', '#']).filter(|_| !free).unwrap_or(uri.len());
    ends.take_while(|end| *end <= reach).any(|end| fits(rest, &uri[end..]))
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
}
