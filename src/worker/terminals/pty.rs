//! Pseudo-terminals and the programs on them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};
use tokio::net::unix::pipe::Receiver;

use crate::contract::terminal::{Create, Exit, Size};
use crate::quiet;
use crate::worker::accounts::default_user;

/// The group that terminals belong to, by number, on Debian and all others that follow it.
const TTY_GROUP: u32 = 5;

/// A program on a terminal of its own.
#[derive(Debug)]
pub(super) struct Pty {
    /// Our end: what the program prints.
    pub(super) output: Receiver,
    /// Our end: what it is to read.
    pub(super) input: quiet::Writer<File>,
    /// The leader of the session.
    pub(super) pid: i32,
    /// The device, as the program sees it.
    pub(super) tty: String,
}

impl Pty {
    /// Starts a program, by `OWN worker login`, which makes it the image's user.
    ///
    /// # Errors
    /// There is no terminal to be had, or no process.
    pub(super) fn start(own: &Path, create: &Create, name: &str, size: Size) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let tty = ptsname(&master, Vec::new())?.into_string().map_err(io::Error::other)?;
        let slave: File =
            rustix::fs::open(&tty, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?.into();
        give(&slave);
        set_size(&master, size)?;
        let mut command = Command::new(own);
        command.args(["worker", "login", "--terminal", name]);
        if let Some(cwd) = &create.cwd {
            command.arg("--cwd").arg(cwd);
        }
        // It chooses its own folder: with one given here the standard library forks, which copies all page tables.
        command.arg("--").args(&create.command);
        command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(Stdio::from(slave));
        // Waited for by its number: the handle would not outlive this executable.
        let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let (output, input) = quiet::split(File::from(master))?;
        Ok(Self { output, input, pid, tty })
    }

    /// Sets its size; programs are told.
    pub(super) fn resize(&self, size: Size) {
        // A terminal has a size as long as it is open, and it is.
        let _ = set_size(&self.output, size);
    }

    /// What runs in the foreground.
    pub(super) fn program(&self) -> Option<String> {
        let group = tcgetpgrp(&self.output).ok()?;
        let name = fs::read_to_string(PathBuf::from(format!("/proc/{}/comm", group.as_raw_nonzero()))).ok()?;
        Some(name.trim_end().chars().filter(|c| !c.is_control()).take(64).collect())
    }

    /// Sends a signal to the session's first group and the one in the foreground.
    pub(super) fn signal(&self, signal: Signal) {
        let front = tcgetpgrp(&self.output).ok().map(|group| group.as_raw_nonzero().get());
        for group in [Some(self.pid), front.filter(|front| *front != self.pid)].into_iter().flatten() {
            // One that has just been started leads no group yet; whoever has ended needs no signal.
            let _ = killpg(Pid::from_raw(group), signal).or_else(|_| kill(Pid::from_raw(group), signal));
        }
    }

    /// How its program ended, once it has.
    pub(super) fn ended(&self) -> Option<Exit> {
        match waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Some(Exit::of(Some(code), None)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::of(None, Some(signal as i32))),
            Err(Errno::ECHILD) => Some(Exit::of(None, None)),
            _ => None,
        }
    }
}

fn set_size(master: impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.cols, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(master, size)?)
}

/// Gives the device to the user whose programs open it by its name, as logins do.
fn give(slave: &File) {
    if Uid::effective().is_root() {
        let (account, _) = default_user(Path::new("/"));
        // Without it, only programs such as `tmux` and `gpg` miss something.
        let _ = nix::unistd::fchown(slave, Some(Uid::from_raw(account.uid)), Some(Gid::from_raw(TTY_GROUP)));
        let _ = rustix::fs::fchmod(slave, Mode::from_raw_mode(0o620));
    }
}
