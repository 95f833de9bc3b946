//! Markdown on a terminal: what is marked is shown so, and nothing else is let through.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{line, lines};

/// How deep lists are indented at most.
const DEPTH: usize = 8;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const ITALIC: &str = "\x1b[3m";
const UNDERLINED: &str = "\x1b[4m";
const CODE: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";

/// A text in Markdown, for a terminal with colours.
pub fn render(text: &str) -> String {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut page = Page::default();
    for event in Parser::new_ext(text, options) {
        page.take(event);
    }
    page.out.trim_end().to_owned()
}

/// What is shown so far, and what holds for what comes.
#[derive(Default)]
struct Page {
    out: String,
    styles: Vec<&'static str>,
    /// The number of the next item of each list around, where it is numbered.
    lists: Vec<Option<u64>>,
    quotes: usize,
    code: bool,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.begin(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code => self.code_lines(&text),
            Event::Text(text) => self.out.push_str(&line(&text)),
            Event::Code(text) => {
                self.style(CODE);
                self.out.push_str(&line(&text));
                self.unstyle();
            }
            // What would be HTML elsewhere is text here.
            Event::Html(text) | Event::InlineHtml(text) => self.out.push_str(&lines(&text)),
            Event::SoftBreak | Event::HardBreak => self.new_line(),
            Event::Rule => {
                self.apart();
                self.out.push_str(&format!("{DIM}{}{PLAIN}\n", "─".repeat(20)));
            }
            Event::TaskListMarker(done) => self.out.push_str(if done { "[x] " } else { "[ ] " }),
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph if self.lists.is_empty() => self.apart(),
            Tag::Heading { level, .. } => {
                self.apart();
                self.style(if level == HeadingLevel::H1 { UNDERLINED } else { BOLD });
            }
            Tag::BlockQuote(_) => self.quotes += 1,
            Tag::CodeBlock(kind) => {
                self.apart();
                if let CodeBlockKind::Fenced(language) = kind
                    && !language.is_empty()
                {
                    self.out.push_str(&format!("{DIM}{}{PLAIN}\n", line(&language)));
                }
                self.code = true;
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.apart();
                }
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::Emphasis => self.style(ITALIC),
            Tag::Strong => self.style(BOLD),
            Tag::Strikethrough => self.style(DIM),
            Tag::Link { .. } => self.style(UNDERLINED),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.unstyle();
                self.out.push('\n');
            }
            TagEnd::Paragraph => self.out.push('\n'),
            TagEnd::BlockQuote(_) => self.quotes = self.quotes.saturating_sub(1),
            TagEnd::CodeBlock => self.code = false,
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::Item if !self.out.ends_with('\n') => self.out.push('\n'),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link => self.unstyle(),
            _ => {}
        }
    }

    fn item(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out.push_str(&"  ".repeat(self.lists.len().saturating_sub(1).min(DEPTH)));
        match self.lists.last_mut() {
            Some(Some(number)) => {
                self.out.push_str(&format!("{number}. "));
                *number = number.saturating_add(1);
            }
            _ => self.out.push_str("• "),
        }
    }

    fn code_lines(&mut self, text: &str) {
        for part in text.split_inclusive('\n') {
            self.out.push_str(&format!("    {CODE}{}{PLAIN}\n", line(part.trim_end_matches('\n'))));
        }
    }

    /// An empty line before what comes.
    fn apart(&mut self) {
        if !self.out.is_empty() {
            let kept = self.out.trim_end_matches('\n').len();
            self.out.truncate(kept);
            self.out.push_str("\n\n");
        }
        self.margin();
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.margin();
        self.out.push_str(&"  ".repeat(self.lists.len().min(DEPTH)));
    }

    fn margin(&mut self) {
        for _ in 0..self.quotes.min(DEPTH) {
            self.out.push_str("│ ");
        }
    }

    fn style(&mut self, style: &'static str) {
        self.styles.push(style);
        self.out.push_str(style);
    }

    fn unstyle(&mut self) {
        self.styles.pop();
        self.out.push_str(PLAIN);
        self.styles.iter().for_each(|style| self.out.push_str(style));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_marked_is_shown_so() {
        let text =
            "# Title\n\nSome **bold** and `code`.\n\n1. one\n2. two\n   - deep\n\n```rust\nfn x() {}\n```\n> said";
        let shown = render(text);
        let expected = "\x1b[4mTitle\x1b[0m\n\nSome \x1b[1mbold\x1b[0m and \x1b[36mcode\x1b[0m.\n\n1. one\n2. two\n  • deep\n\n\
                        \x1b[2mrust\x1b[0m\n    \x1b[36mfn x() {}\x1b[0m\n\n│ said";
        assert_eq!(shown, expected);
    }

    #[test]
    fn deep_nesting_and_html_are_only_text() {
        assert!(render(&"> ".repeat(5000)).len() < 1 << 20);
        assert!(render(&"- ".repeat(5000)).len() < 1 << 20);
        assert_eq!(render("<script>alert(1)</script>"), "<script>alert(1)</script>");
    }

    proptest! {
        #[test]
        fn nothing_but_own_escape_sequences_gets_through(text in "[\\x00-\\x7f\u{9b}\u{202e}#*`>-]{0,80}") {
            let mut shown = render(&text);
            for own in [BOLD, DIM, ITALIC, UNDERLINED, CODE, PLAIN] {
                shown = shown.replace(own, "");
            }
            prop_assert_eq!(super::super::lines(&shown), shown);
        }
    }
}
