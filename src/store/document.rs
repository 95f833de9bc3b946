//! The text of `state.json`: parsed, checked, written. Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::StoreError;
use super::migrate::{self, Migrated};
use crate::model::state::SCHEMA_VERSION;
use crate::model::{Issues, Name, State, Workspace};

/// The longest document, in bytes. A thousand workspaces take about one million.
pub const DOCUMENT_MAX: usize = 64 << 20;

/// The last generation: the greatest number that JavaScript, and so web and mobile, counts exactly.
pub const GENERATION_MAX: u64 = (1 << 53) - 1;

/// What a text turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// A document of this version.
    Current(State),
    /// One of the original Perry, already converted.
    Original(Migrated),
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no JSON, or not of the right form; the message names the field and the place.
    #[error("{0}")]
    Form(String),
    /// It is of a newer Perry.
    #[error("its schemaVersion {0} is newer than {SCHEMA_VERSION}, the newest that this version of Perry knows")]
    Newer(u64),
    /// Its parts do not fit together.
    #[error("{0}")]
    Invalid(Issues),
    /// It is of the original Perry and has entries that cannot be taken over.
    #[error("{0}")]
    Original(Issues),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<serde_json::Value>,
    workspaces: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    schema_version: u32,
    revision: u64,
    #[serde(deserialize_with = "unique")]
    workspaces: BTreeMap<Name, Arc<Workspace>>,
}

/// Reads the text of a `state.json`, this version's or the original Perry's.
///
/// # Errors
/// Why it is none.
pub fn parse(text: &[u8]) -> Result<Document, DocumentError> {
    let form = |error: serde_json::Error| DocumentError::Form(error.to_string());
    // Else serde would take an array of the fields in order.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(DocumentError::Form("it does not begin with {, as a JSON object does".to_owned()));
    }
    let probe: Probe = serde_json::from_slice(text).map_err(form)?;
    match &probe.schema_version {
        None if probe.workspaces.is_some() => {
            return migrate::migrate(text).map(Document::Original);
        }
        Some(version) if version.as_u64().is_some_and(|version| version > u64::from(SCHEMA_VERSION)) => {
            return Err(DocumentError::Newer(version.as_u64().unwrap_or(u64::MAX)));
        }
        _ => {}
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let found: Form = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| DocumentError::Form(format!("{}: {}", error.path(), error.inner())))?;
    deserializer.end().map_err(form)?;
    if found.schema_version != SCHEMA_VERSION {
        let message = format!("schemaVersion: must be {SCHEMA_VERSION}, not {}", found.schema_version);
        return Err(DocumentError::Form(message));
    }
    let state = State { schema_version: found.schema_version, revision: found.revision, workspaces: found.workspaces };
    check(&state).map_err(DocumentError::Invalid)?;
    Ok(Document::Current(state))
}

/// The text of a document: JSON, indented, with a final newline.
///
/// # Errors
/// [`StoreError::TooLarge`].
pub fn render(state: &State) -> Result<Vec<u8>, StoreError> {
    let mut text = serde_json::to_vec_pretty(state).expect("intent has only text keys and no failing serialiser");
    text.push(b'\n');
    if text.len() > DOCUMENT_MAX {
        return Err(StoreError::TooLarge { bytes: text.len(), limit: DOCUMENT_MAX });
    }
    Ok(text)
}

/// Checks what holds in every document: keys are names, uids are unique, no host port is given twice.
///
/// # Errors
/// Each fault, with the path of its field.
pub fn check(state: &State) -> Result<(), Issues> {
    let mut issues = Issues::default();
    let (mut uids, mut ports) = (BTreeMap::new(), BTreeMap::new());
    for (name, workspace) in &state.workspaces {
        check_one(name, workspace, &mut issues);
        let at = |field: &str| format!("workspaces.{name}.metadata.{field}");
        if let Some(other) = uids.insert(&workspace.metadata.uid, name) {
            issues.push(&at("uid"), format!("{other} has the same uid; every workspace needs its own"));
        }
        for (port_name, port) in &workspace.metadata.host_ports {
            if let Some(other) = ports.insert(*port, name) {
                issues.push(&at(&format!("hostPorts.{port_name}")), taken(*port, other));
            }
        }
    }
    issues.into_result(())
}

fn check_one(name: &Name, workspace: &Workspace, issues: &mut Issues) {
    let metadata = &workspace.metadata;
    let at = |field: &str| format!("workspaces.{name}.metadata.{field}");
    if metadata.name != *name {
        issues.push(&at("name"), format!("must be {name}, as its key, not {}", metadata.name));
    }
    if metadata.uid.0.is_empty() {
        issues.push(&at("uid"), "must not be empty");
    }
    if !(1..=GENERATION_MAX).contains(&metadata.generation) {
        issues.push(&at("generation"), format!("counts from 1, and to {GENERATION_MAX} at most"));
    }
    if metadata.host_ports.values().any(|port| *port == 0) {
        issues.push(&at("hostPorts"), "a port is between 1 and 65535");
    }
}

