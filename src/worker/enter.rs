//! `perry worker enter PROGRAM ARGS…`: becomes the user `workspace` of the image, where it has one, and then the program.
//!
//! A program of its own because groups can be set only between fork and exec, and that needs either unsafe code or a
//! tool such as setpriv, which an image need not have.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::contract::worker::BOOTSTRAP;
use crate::worker::accounts::{Account, default_user};
use crate::worker::{bootstrap, environment};

/// What a login shell would search, where the container's environment has no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the program; returns only where that fails: 127 where there is none, 126 where it cannot be run.
pub fn run(args: &[OsString]) -> ExitCode {
    let Some((program, rest)) = args.split_first() else {
        return refuse("no program was named", 126);
    };
    let (account, groups) = default_user(Path::new("/"));
    // Read while root may; a worker without a plan has nothing to bring.
    let plan = bootstrap::read(Path::new(BOOTSTRAP)).map(|bootstrap| bootstrap.plan).unwrap_or_default();
    if let Err(error) = become_user(&account, &groups) {
        return refuse(&format!("cannot become the user {}: {error}", account.name), 126);
    }
    let mut command = Command::new(program);
    command.args(rest).envs(environment::brought(&plan.env, |name| env::var_os(name).is_some()));
    command.env("HOME", &account.home).env("USER", &account.name).env("LOGNAME", &account.name);
    command.env("SHELL", &account.shell);
    let path = env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    command.env("PATH", environment::path(&path, &account.home));
    // A home that is missing must not keep anybody from looking at what is wrong.
    if env::set_current_dir(&account.home).is_err() {
        let _ = env::set_current_dir("/");
    }
    let error = command.exec();
    refuse(&format!("{}: {}", program.to_string_lossy(), explain(&error)), code(&error))
}

/// Drops root's rights; without them (in tests, rootless) everything stays as it is.
fn become_user(account: &Account, groups: &[u32]) -> io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    setgroups(&groups)?;
    setgid(Gid::from_raw(account.gid))?;
    setuid(Uid::from_raw(account.uid))?;
    Ok(())
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "not found".into(),
        ErrorKind::PermissionDenied => "not executable".into(),
        _ => error.to_string(),
    }
}

/// As shells do.
fn code(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::NotFound { 127 } else { 126 }
}

fn refuse(message: &str, code: u8) -> ExitCode {
    // Without stderr the code has to do.
    let _ = writeln!(io::stderr(), "perry: {message}");
    ExitCode::from(code)
}
