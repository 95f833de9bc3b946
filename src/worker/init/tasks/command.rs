//! How each task is started: as the image's user, in a process group of its own, with what it is to do on stdin or as
//! the text of a shell.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::launch::{pid_of, spawn};
use super::super::log::Logs;
use crate::contract::worker::SSH_AGENT_SOCKET;
use crate::model::desired::{HOME, WorkerPlan};
use crate::model::{TaskName, repository};
use crate::worker::WorkerError;

/// This executable, though another may have been put in its place.
const OWN: &str = "/proc/self/exe";
/// In the folder that is its first argument, or at home, the second in a login shell of the user.
const SHELL: &str = r#"cd -- "$0" 2>/dev/null || cd; exec "${SHELL:-/bin/sh}" -lc "$1""#;

/// Starts a task; its process.
///
/// # Errors
/// It cannot be started.
pub(super) fn start(name: TaskName, plan: &WorkerPlan, logs: &Logs) -> Result<i32, WorkerError> {
    let mut command = Command::new(OWN);
    command.arg0("perry").args(["worker", "enter"]).process_group(0);
    let input = match name {
        TaskName::Clone => {
            command.args([OWN, "worker", "clone"]);
            if plan.ssh_agent {
                command.env("SSH_AUTH_SOCK", SSH_AGENT_SOCKET);
            }
            json(&plan.clone)?
        }
        TaskName::Tools => {
            command.args([OWN, "worker", "tools"]);
            json(&plan.tools)?
        }
        TaskName::OnCreate => hook(&mut command, plan, plan.hooks.on_create.as_deref()),
        TaskName::OnStart => hook(&mut command, plan, plan.hooks.on_start.as_deref()),
    };
    let output = logs.writer(super::source(name))?;
    let errors = output.try_clone().map_err(WorkerError::system("duplicate a pipe"))?;
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    let mut child = spawn(command.stdout(output).stderr(errors))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Less than a pipe holds. Who does not read it has ended, and says so by its exit code.
        let _ = stdin.write_all(&input);
    }
    Ok(pid_of(&child))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, WorkerError> {
    serde_json::to_vec(value)
        .map_err(|error| WorkerError::System { what: "tell a task its work", source: error.into() })
}

fn hook(command: &mut Command, plan: &WorkerPlan, text: Option<&str>) -> Vec<u8> {
    command.args(["/bin/sh", "-c", SHELL, &folder(plan), text.unwrap_or_default()]);
    Vec::new()
}

/// Where hooks are run: in what was cloned, else at home.
fn folder(plan: &WorkerPlan) -> String {
    let cloned = plan.clone.as_ref().and_then(repository::target);
    cloned.filter(|target| Path::new(target).is_dir()).unwrap_or_else(|| HOME.to_owned())
}
