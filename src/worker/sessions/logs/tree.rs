//! The files below an agent's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::worker::sessions::source::{Mark, Source};

/// Files of one agent at most; the oldest by name are left out beyond that.
const FILES: usize = 200_000;
/// The largest file that is read as a whole, in bytes: those beside logs.
const ASIDE: u64 = 4 << 20;

/// The files of an agent, by their path below its folder.
pub(super) struct Tree {
    root: PathBuf,
    depth: usize,
    /// Nothing that a link leads to outside of these is looked at.
    within: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Mark>,
}

impl Tree {
    pub(super) fn new(root: PathBuf, depth: usize, home: &Path) -> Self {
        // A home that is a link itself is none that leads out of it; a folder that was named outside of it is meant.
        let mut within: Vec<PathBuf> = home.canonicalize().into_iter().collect();
        if !root.starts_with(home) {
            within.extend(root.canonicalize());
            within.push(root.clone());
        }
        Self { root, depth, within, files: BTreeMap::new() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// What a file was like when it was looked at last.
    pub(super) fn mark(&self, path: &Path) -> Option<Mark> {
        self.files.get(path).copied()
    }

    pub(super) fn open(&self, path: &Path) -> std::io::Result<Source> {
        Source::open(&self.root.join(path))
    }

    /// What is in a small file.
    pub(super) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        fs::File::open(self.root.join(path)).ok()?.take(ASIDE).read_to_end(&mut content).ok()?;
        Some(content)
    }

    /// The first whole line of a log.
    pub(super) fn first_record(&self, path: &Path) -> Vec<u8> {
        let read = || {
            let source = self.open(path).ok()?;
            let mut records = source.records(0, None).ok()?;
            records.next_record().ok()?.map(|(_, record)| record.to_vec())
        };
        read().unwrap_or_default()
    }

    /// Finds every file anew; those that are there, and those that were.
    pub(super) fn scan(&mut self) -> BTreeSet<PathBuf> {
        let before = std::mem::take(&mut self.files);
        self.walk(&self.root.clone(), 0);
        before.into_keys().chain(self.files.keys().cloned()).collect()
    }

    /// Looks at some paths; the files there, and those that were.
    pub(super) fn look(&mut self, paths: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        let mut changed = BTreeSet::new();
        for path in paths {
            let Ok(below) = path.strip_prefix(&self.root) else {
                // A folder above: all of it may have come or gone.
                if self.root.starts_with(path) {
                    changed.extend(self.scan());
                }
                continue;
            };
            let below = below.to_owned();
            // Files below a folder follow it in this order.
            let under = |tree: &Self| {
                let files = tree.files.range(below.clone()..).map(|(file, _)| file);
                files.take_while(|file| file.starts_with(&below)).cloned().collect::<Vec<_>>()
            };
            for gone in under(self) {
                self.files.remove(&gone);
                changed.insert(gone);
            }
            self.walk(path, below.components().count());
            changed.extend(under(self));
        }
        changed
    }

    /// Takes what is at a path so many folders below the root.
    fn walk(&mut self, path: &Path, depth: usize) {
        let Ok(mut found) = fs::symlink_metadata(path) else { return };
        if found.is_symlink() {
            let Some(target) = fs::metadata(path).ok().filter(|_| self.leads_inside(path)) else { return };
            found = target;
        }
        if found.is_file() && self.files.len() < FILES {
            if let Ok(below) = path.strip_prefix(&self.root) {
                self.files.insert(below.to_owned(), Mark::of(&found));
            }
        } else if found.is_dir() && depth <= self.depth {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.for_each(|entry| self.walk(&entry.path(), depth + 1));
        }
    }

    fn leads_inside(&self, path: &Path) -> bool {
        path.canonicalize().is_ok_and(|target| self.within.iter().any(|folder| target.starts_with(folder)))
    }
}
