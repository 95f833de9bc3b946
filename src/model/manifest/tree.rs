//! YAML text → trees of nodes that know where they stand. Scalars stay as they were written: what they mean is decided
//! where it is known what is wanted there, so that `1.10`, `on` and `010` are no traps.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, Span, Tag};

/// The most nodes of one text, aliases counted as often as they are used.
pub(super) const MAX_NODES: usize = 100_000;
/// The deepest nesting; the deepest field of a manifest is at 5.
pub(super) const MAX_DEPTH: usize = 64;
/// The most documents of one text, empty ones included.
pub(super) const MAX_DOCUMENTS: usize = 1_000;

/// Where something stands: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters on this line, at least 1.
    pub(super) width: usize,
}

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// Nodes in it, itself included.
    weight: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar { text: String, style: Style },
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes: it may be a number, a truth value or nothing.
    Plain,
    /// Quoted, a block, or tagged `!!str`: text whatever it looks like.
    Text,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Arc<Node>,
    /// It came by a merge key (`<<`), so one of the map's own goes before it.
    merged: bool,
}

/// Why a text is no YAML, or more than is taken.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) place: Place,
    pub(super) document: usize,
    pub(super) message: String,
}

impl Node {
    /// Whether it stands for nothing: empty, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: Style::Plain }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// Every document of a text, in order; an empty one is a null node.
pub(super) fn compose(text: &str) -> Result<Vec<Arc<Node>>, Broken> {
    let mut composer = Composer::default();
    let options = serde_saphyr::granit_parser::options! { emit_comments: false };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| composer.broken_syntax(error.kind(), *error.marker()))?;
        composer.event(event, span)?;
    }
    Ok(composer.documents)
}

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Arc<Node>>),
    /// The entries, and the key that still has no value (with whether it is a plain `<<`).
    Map(Vec<Entry>, Option<(String, Place, bool)>),
}

#[derive(Default)]
struct Composer {
    documents: Vec<Arc<Node>>,
    open: Vec<Open>,
    root: Option<Arc<Node>>,
    anchors: HashMap<usize, Arc<Node>>,
    nodes: usize,
    started: usize,
}

