//! `specs/workspace.schema.json` says what the types say, and what the checker takes is what the types take.
//!
//! `UPDATE_GOLDEN=1 cargo test --test schema` writes it anew.

use perry::model::manifest;
use perry::model::schema;
use proptest::prelude::*;

#[test]
fn the_schema_in_specs_is_the_one_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/specs/workspace.schema.json");
    let now = format!("{:#}\n", schema::json_schema());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).expect("written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == now, "specs/workspace.schema.json is out of date: UPDATE_GOLDEN=1 cargo test --test schema");
}

/// Values near to right ones, in every field.
fn any_value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..70_000).prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "Running",
            "4Gi",
            "0.5",
            "true",
            "3000",
            "127.0.0.1",
            "/data",
            "01",
            "~",
            "1e3",
            "Bad Name",
            "18446744073709551615Ti",
            "debian:12",
        ])
        .prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec![
        "name",
        "port",
        "hostPort",
        "bind",
        "path",
        "cpus",
        "memory",
        "pids",
        "shm",
        "url",
        "branch",
        "from",
        "to",
        "onCreate",
        "authorizedKeys",
        "x",
    ]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.clone(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_spec() -> impl Strategy<Value = serde_json::Value> {
    let fields = prop::sample::select(vec![
        "run",
        "image",
        "clone",
        "env",
        "ports",
        "volumes",
        "resources",
        "docker",
        "ssh",
        "files",
        "tools",
        "hooks",
    ]);
    prop::collection::btree_map(fields, any_value(), 0..5).prop_map(|map| serde_json::json!(map))
}

proptest! {
    /// A document that the form lets through is one that the types take: the last error, which has no good place, never
    /// shows.
    #[test]
    fn what_the_form_takes_the_types_take(spec in any_spec()) {
        let document = serde_json::json!({
            "apiVersion": "perry.dev/v1", "kind": "Workspace", "metadata": { "name": "a" }, "spec": spec
        });
        if let Err(bad) = manifest::parse("-", document.to_string().as_bytes()) {
            for fault in bad.faults {
                prop_assert!(fault.issue.path.first().is_some_and(|part| part == "spec"), "{}", fault);
            }
        }
    }

    /// And what was read is, written as YAML, read as the same.
    #[test]
    fn what_is_printed_is_read_as_the_same(spec in any_spec()) {
        let document = serde_json::json!({
            "apiVersion": "perry.dev/v1", "kind": "Workspace", "metadata": { "name": "a" }, "spec": spec
        });
        if let Ok(mut read) = manifest::parse("-", document.to_string().as_bytes()) {
            let one = read.remove(0).document;
            let yaml = manifest::to_yaml([&one]);
            let again = manifest::parse("-", yaml.as_bytes()).unwrap_or_else(|bad| panic!("{bad}\n{yaml}"));
            prop_assert_eq!(&again[0].document, &one);
        }
    }

    /// No text at all makes it panic or hang.
    #[test]
    fn any_text_is_answered(text in "[ \t\n:\\-\\[\\]{},\"'&*!|>%@a-f0-9#?~<.]{0,200}") {
        let _ = manifest::parse("-", text.as_bytes());
    }
}
