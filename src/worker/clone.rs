//! `perry worker clone`: clones the repository that stdin names, as the user who runs it, once and over nothing.
//!
//! It goes to a folder beside the target first and is moved when it is whole, so a clone that breaks off leaves nothing.
//! How to log in is told by `perry worker credential`, which git asks: no token is an argument of any process, nor in a
//! line of output.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use crate::contract::worker::{EXECUTABLE, SSH_AGENT_SOCKET};
use crate::model::repository::{self, Url};
use crate::model::workspace::CloneSpec;

/// Where `perry worker credential` finds the URL that was asked for, login included.
const URL: &str = "PERRY_CLONE_URL";
/// The largest request: a URL, a branch and a path.
const REQUEST: u64 = 64 << 10;
/// What git is told: forget other helpers, and give up on a server that is silent for a minute.
const SETTINGS: [&str; 3] = ["credential.helper=", "http.lowSpeedLimit=1", "http.lowSpeedTime=60"];

/// Clones; 0 when the repository is there.
pub fn run() -> ExitCode {
    let mut text = Vec::new();
    let request = io::stdin().take(REQUEST).read_to_end(&mut text).map_err(|error| error.to_string());
    let request = request.and_then(|_| serde_json::from_slice(&text).map_err(|error| error.to_string()));
    let request: Option<CloneSpec> = match request {
        Ok(request) => request,
        Err(error) => return fail(&format!("what to clone is not understood: {error}")),
    };
    match request.map_or(Ok(()), |clone| clone_once(&clone)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    // Without stderr the code has to do.
    let _ = writeln!(io::stderr(), "perry: {message}");
    ExitCode::FAILURE
}

fn clone_once(clone: &CloneSpec) -> Result<(), String> {
    let target = repository::target(clone).ok_or("the URL names no folder to clone into: give clone.path")?;
    let (target, url) = (Path::new(&target), Url::parse(&clone.url));
    match what_is_there(target, &url) {
        There::Nothing => {}
        There::Clone => {
            say(&format!("{} is a clone of it already", target.display()));
            return Ok(());
        }
        There::Something => {
            return Err(format!("{} is there and not empty: nothing is cloned over it", target.display()));
        }
    }
    let parent = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
    let half = half(target);
    remove(&half)?;
    let cloned = git(clone, &url, &half).and_then(|()| {
        // Onto nothing or an empty folder, else it fails.
        fs::rename(&half, target).map_err(|error| format!("cannot move the clone to {}: {error}", target.display()))
    });
    if cloned.is_err() {
        remove(&half)?;
    }
    cloned
}

enum There {
    Nothing,
    Clone,
    Something,
}

fn what_is_there(target: &Path, url: &Url) -> There {
    match fs::read_dir(target).map(|mut entries| entries.next().is_none()) {
        Err(error) if error.kind() == ErrorKind::NotFound && !target.is_symlink() => There::Nothing,
        Ok(true) if !target.is_symlink() => There::Nothing,
        Ok(false) if origin(target).is_some_and(|origin| Url::parse(&origin).plain == url.plain) => There::Clone,
        _ => There::Something,
    }
}

/// The URL that a clone came from.
fn origin(target: &Path) -> Option<String> {
    let git = target.join(".git").symlink_metadata().ok()?;
    let words = ["config", "--get", "remote.origin.url"];
    let output = Command::new("git").arg("-C").arg(target).args(words).stdin(Stdio::null()).output().ok()?;
    (git.is_dir() && output.status.success()).then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a clone is made before it is whole.
fn half(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.perry-clone"))
}

fn remove(half: &Path) -> Result<(), String> {
    match fs::remove_dir_all(half) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(format!("cannot remove {}: {error}", half.display())),
        _ => Ok(()),
    }
}

fn git(clone: &CloneSpec, url: &Url, into: &Path) -> Result<(), String> {
    let mut command = Command::new("git");
    let own = env::current_exe().ok().filter(|own| own.exists()).unwrap_or_else(|| EXECUTABLE.into());
    let helper = format!("credential.helper=!'{}' worker credential", own.display());
    command.args(SETTINGS.iter().copied().chain([helper.as_str()]).flat_map(|setting| ["-c", setting]));
    command.args(["clone", "--progress"]);
    if let Some(branch) = &clone.branch {
        command.arg(format!("--branch={branch}"));
    }
    command.arg("--").arg(&url.plain).arg(into).stdin(Stdio::null());
    command.env(URL, &clone.url).env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git").env("GIT_TERMINAL_PROMPT", "0");
    // Nobody is there to be asked. A host is known from its first visit on, as for a person who says yes.
    command.env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ForwardAgent=no");
    for variable in ["GIT_ASKPASS", "SSH_ASKPASS", "GIT_DIR", "GIT_WORK_TREE", "GIT_TRACE_CURL", "GIT_CURL_VERBOSE"] {
        command.env_remove(variable);
    }
    say(&format!("cloning {}", url.plain));
    wait_for_agent();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("git clone failed ({status})")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err("git is not in the image".to_owned()),
        Err(error) => Err(format!("git cannot be run: {error}")),
    }
}

