//! The record of tasks in the home volume: what was run for which incarnation of the workspace, and what came of it. A
//! new container, or a new worker, goes by it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::sequence::Past;
use crate::model::{TaskName, TaskSeen, TaskState};
use crate::worker::WorkerError;

/// Where the record is, in the home volume.
const NAME: &str = "tasks.json";
/// Four tasks with a kilobyte of last words each, and some more.
const LIMIT: u64 = 64 << 10;

/// What was run, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The incarnation. What is recorded for another one does not count: the home may be a copy.
    uid: String,
    /// The latest run of each task.
    tasks: BTreeMap<TaskName, TaskSeen>,
}

impl Past for Record {
    fn succeeded(&self, name: TaskName) -> bool {
        self.tasks.get(&name).is_some_and(|task| task.state == TaskState::Succeeded)
    }
}

impl Record {
    /// The record in that folder, or an empty one where there is none of this incarnation.
    pub(super) fn read(folder: &Path, uid: &str) -> Self {
        let read = || -> Option<Self> {
            let mut text = Vec::new();
            let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
            let file = OpenOptions::new().read(true).custom_flags(flags).open(folder.join(NAME)).ok()?;
            file.take(LIMIT).read_to_end(&mut text).ok()?;
            serde_json::from_slice(&text).ok()
        };
        let empty = Self { uid: uid.to_owned(), tasks: BTreeMap::new() };
        read().filter(|record| record.uid == uid).unwrap_or(empty)
    }

    /// The latest run of a task.
    pub(super) fn task(&self, name: TaskName) -> Option<&TaskSeen> {
        self.tasks.get(&name)
    }

    /// Notes a run.
    pub(super) fn note(&mut self, task: TaskSeen) {
        self.tasks.insert(task.name, task);
    }

    /// Replaces the record in that folder: after a crash, or a loss of power, it is the old or the new one.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written to.
    pub(super) fn write(&self, folder: &Path) -> Result<(), WorkerError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(WorkerError::file("make", folder))?;
        let new: PathBuf = folder.join("tasks.json.new");
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(WorkerError::file("write", &new))?;
        let text = serde_json::to_vec(self)
            .map_err(|error| WorkerError::System { what: "write a record of what was run", source: error.into() })?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(WorkerError::file("write", &new))?;
        fs::rename(&new, folder.join(NAME)).map_err(WorkerError::file("replace", folder.join(NAME)))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(WorkerError::file("sync", folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: TaskName, state: TaskState) -> TaskSeen {
        TaskSeen { name, state, exit_code: Some(0), message: String::new(), started_at: None, ended_at: None }
    }

    #[test]
    fn a_record_is_read_back_for_its_incarnation_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join(".perry");
        let mut record = Record::read(&folder, "u1");
        assert!(!record.succeeded(TaskName::Clone));
        record.note(task(TaskName::Clone, TaskState::Succeeded));
        record.note(task(TaskName::OnCreate, TaskState::Failed));
        record.write(&folder).expect("written");
        let read = Record::read(&folder, "u1");
        assert_eq!(read, record);
        assert!(read.succeeded(TaskName::Clone) && !read.succeeded(TaskName::OnCreate));
        assert!(!Record::read(&folder, "u2").succeeded(TaskName::Clone), "another incarnation");
    }

    #[test]
    fn a_broken_record_or_a_link_in_its_place_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(NAME), "{\"uid\":\"u1\"").expect("written");
        assert!(!Record::read(folder.path(), "u1").succeeded(TaskName::Clone));
        let mut record = Record::read(folder.path(), "u1");
        record.note(task(TaskName::Clone, TaskState::Succeeded));
        let elsewhere = tempfile::tempdir().expect("a folder");
        record.write(elsewhere.path()).expect("written");
        fs::remove_file(folder.path().join(NAME)).expect("removed");
        std::os::unix::fs::symlink(elsewhere.path().join(NAME), folder.path().join(NAME)).expect("linked");
        assert!(!Record::read(folder.path(), "u1").succeeded(TaskName::Clone));
        assert!(Record::read(elsewhere.path(), "u1").succeeded(TaskName::Clone));
    }
}
