//! What reaches the host is for admins, and for users whose token says so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use perry::contract::*;
use perry::model::{Caller, Role};
use serde_json::json;

use crate::procedures::{document, manifest, running};
use crate::world::{caller, world};

/// A call by a user whose token does, or does not, allow what reaches the host.
fn user(host: bool) -> Call {
    Call::of(Arc::new(Caller { host, ..caller(Role::User) }))
}

/// What a row with [`Reach::Host`] is asked to do in a privileged workspace.
fn reaching(row: &Descriptor, workspace: &str) -> serde_json::Value {
    match row.path {
        "workspaces/create" => json!({ "name": workspace }),
        "workspaces/start" => json!({ "name": workspace, "create": true }),
        "workspaces/apply" => json!({ "manifest": document(workspace, "") }),
        "workspaces/exec" => json!({ "name": "running", "command": ["id"] }),
        "terminals/create" => json!({ "name": "running", "terminal": "main" }),
        other => panic!("{other} can reach the host: say here how"),
    }
}

#[tokio::test]
async fn every_procedure_that_can_reach_the_host_asks_whether_its_caller_may() {
    let (world, api) = world();
    running(&world, &api, "running").await;
    let server: Arc<dyn Procedures> = Arc::new(api.clone());
    let ask = |row: &'static Descriptor, call: Call, input: serde_json::Value| {
        let server = server.clone();
        async move {
            let raw = serde_json::value::to_raw_value(&input).expect("JSON");
            dispatch(&*server, row, &call, Some(&raw)).await.map(drop).map_err(|error| error.code())
        }
    };
    let rows: Vec<_> = PROCEDURES.iter().filter(|row| row.reach == Reach::Host).collect();
    assert!(rows.len() >= 4, "{rows:?}");
    for (index, row) in rows.into_iter().enumerate() {
        let name = format!("w{index}");
        let refused = ask(row, user(false), reaching(row, &name)).await;
        assert_eq!(refused, Err(Code::Forbidden), "{}", row.path);
        assert!(world.intent(&name).is_none(), "{}: nothing was written", row.path);
        assert_eq!(ask(row, user(true), reaching(row, &name)).await, Ok(()), "{}", row.path);
        world.isolates.store(true, Ordering::SeqCst);
        assert_eq!(ask(row, user(false), reaching(row, &format!("safe{index}"))).await, Ok(()), "{}", row.path);
        world.isolates.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_port_or_ssh_beyond_loopback_reaches_the_host_and_a_plain_workspace_does_not() {
    let (_, api) = world();
    for (spec, allowed) in [
        ("docker: false", true),
        ("docker: false, ports: [{ name: a, port: 1, bind: 127.0.0.1 }]", true),
        ("docker: false, ports: [{ name: a, port: 1, bind: 0.0.0.0 }]", false),
        ("docker: false, ssh: { bind: 0.0.0.0 }", false),
        ("docker: false, ssh: { bind: '::1' }", true),
        ("docker: true", false),
    ] {
        let input = manifest(&document("a", spec));
        let dry = ApplyInput { dry_run: true, ..input.clone() };
        assert!(api.apply_workspaces(&user(false), dry).await.is_ok(), "{spec}: looking is allowed");
        let applied = api.apply_workspaces(&user(false), input).await;
        assert_eq!(applied.is_ok(), allowed, "{spec}: {applied:?}");
    }
}