/// The socket of a lent ssh agent is made when it is known that a clone runs, which is now.
fn wait_for_agent() {
    let lent = env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| socket == SSH_AGENT_SOCKET);
    let mut looks = 0;
    while lent && looks < 200 && !Path::new(SSH_AGENT_SOCKET).exists() {
        thread::sleep(Duration::from_millis(10));
        looks += 1;
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "perry: {line}");
}

/// `perry worker credential get`: what git asks when a server wants a login. Says nothing where there is none for it.
pub fn credential(verb: Option<&str>) -> ExitCode {
    let mut question = String::new();
    // What git would store or erase is nobody's business.
    if verb != Some("get") || io::stdin().take(REQUEST).read_to_string(&mut question).is_err() {
        return ExitCode::SUCCESS;
    }
    let env: BTreeMap<String, String> =
        env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect();
    let asked = env.get(URL).map(|url| Url::parse(url));
    if let Some(login) = asked.and_then(|url| answer(&question, &url, &env)) {
        // git has gone where it does not read it.
        let _ = io::stdout().write_all(login.as_bytes());
    }
    ExitCode::SUCCESS
}

fn answer(question: &str, url: &Url, env: &BTreeMap<String, String>) -> Option<String> {
    let field = |name: &str| question.lines().find_map(|line| line.split_once('=').filter(|(key, _)| *key == name));
    let ((_, scheme), (_, host)) = (field("protocol")?, field("host")?);
    let login = url.login(scheme, host, env)?;
    let whole = !login.username.contains('\n') && !login.password.contains('\n');
    whole.then(|| format!("username={}\npassword={}\n", login.username, login.password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_answered_for_the_host_that_was_asked_for() {
        let env = [("GIT_TOKEN".to_owned(), "t0ken".to_owned())].into();
        let url = Url::parse("https://git.me/app");
        let said = answer("protocol=https\nhost=git.me\npath=app\n\n", &url, &env);
        assert_eq!(said.as_deref(), Some("username=git\npassword=t0ken\n"));
        assert_eq!(answer("protocol=https\nhost=evil.com\n", &url, &env), None);
        assert_eq!(answer("host=git.me\n", &url, &env), None);
        let broken = [("GIT_TOKEN".to_owned(), "t0ken\nhost=x".to_owned())].into();
        assert_eq!(answer("protocol=https\nhost=git.me\n", &url, &broken), None, "a line break is another field");
    }

    #[test]
    fn a_clone_goes_over_nothing_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, url) = (folder.path().join("app"), Url::parse("https://example.com/app"));
        let is = |wanted: fn(&There) -> bool| wanted(&what_is_there(&target, &url));
        assert!(is(|there| matches!(there, There::Nothing)));
        fs::create_dir(&target).expect("made");
        assert!(is(|there| matches!(there, There::Nothing)), "an empty folder");
        fs::write(target.join("mine"), "").expect("written");
        assert!(is(|there| matches!(there, There::Something)));
        fs::remove_dir_all(&target).expect("removed");
        fs::write(&target, "").expect("written");
        assert!(is(|there| matches!(there, There::Something)), "a file");
        fs::remove_file(&target).expect("removed");
        std::os::unix::fs::symlink("/nowhere", &target).expect("linked");
        assert!(is(|there| matches!(there, There::Something)), "a link");
    }
}
