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
    match enter(|_| (program.clone(), rest.to_vec())) {
        Ok((command, _)) => become_program(command),
        Err(message) => refuse(&message, 126),
    }
}

/// `perry worker login --terminal NAME [--cwd DIR] -- [PROGRAM ARGS…]`: the same on a terminal, stdin, of which it becomes
/// the owner; without a program the user's shell, as at a login.
pub fn login(args: &[OsString]) -> ExitCode {
    let Some(login) = Login::read(args) else { return refuse("wrong arguments", 126) };
    // In a session of its own: keys such as Ctrl-C are for its programs alone.
    let owned = rustix::process::setsid().and_then(|_| rustix::process::ioctl_tiocsctty(io::stdin()));
    if let Err(error) = owned {
        return refuse(&format!("cannot take the terminal: {error}"), 126);
    }
    let entered = enter(|account| match login.command.split_first() {
        Some((program, rest)) => (program.clone(), rest.to_vec()),
        None => (account.shell.clone().into_os_string(), Vec::new()),
    });
    let (mut command, account) = match entered {
        Ok(entered) => entered,
        Err(message) => return refuse(&message, 126),
    };
    if login.command.is_empty() {
        let shell = account.shell.file_name().unwrap_or(account.shell.as_os_str()).to_string_lossy().into_owned();
        command.arg0(format!("-{shell}"));
    }
    command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor").env("PERRY_TERMINAL", login.terminal);
    if ["LANG", "LC_ALL", "LC_CTYPE"].iter().all(|name| env::var_os(name).is_none()) {
        command.env("LANG", "C.UTF-8");
    }
    if let Some(cwd) = login.cwd {
        let folder = in_home(&cwd, &account.home);
        if let Err(error) = env::set_current_dir(&folder) {
            return refuse(&format!("cannot go to {}: {error}", folder.display()), 126);
        }
    }
    become_program(command)
}

/// The arguments of a login.
struct Login {
    terminal: OsString,
    cwd: Option<OsString>,
    command: Vec<OsString>,
}

impl Login {
    fn read(args: &[OsString]) -> Option<Self> {
        let at = args.iter().position(|arg| arg == "--")?;
        let (options, command) = (&args[..at], args[at + 1..].to_vec());
        let value = |name: &str| options.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1).cloned());
        Some(Self { terminal: value("--terminal")?, cwd: value("--cwd"), command })
    }
}

/// `~` is the home.
fn in_home(cwd: &OsString, home: &Path) -> std::path::PathBuf {
    let path = Path::new(cwd);
    path.strip_prefix("~").map_or_else(|_| path.to_owned(), |rest| home.join(rest))
}

/// Becomes the user, in its home and with its environment; the command that `which` names.
fn enter(which: impl FnOnce(&Account) -> (OsString, Vec<OsString>)) -> Result<(Command, Account), String> {
    let (account, groups) = default_user(Path::new("/"));
    // Read while root may; a worker without a plan has nothing to bring.
    let plan = bootstrap::read(Path::new(BOOTSTRAP)).map(|bootstrap| bootstrap.plan).unwrap_or_default();
    become_user(&account, &groups).map_err(|error| format!("cannot become the user {}: {error}", account.name))?;
    let (program, rest) = which(&account);
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
    Ok((command, account))
}

fn become_program(mut command: Command) -> ExitCode {
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    refuse(&format!("{program}: {}", explain(&error)), code(&error))
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
