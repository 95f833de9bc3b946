//! The `state.json` of the original Perry: flat entries with what was observed mixed in. Pure.
//!
//! It is taken over in two steps, because the disk knows only half of it. [`migrate`] turns each entry into a workspace
//! that adopts its container by id, its host ports reserved and `metadata.adopted.pending` set: its volumes are never
//! guessed from names. Whoever can ask the engine then takes [`pending`], reads each container's mounts and ports and
//! writes them with [`complete`] in an ordinary edit. Until then nothing may be planned for that workspace; when the
//! engine does not answer or does not know the container, it simply stays pending, with its volumes out of reach.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::document::DocumentError;
use crate::model::workspace::{Adopted, PortSpec, SSH_PORT_NAME};
use crate::model::{Issues, Metadata, Name, Run, Spec, State, Uid, Workspace};

/// What the original Perry put before names; it had no setting for it.
const PREFIX: &str = "workspace-";

/// A converted document.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrated {
    /// What it comes to.
    pub state: State,
    /// What could not be taken over, for people.
    pub notes: Vec<String>,
}

#[derive(Deserialize)]
struct Original {
    workspaces: BTreeMap<String, Entry>,
}

// Fields that are not named here (`repo`, `lastUsed` and the like) are in the kept copy only.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    status: Option<String>,
    container_id: Option<String>,
    created: String,
    image: Option<String>,
    #[serde(default)]
    ports: BTreeMap<String, u16>,
}

/// Converts the original Perry's `state.json`. The same text always gives the same document.
///
/// # Errors
/// The text is not of that form, or entries cannot be taken over: each with its path.
pub fn migrate(text: &[u8]) -> Result<Migrated, DocumentError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let original: Original = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| DocumentError::Form(format!("{}: {}", error.path(), error.inner())))?;
    let (mut state, mut issues, mut notes) = (State::default(), Issues::default(), Vec::new());
    let mut ports = BTreeMap::new();
    let mut containers = BTreeMap::new();
    for (key, entry) in &original.workspaces {
        let Some(workspace) = convert(key, entry, &mut issues) else { continue };
        for (port_name, port) in &workspace.metadata.host_ports {
            if let Some(other) = ports.insert(*port, key) {
                let message = format!("host port {port} belongs to {other} too: give one of them another");
                issues.push(&format!("workspaces.{key}.ports.{port_name}"), message);
            }
        }
        match workspace.metadata.adopted.as_ref().and_then(|adopted| adopted.container.clone()) {
            Some(id) => {
                if let Some(other) = containers.insert(id, key) {
                    let message = format!("{other} has the same container: remove one of the two entries");
                    issues.push(&format!("workspaces.{key}.containerId"), message);
                }
            }
            None => notes.push(format!("workspace {key} had no container; it gets a new one with new volumes")),
        }
        state.workspaces.insert(workspace.metadata.name.clone(), Arc::new(workspace));
    }
    issues.into_result(Migrated { state, notes }).map_err(DocumentError::Original)
}

fn convert(key: &str, entry: &Entry, issues: &mut Issues) -> Option<Workspace> {
    let at = |field: &str| format!("workspaces.{key}{field}");
    let before = issues.0.len();
    let name = key.parse::<Name>().map_err(|error| issues.push(&at(""), error.to_string())).ok();
    if entry.name.as_deref().is_some_and(|name| name != key) {
        issues.push(&at(".name"), format!("must be {key}, as its key"));
    }
    let created = entry.created.parse::<Timestamp>();
    if created.is_err() {
        let message = format!("{:?} is no time: write one such as 2025-01-10T15:30:00Z", entry.created);
        issues.push(&at(".created"), message);
    }
    let host_ports = convert_ports(key, &entry.ports, issues);
    if issues.0.len() > before {
        return None;
    }
    let container = entry.container_id.clone().filter(|id| !id.is_empty());
    let adopted =
        container.map(|id| Adopted { container: Some(id), volumes: BTreeMap::new(), pending: true, replace: false });
    // Only what was certainly down stays down: a wrong `Stopped` would end running work, a wrong `Running` starts a container.
    let run = if entry.status.as_deref() == Some("stopped") { Run::Stopped } else { Run::Running };
    let image = entry.image.clone().filter(|image| !image.is_empty());
    let metadata = Metadata {
        name: name?,
        uid: uid(key, entry),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generation: 1,
        created: created.ok()?,
        deletion_timestamp: None,
        restarted_at: None,
        upgraded_at: None,
        prefix: PREFIX.to_owned(),
        host_ports,
        adopted,
    };
    Some(Workspace { metadata, spec: Spec { run: Some(run), image, ..Spec::default() } })
}

