//! Which of the messages that hold what is looked for are shown, and what of them. SQLite's own ranking reads the whole index
//! of each word first, which takes long where a word is everywhere; this one looks at the matches alone.

use crate::contract::sessions::SnippetPart;

/// What is put around a match, and is in no text.
pub(super) const MARKS: [char; 2] = ['\u{1}', '\u{2}'];
/// How soon more matches count for less, and how much the length of a message counts: as BM25 has them.
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;
/// Bytes of a message that is neither long nor short.
const USUAL: f64 = 1000.0;
/// Bytes before the first match that are shown, and in all.
const BEFORE: usize = 60;
const SHOWN: usize = 240;

/// How well a text with its matches marked fits: between 0 and 1.
pub(super) fn score(marked: &str) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "texts are far shorter than 2^52 bytes")]
    let (matches, length) = (marked.matches(MARKS[0]).count() as f64, marked.len() as f64);
    matches / (matches + SATURATION * (1.0 - LENGTH + LENGTH * length / USUAL))
}

/// The best of what it is given.
pub(super) struct Best<T> {
    limit: usize,
    hits: Vec<(f64, T)>,
}

impl<T> Best<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, hits: Vec::new() }
    }

    /// Takes one if it is among the best so far; of two as good ones the first.
    pub(super) fn offer(&mut self, score: f64, hit: impl FnOnce() -> T) {
        let place = self.hits.partition_point(|(other, _)| *other >= score);
        if place < self.limit {
            self.hits.truncate(self.limit - 1);
            self.hits.insert(place, (score, hit()));
        }
    }

    /// The best first.
    pub(super) fn into_hits(self) -> impl Iterator<Item = T> {
        self.hits.into_iter().map(|(_, hit)| hit)
    }
}

/// The surroundings of the first match, apart at all matches in them.
pub(super) fn snippet(marked: &str) -> Vec<SnippetPart> {
    let first = marked.find(MARKS[0]).unwrap_or(0);
    let begin = word_from(marked, marked.ceil_char_boundary(first.saturating_sub(BEFORE)));
    let end = marked.floor_char_boundary((begin + SHOWN).max(first + BEFORE).min(marked.len()));
    let mut parts = Vec::new();
    let mut is_match = false;
    let ellipsis = |there: bool| if there { "…" } else { "" };
    let text = format!("{}{}{}", ellipsis(begin > 0), &marked[begin..end], ellipsis(end < marked.len()));
    for piece in text.split(MARKS) {
        if !piece.is_empty() {
            parts.push(SnippetPart { text: piece.to_owned(), is_match });
        }
        is_match = !is_match;
    }
    parts
}

/// Where the next word begins: the first match at the latest.
fn word_from(text: &str, at: usize) -> usize {
    let next = |(offset, letter): (usize, char)| match letter {
        letter if letter == MARKS[0] => Some(at + offset),
        letter if letter.is_whitespace() => Some(at + offset + letter.len_utf8()),
        _ => None,
    };
    if at == 0 { 0 } else { text[at..].char_indices().find_map(next).unwrap_or(at) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(marked: &str) -> String {
        let part = |part: SnippetPart| if part.is_match { format!("[{}]", part.text) } else { part.text };
        snippet(marked).into_iter().map(part).collect()
    }

    #[test]
    fn many_matches_in_few_words_are_best_and_of_equals_the_first() {
        let (one, two) = ("a \u{1}b\u{2} c", "\u{1}b\u{2} and \u{1}b\u{2}");
        assert!(score(two) > score(one));
        assert!(score(one) > score(&format!("{one}{}", " word".repeat(1000))));
        let mut best = Best::new(2);
        for (place, score) in [0.2, 0.5, 0.2, 0.5, 0.1].into_iter().enumerate() {
            best.offer(score, || place);
        }
        assert_eq!(best.into_hits().collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_snippet_begins_at_a_word_and_marks_all_matches_in_it() {
        assert_eq!(shown("say \u{1}hello\u{2} and \u{1}hello\u{2}!"), "say [hello] and [hello]!");
        let long = format!("{}the \u{1}word\u{2}{}", "some words before ".repeat(20), " and after".repeat(50));
        let text = shown(&long);
        assert!(
            text.starts_with("…some words") && text.contains("the [word] and after") && text.ends_with('…'),
            "{text}"
        );
        assert!(text.len() < SHOWN + 10);
    }

    proptest! {
        #[test]
        fn any_text_has_a_snippet_of_its_own_letters(before in ".{0,300}", found in "\\w{1,80}", after in ".{0,300}") {
            let clean = |text: String| text.replace(MARKS, " ");
            let (before, after) = (clean(before), clean(after));
            let marked = format!("{before}\u{1}{found}\u{2}{after}");
            let parts = snippet(&marked);
            let matched = parts.iter().find(|part| part.is_match).expect("the match");
            prop_assert!(found.starts_with(matched.text.trim_end_matches('…')));
            let text: String = parts.iter().map(|part| part.text.as_str()).collect();
            let inner = text.strip_prefix('…').unwrap_or(&text);
            let inner = inner.strip_suffix('…').unwrap_or(inner);
            let whole = format!("{before}{found}{after}");
            prop_assert!(whole.contains(inner));
        }
    }
}
