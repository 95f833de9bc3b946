//! Who may do what, as people meet it: tokens, pairing, agents elsewhere.

use serde_json::Value;

use crate::agent::Agent;
use crate::{Told, command, perry, perry_with};
use perry::runtime::fake::Smooth;

fn agent() -> Agent {
    Agent::start(Smooth)
}

fn run(agent: &Agent, args: &[&str]) -> Told {
    perry(agent.folder.path(), args)
}

fn ok(told: &Told) -> &str {
    assert_eq!(told.code, 0, "{told:?}");
    &told.out
}

/// The same command line by whoever has this token.
fn as_who(agent: &Agent, token: &str, args: &[&str]) -> Told {
    let mut command = command(agent.folder.path(), args);
    let output = command.env("PERRY_TOKEN", token).stdin(std::process::Stdio::null()).output().expect("it starts");
    crate::told(&output)
}

#[test]
fn a_token_is_shown_once_and_does_what_its_role_may() {
    let agent = agent();
    let made = run(&agent, &["token", "create", "--name", "phone", "--role", "viewer", "--expires", "30d"]);
    let token = ok(&made).trim().to_owned();
    assert!(token.starts_with("perry_") && !token.contains(char::is_whitespace), "the token alone: {token}");
    let listed = run(&agent, &["token", "list"]);
    assert!(
        ok(&listed).contains("phone") && listed.out.contains("viewer") && listed.out.contains("  in "),
        "{listed:?}"
    );
    let secret = token.rsplit('_').next().expect("a part");
    assert!(!listed.out.contains(secret));
    assert_eq!(as_who(&agent, &token, &["get"]).code, 0);
    let refused = as_who(&agent, &token, &["start", "web"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("workspaces/start is for role user; the token phone has role viewer"), "{refused:?}");
    assert_eq!(ok(&run(&agent, &["token", "revoke", "phone"])), "phone is revoked\n");
    let gone = as_who(&agent, &token, &["get"]);
    assert!(
        gone.code == 1 && gone.err.contains("was revoked or has expired") && gone.err.contains("hint: "),
        "{gone:?}"
    );
    assert_eq!(run(&agent, &["token", "revoke", "phone"]).code, 3);
}

#[test]
fn wrong_wishes_for_a_token_are_named() {
    let agent = agent();
    ok(&run(&agent, &["token", "create", "--name", "phone"]));
    for (args, code, says) in [
        (&["--name", "phone"][..], 4, "there is a token phone already"),
        (&["--name", "a", "--role", "boss"], 2, "\"boss\" is no role: viewer, user or admin"),
        (&["--name", "a", "--role", "admin", "--workspace", "w"], 2, "an admin has all of them"),
        (&["--name", "a", "--role", "viewer", "--allow-host"], 2, "is for role user"),
        (&["--name", "a", "--expires", "5s"], 2, "is 60 to 315360000 seconds"),
        (&["--name", "a", "--expires", "soon"], 2, "is no time span"),
        (&["--name", "My Phone"], 2, "a name has only a-z"),
        (&[], 2, "--name"),
    ] {
        let told = run(&agent, &[&["token", "create"], args].concat());
        assert!(told.code == code && told.err.contains(says), "{args:?}: {told:?}");
    }
}

#[test]
fn a_token_of_one_workspace_sees_and_changes_that_one_alone() {
    let agent = agent();
    for name in ["one", "two"] {
        ok(&run(&agent, &["start", name]));
    }
    let made = run(&agent, &["token", "create", "--name", "guest", "--workspace", "one", "--allow-host"]);
    let token = ok(&made).trim().to_owned();
    assert_eq!(ok(&as_who(&agent, &token, &["get", "-o", "name"])), "one\n");
    ok(&as_who(&agent, &token, &["stop", "one", "--wait"]));
    let refused = as_who(&agent, &token, &["stop", "two"]);
    assert!(refused.code == 1 && refused.err.contains("the token guest is not for workspace two"), "{refused:?}");
    let refused = as_who(&agent, &token, &["token", "list"]);
    assert!(refused.code == 1 && refused.err.contains("role admin"), "{refused:?}");
}

#[test]
fn what_reaches_the_host_needs_a_token_that_says_so() {
    let agent = agent();
    let token = |name: &str, more: &[&str]| {
        let made = run(&agent, &[&["token", "create", "--name", name], more].concat());
        ok(&made).trim().to_owned()
    };
    let (without, with) = (token("without", &[]), token("with", &["--allow-host"]));
    let refused = as_who(&agent, &without, &["start", "web"]);
    assert!(
        refused.code == 1 && refused.err.contains("spec.docker") && refused.err.contains("--allow-host"),
        "{refused:?}"
    );
    let head = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: web }\n";
    let apply = |token: &str, spec: &str| {
        let file = agent.folder.path().join("web.yaml");
        std::fs::write(&file, format!("{head}{spec}")).expect("written");
        as_who(&agent, token, &["apply", "-f", file.to_str().expect("a path")])
    };
    let open = "spec: { docker: false, ports: [{ name: http, port: 80, bind: 0.0.0.0 }] }\n";
    let refused = apply(&without, open);
    assert!(refused.code == 1 && refused.err.contains("spec.ports.0.bind"), "{refused:?}");
    ok(&apply(&without, "spec: { docker: false }\n"));
    ok(&as_who(&agent, &with, &["start", "db"]));
    let refused = as_who(&agent, &without, &["exec", "db", "--", "id"]);
    assert!(refused.code == 1 && refused.err.contains("workspace db is privileged"), "{refused:?}");
}

