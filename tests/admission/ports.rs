//! Host ports: given once, kept, and given to nobody else.

use std::collections::BTreeMap;

use perry::model::admission::{self, ConflictReason, Settings, admit};
use perry::model::{Config, Run, State};

use crate::*;

#[test]
fn a_host_port_of_a_stopped_or_leaving_workspace_is_not_given_away() {
    let (mut state, config) = (State::default(), small_config());
    apply(&mut state, &with_ports("a", vec![port("http", 80, Some(23001))]), &config).expect("admitted");
    admission::set_run(&mut state, &name("a"), Run::Stopped, None).expect("stopped");
    let refused = conflict(apply(&mut state, &with_ports("b", vec![port("http", 80, Some(23001))]), &config));
    assert_eq!(refused.reason, ConflictReason::PortTaken);
    assert_eq!(refused.message, "host port 23001 belongs to workspace a already");
    assert_eq!(refused.hint.as_deref(), Some("free ones near it: 23002, 23003, 23004; without hostPort one is chosen"));
    admission::delete(&mut state, &name("a"), now(), None).expect("deleted");
    conflict(apply(&mut state, &with_ports("b", vec![port("http", 80, Some(23001))]), &config));
    apply(&mut state, &with_ports("b", vec![port("x", 80, None), port("y", 81, None)]), &config).expect("admitted");
    let ports: Vec<u16> = state.workspaces["b"].metadata.host_ports.values().copied().collect();
    assert_eq!(ports, [22001, 23000, 23002]);
}

#[test]
fn the_port_of_the_agent_itself_is_not_given_away() {
    let (mut state, config) = (State::default(), Config::default());
    let refused = conflict(apply(&mut state, &with_ports("a", vec![port("http", 80, Some(7391))]), &config));
    assert_eq!(refused.message, "host port 7391 belongs to the agent itself already");
}

#[test]
fn a_range_that_is_used_up_is_said_so() {
    let (mut state, config) = (State::default(), small_config());
    for index in 0..5 {
        apply(&mut state, &minimal(&format!("w{index}")), &config).expect("admitted");
    }
    let refused = conflict(apply(&mut state, &minimal("one-more"), &config));
    assert_eq!(refused.message, "no host port is free for ssh: all of sshPorts (22000-22004) are given out");
    assert_eq!(state.workspaces.len(), 5);
}

#[test]
fn a_port_that_comes_and_goes_leaves_the_others_where_they_are() {
    let (mut state, config) = (State::default(), Config::default());
    apply(&mut state, &with_ports("a", vec![port("x", 80, None), port("y", 81, None)]), &config).expect("admitted");
    apply(&mut state, &with_ports("a", vec![port("y", 81, None), port("z", 82, None)]), &config).expect("admitted");
    let ports = &state.workspaces["a"].metadata.host_ports;
    assert_eq!(ports, &BTreeMap::from([(name("ssh"), 22000), (name("y"), 23001), (name("z"), 23000)]));
    let clash = with_ports("a", vec![port("y", 81, None), port("z", 82, Some(22000))]);
    assert!(
        issues(apply(&mut state, &clash, &config)).starts_with("spec.ports.1.hostPort: 22000 is the host port of ssh")
    );
}

#[test]
fn a_port_that_another_program_listens_on_is_neither_chosen_nor_given_to_who_asks_for_it_but_never_taken_away() {
    let (state, config) = (State::default(), small_config());
    let in_use = [22000, 23000, 23001, 23003].into();
    let settings = Settings { in_use: &in_use, ..settings(&config, "u") };
    let chosen = admit(None, &with_ports("a", vec![port("http", 80, None)]), &state, &settings).expect("admitted");
    let ports: Vec<u16> = chosen.workspace.metadata.host_ports.values().copied().collect();
    assert_eq!(ports, [23002, 22001]);
    let refused = conflict(admit(None, &with_ports("a", vec![port("http", 80, Some(23001))]), &state, &settings));
    assert_eq!(refused.reason, ConflictReason::PortTaken);
    assert_eq!(refused.message, "host port 23001 belongs to another program on this machine already");
    assert_eq!(refused.path, ["spec", "ports", "0", "hostPort"]);
    assert_eq!(refused.hint.as_deref(), Some("free ones near it: 23002, 23004, 23005; without hostPort one is chosen"));

    // Its own container listens there, or whoever does while it is stopped: the port stays its own.
    let in_use = [23002].into();
    let settings = Settings { in_use: &in_use, ..settings };
    for fixed in [None, Some(23002)] {
        let document = with_ports("a", vec![port("http", 80, fixed)]);
        let again = admit(Some(&chosen.workspace), &document, &state, &settings).expect("admitted");
        assert_eq!(again.workspace.metadata.host_ports, chosen.workspace.metadata.host_ports);
    }
}
