//! Reading logs: records of any length in bounded memory, from any place, of plain and of compressed files. Nothing is mapped
//! into memory: whoever truncates a mapped file ends the reader.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use memchr::memchr;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::shorten::Shortener;
use super::talk::Span;

/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;
/// A record up to this length is taken as it is; a longer one without the ends of its long strings.
const PLAIN: usize = 1 << 20;
/// What is left of a record may be as long as this; else it counts as damaged.
const SHORTENED: usize = 8 << 20;
/// The beginning of a file that tells whether it still is the one that was read.
const HEAD: u64 = 4 << 10;
/// And what is just before the place up to which it was read.
const TAIL: u64 = 256;

/// What tells that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The file system.
    pub device: u64,
    /// The file.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written last, in nanoseconds since 1970.
    pub modified: i128,
}

impl Mark {
    /// That of a file.
    pub fn of(found: &Metadata) -> Self {
        let modified = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Self { device: found.dev(), inode: found.ino(), size: found.size(), modified }
    }
}

/// A file to be read.
#[derive(Debug)]
pub struct Source {
    file: File,
    compressed: bool,
    mark: Mark,
}

impl Source {
    /// Opens a regular file. A pipe is not waited for.
    ///
    /// # Errors
    /// It is not there, may not be read, or is something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
        }
        let mark = Mark::of(&found);
        let compressed = path.extension().is_some_and(|extension| extension == "zst");
        Ok(Self { file, compressed, mark })
    }

    /// What it was like when it was opened.
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether it cannot be read from any place but its beginning.
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// A hash of its beginning and of what is before `offset`, up to which it was read.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn fingerprint(&self, offset: u64) -> io::Result<u64> {
        let mut hash = Sha256::new();
        for (at, len) in [(0, HEAD.min(offset)), (offset.saturating_sub(TAIL), TAIL.min(offset))] {
            let mut bytes = Vec::new();
            let mut file = &self.file;
            file.seek(SeekFrom::Start(at))?;
            file.take(len).read_to_end(&mut bytes)?;
            hash.update(&bytes);
        }
        let digest = hash.finalize();
        Ok(u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes")))
    }

    /// What is in it from that place on.
    fn from(&self, at: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut file = &self.file;
        if !self.compressed {
            file.seek(SeekFrom::Start(at))?;
            return Ok(Box::new(file));
        }
        file.seek(SeekFrom::Start(0))?;
        let mut content = zstd::stream::read::Decoder::new(file)?;
        let skipped = io::copy(&mut content.by_ref().take(at), &mut io::sink())?;
        if skipped < at { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Box::new(content)) }
    }

    /// Its records from that place on, whole lines only; up to `end`, where that is said.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn records(&self, at: u64, end: Option<u64>) -> io::Result<Records<'_>> {
        let input = self.from(at)?;
        let left = end.map_or(u64::MAX, |end| end.saturating_sub(at));
        Ok(Records { input: Box::new(input.take(left)), buffer: Vec::new(), start: 0, end: 0, at, long: None })
    }

    /// Some records, in their order, each as [`Records`] gave it.
    ///
    /// # Errors
    /// It cannot be read, or has become shorter.
    pub fn pick(&self, spans: &[Span], mut take: impl FnMut(usize, &[u8])) -> io::Result<()> {
        let mut at = spans.first().map_or(0, |span| span.at);
        let mut input = self.from(at)?;
        let mut record = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            if span.at != at && (!self.compressed || span.at < at) {
                drop(input);
                input = self.from(span.at)?;
            } else {
                io::copy(&mut input.by_ref().take(span.at - at), &mut io::sink())?;
            }
            record.clear();
            let mut content = input.by_ref().take(span.len);
            let complete = if span.len <= PLAIN as u64 {
                content.read_to_end(&mut record)? as u64 == span.len
            } else {
                let mut shortener = Shortener::new(SHORTENED);
                let read = io::copy(&mut content, &mut Feeding(&mut shortener))?;
                record = shortener.finish().unwrap_or_default();
                read == span.len
            };
            if !complete {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(index, &record);
            at = span.at + span.len;
        }
        Ok(())
    }

    /// All of it as one record; `None` where it is too long for that.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn document(&self) -> io::Result<Option<Vec<u8>>> {
        let mut shortener = Shortener::new(SHORTENED);
        io::copy(&mut self.from(0)?, &mut Feeding(&mut shortener))?;
        Ok(shortener.finish())
    }
}

struct Feeding<'a>(&'a mut Shortener);

impl io::Write for Feeding<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The records of a file, one after another.
pub struct Records<'a> {
    input: Box<dyn Read + 'a>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where `start` is in the file.
    at: u64,
    long: Option<Vec<u8>>,
}

impl Records<'_> {
    /// The next record and where it is; none at the last line break.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next_record(&mut self) -> io::Result<Option<(Span, &[u8])>> {
        let mut searched = 0;
        let length = loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(found) = memchr(b'\n', &unread[searched..]) {
                break searched + found;
            }
            searched = unread.len();
            if searched > PLAIN {
                return self.next_long();
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        let (from, span) = (self.start, Span { at: self.at, len: length as u64 });
        self.start += length + 1;
        self.at += span.len + 1;
        Ok(Some((span, &self.buffer[from..from + length])))
    }

    /// Where the next record begins.
    pub fn offset(&self) -> u64 {
        self.at
    }

    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.buffer.len() < self.end + CHUNK {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        let read = self.input.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read > 0)
    }

    fn next_long(&mut self) -> io::Result<Option<(Span, &[u8])>> {
        let mut shortener = Shortener::new(SHORTENED);
        let mut length = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            let found = memchr(b'\n', unread);
            let taken = found.unwrap_or(unread.len());
            shortener.feed(&unread[..taken]);
            length += taken as u64;
            self.start += taken;
            if found.is_some() {
                self.start += 1;
                break;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
        let span = Span { at: self.at, len: length };
        self.at += length + 1;
        self.buffer.truncate(self.end.max(CHUNK));
        self.buffer.shrink_to_fit();
        Ok(Some((span, self.long.insert(shortener.finish().unwrap_or_default()))))
    }
}
