//! All terminals of a workspace, by name.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::engine::{Engine, Id};
use super::pty::Pty;
use super::terminal::{Beginning, Terminal, Viewer};
use crate::clock::{Clock, SystemClock};
use crate::contract::terminal::{Create, Hello, MAIN, Size};
use crate::contract::terminals::{Refusal, TerminalAnswer, TerminalRequest};
use crate::model::Name;
use crate::worker::ttys;

/// Terminals at a time.
const TERMINALS: usize = 256;
/// For so long an ended one is remembered, for viewers that were away when it ended.
const REMEMBERED: Duration = Duration::from_secs(60);
/// So many ended ones are.
const ENDED: usize = 32;
/// Bytes to read at once, of any terminal.
const SCRATCH: usize = 64 << 10;
/// Commands without a terminal at a time.
const COMMANDS: usize = 256;
/// The longest name of a client.
const CLIENT_MAX: usize = 64;

/// The terminals of a workspace.
pub(super) struct Host {
    pub(super) secret: String,
    pub(super) own: PathBuf,
    /// Where it is told which terminal is on which device.
    ttys: PathBuf,
    /// Commands without a terminal that may still be begun.
    pub(super) commands: Semaphore,
    engine: Engine,
    pub(super) terminals: RefCell<BTreeMap<Name, Rc<Terminal>>>,
    ended: RefCell<VecDeque<Rc<Terminal>>>,
    next: Cell<Id>,
    /// Tells this life of the container from others.
    life: String,
    scratch: Rc<RefCell<Vec<u8>>>,
}

impl Host {
    /// None yet. Programs are run by `OWN worker login`.
    pub(super) fn new(secret: String, own: PathBuf, ttys: PathBuf, engine: Engine) -> Self {
        Self {
            secret,
            own,
            ttys,
            commands: Semaphore::new(COMMANDS),
            engine,
            terminals: RefCell::default(),
            ended: RefCell::default(),
            next: Cell::new(1),
            life: uuid::Uuid::new_v4().simple().to_string()[..12].to_owned(),
            scratch: Rc::new(RefCell::new(vec![0; SCRATCH])),
        }
    }

    /// Answers a question.
    pub(super) async fn answer(self: &Rc<Self>, request: TerminalRequest) -> Result<TerminalAnswer, Refusal> {
        match request {
            TerminalRequest::List => {
                Ok(TerminalAnswer::List(self.terminals.borrow().values().map(|terminal| terminal.told()).collect()))
            }
            TerminalRequest::Create { terminal, create, cols, rows } => {
                if self.find(&terminal).is_ok() {
                    return Err(Refusal::Exists(terminal));
                }
                Ok(TerminalAnswer::One(self.begin(terminal, create, Size { cols, rows }.clamped())?.told()))
            }
            TerminalRequest::Rename { terminal, to } => self.rename(&terminal, to),
            TerminalRequest::Close { terminal } => {
                // Not held while waiting.
                let found = self.find(&terminal)?;
                found.close().await;
                Ok(TerminalAnswer::Closed)
            }
            TerminalRequest::Attach { .. } => Err(Refusal::Invalid("this is no question".to_owned())),
        }
    }

