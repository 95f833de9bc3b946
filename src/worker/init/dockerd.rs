//! dockerd and its containerd: where they are, what they need in a container, and how they are run.
//!
//! containerd is started on its own, before dockerd. A dockerd that starts its own dials it before its socket is there and
//! then waits out a gRPC back-off of about a second, which is four fifths of the time to ready (Docker 26).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use serde_json::{Map, Value};

use super::probe::DOCKER_SOCKET;
use crate::contract::worker::FOLDER;
use crate::worker::WorkerError;

const DOCKERD: [&str; 3] = ["/usr/bin/dockerd", "/usr/local/bin/dockerd", "/usr/sbin/dockerd"];
const CONTAINERD: [&str; 3] = ["/usr/bin/containerd", "/usr/local/bin/containerd", "/usr/sbin/containerd"];
/// The image's own settings of dockerd.
const SETTINGS: &str = "/etc/docker/daemon.json";
/// What dockerd keeps while it runs.
const RUN: &str = "/var/run/docker";
/// Where its containerd listens.
pub(super) const CONTAINERD_SOCKET: &str = "/var/run/docker/containerd/containerd.sock";
/// Seconds that dockerd gives its containers to end; PID 1 gives dockerd a little more.
const SHUTDOWN: &str = "5";

/// The image's dockerd.
pub(super) fn find() -> Option<&'static Path> {
    DOCKERD.into_iter().map(Path::new).find(|path| path.is_file())
}

/// The image's containerd.
pub(super) fn find_containerd() -> Option<&'static Path> {
    CONTAINERD.into_iter().map(Path::new).find(|path| path.is_file())
}

/// Removes what an earlier life of the container left in /run, which no boot empties here.
pub(super) fn forget_last_boot() {
    // What cannot be removed will be named by dockerd itself.
    let _ = fs::remove_dir_all(RUN);
    let _ = fs::remove_file(DOCKER_SOCKET);
    forget_pid();
}

/// Removes the number of a dockerd that is known to be gone: its successor would take whoever has that number now for
/// it, and refuse to start.
pub(super) fn forget_pid() {
    let _ = fs::remove_file("/var/run/docker.pid");
}

/// Gives Docker the cgroups and the file system that it needs. What is refused (an unprivileged container) dockerd will
/// name itself, better than we could.
pub(super) fn prepare() {
    let _ = delegate_cgroups(Path::new("/sys/fs/cgroup"));
    let security = Path::new("/sys/kernel/security");
    // AppArmor is looked for there.
    if security.is_dir() && fs::read_dir(security).is_ok_and(|mut entries| entries.next().is_none()) {
        let _ = mount(Some("none"), security, Some("securityfs"), MsFlags::empty(), None::<&str>);
    }
}

