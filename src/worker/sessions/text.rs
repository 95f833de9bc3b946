//! Text of messages: titles, and cuts that leave it valid.

/// Characters of a title at most.
const TITLE: usize = 100;

/// A title of a text: white space runs are one space each, and what is too long ends in `…`.
pub fn title(text: &str) -> String {
    // Only the beginning matters, and a prompt may have megabytes.
    let mut title = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        if length > 0 {
            title.push(' ');
            length += 1;
        }
        for character in word.chars() {
            title.push(character);
            length += 1;
            if length > TITLE {
                let kept: String = title.chars().take(TITLE - 1).collect();
                return kept + "…";
            }
        }
    }
    title
}

/// As much of a text as `max` bytes hold, and whether that is less than all of it.
pub fn cut(text: &str, max: usize) -> (&str, bool) {
    if text.len() <= max {
        return (text, false);
    }
    (&text[..text.floor_char_boundary(max)], true)
}

/// Adds to a text, up to `max` bytes; `…` where not all of it had room, and then `false`.
pub fn append(text: &mut String, more: &str, max: usize) -> bool {
    let (kept, cut_off) = cut(more, max.saturating_sub(text.len()));
    text.push_str(kept);
    if cut_off && !text.ends_with('…') {
        text.push('…');
    }
    !cut_off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_of_at_most_100_characters() {
        assert_eq!(title("  a\n\n b\t c  "), "a b c");
        assert_eq!(title(&"x".repeat(100)), "x".repeat(100));
        assert_eq!(title(&"ü".repeat(101)), "ü".repeat(99) + "…");
        assert_eq!(title(&format!("{} b", "x".repeat(99))), "x".repeat(99) + "…");
        assert_eq!(title(&format!("{} ", "x".repeat(100))), "x".repeat(100));
        assert_eq!(title(" \n"), "");
    }

    #[test]
    fn what_is_added_stays_below_the_limit_and_says_where_it_was_cut() {
        let mut text = String::from("ab");
        assert!(append(&mut text, "cü", 5));
        assert!(!append(&mut text, "üx", 6) && text == "abcü…", "{text}");
        assert!(!append(&mut text, "more", 6) && text == "abcü…");
    }
}
