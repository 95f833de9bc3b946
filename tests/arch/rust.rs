//! As much of Rust as it takes to see who uses what: tokens without comments and literals, and the paths that they make.

/// One file of a room, as tokens.
#[derive(Debug)]
pub(crate) struct Source {
    /// From `src/`.
    pub(crate) path: String,
    /// The first folder, or the file's own name without its ending.
    pub(crate) room: String,
    /// Identifiers and punctuation; `::` is one token.
    pub(crate) tokens: Vec<String>,
}

/// The room that a file belongs to.
pub(crate) fn room_of(path: &str) -> String {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// A file without its tests; `None` where it is all tests.
pub(crate) fn parse(path: &str, text: &str) -> Option<Source> {
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    let tokens = without_tests(tokens(text));
    (!is_test).then(|| Source { path: path.to_owned(), room: room_of(path), tokens })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Identifiers and punctuation.
fn tokens(text: &str) -> Vec<String> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = skipped(rest) {
            length
        } else {
            let length = match first {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                _ if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            tokens.push(rest[..length].to_owned());
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// How long the white space, comment, literal or lifetime is that the text begins with, if it does.
fn skipped(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        return Some(first.len_utf8());
    }
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    if let Some(length) = raw_string(rest) {
        return Some(length);
    }
    match first {
        '"' => Some(closing(rest, 1, '"')),
        'b' | 'c' if rest[1..].starts_with('"') => Some(closing(rest, 2, '"')),
        'b' if rest[1..].starts_with('\'') => Some(closing(rest, 2, '\'')),
        '\'' => Some(quote(rest)),
        _ => None,
    }
}

/// `r"…"`, `r#"…"#`, `br"…"`.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r"].into_iter().find(|prefix| rest.starts_with(prefix))?;
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(prefix.len() + hashes + 1 + length)
}

/// Where the quote closes, escapes heeded.
fn closing(rest: &str, from: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest[from..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return from + at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character, or the tick of a lifetime with its name.
fn quote(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    let (first, second) = (inside.next(), inside.next());
    match (first, second) {
        (Some('\\'), _) => closing(rest, 1, '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1 + rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1),
    }
}

/// Leaves out every `#[cfg(test)]` item that has a body or ends in a semicolon.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().take(MARK.len()).map(String::as_str).eq(MARK) {
            at = end_of_item(&tokens, at + MARK.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn end_of_item(tokens: &[String], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" if depth == 1 => return at + 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

impl Source {
    /// Every path that begins with `crate`, or leaves the room by `super`, without that beginning: `["plan", "project"]`.
    pub(crate) fn paths_to_rooms(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let supers = self.supers(at);
            let start = match self.tokens[at].as_str() {
                "crate" if self.is(at + 1, "::") => Some(at + 2),
                "super" if supers >= self.depth() => Some(at + 2 * supers),
                _ => None,
            };
            match start {
                Some(start) => {
                    self.expand(start, &[], &mut paths);
                    at = start;
                }
                None => at += 1 + 2 * supers.saturating_sub(1),
            }
        }
        paths
    }

    fn is(&self, at: usize, token: &str) -> bool {
        self.tokens.get(at).is_some_and(|found| found == token)
    }

    /// How many `super::` there are in a row.
    fn supers(&self, at: usize) -> usize {
        (0..).take_while(|n| self.is(at + 2 * n, "super") && self.is(at + 2 * n + 1, "::")).count()
    }

    /// How many `super` it takes to get from this file's module to the root.
    fn depth(&self) -> usize {
        let folders = self.path.matches('/').count();
        if self.path.ends_with("mod.rs") || ["lib.rs", "main.rs"].contains(&self.path.as_str()) {
            folders
        } else {
            folders + 1
        }
    }

    /// Reads a path, or a tree of them in braces, from here; says where it ends.
    fn expand(&self, at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        let Some(token) = self.tokens.get(at) else { return at };
        if token == "{" {
            let mut at = at + 1;
            while at < self.tokens.len() && !self.is(at, "}") {
                let end = if self.is(at, ",") { at + 1 } else { self.expand(at, before, paths) };
                at = end.max(at + 1);
            }
            return at + 1;
        }
        if !token.chars().all(is_word) && token != "*" {
            paths.push(before.to_vec());
            return at;
        }
        let mut path = before.to_vec();
        path.push(token.clone());
        if self.is(at + 1, "::") && !self.is(at + 2, "<") {
            return self.expand(at + 2, &path, paths);
        }
        paths.push(path);
        // A new name for it.
        if self.is(at + 1, "as") { at + 3 } else { at + 1 }
    }

    /// Whether these tokens are somewhere in a row.
    pub(crate) fn says(&self, words: &[&str]) -> bool {
        self.tokens.windows(words.len()).any(|window| window.iter().map(String::as_str).eq(words.iter().copied()))
    }

    /// Whether a crate is used: `name::` that is not the end of another path, or `use name;`.
    pub(crate) fn uses(&self, name: &str) -> bool {
        (0..self.tokens.len()).any(|at| {
            let begins = at == 0 || !self.is(at - 1, "::") || at == 1 || !self.tokens[at - 2].chars().all(is_word);
            let used = self.is(at + 1, "::") || (at > 0 && self.is(at - 1, "use"));
            self.is(at, name) && begins && used
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        parse(path, text).expect("no test file")
    }

    fn paths(path: &str, text: &str) -> Vec<String> {
        source(path, text).paths_to_rooms().into_iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn paths_are_found_in_uses_trees_and_code() {
        let text = "use crate::model::{Name, view::{self, View as V}}; fn f() { crate::plan::project(); }
                    pub use crate::{watch::Hub, queue::*}; let x: Vec<crate::store::Intent> = crate::clock::now::<u8>();";
        let expected = [
            "model::Name",
            "model::view::self",
            "model::view::View",
            "plan::project",
            "watch::Hub",
            "queue::*",
            "store::Intent",
            "clock::now",
        ];
        assert_eq!(paths("api/x.rs", text), expected);
    }

    #[test]
    fn a_way_out_by_super_is_found_and_one_inside_the_room_is_none() {
        assert_eq!(paths("plan/mod.rs", "use super::store::Intent;"), ["store::Intent"]);
        assert_eq!(paths("plan/container.rs", "use super::super::store; use super::volumes;"), ["store"]);
        assert_eq!(paths("runtime/fake/engine.rs", "use super::script; use super::super::RuntimeError;"), [""; 0]);
        assert_eq!(paths("runtime/fake/engine.rs", "use super::super::super::plan::x;"), ["plan::x"]);
        assert_eq!(paths("clock.rs", "use super::model;"), ["model"]);
    }

    #[test]
    fn comments_strings_and_tests_say_nothing() {
        let text = r####"
            // crate::a /* crate::a */
            /* crate::b */
            const S: &str = "crate::c \" crate::c"; const R: &str = r#"crate::d"#; const C: char = '"';
            fn f<'a>(x: &'a str) -> char { '\'' }
            #[cfg(test)]
            mod tests { use crate::e::X; fn g() { if true { } } }
            #[cfg(test)]
            mod more;
            #[cfg(test)]
            use crate::f::Y;
            use crate::real::Z;
        "####;
        assert_eq!(paths("api/x.rs", text), ["real::Z"]);
        assert!(parse("api/tests.rs", "").is_none() && parse("api/tests/x.rs", "").is_none());
    }

    #[test]
    fn a_crate_is_told_from_a_module_of_the_same_name() {
        let uses = |text| source("api/x.rs", text).uses("bollard");
        assert!(uses("use bollard::Docker;") && uses("let x = ::bollard::Docker::new();") && uses("use bollard;"));
        assert!(uses("fn f() -> bollard::errors::Error"));
        assert!(!uses("use crate::runtime::bollard::x;") && !uses("let bollard = 1;") && !uses("// bollard::x"));
    }
}