impl Composer {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let place = place(span);
        match event {
            Event::DocumentStart(..) => self.start_document(place)?,
            Event::DocumentEnd => {
                let empty = || Arc::new(Node { place, kind: plain(""), weight: 1 });
                self.documents.push(self.root.take().unwrap_or_else(empty));
                self.anchors.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                let style = self.style(style, tag.as_deref(), place)?;
                let kind = Kind::Scalar { text: text.into_owned(), style };
                self.add(Node { place, kind, weight: 1 }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.no_tag(tag.as_deref(), "seq", place)?;
                self.open(Open { place, anchor, content: Content::List(Vec::new()) })?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.no_tag(tag.as_deref(), "map", place)?;
                self.open(Open { place, anchor, content: Content::Map(Vec::new(), None) })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(self.broken(place, "an alias must not stand inside of what it refers to"));
                };
                self.count(node.weight, place)?;
                self.place_node(node)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn start_document(&mut self, place: Place) -> Result<(), Broken> {
        self.started += 1;
        if self.started > MAX_DOCUMENTS {
            let message = format!("there are more than {MAX_DOCUMENTS} documents: split them into several applies");
            return Err(self.broken(place, message));
        }
        Ok(())
    }

    fn style(&self, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Style, Broken> {
        match tag.map(|tag| tag.core_suffix()) {
            Some(Some("str")) => Ok(Style::Text),
            Some(Some("int" | "float" | "bool" | "null")) => Ok(Style::Plain),
            Some(_) => Err(self.tagged(place)),
            None if style == ScalarStyle::Plain => Ok(Style::Plain),
            None => Ok(Style::Text),
        }
    }

    fn no_tag(&self, tag: Option<&Tag>, allowed: &str, place: Place) -> Result<(), Broken> {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema_tag(allowed) => Err(self.tagged(place)),
            _ => Ok(()),
        }
    }

    fn tagged(&self, place: Place) -> Broken {
        self.broken(place, "a YAML tag (!…) means nothing here: leave it out, or quote the text if the ! belongs to it")
    }

    fn open(&mut self, open: Open) -> Result<(), Broken> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self.broken(open.place, format!("nested more than {MAX_DEPTH} deep: a manifest needs 5")));
        }
        // A key that is a list or a map.
        if let Some(Open { content: Content::Map(_, None), .. }) = self.open.last() {
            return Err(self.broken(open.place, "a key must be plain text: write `key: value`"));
        }
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Broken> {
        let open = self.open.pop().expect("the parser closes only what it opened");
        let (kind, weight) = match open.content {
            Content::List(items) => {
                let weight = items.iter().map(|item| item.weight).sum::<usize>();
                (Kind::List(items), weight)
            }
            Content::Map(entries, _) => {
                let entries = without_overridden(entries);
                let weight = entries.iter().map(|entry| entry.value.weight).sum::<usize>();
                (Kind::Map(entries), weight)
            }
        };
        self.add(Node { place: open.place, kind, weight: weight + 1 }, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Broken> {
        self.count(1, node.place)?;
        let node = Arc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.place_node(node)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Broken> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(self.broken(place, format!("there are more than {MAX_NODES} values, aliases written out")));
        }
        Ok(())
    }

    fn place_node(&mut self, node: Arc<Node>) -> Result<(), Broken> {
        let merged = match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                self.root = Some(node);
                return Ok(());
            }
            Some(Content::List(items)) => {
                items.push(node);
                return Ok(());
            }
            Some(Content::Map(entries, key)) => match key.take() {
                None => {
                    let Kind::Scalar { text, style } = &node.kind else {
                        return Err(self.broken(node.place, "a key must be plain text: write `key: value`"));
                    };
                    *key = Some((text.clone(), node.place, *style == Style::Plain && text == "<<"));
                    return Ok(());
                }
                Some((_, key_place, true)) => (key_place, merge(entries, &node)),
                Some((text, key_place, false)) => {
                    entries.push(Entry { key: text, key_place, value: node, merged: false });
                    return Ok(());
                }
            },
        };
        match merged {
            (_, true) => Ok(()),
            (place, false) => Err(self.broken(place, "<< takes an alias of a map, or a list of such: `<<: *name`")),
        }
    }

    fn broken(&self, place: Place, message: impl Into<String>) -> Broken {
        Broken { place, document: self.started.saturating_sub(1), message: message.into() }
    }

    fn broken_syntax(&self, kind: &ErrorKind, mark: Marker) -> Broken {
        let place = Place { line: mark.line().max(1), column: mark.col() + 1, width: 1 };
        self.broken(place, super::syntax::explain(kind))
    }
}

/// Adds what a merge key brings; whether that was possible.
fn merge(entries: &mut Vec<Entry>, node: &Node) -> bool {
    match &node.kind {
        Kind::Map(more) => {
            entries.extend(more.iter().map(|entry| Entry { merged: true, ..entry.clone() }));
            true
        }
        Kind::List(maps) => maps.iter().all(|map| matches!(map.kind, Kind::Map(_)) && merge(entries, map)),
        Kind::Scalar { .. } => false,
    }
}

/// A map's own keys go before merged ones, wherever they stand, and earlier merged ones before later.
fn without_overridden(entries: Vec<Entry>) -> Vec<Entry> {
    if entries.iter().all(|entry| !entry.merged) {
        return entries;
    }
    let mut taken: HashSet<String> =
        entries.iter().filter(|entry| !entry.merged).map(|entry| entry.key.clone()).collect();
    entries.into_iter().filter(|entry| !entry.merged || taken.insert(entry.key.clone())).collect()
}

fn plain(text: &str) -> Kind {
    Kind::Scalar { text: text.to_owned(), style: Style::Plain }
}

fn place(span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() { end.col().saturating_sub(start.col()) } else { 1 };
    Place { line: start.line().max(1), column: start.col() + 1, width: width.max(1) }
}
