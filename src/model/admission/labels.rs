//! Labels and annotations, with the rules of Kubernetes.

use std::collections::BTreeMap;

use crate::model::{Issue, Issues};

/// The most bytes of all annotations of a workspace, as in Kubernetes.
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// The most labels; they are on every object of the engine.
const MAX_LABELS: usize = 64;

pub(super) fn check(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>, issues: &mut Issues) {
    let mut fault = |field: &str, key: &str, message: String| {
        let path = vec!["metadata".to_owned(), field.to_owned(), key.to_owned()];
        issues.0.push(Issue { message, path });
    };
    for (key, value) in labels {
        if let Some(message) = key_fault(key) {
            fault("labels", key, message);
        }
        if !value.is_empty() && !is_name(value) {
            let message =
                "a label's value has at most 63 letters, digits, and - _ . inside; put longer text into annotations";
            fault("labels", key, message.to_owned());
        }
    }
    for key in annotations.keys() {
        if let Some(message) = key_fault(key) {
            fault("annotations", key, message);
        }
    }
    if labels.len() > MAX_LABELS {
        issues.push("metadata.labels", format!("{} labels are too many: at most {MAX_LABELS}", labels.len()));
    }
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_ANNOTATIONS {
        issues.push("metadata.annotations", format!("{size} bytes are too many: at most {MAX_ANNOTATIONS} in all"));
    }
}

/// `[prefix/]name`, the prefix a DNS name.
fn key_fault(key: &str) -> Option<String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !is_dns(prefix)) {
        return Some("before the / of a key stands a DNS name, such as example.com/team".to_owned());
    }
    (!is_name(name))
        .then(|| "a key has at most 63 letters, digits, and - _ . inside, such as team or example.com/team".to_owned())
}

fn is_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&name.len())
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.'))
}

fn is_dns(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
