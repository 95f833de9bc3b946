//! One conversation: which files it is in, how far they are read, and what was learnt.

use std::io;
use std::path::Path;

use serde::de::IgnoredAny;

use super::kept::{Base, Kept};
use super::tree::Tree;
use crate::contract::sessions::{Message, ToolDetail};
use crate::worker::sessions::draft::Draft;
use crate::worker::sessions::formats::{Fold, Format, Part, Place};
use crate::worker::sessions::source::Source;
use crate::worker::sessions::store::{ReadError, Wanted};
use crate::worker::sessions::talk::{Key, News, Span, Talk};

/// Bytes of messages that are given at once; more are left for the next page.
const PAGE: usize = 2 << 20;

fn base(tree: &Tree, part: &Part) -> Option<Base> {
    let source = tree.open(&part.path).ok()?;
    let mark = source.mark();
    let size = part.end.map_or(mark.size, |end| end.min(mark.size));
    Some((mark.device, mark.inode, size, source.fingerprint(size).ok()?))
}

/// What it takes to go on.
struct Body {
    talk: Talk,
    fold: Box<dyn Fold>,
}

/// One conversation.
#[derive(Default)]
pub(super) struct Unit {
    pub(super) kept: Kept,
    body: Option<Body>,
    news: Vec<News>,
    /// Since it was written down.
    pub(super) changed: bool,
    /// After how many uses of others it was used last.
    pub(super) used: u64,
    /// A document that made no sense once is looked at again before that is said.
    doubted: bool,
}

impl Unit {
    /// What was written down.
    pub(super) fn restore(kept: &[u8]) -> Option<Self> {
        Some(Self { kept: postcard::from_bytes(kept).ok()?, ..Self::default() })
    }

    /// What is to be written down: all that is known, and what it takes to go on, where that is there.
    pub(super) fn write_down(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let body = self.body.as_ref().and_then(|body| postcard::to_allocvec(&(&body.talk, body.fold.save())).ok());
        (postcard::to_allocvec(&self.kept).unwrap_or_default(), body)
    }

    pub(super) fn put_away(&mut self) {
        self.body = None;
    }

