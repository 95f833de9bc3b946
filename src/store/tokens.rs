//! Access tokens, `tokens.json`: of each what it may do and a hash, never the token.
//!
//! A token is `perry_<id>_<secret>`. The id finds its entry; the secret, 32 random bytes in hex, is compared by its SHA-256
//! in constant time. So much randomness needs no slow hash.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::StoreError;
use super::disk::{Disk, replace};
use super::random::{bytes, hex, unhex};
use crate::clock::Clock;
use crate::model::files::TOKENS;
use crate::model::{Caller, Name, Role, Secret};

/// The longest `tokens.json` that is read, in bytes.
const LIMIT: u64 = 4 << 20;
/// The most tokens; each device has one.
const MOST: usize = 1000;
/// How a token begins, so that people and scanners know it for one.
const PREFIX: &str = "perry_";
/// How exact `lastUsed` is, in seconds: a write an hour at most.
const USED: i64 = 3600;
/// Not used yet.
const NEVER: i64 = i64::MIN;
/// How often expiry is looked at, at the least, by who waits for it: the wall clock may be set.
const LOOK: Duration = Duration::from_secs(60);

/// A token as it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The part of the token that is no secret.
    pub id: String,
    /// What its owner calls it; no two share one.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The only workspaces that there are for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<BTreeSet<Name>>,
    /// With role user: it may have what reaches the host.
    #[serde(default)]
    pub allow_host: bool,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worthless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was last shown, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// SHA-256 of the secret part, in hex.
    hash: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What its owner calls it.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The only workspaces that there are for it.
    pub workspaces: Option<BTreeSet<Name>>,
    /// With role user: it may have what reaches the host.
    pub allow_host: bool,
    /// How long it is good for.
    pub expires_in: Option<Duration>,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is one of that name.
    #[error("there is a token {0} already")]
    Exists(Name),
    /// There is none of that name.
    #[error("there is no token {0}")]
    Absent(Name),
    /// There are as many as there may be.
    #[error("there are {MOST} tokens, and no more can be made: revoke some")]
    TooMany,
    /// They could not be stored, and are as they were.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The whole file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    schema_version: u32,
    tokens: Vec<Entry>,
}

/// An entry in memory.
struct Held {
    entry: Entry,
    hash: [u8; 32],
    caller: Arc<Caller>,
    /// When it was last shown, in seconds since 1970, to the hour; [`NEVER`] where it was not.
    used: AtomicI64,
}

/// All access tokens of an agent.
pub struct Tokens {
    disk: Mutex<Box<dyn Disk>>,
    clock: Arc<dyn Clock>,
    held: RwLock<Vec<Arc<Held>>>,
    changes: watch::Sender<()>,
}

