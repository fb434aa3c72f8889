//! Foreign text inside a message.

/// A text between single quotes of a message: nothing in it can end the quotes or the line, and its length is bounded.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == LONGEST_SHOWN {
            shown.push('…');
            break;
        }
        match letter {
            // In single quotes, and often in JSON, it would be escaped for nothing.
            '"' => shown.push('"'),
            _ => shown.extend(letter.escape_debug()),
        }
    }
    shown
}

/// Characters of a value that a message shows.
const LONGEST_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_quotes_and_nothing_is_long() {
        assert_eq!(shown("it's \"é\"\r\n\u{202e}\\"), r#"it\'s "é"\r\n\u{202e}\\"#);
        assert_eq!(shown(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(shown(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
    }
}
