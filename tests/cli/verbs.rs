//! The verbs against an agent.

use std::time::{Duration, Instant};

use perry::runtime::fake::Smooth;
use serde_json::Value;

use crate::agent::Agent;
use crate::{ASKING, Told, command, perry, perry_with};

const HEAD: &str = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: ";

fn agent() -> Agent {
    Agent::start(Smooth)
}

fn apply(agent: &Agent, manifest: &str, more: &[&str]) -> Told {
    perry_with(agent.folder.path(), &[&["apply", "-f", "-"], more].concat(), manifest)
}

fn run(agent: &Agent, args: &[&str]) -> Told {
    perry(agent.folder.path(), args)
}

fn ok(told: &Told) -> &str {
    assert_eq!(told.code, 0, "{told:?}");
    &told.out
}

fn json(agent: &Agent, args: &[&str]) -> Value {
    serde_json::from_str(ok(&run(agent, args))).expect("JSON")
}

#[test]
fn apply_waits_until_ready_and_a_second_time_changes_nothing() {
    let agent = agent();
    let manifest =
        format!("{HEAD}{{ name: web, labels: {{ team: a }} }}\nspec: {{ ports: [ {{ name: http, port: 80 }} ] }}\n");
    let told = apply(&agent, &manifest, &["--wait"]);
    assert_eq!((told.code, told.out.as_str()), (0, "web created\n"), "{told:?}");
    assert!(told.err.ends_with("web is ready\n"), "{told:?}");
    assert!(!told.err.contains('\x1b') && !told.err.contains('\r'), "no terminal, no tricks: {told:?}");
    assert_eq!(apply(&agent, &manifest, &[]).out, "web unchanged\n");
    let table = ok(&run(&agent, &["list"])).to_owned();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATUS", "SSH", "PORTS", "AGE"]);
    assert_eq!(lines[1][..4], ["web", "running", "22000", "http:23000"]);
    for same in [&["ls"][..], &["get"], &["get", "workspaces"], &["list", "--output", "table"]] {
        let told = run(&agent, same);
        let row: Vec<&str> = ok(&told).lines().nth(1).expect("a row").split_whitespace().collect();
        // The age goes on.
        assert_eq!(row[..4], lines[1][..4], "{same:?}");
    }
    let wide = run(&agent, &["get", "workspaces", "-o", "wide", "-l", "team in (a,b)"]);
    assert!(ok(&wide).contains("workspace-base") && wide.out.contains("team=a"), "{wide:?}");
}

#[test]
fn get_has_a_form_for_everybody() {
    let agent = agent();
    apply(
        &agent,
        &format!("{HEAD}{{ name: a }}\n---\n{HEAD}{{ name: b, labels: {{ x: y }} }}\nspec: {{ env: {{ K: '1' }} }}\n"),
        &[],
    );
    assert_eq!(ok(&run(&agent, &["get", "-o", "name"])), "a\nb\n");
    assert_eq!(json(&agent, &["get", "-o", "json"]).as_array().map(Vec::len), Some(2));
    assert_eq!(json(&agent, &["get", "b", "-o", "json"])["spec"]["env"]["K"], "1");
    assert_eq!(json(&agent, &["get", "-l", "x", "-o", "json"])[0]["name"], "b");
    assert!(ok(&run(&agent, &["get", "b", "-o", "yaml"])).contains("name: b\n"));
    // What it writes as a manifest is what is there.
    let manifest = ok(&run(&agent, &["get", "-o", "manifest"])).to_owned();
    assert_eq!(apply(&agent, &manifest, &[]).out, "a unchanged\nb unchanged\n");
    let told = run(&agent, &["get", "a", "c"]);
    assert_eq!((told.code, told.err.as_str()), (3, "error: there is no workspace c\n"));
    assert!(told.out.contains("\na "), "what is there is shown: {told:?}");
    let told = run(&agent, &["get", "-l", "x=z"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "", "no workspaces with these labels\n"));
}

