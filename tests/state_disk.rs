//! The real agent on real file systems that take no more: full, out of names, read-only. There is no engine here, and
//! none is needed: intent is taken without one.
//!
//! Mounting is done in a mount namespace of the test's own, in which it runs itself once more: nothing of it is seen
//! outside, and nothing outlasts it.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where and why")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use perry::model::State;
use perry::model::files::{AGENT_LOCK, AgentLock, STATE, STATE_PREVIOUS};

/// Far beyond anything that should happen, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(20);
/// Set in the namespace.
const INSIDE: &str = "PERRY_TEST_MOUNTS";
const BALLAST: &str = "ballast";
const PAGE: usize = 4096;

/// Runs this test in a mount namespace, by itself; whether it is there by now.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let program = std::env::current_exe().expect("this program");
    let output = command.arg(program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output();
    let output = output.unwrap_or_else(|error| panic!("this test needs `unshare` of util-linux: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.starts_with("unshare: "),
        "this test mounts file systems in a namespace of its own, which this user may not have ({}): run it as root, or \
         let users have namespaces (sysctl kernel.unprivileged_userns_clone, \
         kernel.apparmor_restrict_unprivileged_userns)",
        said.trim()
    );
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    false
}

/// What there is no more of.
#[derive(Debug, Clone, Copy)]
enum Full {
    /// Pages, but for so many.
    Pages(usize),
    /// Names of files, but for so many.
    Names(usize),
}

/// A small file system in memory. It goes when it is dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { folder: tempfile::tempdir().expect("a folder") };
        let options = Some("size=512k,nr_inodes=64,mode=700");
        mount(Some("tmpfs"), disk.path(), Some("tmpfs"), MsFlags::empty(), options).expect("mounted");
        disk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn fill(&self, full: Full) {
        let ballast = self.path().join(BALLAST);
        match full {
            Full::Pages(free) => {
                let mut file = File::create(&ballast).expect("made");
                let mut pages: usize = 0;
                while fits(file.write_all(&[0; PAGE])) {
                    pages += 1;
                }
                file.set_len(((pages - free) * PAGE) as u64).expect("made smaller");
            }
            Full::Names(free) => {
                fs::create_dir(&ballast).expect("made");
                let mut names = 0;
                while fits(File::create(ballast.join(names.to_string())).map(drop)) {
                    names += 1;
                }
                (names - free..names)
                    .for_each(|name| fs::remove_file(ballast.join(name.to_string())).expect("removed"));
            }
        }
    }

    fn make_room(&self) {
        let ballast = self.path().join(BALLAST);
        if ballast.is_dir() { fs::remove_dir_all(ballast) } else { fs::remove_file(ballast) }.expect("removed");
    }

    /// As a disk with errors is: who holds a file open goes on to hold it.
    fn make_read_only(&self) {
        let none = None::<&str>;
        mount(Some(self.path()), self.path(), none, MsFlags::MS_BIND, none).expect("mounted over itself");
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, self.path(), none, flags, none).expect("mounted again");
    }

    fn make_writable(&self) {
        umount2(self.path(), MntFlags::MNT_DETACH).expect("unmounted");
    }

    /// All that is in it, but for the ballast.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let all = fs::read_dir(self.path()).expect("a folder").map(|entry| entry.expect("an entry"));
        let all = all.filter(|entry| entry.file_name() != BALLAST && entry.path().is_file());
        all.map(|entry| (entry.path(), fs::read(entry.path()).expect("read"))).collect()
    }

    /// The names of the workspaces in `state.json`.
    fn stored(&self) -> Vec<String> {
        let state: State =
            serde_json::from_slice(&fs::read(self.path().join(STATE)).expect("read")).expect("it parses");
        state.workspaces.keys().map(ToString::to_string).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever is mounted there, one over the other.
        while umount2(self.folder.path(), MntFlags::MNT_DETACH).is_ok() {}
    }
}

/// Whether a write was taken; one that was not must have found the disk full.
fn fits(result: std::io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::StorageFull => false,
        Err(error) => panic!("{error}"),
    }
}

fn perry(folder: &Path, args: &[&str]) -> Command {
    let program = std::env::var_os("PERRY_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_perry").into());
    let mut command = Command::new(program);
    let engine = format!("unix://{}/no.sock", folder.display());
    command.args(args).env("PERRY_CONFIG_DIR", folder).env("NO_COLOR", "1").env("DOCKER_HOST", engine);
    command.env("PERRY_LOG", "error").stdin(Stdio::null());
    command
}

