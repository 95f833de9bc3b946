//! Containers with the worker as PID 1, made by the `docker` command as plainly as can be, and removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use perry::contract::worker::Bootstrap;
use perry::model::desired::WorkerPlan;
use perry::model::observed::{Service, WorkerSeen};
use perry::worker::bootstrap;
use tempfile::TempDir;

use crate::worker_client::{Client, PATIENCE};

/// The image with Docker and ssh.
pub(crate) const FULL: &str = "workspace-base:slim";
/// Everything that these tests make bears it, with the number of the test's process.
const LABEL: &str = "perry.test.worker";
const SECRET: &str = "s3cret";

/// Runs a program to its end.
pub(crate) fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    output
        .unwrap_or_else(|error| panic!("these tests need `{program}` ({error}); scripts/engine.sh installs an engine"))
}

/// What a program says, which must succeed.
pub(crate) fn ok(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn docker(args: &[&str]) -> String {
    ok("docker", args)
}

fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("perry-worker-test-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes what a test run that was killed has left.
fn sweep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = format!("label={LABEL}");
        let format = format!("{{{{.Label \"{LABEL}\"}}}}");
        let left = |list: &[&str], name: &str| {
            let format = format!("{name} {format}");
            docker(&[list, &["--filter", &filter, "--format", &format]].concat())
        };
        let remove = |lines: String, how: &[&str]| {
            for (name, owner) in lines.lines().filter_map(|line| line.split_once(' ')) {
                if !Path::new("/proc").join(owner).exists() {
                    run("docker", &[how, &[name]].concat());
                }
            }
        };
        remove(left(&["ps", "-a"], "{{.Names}}"), &["rm", "-f", "-v"]);
        remove(left(&["volume", "ls"], "{{.Name}}"), &["volume", "rm", "-f"]);
        // An imported image bears its owner in its name.
        for name in docker(&["images", "--format", "{{.Repository}}"]).lines() {
            let owner = name.strip_prefix("perry-worker-test-image-").and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                run("docker", &["rmi", "-f", name]);
            }
        }
    });
}

/// What a box is made with.
pub(crate) struct Options<'a> {
    pub(crate) image: &'a str,
    pub(crate) docker: bool,
    pub(crate) keys: Vec<String>,
    /// More arguments of `docker create`.
    pub(crate) more: Vec<String>,
    /// The home folder is a volume.
    pub(crate) home: bool,
    /// What else the worker is told.
    pub(crate) plan: WorkerPlan,
}

impl Options<'_> {
    /// The full image, privileged, with volumes for Docker and home and a port for ssh.
    pub(crate) fn full() -> Self {
        let there = run("docker", &["image", "inspect", FULL]).status.success();
        assert!(there, "these tests need the image {FULL}: make it with `make image` (or `perry image build`)");
        Self { image: FULL, docker: true, keys: Vec::new(), more: Vec::new(), home: true, plan: WorkerPlan::default() }
    }

    /// An image without servers, unprivileged.
    pub(crate) fn bare(image: &str) -> Options<'_> {
        Options { image, docker: true, keys: Vec::new(), more: Vec::new(), home: true, plan: WorkerPlan::default() }
    }
}

/// A container with the worker inside.
pub(crate) struct Box {
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    volumes: Vec<String>,
}

impl Drop for Box {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
            let words = run("docker", &["exec", &self.name, "sh", "-c", "tail -n 20 /var/log/perry/*.log"]);
            eprintln!("{}", String::from_utf8_lossy(&words.stdout));
        }
        run("docker", &["rm", "-f", "-v", &self.name]);
        for volume in &self.volumes {
            run("docker", &["volume", "rm", "-f", volume]);
        }
    }
}

impl Box {
    /// Makes it, without starting it.
    pub(crate) fn create(options: &Options<'_>) -> Self {
        sweep();
        let name = unique("box");
        let label = format!("{LABEL}={}", std::process::id());
        let folder = tempfile::tempdir().expect("a folder");
        let mut made = Self { name: name.clone(), folder, volumes: Vec::new() };
        let run_folder = made.folder.path().join("run");
        fs::create_dir(&run_folder).expect("made");
        let mut args = vec!["create".to_owned(), "--label".into(), label.clone(), "--name".into(), name.clone()];
        args.extend(["-v".into(), format!("{}:/run/perry", run_folder.display())]);
        if options.image == FULL {
            for (what, path) in [("docker", "/var/lib/docker"), ("home", "/home/workspace")] {
                if what == "home" && !options.home {
                    continue;
                }
                let volume = format!("{name}-{what}");
                docker(&["volume", "create", "--label", &label, &volume]);
                args.extend(["-v".into(), format!("{volume}:{path}")]);
                made.volumes.push(volume);
            }
            args.extend(["--privileged".into(), "-p".into(), "127.0.0.1::22".into()]);
        }
        args.extend(options.more.iter().cloned());
        args.extend([options.image, "/.perry/perry", "worker", "init"].map(str::to_owned));
        docker(&args.iter().map(String::as_str).collect::<Vec<_>>());
        made.prepare(options);
        made
    }