#[test]
fn an_empty_list_is_empty_for_programs_and_a_word_for_people() {
    let agent = agent();
    let told = run(&agent, &["get"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "", "no workspaces\n"));
    assert_eq!(ok(&run(&agent, &["get", "-o", "json"])), "[]\n");
    assert_eq!(ok(&run(&agent, &["get", "-o", "name"])), "");
}

#[test]
fn a_dry_run_and_a_diff_change_nothing_and_say_what_would_be_done() {
    let agent = agent();
    let manifest = format!("{HEAD}{{ name: web }}\nspec: {{ env: {{ TOKEN: secret }} }}\n");
    let told = apply(&agent, &manifest, &["--dry-run", "--wait"]);
    assert!(
        ok(&told).starts_with("web created (dry run)\n") && told.out.contains("\n  build image workspace-base\n"),
        "{told:?}"
    );
    let told = perry_with(agent.folder.path(), &["diff", "-f", "-"], &manifest);
    assert_eq!(told.code, 1);
    assert!(
        told.out.starts_with("web created\n  ") && told.out.contains("\n  create container workspace-web from"),
        "{told:?}"
    );
    assert_eq!(ok(&run(&agent, &["get", "-o", "name"])), "");
    apply(&agent, &manifest, &["--wait"]);
    let told = perry_with(agent.folder.path(), &["diff", "-f", "-"], &manifest);
    assert_eq!((told.code, told.out.as_str()), (0, ""));
    let changed =
        format!("{HEAD}{{ name: web, labels: {{ a: b }} }}\nspec: {{ run: Stopped, env: {{ TOKEN: other }} }}\n");
    let told = perry_with(agent.folder.path(), &["diff", "-f", "-"], &changed);
    let lines: Vec<&str> = told.out.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "web configured",
            "  ~ spec.env.TOKEN",
            "  ~ spec.run \"Running\" → \"Stopped\"",
            "  + metadata.labels.a \"b\""
        ]
    );
    assert_eq!((told.code, told.out.contains("secret")), (1, false), "{told:?}");
}

#[test]
fn a_replacement_is_refused_unasked_and_says_what_would_end() {
    let agent = agent();
    let manifest = |value: &str| format!("{HEAD}{{ name: web }}\nspec: {{ env: {{ A: '{value}' }} }}\n");
    apply(&agent, &manifest("1"), &["--wait"]);
    let told = apply(&agent, &manifest("2"), &[]);
    assert_eq!((told.code, told.out.as_str()), (4, ""), "{told:?}");
    assert!(
        told.err.contains("web") && told.err.contains("it would stop container") && told.err.contains("--replace"),
        "{told:?}"
    );
    assert_eq!(json(&agent, &["get", "web", "-o", "json"])["generation"], 1);
    let told = apply(&agent, &manifest("2"), &["--replace", "--wait"]);
    assert_eq!((told.code, told.out.as_str()), (0, "web configured\n"), "{told:?}");
}

#[test]
fn while_the_engine_is_away_only_a_change_that_may_end_work_is_refused() {
    let agent = agent();
    let manifest =
        |more: &str, value: &str| format!("{HEAD}{{ name: web{more} }}\nspec: {{ env: {{ A: '{value}' }} }}\n");
    apply(&agent, &manifest("", "1"), &["--wait"]);
    agent.world.meddle(|engine| engine.up = false);
    let told = apply(&agent, &manifest("", "2"), &[]);
    assert_eq!((told.code, told.out.as_str()), (4, ""), "{told:?}");
    for part in ["not known whether work in the present one would end: the engine does not answer (", "--replace"] {
        assert!(told.err.contains(part), "{told:?}");
    }
    let told = perry_with(agent.folder.path(), &["diff", "-f", "-"], &manifest("", "2"));
    assert!(told.out.contains("\n  it needs a new container; whether ") && told.code == 1, "{told:?}");
    let told = apply(&agent, &manifest(", labels: { a: b }", "1"), &[]);
    assert_eq!((told.code, told.out.as_str()), (0, "web configured\n"), "{told:?}");
    // Who stops it has ended the work.
    ok(&run(&agent, &["stop", "web"]));
    assert_eq!(apply(&agent, &manifest("", "2"), &[]).code, 0);
    ok(&run(&agent, &["start", "web", "--no-wait"]));
    assert_eq!(apply(&agent, &manifest("", "3"), &["--replace"]).code, 0);
    agent.world.meddle(|engine| engine.up = true);
    assert_eq!(run(&agent, &["wait", "web"]).code, 0);
    assert_eq!(json(&agent, &["get", "web", "-o", "json"])["spec"]["env"]["A"], "3");
}

