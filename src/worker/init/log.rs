//! The output of supervised programs: into bounded files, with the last words at hand.
//!
//! Each program writes into a named pipe, which PID 1 reads. A pipe with a name, and opened by the program for reading
//! too, because it must outlive PID 1's replacement of itself: the new one opens it again, and nobody's write fails
//! meanwhile for want of a reader.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::supervisor::Unit;
use super::tasks::{HOOKS_LOG, TOOLS_LOG};
use crate::worker::WorkerError;

/// The size at which a file is set aside; one older file is kept.
const FILE: u64 = 1 << 20;
/// What is remembered of the last words, in bytes.
const TAIL: usize = 4 << 10;

/// A file that never grows beyond a size: the full one is kept under `NAME.1` in the place of an older one.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    limit: u64,
    open: Option<(File, u64)>,
}

impl RotatingFile {
    /// Appends to the file at `path`, which is made when the first line comes.
    pub(super) fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, limit, open: None }
    }

    /// Appends at most `limit` bytes.
    ///
    /// # Errors
    /// The disk is full or the folder cannot be written to. The next call tries again.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = &bytes[..bytes.len().min(usize::try_from(self.limit).unwrap_or(usize::MAX))];
        let length = bytes.len() as u64;
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => self.reopen()?,
        };
        if size > 0 && size + length > self.limit {
            drop(file);
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            fs::rename(&self.path, older)?;
            (file, size) = self.reopen()?;
        }
        file.write_all(bytes)?;
        self.open = Some((file, size + length));
        Ok(())
    }

    fn reopen(&self) -> io::Result<(File, u64)> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }
}

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    /// Remembers what came last.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (self.0.len() + bytes.len()).saturating_sub(TAIL);
        self.0.drain(..surplus);
        self.0.extend(bytes);
    }

    /// The last lines, this many of those that are not empty, joined by a line break.
    pub(super) fn last_words(&self, lines: usize) -> String {
        let (front, back) = self.0.as_slices();
        let bytes = [front, back].concat();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

#[derive(Debug)]
struct Stream {
    name: &'static str,
    pipe: PathBuf,
    reader: File,
    sink: Mutex<(RotatingFile, Tail)>,
}

impl Stream {
    /// Takes what is there now, without waiting, up to one pipe's fill: a writer that never pauses must not hold this
    /// up.
    fn drain(&self) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let mut chunk = [0; 16 << 10];
        for _ in 0..8 {
            let Ok(length @ 1..) = (&self.reader).read(&mut chunk) else { return };
            // With a full disk the last words are still remembered.
            let _ = sink.0.append(&chunk[..length]);
            sink.1.push(&chunk[..length]);
        }
    }
}

/// The output of all programs.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    streams: Arc<[Stream]>,
}

impl Logs {
    /// Opens the pipes in the folder `pipes`, where `fresh` says so in the place of old ones, and starts to read them into
    /// files in the folder `files`.
    ///
    /// # Errors
    /// The pipes cannot be made.
    pub(super) fn open(pipes: &Path, files: &Path, fresh: bool) -> Result<Self, WorkerError> {
        fs::create_dir_all(pipes).map_err(WorkerError::file("make", pipes))?;
        let open = |name: &'static str| {
            let pipe = pipes.join(name);
            let reader = open_pipe(&pipe, fresh).map_err(WorkerError::file("make", &pipe))?;
            let file = RotatingFile::new(files.join(format!("{name}.log")), FILE);
            Ok(Stream { name, pipe, reader, sink: Mutex::new((file, Tail::default())) })
        };
        let names = Unit::ALL.into_iter().map(Unit::name).chain([HOOKS_LOG, TOOLS_LOG]);
        let streams = names.map(open).collect::<Result<Arc<[_]>, WorkerError>>()?;
        let logs = Self { streams };
        let reading = logs.clone();
        let start = thread::Builder::new().name("logs".into()).spawn(move || reading.read_on());
        start.map_err(WorkerError::system("start a thread"))?;
        Ok(logs)
    }

    fn read_on(&self) {
        loop {
            let mut waits: Vec<PollFd<'_>> =
                self.streams.iter().map(|stream| PollFd::new(stream.reader.as_fd(), PollFlags::POLLIN)).collect();
            match poll(&mut waits, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                // Cannot happen with these arguments; an endless loop would be worse than no logs.
                Err(_) => return,
            }
            for (wait, stream) in waits.iter().zip(self.streams.iter()) {
                if wait.any() == Some(true) {
                    stream.drain();
                }
            }
        }
    }

    fn stream(&self, name: &str) -> &Stream {
        self.streams.iter().find(|stream| stream.name == name).expect("there is a stream of that name")
    }

    /// A line of PID 1's own in that file. It is none of the last words.
    pub(super) fn note(&self, name: &str, line: &str) {
        let mut sink = self.stream(name).sink.lock().unwrap_or_else(PoisonError::into_inner);
        // With a full disk there is no line.
        let _ = sink.0.append(format!("perry: {line}\n").as_bytes());
    }

    /// A place to write for a new process of that program, whose last words are none yet.
    ///
    /// # Errors
    /// Somebody removed the pipe.
    pub(super) fn writer(&self, name: &str) -> Result<File, WorkerError> {
        let stream = self.stream(name);
        stream.sink.lock().unwrap_or_else(PoisonError::into_inner).1 = Tail::default();
        OpenOptions::new().read(true).write(true).open(&stream.pipe).map_err(WorkerError::file("open", &stream.pipe))
    }

    /// What it wrote last, everything that it has written by now included.
    pub(super) fn last_words(&self, name: &str, lines: usize) -> String {
        let stream = self.stream(name);
        stream.drain();
        stream.sink.lock().unwrap_or_else(PoisonError::into_inner).1.last_words(lines)
    }
}