#[test]
fn another_machine_is_let_in_by_a_code_that_works_once() {
    let agent = agent();
    let told = run(&agent, &["pair", "--name", "laptop", "--json"]);
    let offer: Value = serde_json::from_str(ok(&told)).expect("JSON");
    let (code, link) = (offer["code"].as_str().expect("a code"), offer["link"].as_str().expect("a link"));
    let address = offer["addresses"][0].as_str().expect("an address").trim_start_matches("http://").to_owned();
    assert_eq!(link, format!("http://{address}/#pair={code}"));
    let elsewhere = tempfile::tempdir().expect("a folder");
    let typed = format!("{}\n", code.to_lowercase());
    let told = perry_with(elsewhere.path(), &["config", "agent", "add", &address], &typed);
    assert_eq!(ok(&told), format!("the agent at {address} it is\n"));
    assert_eq!(ok(&perry(elsewhere.path(), &["get"])), "");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(elsewhere.path().join("client.json")).expect("there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let again = tempfile::tempdir().expect("a folder");
    let told = perry_with(again.path(), &["config", "agent", "add", &address], &typed);
    assert!(told.code == 1 && told.err.contains("this code is wrong, was used"), "{told:?}");
    assert!(!again.path().join("client.json").exists(), "nothing is kept of what failed");
    let listed = perry(elsewhere.path(), &["config", "agent", "list"]);
    assert!(ok(&listed).contains(&format!("*  {address}")), "{listed:?}");
    ok(&perry(elsewhere.path(), &["config", "worker", ""]));
    assert_eq!(perry(elsewhere.path(), &["get"]).code, 5, "no agent runs there");
    ok(&perry(elsewhere.path(), &["config", "agent", "use", &address]));
    ok(&perry(elsewhere.path(), &["get"]));
    ok(&perry(elsewhere.path(), &["config", "agent", "remove", &address]));
    assert_eq!(perry(elsewhere.path(), &["config", "agent", "use", &address]).code, 3);
}

#[test]
fn a_picture_of_the_link_is_drawn_and_the_dashboard_has_one_too() {
    let agent = agent();
    let told = run(&agent, &["pair"]);
    assert!(ok(&told).contains("Link:  http://") && told.out.contains("Code:  ") && told.out.contains('█'), "{told:?}");
    assert!(told.err.contains("listens on this machine alone"), "{told:?}");
    let told = run(&agent, &["pair", "--name", "tablet", "--address", "desk:7391"]);
    assert!(ok(&told).contains("Link:  http://desk:7391/#pair="), "{told:?}");
    let link = run(&agent, &["dashboard", "--no-open"]);
    assert!(ok(&link).starts_with("http://127.0.0.1:") && link.out.contains("/#pair="), "{link:?}");
}