fn convert_ports(key: &str, ports: &BTreeMap<String, u16>, issues: &mut Issues) -> BTreeMap<Name, u16> {
    let mut found = BTreeMap::new();
    for (name, port) in ports {
        let path = format!("workspaces.{key}.ports.{name}");
        match name.parse::<Name>() {
            Err(error) => issues.push(&path, error.to_string()),
            Ok(_) if *port == 0 => issues.push(&path, "a port is between 1 and 65535"),
            Ok(name) => {
                found.insert(name, *port);
            }
        }
    }
    found
}

/// A UUID made of what the entry says, so that a migration that is cut short and done again gives the same.
fn uid(key: &str, entry: &Entry) -> Uid {
    let text = format!("{key}\n{}\n{}", entry.created, entry.container_id.as_deref().unwrap_or_default());
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let bytes: [u8; 16] = digest[..16].try_into().expect("a SHA-256 has 32 bytes");
    Uid(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string())
}

/// An adopted container that nobody has looked into yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAdoption {
    /// Whose it is.
    pub name: Name,
    /// Which incarnation.
    pub uid: Uid,
    /// The container's id.
    pub container: String,
}

/// What an adopted container turned out to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundAdoption {
    /// The names of its volumes by their role: `home` is the one that is mounted on the home folder, `docker` the one on
    /// /var/lib/docker.
    pub volumes: BTreeMap<String, String>,
    /// The port inside of each host port that it publishes.
    pub ports: BTreeMap<u16, u16>,
}

/// The adopted containers that somebody has to look into before anything is planned for their workspaces.
pub fn pending(state: &State) -> Vec<PendingAdoption> {
    let pending = state.workspaces.values().filter_map(|workspace| {
        let metadata = &workspace.metadata;
        let adopted = metadata.adopted.as_ref().filter(|adopted| adopted.pending)?;
        let container = adopted.container.clone()?;
        Some(PendingAdoption { name: metadata.name.clone(), uid: metadata.uid.clone(), container })
    });
    pending.collect()
}

/// Writes what a look into an adopted container showed. Nothing happens where it is not pending any more; says whether it
/// was.
pub fn complete(state: &mut State, pending: &PendingAdoption, found: FoundAdoption) -> bool {
    let Some(workspace) = state.workspaces.get_mut(&pending.name) else { return false };
    let is_pending = workspace
        .metadata
        .adopted
        .as_ref()
        .is_some_and(|adopted| adopted.pending && adopted.container.as_ref() == Some(&pending.container));
    if workspace.metadata.uid != pending.uid || !is_pending {
        return false;
    }
    let Workspace { metadata, spec } = Arc::make_mut(workspace);
    if let Some(adopted) = &mut metadata.adopted {
        (adopted.volumes, adopted.pending) = (found.volumes, false);
    }
    for (name, host_port) in metadata.host_ports.iter().filter(|(name, _)| name.as_str() != SSH_PORT_NAME) {
        let Some(port) = found.ports.get(host_port) else { continue };
        if spec.ports.iter().all(|known| known.name != *name) {
            spec.ports.push(PortSpec { name: name.clone(), port: *port, host_port: None, bind: None });
        }
    }
    metadata.generation += 1;
    true
}

#[cfg(test)]
mod tests {
    use super::super::document::{self, Document};
    use super::*;

