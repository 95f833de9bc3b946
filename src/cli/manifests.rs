//! Manifests from files, folders and standard input; and what the agent says of them, told at their lines.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::client::ClientError;
use crate::contract::{Code, ErrorBody};
use crate::model::manifest::{self, Located, MAX_BYTES};
use crate::model::{Document, Issue, Issues, Name};

use super::failure::{CONFLICT, Failure, USAGE};

/// Every document that was named, in order.
#[derive(Debug)]
pub(super) struct Manifests(Vec<Located>);

/// Reads files, folders (their *.yaml, *.yml and *.json, by name, not those of folders inside) and `-`.
///
/// # Errors
/// Every fault of every text.
pub(super) fn read(names: &[PathBuf]) -> Result<Manifests, Failure> {
    if names.iter().filter(|name| is_stdin(name)).count() > 1 {
        return Err(Failure::usage("-f -: standard input can be read only once"));
    }
    let mut located = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match texts(name) {
            Ok(texts) => {
                for (source, bytes) in texts {
                    match manifest::parse(&source, &bytes) {
                        Ok(documents) => located.extend(documents),
                        Err(bad) => failures.push(Failure::from(bad)),
                    }
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    Failure::all(failures)?;
    once_each(&located)?;
    Ok(Manifests(located))
}

/// The agent would say so too, but does not know the files.
fn once_each(located: &[Located]) -> Result<(), Failure> {
    let mut first: HashMap<&Name, &Located> = HashMap::new();
    let mut failures = Vec::new();
    for one in located {
        let name = &one.document.metadata.name;
        if let Some(first) = first.get(name) {
            let message = format!("{name} is described twice, first in {}: leave one out", first.source());
            let issue = Issue::new("metadata.name", message);
            failures.push(Failure::from(one.blame(&Issues(vec![issue]))));
        } else {
            first.insert(name, one);
        }
    }
    Failure::all(failures)
}

fn is_stdin(name: &Path) -> bool {
    name.as_os_str() == "-"
}

fn texts(name: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if is_stdin(name) {
        return Ok(vec![("-".to_owned(), bounded("-", std::io::stdin().lock())?)]);
    }
    if !name.is_dir() {
        return Ok(vec![file(name)?]);
    }
    let unreadable = |error: std::io::Error| Failure::usage(format!("{}: {error}", name.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(name).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let known = path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        if known && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!("{}: no *.yaml, *.yml or *.json in this folder", name.display())));
    }
    files.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let source = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| Failure::usage(format!("{source}: {error}")))?;
    let bytes = bounded(&source, file)?;
    Ok((source, bytes))
}

/// One byte more than is allowed is enough to say so.
fn bounded(source: &str, reader: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut bytes).map_err(|error| Failure::usage(format!("{source}: {error}")))?;
    Ok(bytes)
}

impl Manifests {
    /// The documents.
    pub(super) fn documents(&self) -> impl Iterator<Item = &Document> {
        self.0.iter().map(|located| &located.document)
    }

    /// All documents as one text for the agent.
    pub(super) fn text(&self) -> String {
        // JSON is YAML, and holds no surprise in its quoting.
        let one = |document: &Document| serde_json::to_string(document).expect("a document is JSON");
        self.documents().map(one).collect::<Vec<_>>().join("\n---\n")
    }

    /// What the agent said of these documents, each fault at its line.
    pub(super) fn blame(&self, error: ClientError) -> Failure {
        match error.refusal() {
            Some(body) if body.is(Code::BadRequest) => self.blame_issues(body).unwrap_or_else(|| error.into()),
            Some(body) if body.is(Code::Conflict) => self.blame_conflict(body).unwrap_or_else(|| error.into()),
            _ => error.into(),
        }
    }

    /// Where there are several documents a path begins with the number of its own.
    fn blame_issues(&self, body: &ErrorBody) -> Option<Failure> {
        let issues = body.issues()?;
        let mut errors = Vec::new();
        for issue in issues.0 {
            let index = if self.0.len() == 1 { Some(0) } else { issue.path.first().and_then(|part| part.parse().ok()) };
            let located = self.0.get(index?)?;
            let path = issue.path.get(usize::from(self.0.len() > 1)..)?.to_vec();
            let blamed = located.blame(&Issues(vec![Issue { path, ..issue }]));
            errors.extend(blamed.faults.iter().map(ToString::to_string));
        }
        (!errors.is_empty()).then_some(Failure { code: USAGE, errors, hint: None })
    }

    fn blame_conflict(&self, body: &ErrorBody) -> Option<Failure> {
        let conflict = body.conflict()?;
        if conflict.path.is_empty() {
            return None;
        }
        let located = self.0.get(conflict.document.unwrap_or(0))?;
        let issue = Issue { message: body.message.clone(), path: conflict.path };
        let blamed = located.blame(&Issues(vec![issue]));
        let errors = blamed.faults.iter().map(ToString::to_string).collect();
        Some(Failure { code: CONFLICT, errors, hint: conflict.hint })
    }
}