    pub(super) fn footprint(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.talk.footprint() + body.fold.footprint())
    }

    /// The file that is written to.
    pub(super) fn path(&self) -> Option<&Path> {
        self.kept.parts.last().map(|part| part.path.as_path())
    }

    pub(super) fn titles_of_others(&self) -> &[(Key, String)] {
        &self.kept.titles
    }

    /// Takes the title for it of those titles that other logs hold.
    pub(super) fn take_title(&mut self, title: Option<String>, titles: u64) {
        self.changed |= self.kept.titled != titles;
        (self.kept.elsewhere, self.kept.titled) = (title, titles);
    }

    /// Whether its records can be found without reading anything.
    pub(super) fn is_ready(&self) -> bool {
        self.body.is_some()
    }

    pub(super) fn position(&self, record: Key) -> Option<u32> {
        self.body.as_ref()?.fold.position(record)
    }

    /// What has changed of the messages since this was asked last.
    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Reads what is new in the files; how many bytes that were.
    pub(super) fn follow(
        &mut self,
        format: &dyn Format,
        tree: &Tree,
        parts: Vec<Part>,
        saved: impl Fn() -> Option<Vec<u8>>,
    ) -> u64 {
        let Some(last) = parts.last() else { return 0 };
        let document = matches!(format.place(&last.path), Place::Document { .. });
        let bases: Vec<Option<Base>> = parts[..parts.len() - 1].iter().map(|part| base(tree, part)).collect();
        let same = self.kept.parts == parts && self.kept.bases == bases;
        let seen = tree.mark(&last.path);
        if seen.is_some() && self.kept.mark == seen && same && !self.doubted {
            return 0;
        }
        let read = tree.open(&last.path);
        let mark = read.as_ref().ok().map(Source::mark);
        let before = if same { self.kept.offset } else { 0 };
        let result = read.and_then(|source| match document {
            true => self.take_document(format, &source),
            false => self.take_log(format, tree, &source, &parts, same, saved),
        });
        self.changed = true;
        (self.kept.parts, self.kept.bases) = (parts, bases);
        match result {
            Ok(()) => self.kept.mark = mark,
            Err(error) => {
                self.kept.mark = None;
                self.kept.problem = Some(format!("it cannot be read: {error}"));
            }
        }
        self.kept.offset.checked_sub(before).unwrap_or(self.kept.offset)
    }

    fn take_log(
        &mut self,
        format: &dyn Format,
        tree: &Tree,
        source: &Source,
        parts: &[Part],
        same: bool,
        saved: impl Fn() -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        let goes_on = same && self.goes_on(source)?;
        if goes_on && self.body.is_none() {
            self.body = saved().and_then(|saved| thaw(format, &saved));
        }
        let before = if goes_on { None } else { self.body.take().or_else(|| thaw(format, &saved()?)) };
        let fresh = self.body.is_none();
        let mut body = self.body.take().unwrap_or_else(|| Body { talk: Talk::default(), fold: format.begin() });
        let mut start = 0;
        for (at, part) in parts.iter().enumerate() {
            let is_last = at + 1 == parts.len();
            if is_last {
                let from = if fresh { 0 } else { self.kept.offset };
                if fresh {
                    body.fold.next_file();
                }
                self.kept.offset = body.read(source, from, start, part.end)?;
            } else if fresh && !part.path.as_os_str().is_empty() {
                body.fold.next_file();
                body.read(&tree.open(&part.path)?, 0, start, part.end)?;
            }
            start += part.end.unwrap_or(0);
        }
        self.kept.fingerprint = if source.is_compressed() { 0 } else { source.fingerprint(self.kept.offset)? };
        if let Some(before) = before {
            body.talk.succeed(&before.talk);
        }
        let problem = (self.kept.offset > 0 && !body.talk.is_understood())
            .then(|| format!("no record in it is one that {} is known to write", format.agent().name()));
        self.learn(body, problem);
        Ok(())
    }

    /// Whether the file only grew since it was read.
    fn goes_on(&self, source: &Source) -> io::Result<bool> {
        let mark = source.mark();
        let same = self.kept.mark.is_some_and(|known| (known.device, known.inode) == (mark.device, mark.inode));
        if !same || source.is_compressed() || mark.size < self.kept.offset {
            return Ok(false);
        }
        Ok(source.fingerprint(self.kept.offset)? == self.kept.fingerprint)
    }

    fn take_document(&mut self, format: &dyn Format, source: &Source) -> io::Result<()> {
        let document = source.document()?;
        let sound = document.as_deref().is_some_and(|text| serde_json::from_slice::<IgnoredAny>(text).is_ok());
        if !sound {
            // It may be written just now.
            let again = std::mem::replace(&mut self.doubted, true);
            if again && self.kept.count == 0 {
                self.kept.problem = Some("it is no whole JSON document".to_owned());
            }
            return Ok(());
        }
        self.doubted = false;
        let mut body = Body { talk: Talk::default(), fold: format.begin() };
        let span = Span { at: 0, len: source.mark().size };
        body.fold.take(&document.unwrap_or_default(), span, &mut body.talk);
        if let Some(before) = self.body.take() {
            body.talk.succeed(&before.talk);
        }
        let problem = (!body.talk.is_understood())
            .then(|| format!("it is no document that {} is known to write", format.agent().name()));
        self.learn(body, problem);
        Ok(())
    }

    /// Whether it is to be looked at again although nothing tells that it changed.
    pub(super) fn is_doubted(&self) -> bool {
        self.doubted
    }

    fn learn(&mut self, mut body: Body, problem: Option<String>) {
        self.news = body.talk.news();
        self.kept.learn(&body.talk, body.fold.as_ref(), problem);
        self.body = Some(body);
    }

    /// Makes sure that messages can be found.
    pub(super) fn make_ready(&mut self, format: &dyn Format, tree: &Tree, saved: impl Fn() -> Option<Vec<u8>>) {
        if self.body.is_none() {
            self.body = saved().and_then(|saved| thaw(format, &saved));
        }
        if self.body.is_none() {
            let (parts, news) = (self.kept.parts.clone(), std::mem::take(&mut self.news));
            self.kept.mark = None;
            self.follow(format, tree, parts, || None);
            // What is read again is no news.
            self.news = news;
        }
    }

    /// Messages, in order.
    pub(super) fn messages(
        &self,
        format: &dyn Format,
        tree: &Tree,
        wanted: &Wanted,
    ) -> Result<Vec<Message>, ReadError> {
        if let Some(problem) = &self.kept.problem {
            return Err(ReadError::NotUnderstood(problem.clone()));
        }
        let body = self.body.as_ref().ok_or(ReadError::Unknown)?;
        let range = wanted.from.min(body.talk.len())..wanted.to.min(body.talk.len());
        let (mut given, mut size) = (Vec::new(), 0);
        for index in range {
            let message = self.message(body, format, tree, index, wanted.tools)?;
            let tools = message
                .tools
                .iter()
                .map(|tool| tool.input.as_ref().map_or(0, String::len) + tool.output.as_ref().map_or(0, String::len));
            size += message.text.len() + message.thinking.as_ref().map_or(0, String::len) + tools.sum::<usize>();
            given.push(message);
            if size > PAGE {
                break;
            }
        }
        Ok(given)
    }

    fn message(
        &self,
        body: &Body,
        format: &dyn Format,
        tree: &Tree,
        index: u32,
        tools: ToolDetail,
    ) -> Result<Message, ReadError> {
        let slot = body.talk.slots().get(index as usize).ok_or(ReadError::Unknown)?;
        let mut draft = Draft::new(index, slot, tools);
        let spans: Vec<Span> = body.talk.pieces(index..index + 1).map(|(_, span)| span).collect();
        let mut start = 0;
        for part in &self.kept.parts {
            let end = part.end.map_or(u64::MAX, |end| start + end);
            let here = spans.iter().filter(|span| (start..end).contains(&span.at));
            let here: Vec<Span> = here.map(|span| Span { at: span.at - start, len: span.len }).collect();
            if !here.is_empty() {
                let unreadable = |source| ReadError::Unreadable { path: tree.root().join(&part.path), source };
                let source = tree.open(&part.path).map_err(unreadable)?;
                source.pick(&here, |_, record| format.fill(record, &mut draft)).map_err(unreadable)?;
            }
            start += part.end.unwrap_or(0);
        }
        Ok(draft.finish())
    }
}

impl Body {
    /// Takes the records of a file from a place on, which is `start` further in the conversation; up to where.
    fn read(&mut self, source: &Source, from: u64, start: u64, end: Option<u64>) -> io::Result<u64> {
        let mut records = source.records(from, end)?;
        while let Some((span, record)) = records.next_record()? {
            self.fold.take(record, Span { at: start + span.at, len: span.len }, &mut self.talk);
        }
        Ok(records.offset())
    }
}

fn thaw(format: &dyn Format, saved: &[u8]) -> Option<Body> {
    let (talk, fold): (Talk, Vec<u8>) = postcard::from_bytes(saved).ok()?;
    Some(Body { talk, fold: format.resume(&fold)? })
}
