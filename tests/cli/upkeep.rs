//! What keeps an agent in order, as people meet it: prune and doctor.

use perry::model::desired::Owner;
use perry::model::{Name, Uid};
use perry::runtime::fake::Smooth;
use serde_json::Value;

use crate::agent::{Agent, ID};
use crate::{Told, perry};

fn run(agent: &Agent, args: &[&str]) -> Told {
    perry(agent.folder.path(), args)
}

fn lose_a_volume(agent: &Agent) {
    let name: Name = "lost".parse().expect("a name");
    let owner = Owner { agent: ID.to_owned(), uid: Uid("gone".to_owned()), name };
    agent.world.meddle(|engine| engine.put_volume("workspace-lost-home", Some(owner)));
}

#[test]
fn a_volume_that_belongs_to_nobody_is_pruned_by_name_only() {
    let agent = Agent::start(Smooth);
    let told = run(&agent, &["prune"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "", "everything belongs to a workspace\n"));
    lose_a_volume(&agent);
    let told = run(&agent, &["prune"]);
    assert_eq!((told.code, told.out.as_str()), (0, ""));
    assert!(
        told.err.contains("volume workspace-lost-home stays: perry prune --volume workspace-lost-home"),
        "{told:?}"
    );
    let told = run(&agent, &["prune", "--volume", "workspace-lost-home", "--dry-run"]);
    assert_eq!(told.out, "volume workspace-lost-home would be removed\n");
    let told = run(&agent, &["prune", "--volume", "nobody"]);
    assert!(told.code == 2 && told.err.contains("nobody is no volume of this agent"), "{told:?}");
    let told = run(&agent, &["prune", "--volume", "workspace-lost-home", "--json"]);
    let pruned: Value = serde_json::from_str(&told.out).expect("JSON");
    assert_eq!(pruned["removed"]["volumes"][0], "workspace-lost-home");
    assert!(!agent.world.with(|engine| engine.volumes.contains_key("workspace-lost-home")));
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let agent = Agent::start(Smooth);
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    let set = |permissions| std::fs::set_permissions(agent.folder.path(), permissions).expect("set");
    set(mode(0o700));
    let told = run(&agent, &["doctor"]);
    assert!(
        told.code == 0 && told.out.contains("ok       docker") && told.out.contains("ok       orphans"),
        "{told:?}"
    );
    lose_a_volume(&agent);
    let told = run(&agent, &["doctor"]);
    assert!(told.out.contains("warning  orphans") && told.out.contains("perry prune --dry-run"), "{told:?}");
    agent.world.meddle(|engine| engine.up = false);
    let told = run(&agent, &["doctor"]);
    assert!(told.code == 1 && told.out.contains("FAILED   docker") && told.out.contains("docker.host"), "{told:?}");
    let report: Value = serde_json::from_str(&run(&agent, &["doctor", "--json"]).out).expect("JSON");
    assert!(report["checks"].as_array().expect("a list").iter().any(|check| check["status"] == "failed"));
    set(mode(0o755));
    let told = run(&agent, &["doctor"]);
    assert!(told.out.contains("FAILED   folder") && told.out.contains("chmod 700"), "{told:?}");
}

#[test]
fn without_an_agent_the_doctor_says_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = perry(folder.path(), &["doctor"]);
    assert!(told.code == 1 && told.out.contains("FAILED   agent") && told.out.contains("perry agent run"), "{told:?}");
}
