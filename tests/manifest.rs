//! Manifests are read as they were meant, and never otherwise.

use perry::model::manifest::{self, MAX_BYTES};
use perry::model::{Document, Run};

fn one(text: &str) -> Document {
    let mut documents = manifest::parse("-", text.as_bytes()).unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!(documents.len(), 1);
    documents.remove(0).document
}

fn spec(text: &str) -> Document {
    let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
    one(&format!("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: {{ name: a }}\nspec:\n{indented}"))
}

fn bad(text: &str) -> String {
    manifest::parse("-", text.as_bytes()).expect_err("refused").to_string()
}

const HEAD: &str = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: a }\n";

#[test]
fn every_field_is_read() {
    let document = one(r#"
apiVersion: perry.dev/v1
kind: Workspace
metadata:
  name: myproject
  labels: { team: web }
  annotations: { example.com/why: because }
spec:
  run: Stopped
  image: workspace-base
  clone: { url: https://example.com/app.git, branch: main, path: ~/app }
  env: { NODE_ENV: development }
  ports:
    - { name: http, port: 3000 }
    - { name: api, port: 8080, hostPort: 28080, bind: 0.0.0.0 }
  volumes:
    - { name: cache, path: /home/workspace/.cache }
  resources: { cpus: 0.5, memory: 4Gi, pids: 4096, shm: 256Mi }
  docker: false
  ssh: { authorizedKeys: ["ssh-ed25519 AAAA me@laptop"], bind: 127.0.0.1 }
  files: [ { from: ~/.gitconfig, to: ~/.gitconfig } ]
  tools: [ claude, codex ]
  hooks: { onCreate: "npm ci", onStart: "npm run dev &" }
"#);
    let json = serde_json::to_value(&document).expect("JSON");
    assert_eq!(document.spec.run, Some(Run::Stopped));
    assert_eq!(document.spec.ports[1].host_port, Some(28080));
    assert_eq!(document.spec.resources.cpus.map(|cpus| cpus.millis), Some(500));
    assert_eq!(json["spec"].as_object().expect("object").len(), 12, "{json}");
    // And written as YAML or JSON, it is the same again.
    assert_eq!(one(&manifest::to_yaml([&document])), document);
    assert_eq!(one(&json.to_string()), document);
    assert_eq!(one(&serde_json::to_string_pretty(&json).expect("JSON").replace("  ", "\t")), document);
}

#[test]
fn where_text_is_wanted_what_was_written_is_taken_as_it_is() {
    let document = spec("env: { A: 1.10, B: on, C: 010, D: 1e3, E: true, F: '', G: 0x1F, H: 12:30, I: \"null\" }");
    let env: Vec<&str> = document.spec.env.values().map(String::as_str).collect();
    assert_eq!(env, ["1.10", "on", "010", "1e3", "true", "", "0x1F", "12:30", "null"]);
}

#[test]
fn what_is_left_empty_is_left_out() {
    assert_eq!(one(HEAD).spec, one(&format!("{HEAD}spec:\n")).spec);
    assert_eq!(one(HEAD).spec, one(&format!("{HEAD}spec: ~\n")).spec);
    assert_eq!(one(HEAD).spec, spec("ports:\nenv: null\nimage: ~\nresources:\ndocker:").spec);
}

#[test]
fn empty_documents_between_others_are_skipped_and_a_text_of_nothing_else_is_refused() {
    let text = format!("---\n---\n# only a comment\n---\n{HEAD}---\n---\n{}---\n", HEAD.replace("name: a", "name: b"));
    let documents = manifest::parse("f", text.as_bytes()).expect("two");
    let sources: Vec<String> = documents.iter().map(manifest::Located::source).collect();
    assert_eq!(sources, ["f (document 3)", "f (document 5)"]);
    for nothing in ["", "\n", "---\n", "# a comment\n", "---\n---\n", "\u{feff}"] {
        assert_eq!(
            bad(nothing),
            "-: there is no document in it: it begins with `apiVersion: perry.dev/v1`",
            "{nothing:?}"
        );
    }
}

#[test]
fn anchors_and_merge_keys_are_written_out() {
    let document =
        spec("env: &env { A: 1, B: 2 }\nports:\n- &web { name: web, port: 80 }\n- { <<: *web, name: api, port: 81 }");
    assert_eq!(document.spec.ports[1].port, 81);
    assert_eq!(document.spec.ports[1].name.as_str(), "api");
    assert!(bad(&format!("{HEAD}spec: {{ <<: nothing }}")).contains("<< takes an alias of a map"));
}

#[test]
fn a_text_that_grows_when_aliases_are_written_out_is_refused_at_once() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let begin = std::time::Instant::now();
    assert!(bad(&text).contains("more than 100000 values, aliases written out"));
    assert!(begin.elapsed().as_secs() < 5);
}

#[test]
fn limits_are_kept() {
    let big = format!("{HEAD}# {}\n", "x".repeat(MAX_BYTES));
    assert!(bad(&big).contains("larger than 1 MiB"));
    let many = format!("{HEAD}---\n").repeat(1001);
    assert!(bad(&many).contains("more than 1000 documents"));
    let names = (0..1000).map(|n| HEAD.replace("name: a", &format!("name: a{n}")));
    let documents = manifest::parse("-", names.collect::<Vec<_>>().join("---\n").as_bytes()).expect("1000");
    assert_eq!(documents.len(), 1000);
    let deep = format!("{HEAD}spec: {}{}\n", "[".repeat(1000), "]".repeat(1000));
    assert!(bad(&deep).contains("nested"), "{}", bad(&deep));
    // Many faults in many documents do not cost the square of the text.
    let begin = std::time::Instant::now();
    let wrong = format!("{HEAD}spec: {{ {} }}\n---\n", (0..80).map(|n| format!("x{n}: 1, ")).collect::<String>());
    let faults = manifest::parse("-", wrong.repeat(900).as_bytes()).expect_err("refused").faults;
    assert!(faults.len() <= 50 && begin.elapsed().as_secs() < 5);
}

#[test]
fn no_control_character_of_a_manifest_reaches_a_terminal() {
    let text = bad("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: a, \"\\e[31mx\": 1 }\n");
    assert!(text.contains("\\u{1b}") && !text.contains('\u{1b}'), "{text}");
    let text = bad("apiVersion: perry.dev/v1\nkind: \"\u{1b}[31m\"\n");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_fault_never_shows_what_may_be_a_secret() {
    for text in [
        format!("{HEAD}spec:\n  env: {{ TOKEN: [SECRET] }}\n"),
        format!("{HEAD}spec:\n  env:\n    TOKEN: SECRET\n    TOKEN: SECRET\n"),
        format!("{HEAD}spec:\n  env:\n    TOKEN: \"SECRET\n"),
        format!("{HEAD}spec:\n  env:\n  \tTOKEN: SECRET\n"),
        format!("{HEAD}spec:\n  ssh: {{ authorizedKeys: {{ key: SECRET }} }}\n"),
        format!("{HEAD}spec: {{ env: {{ TOKEN: SECRET }}, prots: 1 }}\n"),
        "{\"metadata\": 1, \"spec\": {\"env\": {\"TOKEN\": \"SECRET\"}}\n".to_owned(),
        format!("{HEAD}spec:\n  clone: https://me:SECRET@example.com/a\n"),
    ] {
        let text = bad(&text);
        assert!(!text.contains("SECRET"), "{text}");
    }
}