/// With cgroup v2 a group that has members cannot share out controllers, and this container's root group has: they go
/// into a group of their own. Does nothing with cgroup v1, nor a second time.
///
/// # Errors
/// The cgroups are not ours to change.
fn delegate_cgroups(root: &Path) -> io::Result<()> {
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else { return Ok(()) };
    let enabled = root.join("cgroup.subtree_control");
    if !fs::read_to_string(&enabled)?.trim().is_empty() {
        return Ok(());
    }
    let own = root.join("init");
    match fs::create_dir(&own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let wanted: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    let mut tried = Ok(());
    // Members may come while others are moved.
    for _ in 0..10 {
        for member in fs::read_to_string(root.join("cgroup.procs"))?.lines() {
            // It may have ended by now.
            let _ = fs::write(own.join("cgroup.procs"), member);
        }
        tried = fs::write(&enabled, wanted.join(" "));
        if tried.is_ok() {
            break;
        }
    }
    tried
}

/// The image's settings, as far as they decide what may be set on the command line: dockerd refuses to start when a
/// setting is in both places.
#[derive(Debug, Default)]
pub(super) struct Settings(Map<String, Value>);

impl Settings {
    /// Reads them; a file that is absent or broken (which dockerd will say) has none.
    pub(super) fn read() -> Self {
        Self::parse(&fs::read(SETTINGS).unwrap_or_default())
    }

    fn parse(text: &[u8]) -> Self {
        Self(serde_json::from_slice(text).unwrap_or_default())
    }

    fn text(&self, key: &str, default: &str) -> PathBuf {
        self.0.get(key).and_then(Value::as_str).unwrap_or(default).into()
    }

    /// The arguments of dockerd. It listens on its Unix socket and nowhere else.
    pub(super) fn arguments(&self, containerd: bool) -> Vec<String> {
        let socket = format!("unix://{DOCKER_SOCKET}");
        let mut arguments =
            vec![("hosts", "--host", socket.as_str()), ("shutdown-timeout", "--shutdown-timeout", SHUTDOWN)];
        if containerd {
            arguments.push(("containerd", "--containerd", CONTAINERD_SOCKET));
        }
        let set =
            |(key, flag, value): (&str, &str, &str)| (!self.0.contains_key(key)).then(|| format!("{flag}={value}"));
        arguments.into_iter().filter_map(set).collect()
    }

    /// Whether our containerd is the one that dockerd is to use.
    pub(super) fn leaves_containerd_to_us(&self) -> bool {
        !self.0.contains_key("containerd")
    }

    /// containerd's settings: the same folders that a dockerd with a containerd of its own would use.
    fn containerd(&self) -> String {
        let root = self.text("data-root", "/var/lib/docker").join("containerd/daemon");
        let state = self.text("exec-root", RUN).join("containerd/daemon");
        let quoted = |path: &Path| Value::from(path.to_string_lossy()).to_string();
        format!(
            "version = 2\nroot = {}\nstate = {}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \"{CONTAINERD_SOCKET}\"\n",
            quoted(&root),
            quoted(&state)
        )
    }
}

/// How containerd is run.
///
/// # Errors
/// Its settings cannot be written.
pub(super) fn containerd(program: &Path) -> Result<Command, WorkerError> {
    let settings = Path::new(FOLDER).join("containerd.toml");
    fs::write(&settings, Settings::read().containerd()).map_err(WorkerError::file("write", &settings))?;
    // Of one that was killed: who asks it would be refused instead of waiting for the new one.
    let _ = fs::remove_file(CONTAINERD_SOCKET);
    let mut command = Command::new(program);
    command.arg("--config").arg(settings);
    Ok(command)
}

/// How dockerd is run, with our containerd or one of its own.
pub(super) fn command(program: &Path, containerd: bool) -> Command {
    forget_pid();
    let mut command = Command::new(program);
    command.args(Settings::read().arguments(containerd));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_the_image_is_not_repeated_on_the_command_line() {
        let plain = Settings::parse(b"");
        let all = [
            "--host=unix:///var/run/docker.sock",
            "--shutdown-timeout=5",
            "--containerd=/var/run/docker/containerd/containerd.sock",
        ];
        assert_eq!(plain.arguments(true), all);
        assert_eq!(plain.arguments(false), all[..2]);
        let own = Settings::parse(br#"{"shutdown-timeout": 9, "containerd": "/run/c.sock", "debug": true}"#);
        assert_eq!(own.arguments(true), all[..1]);
        assert!(!own.leaves_containerd_to_us() && plain.leaves_containerd_to_us());
        assert_eq!(Settings::parse(b"{broken").arguments(false), all[..2]);
    }

    #[test]
    fn containerd_keeps_its_data_where_a_dockerd_of_the_image_would() {
        let text = Settings::parse(br#"{"data-root": "/data/\"x"}"#).containerd();
        assert!(text.contains(r#"root = "/data/\"x/containerd/daemon""#), "{text}");
        assert!(text.contains(r#"state = "/var/run/docker/containerd/daemon""#), "{text}");
    }

    #[test]
    fn members_leave_the_root_group_before_controllers_are_shared_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        delegate_cgroups(root).expect("cgroup v1: nothing to do");
        assert!(!root.join("init").exists());
        fs::write(root.join("cgroup.controllers"), "cpu memory pids\n").expect("written");
        fs::write(root.join("cgroup.subtree_control"), "").expect("written");
        fs::write(root.join("cgroup.procs"), "1\n").expect("written");
        delegate_cgroups(root).expect("delegated");
        let read = |name: &str| fs::read_to_string(root.join(name)).expect("there");
        assert_eq!(
            (read("init/cgroup.procs"), read("cgroup.subtree_control")),
            ("1".into(), "+cpu +memory +pids".into())
        );
        fs::write(root.join("cgroup.procs"), "7\n").expect("written");
        delegate_cgroups(root).expect("nothing to do any more");
        assert_eq!(read("init/cgroup.procs"), "1");
    }
}
