//! What people type to look for something, as the index wants it.

/// Words of a query at most.
const WORDS: usize = 32;

/// The query in the language of FTS5: every word quoted, so that none of it means anything there; the last word, where the
/// text ends with it, may be the beginning of one. `None` where there is no word.
pub(super) fn prepare(text: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut open = false;
    for (at, piece) in text.split('"').enumerate() {
        let within = at % 2 == 1;
        open = false;
        if within {
            parts.extend(quoted(piece));
        } else {
            parts.extend(piece.split_whitespace().filter_map(quoted));
            open = piece.ends_with(|last: char| last.is_alphanumeric());
        }
    }
    parts.truncate(WORDS);
    let mut query = parts.join(" ");
    if open && !query.is_empty() {
        query.push('*');
    }
    (!query.is_empty()).then_some(query)
}

fn quoted(words: &str) -> Option<String> {
    words.contains(char::is_alphanumeric).then(|| format!("\"{}\"", words.replace('\0', " ").trim()))
}

#[cfg(test)]
mod tests {
    use super::prepare;

    #[test]
    fn words_are_quoted_phrases_stay_and_the_last_word_may_go_on() {
        let cases = [
            ("fix the bu", Some(r#""fix" "the" "bu"*"#)),
            ("fix ", Some(r#""fix""#)),
            (r#""exit code" fail"#, Some(r#""exit code" "fail"*"#)),
            (r#"say "hello world""#, Some(r#""say" "hello world""#)),
            (r#"NEAR(a b) OR c:d -e*"#, Some(r#""NEAR(a" "b)" "OR" "c:d" "-e*""#)),
            (r#"un"closed"#, Some(r#""un" "closed""#)),
            ("  ", None),
            ("\"\" -- *", None),
        ];
        for (text, query) in cases {
            assert_eq!(prepare(text).as_deref(), query, "{text}");
        }
    }
}