fn taken(port: u16, other: &Name) -> String {
    format!("host port {port} belongs to {other}; every host port is given once")
}

/// Checks what one edit made of a document: what [`check`] checks, for what it changed; and that it removed nothing but
/// what was being deleted, turned no generation back and changed no identity.
///
/// # Errors
/// Each fault, with the path of its field.
pub fn check_step(old: &State, new: &State) -> Result<(), Issues> {
    let mut issues = Issues::default();
    for (name, before, after) in differences(old, new) {
        let kept = before.zip(after).filter(|(before, after)| before.metadata.uid == after.metadata.uid);
        if kept.is_none() && before.is_some_and(|before| before.metadata.deletion_timestamp.is_none()) {
            let path = format!("workspaces.{name}");
            issues.push(&path, "is not being deleted, so that it can be neither removed nor replaced");
        }
        if let Some((before, after)) = kept {
            check_identity(name, before, after, &mut issues);
        }
        if let Some(after) = after {
            check_one(name, after, &mut issues);
            check_among(name, after, new, &mut issues);
        }
    }
    issues.into_result(())
}

/// One name whose workspace differs: before and after.
pub type Difference<'a> = (&'a Name, Option<&'a Arc<Workspace>>, Option<&'a Arc<Workspace>>);

/// The names that differ between two documents, in order. Costs one walk: shared workspaces are not compared.
pub fn differences<'a>(old: &'a State, new: &'a State) -> Vec<Difference<'a>> {
    let (mut before, mut after) = (old.workspaces.iter().peekable(), new.workspaces.iter().peekable());
    let mut found = Vec::new();
    loop {
        // Of two sorted lists the smaller head is in that one alone.
        let order = match (before.peek(), after.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old, _)), Some((new, _))) => old.cmp(new),
        };
        let old = (order != Ordering::Greater).then(|| before.next()).flatten();
        let new = (order != Ordering::Less).then(|| after.next()).flatten();
        let same = matches!((old, new), (Some((_, old)), Some((_, new))) if Arc::ptr_eq(old, new) || old == new);
        if let Some((name, _)) = old.or(new).filter(|_| !same) {
            found.push((name, old.map(|(_, workspace)| workspace), new.map(|(_, workspace)| workspace)));
        }
    }
}

fn check_among(name: &Name, workspace: &Workspace, all: &State, issues: &mut Issues) {
    let metadata = &workspace.metadata;
    let own: BTreeSet<u16> = metadata.host_ports.values().copied().collect();
    let at = |field: &str| format!("workspaces.{name}.metadata.{field}");
    if own.len() < metadata.host_ports.len() {
        issues.push(&at("hostPorts"), "two of them are the same");
    }
    for (other, found) in all.workspaces.iter().filter(|(other, _)| *other != name) {
        if found.metadata.uid == metadata.uid {
            issues.push(&at("uid"), format!("{other} has the same uid; every workspace needs its own"));
        }
        for port in found.metadata.host_ports.values().filter(|port| own.contains(port)) {
            issues.push(&at("hostPorts"), taken(*port, other));
        }
    }
}

fn check_identity(name: &Name, old: &Workspace, new: &Workspace, issues: &mut Issues) {
    let (old, new) = (&old.metadata, &new.metadata);
    let rules = [
        ("generation", new.generation >= old.generation, "never goes back"),
        ("created", new.created == old.created, "never changes"),
        ("prefix", new.prefix == old.prefix, "never changes"),
        (
            "deletionTimestamp",
            old.deletion_timestamp.is_none() || new.deletion_timestamp == old.deletion_timestamp,
            "is set once",
        ),
    ];
    for (field, _, message) in rules.iter().filter(|(_, kept, _)| !kept) {
        issues.push(&format!("workspaces.{name}.metadata.{field}"), *message);
    }
}

/// A map whose keys are each there once; serde would let the last one win.
fn unique<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Name, Arc<Workspace>>, D::Error> {
    struct Unique;
    impl<'de> Visitor<'de> for Unique {
        type Value = BTreeMap<Name, Arc<Workspace>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of workspaces by their names")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((name, workspace)) = map.next_entry::<Name, Workspace>()? {
                if let Some(twice) = found.insert(name, Arc::new(workspace)) {
                    return Err(A::Error::custom(format!("{} is there twice", twice.metadata.name)));
                }
            }
            Ok(found)
        }
    }
    deserializer.deserialize_map(Unique)
}