    /// Somebody comes to look; a terminal that there is not is begun.
    pub(super) fn attach(
        self: &Rc<Self>,
        hello: Hello,
        read_only: bool,
    ) -> Result<(Rc<Terminal>, Rc<Viewer>), Refusal> {
        let named = hello.client.len() <= CLIENT_MAX && !hello.client.is_empty();
        if !named || !hello.client.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Refusal::Invalid(format!("client must be 1 to {CLIENT_MAX} letters, digits and dashes")));
        }
        let size = Size::from(&hello);
        let name = hello.terminal.unwrap_or_else(|| MAIN.parse().expect("a name"));
        let terminal = match &hello.id {
            Some(id) => self.known(id).ok_or_else(|| Refusal::Invalid("the terminal has ended".to_owned()))?,
            None => match self.find(&name) {
                Ok(terminal) => terminal,
                // Who may only look begins nothing.
                Err(missing) if read_only => return Err(missing),
                Err(_) => self.begin(name, hello.create.unwrap_or_default(), size)?,
            },
        };
        let viewer = terminal.attach(hello.client, read_only, size, hello.have.filter(|_| hello.id.is_some()))?;
        Ok((terminal, viewer))
    }

    /// Whether programs have ended.
    pub(super) fn reap(&self) {
        self.terminals.borrow().values().for_each(|terminal| terminal.reap());
    }

    fn find(&self, name: &Name) -> Result<Rc<Terminal>, Refusal> {
        let found = self.terminals.borrow().get(name).cloned();
        found.filter(|terminal| !terminal.has_ended()).ok_or_else(|| Refusal::NotFound(name.clone()))
    }

    /// The one with that id, ended ones among them.
    fn known(&self, id: &str) -> Option<Rc<Terminal>> {
        let (terminals, ended) = (self.terminals.borrow(), self.ended.borrow());
        terminals.values().chain(ended.iter()).find(|terminal| terminal.id == id).cloned()
    }

    fn begin(self: &Rc<Self>, name: Name, create: Create, size: Size) -> Result<Rc<Terminal>, Refusal> {
        validate(&create)?;
        if self.terminals.borrow().len() >= TERMINALS {
            return Err(Refusal::TooMany(format!("there are {TERMINALS} terminals already: close one")));
        }
        let pty = Pty::start(&self.own, &create, name.as_str(), size)
            .map_err(|error| Refusal::Failed(format!("cannot start a terminal: {error}")))?;
        let number = self.next.replace(self.next.get() + 1);
        let id = format!("{}-{number}", self.life);
        let beginning =
            Beginning { name, id, number, command: create.command, size, created: SystemClock::new().wall() };
        let terminal = Terminal::new(beginning, pty, self.engine.clone());
        self.keep(Rc::clone(&terminal));
        Ok(terminal)
    }

    /// Runs a terminal to its end, and remembers it for a while.
    fn keep(self: &Rc<Self>, terminal: Rc<Terminal>) {
        let (host, scratch) = (Rc::clone(self), Rc::clone(&self.scratch));
        // One of that name that is just ending has viewers who have their own hold on it.
        self.terminals.borrow_mut().insert(terminal.name(), Rc::clone(&terminal));
        ttys::tell(&self.ttys, terminal.tty(), Some(terminal.name().as_str()));
        tokio::task::spawn_local(async move {
            Rc::clone(&terminal).run(scratch).await;
            let id = terminal.id.clone();
            host.remember(terminal);
            sleep(REMEMBERED).await;
            host.forget(|other| other.id == id);
        });
    }

    fn remember(&self, terminal: Rc<Terminal>) {
        self.terminals.borrow_mut().retain(|_, other| other.id != terminal.id);
        ttys::tell(&self.ttys, terminal.tty(), None);
        terminal.shrink();
        self.ended.borrow_mut().push_back(terminal);
        if self.ended.borrow().len() > ENDED {
            let oldest = self.ended.borrow().front().map(|oldest| oldest.id.clone());
            self.forget(|other| Some(&other.id) == oldest.as_ref());
        }
    }

    /// Forgets ended ones, their screens too.
    fn forget(&self, which: impl Fn(&Terminal) -> bool) {
        self.ended.borrow_mut().retain(|ended| {
            let goes = which(ended);
            if goes {
                ended.forget();
            }
            !goes
        });
    }

    fn rename(&self, from: &Name, to: Name) -> Result<TerminalAnswer, Refusal> {
        let terminal = self.find(from)?;
        if *from != to && self.find(&to).is_ok() {
            return Err(Refusal::Exists(to));
        }
        let mut terminals = self.terminals.borrow_mut();
        terminals.remove(from);
        terminal.rename(to.clone());
        ttys::tell(&self.ttys, terminal.tty(), Some(to.as_str()));
        terminals.insert(to, Rc::clone(&terminal));
        Ok(TerminalAnswer::One(terminal.told()))
    }
}

fn validate(create: &Create) -> Result<(), Refusal> {
    let wrong = |what: &str| Err(Refusal::Invalid(what.to_owned()));
    if create.command.first().is_some_and(String::is_empty) {
        return wrong("command must begin with a program, as in [\"ls\", \"-l\"]");
    }
    if create.command.iter().chain(&create.cwd).any(|word| word.contains('\0')) {
        return wrong("command and cwd must not hold a NUL character");
    }
    match &create.cwd {
        Some(cwd) if !cwd.starts_with('/') && !cwd.starts_with('~') => wrong("cwd must begin with / or ~"),
        _ => Ok(()),
    }
}