#[test]
fn what_the_agent_says_of_a_manifest_is_told_at_its_line() {
    let agent = agent();
    apply(
        &agent,
        &format!("{HEAD}{{ name: a }}\nspec: {{ ports: [ {{ name: x, port: 80, hostPort: 28080 }} ] }}\n"),
        &[],
    );
    let text = format!(
        "{HEAD}{{ name: b }}\n---\n{HEAD}{{ name: c }}\nspec:\n  image: Debian\n  ports:\n    - {{ name: x, port: 22 }}\n"
    );
    let told = apply(&agent, &text, &[]);
    assert_eq!((told.code, told.out.as_str()), (2, ""));
    assert_eq!(
        told.err,
        "error: - (document 2):9:10: spec.image: has capitals in its name, which is in lower case: write debian\n \
         9 |   image: Debian\n   |          ^^^^^^\n\
         error: - (document 2):11:24: spec.ports.0.port: 22 is ssh, which is always there: leave it out\n \
         11 |     - { name: x, port: 22 }\n    |                        ^^\n"
    );
    let text = format!("{HEAD}{{ name: b }}\nspec:\n  ports:\n    - {{ name: x, port: 80, hostPort: 28080 }}\n");
    let told = apply(&agent, &text, &[]);
    assert_eq!(told.code, 4);
    assert_eq!(
        told.err,
        "error: -:6:38: spec.ports.0.hostPort: host port 28080 belongs to workspace a already\n \
         6 |     - { name: x, port: 80, hostPort: 28080 }\n   |                                      ^^^^^\n\
         hint: free ones near it: 28081, 28082, 28083; without hostPort one is chosen\n"
    );
    assert_eq!(ok(&run(&agent, &["get", "-o", "name"])), "a\n", "all or none");
}

#[test]
fn warnings_go_to_stderr() {
    let agent = agent();
    let told =
        apply(&agent, &format!("{HEAD}{{ name: a }}\nspec: {{ clone: {{ url: 'https://me:pw@x.org/a' }} }}\n"), &[]);
    assert_eq!((told.code, told.out.as_str()), (0, "a created\n"));
    assert_eq!(
        told.err,
        "warning: a: spec.clone.url has a password in it, which everybody with access to the agent can read\n"
    );
}

#[test]
fn start_stop_restart_and_delete_do_what_they_say() {
    let agent = agent();
    let told = run(&agent, &["start", "web", "-e", "A=1", "-p", "3000"]);
    assert_eq!((told.code, told.out.as_str()), (0, "web is to run\n"), "{told:?}");
    assert!(told.err.ends_with("web is ready\n"), "{told:?}");
    assert_eq!(json(&agent, &["get", "web", "-o", "json"])["ports"]["port-3000"], 23000);
    assert_eq!(ok(&run(&agent, &["start", "web"])), "web is to run\n");
    let told = run(&agent, &["start", "web", "--image", "debian:12"]);
    assert_eq!((told.code, told.out.as_str()), (4, ""), "{told:?}");
    assert!(
        told.err.starts_with("error: workspace web exists and has another image (workspace-base)\nhint: "),
        "{told:?}"
    );
    let told = run(&agent, &["stop", "web", "--wait"]);
    assert!(ok(&told) == "web is to stop\n" && told.err.ends_with("web is stopped\n"), "{told:?}");
    assert_eq!(json(&agent, &["get", "web", "-o", "json"])["status"], "stopped");
    assert!(ok(&run(&agent, &["why", "web"])).starts_with("web is stopped"));
    assert!(run(&agent, &["restart", "workspace/web", "--wait"]).err.ends_with("web is ready\n"));
    assert!(ok(&run(&agent, &["why", "web"])).starts_with("web has been ready for "));
    let told = run(&agent, &["restart", "web", "--upgrade", "--wait"]);
    assert!(ok(&told) == "web is to be upgraded\n" && told.err.ends_with("web is ready\n"), "{told:?}");
    assert!(ok(&run(&agent, &["events", "web"])).contains("ContainerRemoved"));
    let told = run(&agent, &["delete", "web", "--wait"]);
    assert!(ok(&told) == "web is to be deleted\n" && told.err.ends_with("web is deleted\n"), "{told:?}");
    assert_eq!(ok(&run(&agent, &["get", "-o", "name"])), "");
    assert!(agent.world.with(|engine| engine.containers.is_empty() && engine.volumes.is_empty()));
}