fn open_pipe(path: &Path, fresh: bool) -> io::Result<File> {
    if fresh
        && let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    // For writing too: a pipe without any writer would be at its end again and again.
    OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_set_aside_when_full_and_one_older_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/x.log");
        let mut file = RotatingFile::new(path.clone(), 10);
        for line in ["aaaaaa", "bbbb", "cccccc", "dddddddddddd", "e"] {
            file.append(line.as_bytes()).expect("appended");
        }
        assert_eq!(fs::read_to_string(&path).expect("read"), "e");
        assert_eq!(fs::read_to_string(folder.path().join("deep/x.log.1")).expect("read"), "dddddddddd");
        assert_eq!(fs::read_dir(folder.path().join("deep")).expect("a folder").count(), 2);
    }

    #[test]
    fn an_existing_file_is_appended_to_and_its_size_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.log");
        fs::write(&path, "12345678").expect("written");
        let mut file = RotatingFile::new(path.clone(), 10);
        file.append(b"9").expect("appended");
        assert_eq!(fs::read_to_string(&path).expect("read"), "123456789");
        file.append(b"ab").expect("appended");
        assert_eq!(fs::read_to_string(&path).expect("read"), "ab");
    }

    #[test]
    fn the_last_words_are_the_last_lines_of_the_last_bytes() {
        let mut tail = Tail::default();
        assert_eq!(tail.last_words(4), "");
        tail.push(&vec![b'x'; 3 * TAIL]);
        assert_eq!(tail.0.len(), TAIL);
        for line in 0..9 {
            tail.push(format!("\n line {line}\n\n").as_bytes());
        }
        assert_eq!(tail.0.len(), TAIL);
        assert_eq!(tail.last_words(4), "line 5\nline 6\nline 7\nline 8");
    }

    #[test]
    fn what_a_dead_program_wrote_is_known_at_once_and_a_new_one_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = Logs::open(&folder.path().join("pipes"), folder.path(), true).expect("opened");
        for round in 0..100 {
            let mut writer = logs.writer("sshd").expect("a writer");
            writeln!(writer, "round {round}").expect("written");
            drop(writer);
            assert_eq!(logs.last_words("sshd", 4), format!("round {round}"));
        }
        assert_eq!(logs.last_words("dockerd", 4), "");
    }

    #[test]
    fn a_program_may_write_while_nobody_reads_and_the_next_reader_finds_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("sshd");
        let stream = |fresh| Stream {
            name: "sshd",
            pipe: pipe.clone(),
            reader: open_pipe(&pipe, fresh).expect("opened"),
            sink: Mutex::new((RotatingFile::new(folder.path().join("sshd.log"), FILE), Tail::default())),
        };
        let before = Logs { streams: Arc::new([stream(true)]) };
        let mut writer = before.writer("sshd").expect("a writer");
        drop(before);
        writeln!(writer, "in between").expect("written");
        let after = Logs { streams: Arc::new([stream(false)]) };
        assert_eq!(after.last_words("sshd", 4), "in between");
    }

    #[test]
    fn a_flood_ends_up_in_two_bounded_files_and_blocks_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = Logs::open(&folder.path().join("pipes"), folder.path(), true).expect("opened");
        let mut writer = logs.writer("dockerd").expect("a writer");
        for _ in 0..5 << 10 {
            writer.write_all(&[b'y'; 1 << 10]).expect("written");
        }
        writer.write_all(b"\nthe end\n").expect("written");
        // The pipe holds at most what is drained here.
        assert!(logs.last_words("dockerd", 4).ends_with("\nthe end"));
        for name in ["dockerd.log", "dockerd.log.1"] {
            assert!(fs::metadata(folder.path().join(name)).expect("there").len() <= FILE, "{name}");
        }
    }
}