/// A running agent. It is killed when it is dropped.
struct Agent {
    folder: PathBuf,
    process: Child,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let process = perry(folder, &["agent", "run"]).spawn().expect("it starts");
        let mut agent = Self { folder: folder.to_owned(), process };
        let began = Instant::now();
        while !agent.listens() {
            let ended = agent.process.try_wait().expect("a child");
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "no agent: {ended:?}");
            // Nothing tells when a file in the folder has been written, short of what is tested.
            std::thread::sleep(Duration::from_millis(3));
        }
        agent
    }

    fn listens(&self) -> bool {
        let lock = fs::read(self.folder.join(AGENT_LOCK)).ok().and_then(|text| AgentLock::parse(&text));
        lock.is_some_and(|lock| lock.pid == self.process.id() && lock.address.is_some())
    }

    fn perry(&self, args: &[&str]) -> Output {
        perry(&self.folder, args).output().expect("it runs")
    }

    /// What a command says on stdout, which must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.perry(args);
        assert!(output.status.success(), "perry {args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a command says on stderr, which must fail with code 1.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.perry(args);
        assert_eq!(output.status.code(), Some(1), "perry {args:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A file system with what an agent needs to start; its manifests are elsewhere.
struct World {
    disk: Disk,
    manifests: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { disk: Disk::new(), manifests: tempfile::tempdir().expect("a folder") };
        // A port that the system chooses, so that nobody else's agent is in the way.
        fs::write(world.disk.path().join("config.json"), r#"{ "port": 0 }"#).expect("written");
        world
    }

    fn agent(&self) -> Agent {
        Agent::start(self.disk.path())
    }

    /// A manifest that is longer than a page, so that the document is half written where one page is free.
    fn manifest(&self, name: &str) -> String {
        let path = self.manifests.path().join(format!("{name}.yaml"));
        let long = "x".repeat(PAGE + 1);
        let text = format!(
            "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: {{ name: {name} }}\n\
             spec: {{ image: none, docker: false, env: {{ LONG: {long} }} }}\n"
        );
        fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }
}

/// Nothing can be changed, and nothing is.
fn takes_nothing(world: &World, agent: &Agent, apply: &[&str], error: &str) {
    // That somebody asked is written down where there is room for it.
    let files = || {
        let mut files = world.disk.files();
        files.retain(|path, _| !path.ends_with("audit.log"));
        files
    };
    let (before, names) = (files(), world.disk.stored());
    for args in [apply, &["stop", "a"], &["delete", "a"]] {
        assert_eq!(agent.fails(args), error, "{args:?}");
    }
    assert!(files() == before, "{:?}", files().keys());
    assert_eq!(world.disk.stored(), names);
    let listed = agent.ok(&["get"]);
    assert_eq!(listed.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(), names);
    assert!(agent.ok(&["agent", "info"]).contains(&format!("Process:    {}\n", agent.process.id())));
}

#[test]
fn a_full_disk_changes_nothing_and_the_same_is_taken_when_there_is_room() {
    if !is_inside("a_full_disk_changes_nothing_and_the_same_is_taken_when_there_is_room") {
        return;
    }
    let world = World::new();
    let mut agent = world.agent();
    agent.ok(&["apply", "-f", &world.manifest("a")]);
    let mut names = vec!["a".to_owned()];
    let no_space = "could not be written and is as it was: No space left on device (os error 28)\n";
    for (full, file) in [
        (Full::Pages(0), STATE),
        (Full::Pages(1), STATE),
        (Full::Names(0), STATE),
        // The document has its name, and its predecessor finds none.
        (Full::Names(1), STATE_PREVIOUS),
    ] {
        eprintln!("{full:?}");
        let name = format!("b{}", names.len());
        let manifest = world.manifest(&name);
        let apply = ["apply", "-f", &manifest];
        world.disk.fill(full);
        takes_nothing(&world, &agent, &apply, &format!("error: {file} {no_space}"));
        // An agent that dies now comes back: it needs no room.
        drop(agent);
        agent = world.agent();
        takes_nothing(&world, &agent, &apply, &format!("error: {file} {no_space}"));
        world.disk.make_room();
        let before = fs::read(world.disk.path().join(STATE)).expect("read");
        assert_eq!(agent.ok(&apply), format!("{name} created\n"));
        names.push(name);
        assert_eq!(world.disk.stored(), names);
        assert!(fs::read(world.disk.path().join(STATE_PREVIOUS)).expect("read") == before);
    }
}

#[test]
fn a_folder_that_becomes_read_only_changes_nothing_and_the_same_is_taken_afterwards() {
    if !is_inside("a_folder_that_becomes_read_only_changes_nothing_and_the_same_is_taken_afterwards") {
        return;
    }
    let world = World::new();
    let agent = world.agent();
    agent.ok(&["apply", "-f", &world.manifest("a")]);
    let manifest = world.manifest("b");
    let apply = ["apply", "-f", &manifest];
    world.disk.make_read_only();
    let error = "error: state.lock could not be taken, so that state.json was neither read nor written: Read-only file \
                 system (os error 30)\n";
    takes_nothing(&world, &agent, &apply, error);
    world.disk.make_writable();
    assert_eq!(agent.ok(&apply), "b created\n");
    assert_eq!(world.disk.stored(), ["a", "b"]);
}

#[test]
fn an_agent_does_not_start_where_it_could_keep_nothing_and_says_where_and_why() {
    if !is_inside("an_agent_does_not_start_where_it_could_keep_nothing_and_says_where_and_why") {
        return;
    }
    let refuses = |folder: &Path, errors: &[&str]| {
        let output = perry(folder, &["agent", "run"]).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(errors.iter().all(|error| said.contains(error)) && said.lines().count() == 1, "{said}");
    };
    let world = World::new();
    let folder = world.disk.path();
    let here = format!("error: {} cannot be used (--config-dir names another folder): ", folder.display());

    // Nothing is there yet.
    world.disk.fill(Full::Pages(0));
    refuses(folder, &[&here, "agent.lock", "No space left on device"]);
    world.disk.make_room();
    world.disk.make_read_only();
    refuses(folder, &[&here, "agent.lock", "Read-only file system"]);
    refuses(&folder.join("sub"), &[&folder.join("sub").display().to_string(), "Read-only file system"]);
    world.disk.make_writable();

    // What an agent left there.
    let agent = world.agent();
    agent.ok(&["apply", "-f", &world.manifest("a")]);
    drop(agent);
    let before = world.disk.files();
    world.disk.make_read_only();
    refuses(folder, &[&here, "agent.lock", "Read-only file system"]);
    world.disk.make_writable();
    assert!(world.disk.files() == before);
    assert_eq!(world.agent().ok(&["get"]).lines().count(), 2);
}
