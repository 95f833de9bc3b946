//! A small object to watch, and a model watcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use perry::watch::{Cursor, Frame, FrameKind, Versioned};
use proptest::prelude::*;

/// What a list says: value and version by key.
pub(crate) type Content = BTreeMap<String, (u8, String)>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) value: u8,
    pub(crate) version: String,
}

impl Object {
    pub(crate) fn new(key: u8, value: u8) -> Self {
        Self { key: format!("k{key}"), value, version: String::new() }
    }
}

impl Versioned for Object {
    fn key(&self) -> &str {
        &self.key
    }

    fn set_version(&mut self, version: &str) {
        self.version = version.to_owned();
    }

    fn weight(&self) -> usize {
        usize::from(self.value) + 1
    }
}

pub(crate) fn content(objects: &[Arc<Object>]) -> Content {
    objects.iter().map(|object| (object.key.clone(), (object.value, object.version.clone()))).collect()
}

/// What a client builds from the frames it is sent.
#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) objects: Content,
    /// Where to resume: the last cursor that was sent, as a client of server-sent events keeps it.
    pub(crate) cursor: Option<Cursor>,
    /// Amid the opening list.
    pub(crate) opening: bool,
}

impl Replica {
    /// Applies a frame, or says what is wrong with it.
    pub(crate) fn apply(&mut self, frame: &Frame<Object>) -> Result<(), TestCaseError> {
        match (frame.kind, &frame.object) {
            (FrameKind::Reset, None) => {
                self.objects.clear();
                self.opening = true;
            }
            (FrameKind::Bookmark, None) => self.opening = false,
            (kind @ (FrameKind::Added | FrameKind::Modified), Some(object)) => {
                let entry = (object.value, object.version.clone());
                let known = self.objects.insert(object.key.clone(), entry).is_some();
                prop_assert_eq!(known, kind == FrameKind::Modified, "{:?} of {}", kind, object.key);
            }
            (FrameKind::Deleted, Some(object)) => {
                let known = self.objects.remove(&object.key);
                prop_assert_eq!(known.map(|(value, _)| value), Some(object.value), "the last object");
            }
            other => prop_assert!(false, "malformed: {other:?}"),
        }
        self.advance(frame)
    }

    /// Checks that the frame's cursor follows the last one, and keeps it.
    fn advance(&mut self, frame: &Frame<Object>) -> Result<(), TestCaseError> {
        prop_assert_eq!(frame.cursor.is_none(), self.opening, "no place to resume from amid the opening list");
        let Some(cursor) = &frame.cursor else { return Ok(()) };
        if let Some(object) = &frame.object {
            prop_assert_eq!(&object.version, &cursor.to_string(), "an object bears the cursor of its change");
            let last = self.cursor.as_ref().map(Cursor::n);
            prop_assert_eq!(Some(cursor.n() - 1), last, "each change once and in order, across resumes too");
        }
        if let Some(last) = self.cursor.as_ref().filter(|last| last.boot() == cursor.boot()) {
            prop_assert!(cursor.n() >= last.n(), "never back: {} after {}", cursor, last);
        }
        self.cursor = Some(cursor.clone());
        Ok(())
    }
}
