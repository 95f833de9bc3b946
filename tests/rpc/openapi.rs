//! `specs/openapi.json` is the table of procedures.

use std::collections::BTreeSet;
use std::path::Path;

use perry::contract::{Descriptor, Effect, PROCEDURES, openapi};
use serde_json::Value;

use crate::agent::Agent;
use crate::raw::send;

#[test]
fn specs_openapi_json_is_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/openapi.json");
    let document = openapi::document(env!("CARGO_PKG_VERSION"));
    let expected = serde_json::to_string_pretty(&document).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &expected).expect("written");
    }
    let actual = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(actual == expected, "specs/openapi.json is out of date: run UPDATE_GOLDEN=1 cargo test --test rpc openapi");
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = openapi::document("0");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("inside the document");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn the_table_is_sound() {
    let paths: BTreeSet<&str> = PROCEDURES.iter().map(|row| row.path).collect();
    assert_eq!(paths.len(), PROCEDURES.len(), "a path occurs twice");
    for row in PROCEDURES {
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(row.path.split_once('/').is_some_and(|(group, name)| plain(group) && plain(name)), "{}", row.path);
        assert!(row.doc.trim().ends_with('.'), "{}: {:?}", row.path, row.doc);
        assert_eq!(Descriptor::find(row.path).map(|found| found.path), Some(row.path));
    }
    let reads = PROCEDURES.iter().filter(|row| row.effect == Effect::Read).count();
    assert!(reads > 0 && reads < PROCEDURES.len());
}

#[tokio::test]
async fn the_agent_serves_the_document() {
    let agent = Agent::start().await;
    let answer = send(agent.address, "GET", "/openapi.json", &[], b"").await;
    assert_eq!(answer.json(), openapi::document(env!("CARGO_PKG_VERSION")));
}
