//! How deeply a JSON text is nested.
//!
//! A parser that keeps values raw accepts 200,000 nested arrays, which then kill a server that does not.

use memchr::memchr2;

/// Whether `json` is nested deeper than `limit`; the outermost container counts as 1.
///
/// Reads the text once, without recursion. What is no valid JSON gets some answer and does no harm.
pub fn exceeds(json: &[u8], limit: usize) -> bool {
    // Every container needs an opening byte, and a closing one or an end of the text.
    if json.len() <= limit {
        return false;
    }
    let (mut depth, mut at) = (0usize, 0);
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(json, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The place behind the quote that ends the string whose content begins at `at`.
fn end_of_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brackets_inside_strings_do_not_count() {
        assert!(!exceeds(br#"{"a":"[[[[[[\"[[[["}"#, 1));
        assert!(exceeds(br#"{"a":["]]]"]}"#, 1));
        assert!(!exceeds(br#"{"a":["]]]"]}"#, 2));
    }

    #[test]
    fn two_hundred_thousand_arrays_are_counted_without_recursion() {
        assert!(exceeds("[".repeat(200_000).as_bytes(), 128));
        assert!(!exceeds("[]".repeat(200_000).as_bytes(), 1));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), limit in 0usize..4) {
            let _ = exceeds(&bytes, limit);
        }

        #[test]
        fn it_agrees_with_a_recursive_count(depth in 1usize..20, limit in 1usize..20) {
            let mut value = serde_json::json!("}]\"");
            for level in 0..depth {
                value = if level % 2 == 0 { serde_json::json!([value]) } else { serde_json::json!({ "k[": value }) };
            }
            prop_assert_eq!(exceeds(value.to_string().as_bytes(), limit), depth > limit);
        }
    }
}
