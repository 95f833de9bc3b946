//! Whatever is done, in whatever order.

use std::collections::BTreeSet;

use perry::model::admission::{self, Change, Rejection};
use perry::model::{Config, Document, Name, Run, Spec, State};
use proptest::prelude::*;

use crate::*;

/// One thing that somebody does.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
enum Step {
    Apply(Document),
    Run(Name, bool),
    Restart(Name),
    Delete(Name),
    Forget(Name),
}

fn any_name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "g"]).prop_map(name)
}

fn any_document() -> impl Strategy<Value = Document> {
    let fixed =
        prop_oneof![4 => Just(None), 2 => (23000_u16..23008).prop_map(Some), 1 => (22000_u16..22006).prop_map(Some)];
    let one = (prop::sample::select(vec!["x", "y", "z", "ssh"]), 20_u16..26, fixed)
        .prop_map(|(called, inside, host)| port(called, inside, host));
    (any_name(), prop::collection::vec(one, 0..4), prop::option::of(0_u8..3), any::<bool>()).prop_map(
        |(name, ports, label, stopped)| {
            let run = stopped.then_some(Run::Stopped);
            let mut document = Document::new(name, Spec { ports, run, ..Spec::default() });
            document.metadata.labels = label.map(|label| ("l".to_owned(), label.to_string())).into_iter().collect();
            document
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_document().prop_map(Step::Apply),
        1 => (any_name(), any::<bool>()).prop_map(|(name, run)| Step::Run(name, run)),
        1 => any_name().prop_map(Step::Restart),
        1 => any_name().prop_map(Step::Delete),
        1 => any_name().prop_map(Step::Forget),
    ]
}

fn take(state: &mut State, step: &Step, config: &Config) -> Result<(), Rejection> {
    match step {
        Step::Apply(document) => apply(state, document, config).map(drop),
        Step::Run(name, up) => {
            let run = if *up { Run::Running } else { Run::Stopped };
            admission::set_run(state, name, run, None).map(drop)
        }
        Step::Restart(name) => admission::restart(state, name, now(), false, None).map(drop),
        Step::Delete(name) => admission::delete(state, name, now(), None).map(drop),
        Step::Forget(name) => {
            if state.workspaces.get(name).is_some_and(|one| one.metadata.deletion_timestamp.is_some()) {
                state.workspaces.remove(name);
            }
            Ok(())
        }
    }
}

fn host_ports(state: &State) -> Vec<u16> {
    state.workspaces.values().flat_map(|one| one.metadata.host_ports.values().copied()).collect()
}

proptest! {
    #[test]
    fn whatever_is_done_in_whatever_order(steps in prop::collection::vec(any_step(), 1..40)) {
        let (mut state, config) = (State::default(), small_config());
        for step in &steps {
            let before = state.clone();
            let result = take(&mut state, step, &config);
            // A rejection leaves nothing.
            if result.is_err() {
                prop_assert_eq!(&state, &before);
                continue;
            }
            // S9: no host port twice.
            let ports = host_ports(&state);
            prop_assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "{:?}", ports);
            for (name, workspace) in &state.workspaces {
                // Each port of the spec, and ssh, has one; fixed ones as they were asked for.
                prop_assert_eq!(workspace.metadata.host_ports.len(), workspace.spec.ports.len() + 1);
                for port in &workspace.spec.ports {
                    let given = workspace.metadata.host_ports[&port.name];
                    prop_assert!(port.host_port.is_none_or(|fixed| fixed == given));
                }
                // The generation never falls, and rises with the spec.
                if let Some(was) = before.workspaces.get(name).filter(|was| was.metadata.uid == workspace.metadata.uid) {
                    let (old, new) = (was.metadata.generation, workspace.metadata.generation);
                    prop_assert_eq!(new > old, was.spec != workspace.spec
                        || was.metadata.restarted_at != workspace.metadata.restarted_at
                        || was.metadata.deletion_timestamp != workspace.metadata.deletion_timestamp);
                    prop_assert!(new >= old);
                    prop_assert_eq!(was.metadata.created, workspace.metadata.created);
                }
            }
            // The same document once more changes nothing.
            if let Step::Apply(document) = step {
                let applied = state.clone();
                prop_assert_eq!(apply(&mut state, document, &config), Ok(Change::Unchanged));
                prop_assert_eq!(&state.workspaces, &applied.workspaces);
            }
        }
    }

    /// What was admitted, written to the file and read as an outside edit, is no edit.
    #[test]
    fn an_outside_edit_that_is_none_changes_nothing(documents in prop::collection::vec(any_document(), 1..10)) {
        let (mut state, config) = (State::default(), small_config());
        for document in &documents {
            let _ = apply(&mut state, document, &config);
        }
        let text = serde_json::to_string(&state).expect("JSON");
        let read = serde_json::from_str(&text).expect("the same");
        let outside = admission::admit_outside(&state, read, &settings(&config, "u")).expect("admitted");
        prop_assert_eq!(outside.state, state);
        prop_assert!(outside.warnings.is_empty());
    }
}
