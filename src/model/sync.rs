//! Which files of the agent's host a workspace is brought.

use std::collections::BTreeMap;

use super::admission::paths;
use super::desired::HOME;
use super::observed::{FileFault, SourcesSeen};
use super::{Config, FileSpec, Spec};

/// The files of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilesPlan {
    /// What is brought, each to a target of its own, in the order of the targets.
    pub bring: Vec<FileSpec>,
    /// What the spec asks for and the agent's settings do not allow (any more).
    pub refused: Vec<FileFault>,
}

impl FilesPlan {
    /// Those of the settings and of the spec; where both have the same target the spec's is brought.
    pub fn of(spec: &Spec, config: &Config) -> Self {
        let (allowed, refused): (Vec<_>, Vec<_>) =
            spec.files.iter().partition(|file| is_allowed(&config.sync.allow, &file.from));
        let both = config.sync.files.iter().chain(allowed);
        let bring: BTreeMap<String, FileSpec> = both.map(|file| (inside(&file.to), file.clone())).collect();
        let message = "is not allowed by the agent's settings (sync.allow)".to_owned();
        let fault = |file: &FileSpec| FileFault { path: file.from.clone(), message: message.clone() };
        Self { bring: bring.into_values().collect(), refused: refused.into_iter().map(fault).collect() }
    }

    /// Whether the workspace has none.
    pub fn is_empty(&self) -> bool {
        self.bring.is_empty() && self.refused.is_empty()
    }
}

/// Whether a workspace may ask for a file of the host. An entry of `sync.allow` names one file, or with `/**` at its end
/// everything below a folder.
pub fn is_allowed(allow: &[String], path: &str) -> bool {
    allow.iter().any(|allowed| match allowed.strip_suffix("/**") {
        Some(folder) => path.strip_prefix(folder).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/')),
        None => allowed == path,
    })
}

/// What is wrong with a path inside as the target of a file, and what would be right.
pub fn target_fault(to: &str) -> Option<String> {
    paths::file_fault(to)
}

/// The absolute path inside a workspace of one that may begin with `~/`.
pub fn inside(path: &str) -> String {
    match path.strip_prefix("~/") {
        Some(rest) => format!("{HOME}/{rest}"),
        None => path.to_owned(),
    }
}

/// A file of the host with what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it goes: an absolute path inside.
    pub to: String,
    /// Its permissions.
    pub mode: u32,
    /// What it holds.
    pub content: Vec<u8>,
}

/// The files of the host, for whoever brings them. Called where waiting for a disk is allowed.
pub trait Sources: Send + Sync {
    /// What is to be brought, as it is now. Cheap where nothing has changed.
    fn look(&self, files: &[FileSpec]) -> SourcesSeen;

    /// The same with content: the hash is what [`look`](Self::look) shows from now on, until something changes.
    fn read(&self, files: &[FileSpec]) -> (SourcesSeen, Vec<SourceFile>);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(from: &str, to: &str) -> FileSpec {
        FileSpec { from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn the_specs_file_comes_before_the_settings_at_the_same_target_however_it_is_written() {
        let mut config = Config::default();
        config.sync.files = vec![file("~/.gitconfig", "~/.gitconfig"), file("/etc/motd", "/etc/motd")];
        config.sync.allow = vec!["~/dots/**".to_owned()];
        let files = vec![file("~/dots/gitconfig", "/home/workspace/.gitconfig"), file("~/.ssh/id", "~/id")];
        let plan = FilesPlan::of(&Spec { files, ..Spec::default() }, &config);
        assert_eq!(
            plan.bring,
            [file("/etc/motd", "/etc/motd"), file("~/dots/gitconfig", "/home/workspace/.gitconfig")]
        );
        assert_eq!(plan.refused.len(), 1);
        assert!(plan.refused[0].to_string().starts_with("~/.ssh/id is not allowed"), "{:?}", plan.refused);
    }

    #[test]
    fn a_folder_is_allowed_with_everything_below_and_not_itself() {
        let allow = ["~/a/**".to_owned(), "/etc/hosts".to_owned()];
        for path in ["~/a/b", "~/a/b/c", "/etc/hosts"] {
            assert!(is_allowed(&allow, path), "{path}");
        }
        for path in ["~/a", "~/a/", "~/ab", "/etc/hosts2", "/etc"] {
            assert!(!is_allowed(&allow, path), "{path}");
        }
    }
}