    const SAMPLE: &str = r#"{ "workspaces": { "myproject": { "name": "myproject", "status": "running",
        "containerId": "abc123def456", "created": "2025-01-10T15:30:00Z", "image": "workspace-base",
        "ports": { "ssh": 22001, "http": 22080 } } } }"#;

    fn sample() -> State {
        migrate(SAMPLE.as_bytes()).expect("it migrates").state
    }

    #[test]
    fn an_entry_becomes_a_workspace_that_adopts_its_container_and_keeps_its_ports() {
        let state = sample();
        assert_eq!(document::check(&state), Ok(()));
        let workspace = &state.workspaces["myproject"];
        let metadata = &workspace.metadata;
        assert_eq!(metadata.created.to_string(), "2025-01-10T15:30:00Z");
        assert_eq!(metadata.host_ports["ssh"], 22001);
        assert_eq!(metadata.host_ports["http"], 22080);
        assert_eq!((workspace.spec.run(), workspace.spec.image.as_deref()), (Run::Running, Some("workspace-base")));
        let adopted = metadata.adopted.as_ref().expect("it adopts");
        assert_eq!((adopted.container.as_deref(), adopted.pending), (Some("abc123def456"), true));
        assert!(adopted.volumes.is_empty(), "volumes are not guessed from names");
        assert_eq!(sample(), state, "the same text gives the same document");
    }

    #[test]
    fn only_what_was_stopped_is_wanted_stopped() {
        for (status, run) in [("stopped", Run::Stopped), ("creating", Run::Running), ("error", Run::Running)] {
            let text = SAMPLE.replace("\"running\"", &format!("{status:?}"));
            let state = migrate(text.as_bytes()).expect("it migrates").state;
            assert_eq!(state.workspaces["myproject"].spec.run(), run);
        }
    }

    #[test]
    fn a_look_into_the_container_completes_the_adoption_once_and_only_for_that_container() {
        let mut state = sample();
        let waiting = pending(&state);
        assert_eq!(waiting.len(), 1);
        let found = FoundAdoption {
            volumes: [("home".to_owned(), "workspace-myproject".to_owned())].into(),
            ports: [(22001, 22), (22080, 80)].into(),
        };
        let stranger = PendingAdoption { container: "other".to_owned(), ..waiting[0].clone() };
        assert!(!complete(&mut state, &stranger, found.clone()));
        assert!(complete(&mut state, &waiting[0], found.clone()));
        let workspace = &state.workspaces["myproject"];
        assert_eq!(workspace.metadata.adopted.as_ref().expect("adopted").volumes, found.volumes);
        assert_eq!(workspace.metadata.generation, 2);
        let ports: Vec<_> = workspace.spec.ports.iter().map(|port| (port.name.as_str(), port.port)).collect();
        assert_eq!(ports, [("http", 80)]);
        assert_eq!(pending(&state), []);
        assert!(!complete(&mut state, &waiting[0], found));
    }

    #[test]
    fn entries_that_cannot_be_taken_over_are_all_named() {
        let text = r#"{"workspaces": {
            "Bad_Name": {"created": "2025-01-10T15:30:00Z"},
            "a": {"name": "b", "created": "yesterday", "ports": {"ssh": 0, "HTTP": 80}},
            "c": {"created": "2025-01-10T15:30:00Z", "ports": {"ssh": 1}, "containerId": "x"},
            "d": {"created": "2025-01-10T15:30:00Z", "ports": {"ssh": 1}, "containerId": "x"}}}"#;
        let Err(DocumentError::Original(issues)) = migrate(text.as_bytes()) else { panic!("it must not migrate") };
        let paths: Vec<_> = issues.0.iter().map(|issue| issue.path.join(".")).collect();
        let expected =
            ["Bad_Name", "a.name", "a.created", "a.ports.HTTP", "a.ports.ssh", "d.ports.ssh", "d.containerId"];
        assert_eq!(paths, expected.map(|path| format!("workspaces.{path}")));
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let text = SAMPLE.replace("22001", "\"many\"");
        let error = migrate(text.as_bytes()).expect_err("no number");
        assert!(error.to_string().starts_with("workspaces.myproject.ports.ssh: invalid type: string"), "{error}");
        assert!(matches!(document::parse(SAMPLE.as_bytes()), Ok(Document::Original(_))));
    }
}
