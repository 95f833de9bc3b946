//! Host ports: given once, kept, and given to nobody else.

use std::collections::BTreeMap;

use perry::model::admission::{self, ConflictReason};
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
