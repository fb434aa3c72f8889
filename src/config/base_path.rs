//! What a reverse proxy puts before our paths.

/// The text cannot be a base path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a base path is like /mcp: visible ASCII characters without ? # \\ % or an empty segment")]
pub struct InvalidBasePath;

/// Reads a base path: empty, or `/prefix` without a slash at its end, whichever way it was written.
pub fn base_path(text: &str) -> Result<String, InvalidBasePath> {
    let trimmed = text.trim_matches('/');
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\%\"<>".contains(&byte);
    if !trimmed.bytes().all(plain) || trimmed.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(InvalidBasePath);
    }
    // Two slashes at the front would make a URL of another host out of the path.
    if text.starts_with("//") || trimmed.contains("//") {
        return Err(InvalidBasePath);
    }
    Ok(if trimmed.is_empty() { String::new() } else { format!("/{trimmed}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_has_one_spelling() {
        for (written, meant) in [("", ""), ("/", ""), ("/a", "/a"), ("a/b/", "/a/b"), ("/a-b.c/", "/a-b.c")] {
            assert_eq!(base_path(written).as_deref(), Ok(meant), "{written:?}");
        }
        for wrong in ["//evil.com", "/a//b", "/a b", "/a?b", "/a#b", "/../a", "/a\nb", "https://a/b"] {
            assert_eq!(base_path(wrong), Err(InvalidBasePath), "{wrong:?}");
        }
    }
}