    /// Puts in what an agent puts in.
    fn prepare(&self, options: &Options<'_>) {
        let plan = WorkerPlan {
            authorized_keys: options.keys.clone(),
            docker: options.docker,
            hash: "h1".into(),
            ..options.plan.clone()
        };
        let content = Bootstrap {
            uid: "u".into(),
            name: self.name.clone(),
            secret: SECRET.into(),
            executable: "e1".into(),
            plan,
        };
        let inside = self.folder.path().join(".perry");
        fs::create_dir(&inside).expect("made");
        bootstrap::write(&inside.join("bootstrap.json"), &content).expect("written");
        fs::copy(env!("CARGO_BIN_EXE_perry"), inside.join("perry")).expect("copied");
        docker(&["cp", "-q", &inside.display().to_string(), &format!("{}:/", self.name)]);
    }

    /// Makes and starts it, and waits until its worker answers.
    pub(crate) async fn start(options: &Options<'_>) -> (Self, Client) {
        let made = Self::create(options);
        docker(&["start", &made.name]);
        let client = made.client().await;
        (made, client)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/worker.sock")
    }

    /// A connection, as soon as there is one: a socket file may be that of a worker that is gone.
    pub(crate) async fn client(&self) -> Client {
        let began = Instant::now();
        loop {
            if let Ok(client) = Client::connect(&self.socket(), Some(SECRET)).await
                && client.send("GET", "/v1/health", Vec::new()).await.is_ok()
            {
                return client;
            }
            assert!(began.elapsed() < PATIENCE, "the worker does not answer");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn logs(&self) -> String {
        let output = run("docker", &["logs", &self.name]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// What a shell inside says, as root.
    pub(crate) fn sh(&self, script: &str) -> String {
        docker(&["exec", &self.name, "sh", "-c", script])
    }

    /// The number of the one process inside with that command line.
    pub(crate) fn pid(&self, pattern: &str) -> String {
        self.sh(&format!("pgrep -o -f '{pattern}'"))
    }

    /// `ssh` to it with the key in that file.
    pub(crate) fn ssh(&self, key: &Path, command: &str) -> Output {
        let port = docker(&["port", &self.name, "22"]);
        let port = port.rsplit(':').next().expect("a port");
        let key = key.display().to_string();
        let common = ["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
        let own =
            ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"];
        run("ssh", &[&common[..], &own, &["-i", &key, "-p", port, "workspace@127.0.0.1", command]].concat())
    }
}

/// Waits until the worker says what is wanted, by its watch.
pub(crate) async fn wait_for(client: &Client, what: &str, wanted: impl Fn(&WorkerSeen) -> bool) -> WorkerSeen {
    let (code, mut lines) = client.watch().await;
    assert_eq!(code, 200);
    let mut last = None;
    while let Some(seen) = tokio::time::timeout(PATIENCE, lines.next()).await.unwrap_or_default() {
        if wanted(&seen) {
            return seen;
        }
        last = Some(seen);
    }
    panic!("not {what}: {last:?}");
}

pub(crate) async fn wait_until_all_run(client: &Client) {
    let all = |seen: &WorkerSeen| seen.ssh == Service::Running && seen.docker == Service::Running;
    wait_for(client, "running", all).await;
}

/// A new key pair: its file and its public line.
pub(crate) fn key_pair(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    ok("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path.display().to_string()]);
    let public = fs::read_to_string(path.with_extension("pub")).expect("a public key");
    (path, public.trim().to_owned())
}

/// An image made of files, removed at the end.
pub(crate) struct Image(pub(crate) String);

impl Image {
    /// An image with these files of the test's machine in it, and nothing else.
    pub(crate) fn of(files: &[&str]) -> Self {
        let name = unique("image");
        let folder = tempfile::tempdir().expect("a folder");
        let tar = folder.path().join("image.tar").display().to_string();
        ok("tar", &[&["-chPf", &tar, "-T", "/dev/null"][..], files].concat());
        docker(&["import", &tar, &name]);
        Self(name)
    }

    /// A shell and the libraries it needs.
    pub(crate) fn with_a_shell() -> Self {
        let libraries = ok("ldd", &["/bin/sh"]);
        let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
        let mut files: Vec<String> = libraries.lines().filter_map(path).collect();
        files.push("/bin/sh".into());
        Self::of(&files.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        run("docker", &["rmi", "-f", &self.0]);
    }
}
