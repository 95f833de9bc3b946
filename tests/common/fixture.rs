//! The smallest valid intent, and the settings that go with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use perry::model::desired::Owner;
use perry::model::workspace::{Metadata, PortSpec, VolumeSpec};
use perry::model::{Config, Desired, Name, Run, Spec, Uid, Workspace};
use perry::plan::{Context, Settings, desired};
use proptest::prelude::ProptestConfig;

/// The agent that the tests are about.
pub(crate) const AGENT: &str = "agent-a";
/// Hash of its worker.
pub(crate) const EXECUTABLE: &str = "worker-1";

/// So many seconds after the epoch.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(crate) fn uid(text: &str) -> Uid {
    Uid(text.to_owned())
}

pub(crate) fn settings() -> Settings {
    Settings { agent: AGENT.to_owned(), config: Config::default(), executable: EXECUTABLE.to_owned() }
}

pub(crate) fn context() -> Context {
    Context { executable: EXECUTABLE.to_owned(), in_doubt: false, refreshed: false }
}

/// A workspace as admission leaves it: to run, with the default image, Docker inside and an ssh port.
pub(crate) fn workspace(called: &str) -> Workspace {
    let metadata = Metadata {
        name: name(called),
        uid: uid(&format!("uid-{called}")),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generation: 1,
        created: at(1_000),
        deletion_timestamp: None,
        restarted_at: None,
        upgraded_at: None,
        prefix: "workspace-".to_owned(),
        host_ports: BTreeMap::from([(name("ssh"), 22_000)]),
        adopted: None,
    };
    Workspace { metadata, spec: Spec { run: Some(Run::Running), ..Spec::default() } }
}

/// The workspace with the host port that admission would give it besides ssh: workspace `n` of a crowd.
pub(crate) fn numbered(n: u16) -> Workspace {
    let mut workspace = workspace(&format!("w{n}"));
    workspace.metadata.host_ports = BTreeMap::from([(name("ssh"), 20_000 + n)]);
    workspace
}

pub(crate) fn desired_of(workspace: &Workspace) -> Desired {
    desired(workspace, &settings())
}

pub(crate) fn owner_of(workspace: &Workspace) -> Owner {
    desired_of(workspace).owner
}

/// The same owner but for the agent.
pub(crate) fn of_another_agent(owner: &Owner) -> Owner {
    Owner { agent: "agent-b".to_owned(), ..owner.clone() }
}

/// An earlier incarnation of the same name.
pub(crate) fn of_an_earlier_uid(owner: &Owner) -> Owner {
    Owner { uid: uid("uid-of-before"), ..owner.clone() }
}

pub(crate) fn port(called: &str, port: u16) -> PortSpec {
    PortSpec { name: name(called), port, host_port: None, bind: None }
}

pub(crate) fn volume(called: &str, path: &str) -> VolumeSpec {
    VolumeSpec { name: name(called), path: path.to_owned() }
}

pub(crate) fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// How often a property is tried: so often, or as `PROPTEST_CASES` says (a soak). proptest prints a failing case and keeps
/// its seed in `proptest-regressions`, from where it is tried first from then on.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, ..ProptestConfig::default() }
}