impl Tokens {
    /// Reads the tokens of a folder; none where there is no file.
    ///
    /// # Errors
    /// The file cannot be read or is none of ours; it is left as it is.
    pub fn open(disk: Box<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let held = match disk.read(TOKENS, LIMIT) {
            Ok(text) => parse(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(StoreError::reading(TOKENS, error)),
        };
        Ok(Self { disk: Mutex::new(disk), clock, held: RwLock::new(held), changes: watch::Sender::new(()) })
    }

    /// Who shows this token; `None` where it is none of ours, was revoked or has expired.
    pub fn verify(&self, token: &str) -> Option<Arc<Caller>> {
        let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let held = self.find(id)?;
        let now = self.clock.wall();
        if !bool::from(held.hash.ct_eq(&hash)) || held.has_expired(now) {
            return None;
        }
        let hour = now.as_second() - now.as_second().rem_euclid(USED);
        held.used.store(hour, Ordering::Relaxed);
        Some(held.caller.clone())
    }

    /// Completes when the token of this id is worthless: at once where it is so already.
    pub async fn ended(&self, id: &str) {
        let mut changes = self.changes.subscribe();
        loop {
            let now = self.clock.wall();
            let Some(held) = self.find(id).filter(|held| !held.has_expired(now)) else { return };
            let left =
                held.entry.expires.map_or(LOOK, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
            let timer = self.clock.sleep_until(self.clock.monotonic() + left.min(LOOK));
            tokio::select! {
                // The sender is in `self`.
                _ = changes.changed() => {}
                () = timer => {}
            }
        }
    }

    /// All tokens, oldest first.
    pub fn list(&self) -> Vec<Entry> {
        self.snapshot().iter().map(|held| held.now()).collect()
    }

    /// Makes a token and stores its hash.
    ///
    /// # Errors
    /// The name is taken, or it could not be stored.
    pub fn create(&self, wanted: Wanted) -> Result<(Secret, Entry), TokenError> {
        self.change(|held| {
            if held.iter().any(|held| held.entry.name == wanted.name) {
                return Err(TokenError::Exists(wanted.name));
            }
            if held.len() >= MOST {
                return Err(TokenError::TooMany);
            }
            let (token, new) = self.make(wanted)?;
            let entry = new.entry.clone();
            held.push(Arc::new(new));
            Ok((token, entry))
        })
    }

    /// Makes the token of that name worthless.
    ///
    /// # Errors
    /// There is none, or that could not be stored: it is as it was.
    pub fn revoke(&self, name: &Name) -> Result<Entry, TokenError> {
        self.change(|held| {
            let index = held.iter().position(|held| held.entry.name == *name);
            Ok(held.remove(index.ok_or_else(|| TokenError::Absent(name.clone()))?).now())
        })
    }

    /// Writes down when tokens were last used.
    ///
    /// # Errors
    /// That could not be written.
    pub fn flush(&self) -> Result<(), StoreError> {
        let stale = self.snapshot().iter().any(|held| held.now() != held.entry);
        if !stale {
            return Ok(());
        }
        self.change(|held| {
            held.iter_mut().for_each(|held| *held = Arc::new(Held::new(held.now(), held.hash)));
            Ok::<(), StoreError>(())
        })
    }

    fn make(&self, wanted: Wanted) -> Result<(Secret, Held), StoreError> {
        let (id, secret) = (hex(&bytes::<4>()?), hex(&bytes::<32>()?));
        let now = self.clock.wall();
        let hash: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let Wanted { name, role, workspaces, allow_host, expires_in } = wanted;
        let expires = expires_in.and_then(|left| now.checked_add(left).ok());
        let token = Secret(format!("{PREFIX}{id}_{secret}"));
        let hex = hex(&hash);
        let entry = Entry { id, name, role, workspaces, allow_host, created: now, expires, last_used: None, hash: hex };
        Ok((token, Held::new(entry, hash)))
    }

    /// Changes the list, and the file before anybody sees the change.
    fn change<T, E: From<StoreError>>(&self, edit: impl FnOnce(&mut Vec<Arc<Held>>) -> Result<T, E>) -> Result<T, E> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.snapshot();
        let value = edit(&mut next)?;
        let document = Document { schema_version: 1, tokens: next.iter().map(|held| held.now()).collect() };
        let mut text =
            serde_json::to_vec_pretty(&document).map_err(|error| StoreError::writing(TOKENS, error.into()))?;
        text.push(b'\n');
        replace(&**disk, TOKENS, &text)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = next;
        self.changes.send_replace(());
        Ok(value)
    }

    fn find(&self, id: &str) -> Option<Arc<Held>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|held| held.entry.id == id).cloned()
    }

    fn snapshot(&self) -> Vec<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Held {
    fn new(entry: Entry, hash: [u8; 32]) -> Self {
        let Entry { id, name, role, workspaces, allow_host, .. } = entry.clone();
        let caller = Caller { id, name: name.to_string(), role, workspaces, host: allow_host };
        let used = AtomicI64::new(entry.last_used.map_or(NEVER, Timestamp::as_second));
        Self { entry, hash, caller: Arc::new(caller), used }
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.entry.expires.is_some_and(|expires| expires <= now)
    }

    /// The entry with its latest use.
    fn now(&self) -> Entry {
        let used = self.used.load(Ordering::Relaxed);
        let last_used = (used != NEVER).then(|| Timestamp::from_second(used).ok()).flatten();
        Entry { last_used, ..self.entry.clone() }
    }
}

fn parse(text: &[u8]) -> Result<Vec<Arc<Held>>, StoreError> {
    let damaged = |message: String| StoreError::Damaged {
        file: TOKENS.to_owned(),
        message: format!("{message}; remove it to make every token worthless"),
    };
    let document: Document = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    if document.schema_version != 1 {
        return Err(damaged(format!("its schemaVersion is {}, and this Perry knows 1", document.schema_version)));
    }
    let held = document.tokens.into_iter().map(|entry| {
        let hash = unhex(&entry.hash).ok_or_else(|| damaged(format!("the hash of {} is none", entry.name)))?;
        Ok(Arc::new(Held::new(entry, hash)))
    });
    held.collect()
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
