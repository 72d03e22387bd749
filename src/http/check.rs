//! Limits on text that comes from outside, each refusal naming its field.

use super::problem::{Answer, Problem};

/// Longest name or id from a CRM.
pub const NAME_CHARS: usize = 200;
/// Longest free text.
pub const TEXT_CHARS: usize = 2_000;
/// Most hotwords of one visit.
pub const HOTWORDS: usize = 200;
/// Longest hotword.
pub const HOTWORD_CHARS: usize = 50;

/// Text that a person or a CRM named something by: not empty, not too long, nothing in it that could break a
/// line, a log, a sheet or the reading direction.
pub fn text(field: &str, value: &str, most: usize) -> Answer<()> {
    let refuse = |why: String| Err(Problem::of_field(field, format!("{field}: {why}")));
    if value.trim().is_empty() {
        return refuse("must not be empty".to_owned());
    }
    if value.chars().count() > most {
        return refuse(format!("must be at most {most} characters"));
    }
    if value.chars().any(is_unsafe) {
        return refuse("must not contain control characters".to_owned());
    }
    Ok(())
}

/// The same for text that may be left out.
pub fn optional(field: &str, value: Option<&str>, most: usize) -> Answer<()> {
    value.map_or(Ok(()), |value| text(field, value, most))
}

/// A list of hotwords.
pub fn hotwords(field: &str, words: &[String]) -> Answer<()> {
    if words.len() > HOTWORDS {
        return Err(Problem::of_field(field, format!("{field}: at most {HOTWORDS} words")));
    }
    words.iter().enumerate().try_for_each(|(i, word)| text(&format!("{field}[{i}]"), word, HOTWORD_CHARS))
}

/// Control characters, and those that turn the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_text_and_nothing_else() {
        let taken = |value: &str| text("customer.name", value, NAME_CHARS).is_ok();
        for good in ["王伟", "../etc/passwd", "<script>alert(1)</script>", "=HYPERLINK(1)", &"长".repeat(200)]
        {
            assert!(taken(good), "{good} is inert text");
        }
        for bad in ["", "  ", "a\0b", "a\r\nb", "\u{1b}[31m", "\u{202e}evil", &"长".repeat(201)] {
            assert!(!taken(bad), "{bad:?}");
        }
        assert!(hotwords("hotwords", &vec!["词".to_owned(); HOTWORDS + 1]).is_err());
    }
}