#[test]
fn an_absent_workspace_ends_with_3_and_the_nearest_name() {
    let agent = agent();
    apply(&agent, &format!("{HEAD}{{ name: website }}\n"), &[]);
    for args in [
        &["describe", "webiste"][..],
        &["stop", "webiste"],
        &["restart", "webiste"],
        &["delete", "webiste"],
        &["why", "webiste"],
        &["events", "webiste"],
        &["exec", "webiste", "--", "ls"],
    ] {
        let told = run(&agent, args);
        assert_eq!((told.code, told.out.as_str()), (3, ""), "{args:?}");
        assert_eq!(told.err, "error: there is no workspace webiste\nhint: did you mean website?\n", "{args:?}");
    }
    // One that fails does not keep the verb from the others.
    let told = run(&agent, &["stop", "webiste", "website"]);
    assert_eq!((told.code, told.out.as_str()), (3, "website is to stop\n"));
}

#[test]
fn wait_ends_with_0_when_it_came_and_with_6_when_not() {
    let agent = agent();
    let told = run(&agent, &["wait", "web", "--for", "deleted"]);
    assert_eq!((told.code, told.err.as_str()), (0, "web is deleted\n"));
    let told = run(&agent, &["wait", "web", "--timeout", "2s"]);
    assert_eq!(told.code, 6);
    assert!(
        told.err.ends_with(
            "error: web was not ready within 2s: there is none of that name\nhint: see why: perry describe web\n"
        ),
        "{told:?}"
    );
    // An absent one is waited for.
    let waiting = command(agent.folder.path(), &["wait", "web", "--for", "condition=SshReady", "--timeout", "1m"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    apply(&agent, &format!("{HEAD}{{ name: web }}\n"), &[]);
    assert_eq!(waiting.wait_with_output().expect("it ends").status.code(), Some(0));
    let told = run(&agent, &["wait", "web", "--for", "stopped", "--timeout", "200ms"]);
    assert_eq!(told.code, 6);
}

#[test]
fn a_wait_for_what_is_deleted_meanwhile_ends_with_3() {
    let agent = agent();
    apply(&agent, &format!("{HEAD}{{ name: web }}\n"), &["--wait"]);
    let mut waiting = command(agent.folder.path(), &["wait", "web", "--for", "stopped", "--timeout", "1m"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    // It must have seen it first; its progress says so.
    let mut stderr = std::io::BufReader::new(waiting.stderr.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("a line");
    assert_eq!(line, "web: running\n");
    run(&agent, &["delete", "web", "--wait"]);
    assert_eq!(waiting.wait().expect("it ends").code(), Some(3));
}

#[test]
fn exec_ends_with_the_code_of_the_command() {
    let agent = agent();
    apply(&agent, &format!("{HEAD}{{ name: web }}\n"), &["--wait"]);
    let told = run(&agent, &["exec", "web", "--", "echo", "-n", "a b"]);
    assert_eq!((told.code, told.out.as_str(), told.err.as_str()), (0, "echo -n a b\n", "told on stderr\n"));
    assert_eq!(run(&agent, &["exec", "web", "--", "false"]).code, 7);
    run(&agent, &["stop", "web", "--wait"]);
    let told = run(&agent, &["exec", "web", "--", "ls"]);
    assert_eq!((told.code, told.err.as_str()), (1, "error: workspace web does not run: perry start web\n"));
}

#[test]
fn describe_and_events_tell_the_story() {
    let agent = agent();
    apply(
        &agent,
        &format!("{HEAD}{{ name: web, labels: {{ a: b }} }}\nspec: {{ ports: [ {{ name: http, port: 80 }} ] }}\n"),
        &["--wait"],
    );
    let told = run(&agent, &["describe", "web"]);
    let disk = told.out.split_once("\nDisk:\n").expect("a section").1;
    assert!(disk.contains("workspace-web-home    /home/workspace  4.0 KiB"), "{disk}");
    assert!(disk.ends_with("(in no volume)        /                0 B\n"), "{disk}");
    for part in [
        "Name:        web\nStatus:      running\nImage:       workspace-base\nLabels:      a=b\n",
        "\nSpec:\n  run: Running\n",
        "  http  80      127.0.0.1:23000\n",
        "  Ready ",
        "\nStart:\n  STEP ",
        "  create ",
        "\nEvents:\n  AGE ",
    ] {
        assert!(ok(&told).contains(part), "{part:?} in {}", told.out);
    }
    let events = json(&agent, &["events", "web", "-o", "json"]);
    assert!(events.as_array().is_some_and(|events| !events.is_empty()), "{events}");
    assert!(ok(&run(&agent, &["events"])).starts_with("AGE "));
}

#[test]
fn a_watch_shows_the_list_and_then_each_change() {
    use std::io::{BufRead, BufReader};
    let agent = agent();
    apply(&agent, &format!("{HEAD}{{ name: web }}\n"), &["--wait"]);
    let mut watching =
        command(agent.folder.path(), &["get", "-w"]).stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    assert!(lines.next().expect("a head").starts_with("NAME  STATUS"));
    assert!(lines.next().expect("a row").starts_with("web   running"));
    run(&agent, &["delete", "web", "--wait"]);
    let rest: Vec<String> = lines.by_ref().take_while(|line| !line.contains(" deleted ")).collect();
    assert!(rest.iter().all(|line| line.starts_with("web ")), "{rest:?}");
    // Interrupted as from a keyboard.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(watching.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it is there");
    assert_eq!(watching.wait().expect("it ends").code(), Some(130));
}

#[test]
fn logs_are_told_line_by_line_with_the_program_before_them_where_there_are_several() {
    let agent = agent();
    assert_eq!(run(&agent, &["logs", "web"]).code, 3);
    ok(&run(&agent, &["start", "web"]));
    let all = run(&agent, &["logs", "web", "--tail", "1"]);
    let lines: Vec<&str> = ok(&all).lines().collect();
    assert_eq!(lines[1], "hooks      | line 3 of hooks\x1b[2J", "as it is where no terminal reads it");
    assert_eq!(lines.len(), 4);
    let one = run(&agent, &["logs", "web", "--source", "docker"]);
    assert_eq!(ok(&one).lines().next(), Some("line 1 of docker\x1b[2J"));
    let one = run(&agent, &["logs", "web", "--source", "docker", "--json", "--tail", "1"]);
    assert_eq!(one.out, "{\"source\":\"docker\",\"from\":\"docker\",\"line\":\"line 3 of docker\\u001b[2J\"}\n");
    for wrong in [&["logs", "web", "--source", "nginx"][..], &["logs", "web", "--tail", "10001"]] {
        assert_eq!(run(&agent, wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn what_workspaces_use_is_a_table() {
    let agent = agent();
    assert_eq!(run(&agent, &["top"]).err, "no workspace runs\n");
    ok(&run(&agent, &["start", "web"]));
    let told = run(&agent, &["top"]);
    let lines: Vec<Vec<&str>> = ok(&told).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "CPU", "MEMORY", "HOME", "DOCKER", "PORTS"]);
    assert_eq!(lines[1], ["web", "0.00", "1.0", "MiB", "of", "1.0", "GiB", "3.0", "MiB", "-", "22,3000"]);
    let told: Value = serde_json::from_str(ok(&run(&agent, &["top", "web", "--json"]))).expect("JSON");
    assert_eq!(told[0]["disk"], serde_json::json!({ "home": 3 << 20 }));
    assert_eq!(run(&agent, &["top", "other"]).err, "no workspace runs\n");
}

#[test]
fn the_image_is_built_once_when_asked_so() {
    let agent = agent();
    let build = |more: &[&str]| run(&agent, &[&["image", "build"], more].concat());
    let told = build(&["--if-missing"]);
    let built = |told: &Told, image: &str| told.err.contains(&format!("the image {image} is built, in "));
    assert!(told.code == 0 && told.out.is_empty() && built(&told, "workspace-base"), "{told:?}");
    let told = build(&["--if-missing"]);
    assert_eq!((told.code, told.err.as_str()), (0, "the image workspace-base is there already\n"));
    assert!(built(&build(&[]), "workspace-base"));
    assert!(built(&build(&["--if-missing", "--variant", "slim"]), "workspace-base:slim"), "another one");
    assert!(build(&["--if-missing", "--variant", "slim"]).err.ends_with("is there already\n"));
    assert!(build(&["--if-missing", "--variant", "full"]).err.ends_with("is there already\n"));
    assert_eq!(build(&["--variant", "thin"]).code, 2);
}

#[test]
fn the_agent_tells_of_itself_and_ends_when_told() {
    let agent = agent();
    let told = run(&agent, &["agent", "info"]);
    assert!(ok(&told).contains("Host:       devbox\n") && told.out.contains("Docker:"), "{told:?}");
    assert_eq!(json(&agent, &["agent", "info", "-o", "json"])["hostname"], "devbox");
    assert!(ok(&run(&agent, &["agent", "status"])).starts_with("running at 127.0.0.1:"));
    assert_eq!(json(&agent, &["config", "show"])["imageTag"], "workspace-base");
    let begin = Instant::now();
    assert_eq!(ok(&run(&agent, &["agent", "kill"])), "agent ended; workspaces go on running\n");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(run(&agent, &["agent", "status"]).code, 5);
    assert_eq!(run(&agent, &["get"]).code, 5);
}

#[test]
fn another_agent_at_the_address_that_a_killed_one_left_is_asked_for_nothing() {
    let agent = agent();
    apply(&agent, &format!("{HEAD}{{ name: web }}\n"), &["--wait"]);
    let killed = agent.left_by("c0ffee00-0000-4000-8000-000000000001");
    let before = agent.world.with(Clone::clone);
    let address = ok(&run(&agent, &["agent", "status"])).split([' ', ',']).nth(2).expect("an address").to_owned();
    for args in ASKING {
        let told = perry(killed.path(), args);
        let right = format!(
            "error: the agent of {} does not run; another one answers at {address}\nhint: start it: perry agent run\n",
            killed.path().display()
        );
        assert_eq!((told.code, told.out.as_str(), told.err), (5, "", right), "{args:?}");
    }
    let told = perry(killed.path(), &["agent", "status"]);
    assert_eq!((told.code, told.out), (5, format!("not running at {address}; another agent answers there\n")));
    assert!(agent.world.with(|engine| *engine == before), "nothing was done");
    assert_eq!(json(&agent, &["get", "web", "-o", "json"])["generation"], 1);
    // The folder's own agent answers, there as anywhere.
    let own = agent.own_folder();
    assert_eq!(ok(&perry(own.path(), &["get", "-o", "name"])), "web\n");
    assert!(perry(own.path(), &["delete", "web", "--wait"]).err.ends_with("web is deleted\n"));
    assert_eq!(ok(&perry(own.path(), &["agent", "kill"])), "agent ended; workspaces go on running\n");
}
