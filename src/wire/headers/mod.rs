//! The parts of a request that 2026-07-28 mirrors into HTTP headers: what must stand there, and whether it does.
//!
//! 2026-07-28, Streamable HTTP, Request Metadata: "The Streamable HTTP transport mirrors selected JSON-RPC body fields
//! into HTTP headers so that intermediaries […] can route and inspect requests without parsing the body." A server
//! checks that both say the same ([`check_plain`], [`check_name`], [`Annotations::check`]); a client writes them
//! ([`encode`], [`name_of`], [`Annotations::headers`]). Headers come and go as names and bytes, of no HTTP library's types.

mod annotation;
mod check;
mod mirror;
mod shown;
mod value;

pub use annotation::{Annotations, InvalidAnnotation};
pub use check::{Mismatch, check_name, check_plain};
pub use mirror::Mirrored;
pub use value::{BadValue, decode, encode};

/// Carries `method`, as it is; on every request.
pub const METHOD: &str = "Mcp-Method";

/// Carries what [`name_of`] a request is, encoded.
pub const NAME: &str = "Mcp-Name";

/// Carries the revision of the request's `_meta`, as it is; on every request.
pub const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";

/// What the header of an annotated parameter begins with.
pub const PARAM_PREFIX: &str = "Mcp-Param-";

/// What `Mcp-Name` says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Its method has no `Mcp-Name`.
    Unneeded,
    /// Its method has one, but there is no such string in its params.
    Missing,
    /// This, to be [encoded](encode).
    Is(String),
}

/// What `Mcp-Name` says of a request with this method and these raw params.
pub fn name_of(method: &str, params: &str) -> Name {
    match name_field(method) {
        None => Name::Unneeded,
        Some(field) => match mirror::member(params, field).and_then(Mirrored::read) {
            Some(Mirrored::Text(name)) => Name::Is(name.into_owned()),
            _ => Name::Missing,
        },
    }
}

/// The member of the params that `Mcp-Name` mirrors.
fn name_field(method: &str) -> Option<&'static str> {
    match method {
        // 2026-07-28, Streamable HTTP: "`Mcp-Name` | `params.name` or `params.uri` | `tools/call`, `resources/read`,
        // `prompts/get` requests".
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        // The tasks extension (SEP-2663): "When `tasks/get`, `tasks/update`, or `tasks/cancel` is sent over the
        // Streamable HTTP transport, the client MUST set the `Mcp-Name` header […] to the value of `params.taskId`."
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_source() {
        let params = r#"{"uri":"file:///a%20b","n\u0061me":"echo","taskId":"7"}"#;
        let table = [
            ("tools/call", Name::Is("echo".into())),
            ("prompts/get", Name::Is("echo".into())),
            ("resources/read", Name::Is("file:///a%20b".into())),
            ("tasks/get", Name::Is("7".into())),
            ("tasks/update", Name::Is("7".into())),
            ("tasks/cancel", Name::Is("7".into())),
            ("tools/list", Name::Unneeded),
            ("TOOLS/CALL", Name::Unneeded),
            ("resources/templates/list", Name::Unneeded),
        ];
        for (method, name) in table {
            assert_eq!(name_of(method, params), name, "{method}");
        }
    }

    #[test]
    fn what_is_no_string_is_missing() {
        for params in ["", "{}", "[]", "null", r#"{"name":7}"#, r#"{"name":null}"#, r#"{"name":"\ud800"}"#] {
            assert_eq!(name_of("tools/call", params), Name::Missing, "{params}");
        }
    }
}
