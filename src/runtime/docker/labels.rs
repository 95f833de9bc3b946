//! The labels that say whose an object is.

use std::collections::HashMap;

use crate::model::desired::{ContainerPlan, Owner};
use crate::model::{Name, Uid};

/// The agent's id, on every object.
pub const AGENT: &str = "dev.perry.agent";
/// The workspace's incarnation.
pub const UID: &str = "dev.perry.uid";
/// The workspace's name.
pub const NAME: &str = "dev.perry.name";
/// On containers: the generation of intent that it was made for.
pub const GENERATION: &str = "dev.perry.generation";
/// On containers: hash of everything whose change needs a new one.
pub const FINGERPRINT: &str = "dev.perry.fingerprint";
/// On containers: the spec as JSON, without environment.
pub const SPEC: &str = "dev.perry.spec";

/// Labels as the engine takes and gives them.
pub type Labels = HashMap<String, String>;

/// What every object of a workspace bears.
pub fn of_owner(owner: &Owner) -> Labels {
    [(AGENT, owner.agent.as_str()), (UID, owner.uid.0.as_str()), (NAME, owner.name.as_str())]
        .into_iter()
        .map(pair)
        .collect()
}

/// What a container bears.
pub fn of_container(owner: &Owner, generation: u64, plan: &ContainerPlan) -> Labels {
    let mut labels = of_owner(owner);
    let generation = generation.to_string();
    labels.extend([(GENERATION, generation.as_str()), (FINGERPRINT, &plan.fingerprint), (SPEC, &plan.spec)].map(pair));
    labels
}

/// What a network bears, which is no workspace's own.
pub fn of_agent(agent: &str) -> Labels {
    [pair((AGENT, agent))].into()
}

/// Whose an object is; none where a label is missing or the name is no name.
pub fn owner(labels: &Labels) -> Option<Owner> {
    let label = |key| labels.get(key).filter(|value: &&String| !value.is_empty());
    let name: Name = label(NAME)?.parse().ok()?;
    Some(Owner { agent: label(AGENT)?.clone(), uid: Uid(label(UID)?.clone()), name })
}

/// A filter for objects with all of these labels.
pub fn filter(labels: &[(&str, &str)]) -> HashMap<&'static str, Vec<String>> {
    [("label", labels.iter().map(|(key, value)| format!("{key}={value}")).collect())].into()
}

fn pair((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back_from_its_labels() {
        let whose = Owner { agent: "a".to_owned(), uid: Uid("u".to_owned()), name: "demo".parse().expect("a name") };
        assert_eq!(owner(&of_owner(&whose)), Some(whose));
    }

    #[test]
    fn an_object_with_a_missing_or_unreadable_label_has_no_owner() {
        let whose = Owner { agent: "a".to_owned(), uid: Uid("u".to_owned()), name: "demo".parse().expect("a name") };
        for key in [AGENT, UID, NAME] {
            let mut labels = of_owner(&whose);
            labels.remove(key);
            assert_eq!(owner(&labels), None, "without {key}");
            labels.insert(key.to_owned(), String::new());
            assert_eq!(owner(&labels), None, "with an empty {key}");
        }
        let mut labels = of_owner(&whose);
        labels.insert(NAME.to_owned(), "No Name".to_owned());
        assert_eq!(owner(&labels), None);
    }
}
