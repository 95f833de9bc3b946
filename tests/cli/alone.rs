//! What needs no agent.

use std::fs;
use std::path::Path;

use crate::{ASKING, perry, perry_with};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A port that nobody listens on, in a client.json.
fn unreachable() -> (tempfile::TempDir, String) {
    let folder = folder();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    fs::write(folder.path().join("client.json"), format!("{{\"worker\": \"{address}\"}}")).expect("written");
    (folder, address)
}

#[test]
fn the_help_of_every_verb_is_as_it_was_read() {
    let folder = folder();
    let verbs = [
        "",
        "apply",
        "diff",
        "get",
        "describe",
        "start",
        "stop",
        "restart",
        "delete",
        "wait",
        "events",
        "exec",
        "sync",
        "logs",
        "top",
        "why",
        "agent",
        "agent run",
        "agent info",
        "agent status",
        "agent kill",
        "image",
        "image build",
        "config",
        "config show",
        "config worker",
        "config agent",
        "config agent add",
        "config agent use",
        "config agent list",
        "config agent remove",
        "shell",
        "terminals",
        "terminals list",
        "terminals rename",
        "terminals close",
        "token",
        "token create",
        "token list",
        "token revoke",
        "pair",
        "dashboard",
        "prune",
        "doctor",
        "explain",
        "schema",
        "completion",
        "version",
    ];
    let mut wrong = Vec::new();
    for verb in verbs {
        let args: Vec<&str> = verb.split_whitespace().chain(["--help"]).collect();
        let told = perry(folder.path(), &args);
        assert_eq!((told.code, told.err.as_str()), (0, ""), "{verb}");
        let name = if verb.is_empty() { "perry".to_owned() } else { verb.replace(' ', "-") };
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(golden.parent().expect("a folder")).expect("made");
            fs::write(&golden, &told.out).expect("written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != told.out {
            wrong.push(format!("{name} is now\n{}", told.out));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_GOLDEN=1 takes them over)", wrong.join("\n"));
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let folder = folder();
    for (args, says) in [
        (&["lst"][..], "'list'"),
        (&[], "Usage: perry"),
        (&["apply"], "--filename"),
        (&["get", "-o", "xml"], "xml"),
        (&["get", "-l", "a b"], "is no selector: write team=web"),
        (&["stop"], "NAME"),
        (&["stop", "My_App"], "a name has only a-z, 0-9 and -, not 'M'"),
        (&["get", "My_App"], "a name has only a-z"),
        (&["exec", "web", "ls"], "unexpected argument"),
        (&["exec", "web"], "required"),
        (&["sync"], "required"),
        (&["sync", "web", "--all"], "cannot be used with"),
        (&["wait", "web", "--for", "happy"], "ready, stopped, deleted or condition=Type=Status"),
        (&["wait", "web", "--for", "condition=Happy=True"], "there is no condition \"Happy\""),
        (&["wait", "web", "--timeout", "soon"], "such as 30s, 5m or 1h"),
        (&["start", "web", "-p", "http"], "write one such as 3000"),
        (&["start", "web", "-e", "=x"], "KEY=VALUE"),
        (&["explain", "workspace.spec.prots"], "did you mean workspace.spec.ports?"),
        (&["completion", "powershell"], "bash, zsh, fish"),
        (&["apply", "-f", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (&["apply", "-f", "-", "-f", "-"], "only once"),
    ] {
        let told = perry(folder.path(), args);
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{args:?}: {}", told.err);
        assert!(told.err.contains(says), "{args:?}: {}", told.err);
    }
}

#[test]
fn an_agent_that_does_not_answer_is_named_with_how_to_start_one() {
    let (folder, address) = unreachable();
    for args in ASKING {
        let told = perry(folder.path(), args);
        let right = format!(
            "error: no agent answers at {address}: Connection refused (os error 111)\nhint: start one: perry agent run\n"
        );
        assert_eq!((told.code, told.out.as_str(), told.err), (5, "", right), "{args:?}");
    }
    let told = perry(folder.path(), &["agent", "status"]);
    assert_eq!((told.code, told.out, told.err), (5, format!("not running at {address}\n"), String::new()));
}

#[test]
fn a_bad_manifest_is_told_without_an_agent() {
    let (folder, _) = unreachable();
    let text =
        "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: web }\nspec:\n  prots: []\n  docker: yes\n";
    let told = perry_with(folder.path(), &["apply", "-f", "-"], text);
    let right = "error: -:5:3: spec: unknown field \"prots\": did you mean \"ports\"?\n 5 |   prots: []\n   |   ^^^^^\n\
                 error: -:6:11: spec.docker: \"yes\" is text in YAML 1.2: write true\n 6 |   docker: yes\n   |           ^^^\n";
    assert_eq!((told.code, told.err.as_str()), (2, right));
}

#[test]
fn a_folder_of_manifests_is_read_by_name_and_every_bad_file_is_told() {
    let (folder, _) = unreachable();
    let manifests = folder.path().join("manifests");
    fs::create_dir(&manifests).expect("made");
    let text = manifests.display().to_string();
    let told = perry(folder.path(), &["apply", "-f", &text]);
    assert_eq!((told.code, told.err), (2, format!("error: {text}: no *.yaml, *.yml or *.json in this folder\n")));
    for name in ["b.yaml", "a.json", "c.yml", "ignored.txt"] {
        fs::write(manifests.join(name), "{}").expect("written");
    }
    let told = perry(folder.path(), &["apply", "-f", &text]);
    let files: Vec<&str> =
        told.err.lines().filter_map(|line| line.strip_prefix("error: ")?.split(':').next()).collect();
    let right = ["a.json", "b.yaml", "c.yml"].map(|name| format!("{text}/{name}"));
    assert_eq!((told.code, files), (2, right.iter().map(String::as_str).collect()));
}

#[test]
fn a_workspace_described_in_two_files_is_told_with_both() {
    let (folder, _) = unreachable();
    let text = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: web }\n";
    let [a, b] = ["a.yaml", "b.yaml"].map(|name| folder.path().join(name).display().to_string());
    fs::write(&a, text).expect("written");
    fs::write(&b, text).expect("written");
    let told = perry(folder.path(), &["apply", "-f", &a, &b]);
    let right = format!("error: {b}:3:19: metadata.name: web is described twice, first in {a}: leave one out\n");
    assert!(told.code == 2 && told.err.starts_with(&right), "{told:?}");
}

#[test]
fn a_file_that_never_ends_is_not_read_to_its_end() {
    let (folder, _) = unreachable();
    let told = perry(folder.path(), &["apply", "-f", "/dev/zero"]);
    assert_eq!(
        (told.code, told.err.as_str()),
        (2, "error: /dev/zero: larger than 1 MiB: split it into several files\n")
    );
}

#[test]
fn schema_explain_version_and_completion_need_nothing() {
    let folder = folder();
    let told = perry(folder.path(), &["schema"]);
    let schema =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/specs/workspace.schema.json")).expect("there");
    assert_eq!((told.code, told.out, told.err.as_str()), (0, schema, ""));
    let told = perry(folder.path(), &["explain", "spec.run"]);
    assert!(told.out.contains("Running | Stopped") && told.out.contains("Down, with everything kept."), "{}", told.out);
    assert!(perry(folder.path(), &["explain"]).out.contains("metadata    object, required"));
    let version = format!("perry {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["version"][..], &["--version"]] {
        assert_eq!(perry(folder.path(), args).out, version);
    }
    for (shell, part) in [("bash", "complete -F _perry"), ("zsh", "#compdef perry"), ("fish", "complete -c perry")] {
        let told = perry(folder.path(), &["completion", shell]);
        assert!(told.code == 0 && told.out.contains(part), "{shell}: {}", told.err);
    }
}

#[test]
fn a_client_json_that_cannot_be_understood_is_named() {
    let folder = folder();
    let file = folder.path().join("client.json");
    for (text, says) in
        [("{", "EOF"), ("{\"worker\": 1}", "invalid type"), ("{\"worker\": \"ftp://x\"}", "is no address")]
    {
        fs::write(&file, text).expect("written");
        let told = perry(folder.path(), &["get"]);
        assert!(
            told.code == 2 && told.err.contains(&file.display().to_string()) && told.err.contains(says),
            "{told:?}"
        );
        assert!(told.err.contains("hint: "), "{told:?}");
    }
}

#[test]
fn an_output_that_nobody_reads_to_its_end_is_no_failure() {
    let folder = folder();
    let mut command = crate::command(folder.path(), &["schema"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().expect("it starts");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_verb_of_the_worker_that_there_is_not_is_wrong_usage() {
    assert_eq!(perry(folder().path(), &["worker", "dance"]).code, 2);
}
