//! Programs under node: what is installed for them, and how they are run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A folder of this project with a `package.json`.
pub(crate) struct Package(PathBuf);

impl Package {
    /// The packages of its lock file are there once this is.
    pub(crate) async fn install(folder: &str) -> Self {
        let package = Self(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
        // npm changes the folder, and some runners start a process for each test.
        let turn = File::open(package.0.join("package.json")).expect("it is there");
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.expect("it runs");
        let _turn = turn.expect("locked");
        let installed = package.0.join("node_modules/.package-lock.json");
        let modified = |path: &Path| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        let lock = package.0.join("package-lock.json");
        // npm cannot lock packages that are another one for each kind of machine; those name their versions exactly.
        let (verb, since) = if lock.exists() { ("ci", lock) } else { ("install", package.0.join("package.json")) };
        if modified(&installed) < modified(&since) {
            let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"];
            let quiet = if verb == "ci" { &quiet[..3] } else { &quiet[..] };
            package.run("npm", &[&[verb], quiet].concat(), &[]).await;
        }
        package
    }

    /// Where it is.
    #[allow(dead_code, reason = "each test binary uses some of it")]
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    /// Runs a program in the folder; what it said.
    pub(crate) async fn run(&self, program: &str, arguments: &[&str], env: &[(&str, &str)]) -> String {
        let mut command = Command::new(program);
        command.args(arguments).envs(env.iter().copied()).env("NO_COLOR", "1").current_dir(&self.0);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output =
            output.unwrap_or_else(|error| panic!("{program} cannot be run ({error}): this needs node 20 and npm"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {all}");
        all
    }
}
