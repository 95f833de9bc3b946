//! `perry worker sessions serve`: keeps the index, and says on stdout what changes, as [`super::link`] has it. It is a
//! process of the user whose sessions they are: what that user may not read it does not read either, and a file that
//! would be its end ends nothing else.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};

use super::cache::Cache;
use super::formats::Home;
use super::index::{Index, Places};
use super::link::{Question, Word};
use super::store::{Changes, More, ReadError, Wanted};
use super::watch::Watch;
use crate::clock::{Clock, SystemClock};
use crate::contract::sessions::{MessagesAnswer, MessagesAsked, SessionChange};
use crate::worker::{WorkerError, fail};

/// Changes are gathered until there is none for so long: an answer is some 30 writes.
const QUIET: Duration = Duration::from_millis(40);
/// But no longer than this.
const GATHERED: Duration = Duration::from_millis(200);
/// What was just being written is looked at again after this.
const AGAIN: Duration = Duration::from_millis(50);
/// While processes of sessions live, what they do is looked at as often.
const LIVE: Duration = Duration::from_secs(2);
/// What was learnt is written down when nothing was for so long.
const SAVE: Duration = Duration::from_secs(5);
/// Where not everything can be watched it is looked at as often.
const PARTIAL: Duration = Duration::from_secs(30);

/// Serves until stdin ends.
pub fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&WorkerError::System { what: "start the event loop", source }),
    };
    let home = Home::own();
    let cache = Cache::of(&home);
    let index = Index::new(home, Places::default(), cache);
    let served = runtime.block_on(serve(index, tokio::io::stdin(), io::stdout()));
    // A read of stdin may be stuck in its thread for ever.
    runtime.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(source) => fail(&WorkerError::System { what: "keep the index of sessions", source }),
    }
}

/// What is to be done, and when at the latest: times of the clock.
#[derive(Default)]
struct Due {
    /// Gathered changes: what, since when, and when the last one came.
    changes: Option<(Changes, Duration, Duration)>,
    look: Option<Duration>,
    judge: Option<Duration>,
    save: Option<Duration>,
}

impl Due {
    fn add(&mut self, changes: Changes, now: Duration) {
        let (before, since) = match self.changes.take() {
            Some((before, since, _)) => (before, since),
            None => (Changes::none(), now),
        };
        let both = match (before, changes) {
            (Changes::Paths(mut before), Changes::Paths(more)) => {
                before.extend(more);
                Changes::Paths(before)
            }
            _ => Changes::Everything,
        };
        self.changes = Some((both, since, now));
    }

    fn gathered(&self) -> Option<Duration> {
        self.changes.as_ref().map(|(_, since, last)| (*since + GATHERED).min(*last + QUIET))
    }

    fn next(&self) -> Option<Duration> {
        [self.gathered(), self.look, self.judge, self.save].into_iter().flatten().min()
    }
}

/// The index, and whom it tells.
struct Server<W> {
    index: Index,
    output: W,
    clock: SystemClock,
    due: Due,
    /// What is to be looked at with the next look that is due.
    whole: Option<Changes>,
    complete: bool,
}

/// Keeps the index until `input` ends.
///
/// # Errors
/// The system refuses to watch folders, or nobody listens any more.
pub async fn serve(index: Index, input: impl AsyncRead + Unpin, output: impl Write) -> io::Result<()> {
    let watch = Watch::new(index.watched())?;
    let mut server =
        Server { index, output, clock: SystemClock::new(), due: Due::default(), whole: None, complete: false };
    server.look(&Changes::Everything)?;
    let ended = server.run(watch, BufReader::new(input).lines()).await;
    server.index.save();
    ended
}

impl<W: Write> Server<W> {
    async fn run(
        &mut self,
        mut watch: Watch,
        mut questions: Lines<BufReader<impl AsyncRead + Unpin>>,
    ) -> io::Result<()> {
        loop {
            if watch.is_partial() && self.due.look.is_none() {
                self.due.look = Some(self.clock.monotonic() + PARTIAL);
                self.whole = Some(Changes::Everything);
            }
            let next = self.due.next();
            let timer = async {
                match next {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                question = questions.next_line() => match question? {
                    Some(line) => self.answer(&line)?,
                    None => return Ok(()),
                },
                ready = watch.ready() => {
                    ready?;
                    if let Some(changes) = watch.changes() {
                        self.due.add(changes, self.clock.monotonic());
                    }
                }
                () = timer => self.act()?,
            }
        }
    }

    /// Does what is due.
    fn act(&mut self) -> io::Result<()> {
        let now = self.clock.monotonic();
        if self.due.gathered().is_some_and(|at| at <= now)
            && let Some((changes, _, _)) = self.due.changes.take()
        {
            return self.look(&changes);
        }
        if self.due.look.take_if(|at| *at <= now).is_some() {
            let changes = self.whole.take().unwrap_or_else(Changes::none);
            return self.look(&changes);
        }
        if self.due.judge.take_if(|at| *at <= now).is_some() {
            let wall = self.clock.wall().as_millisecond();
            let mut said = Vec::new();
            self.index.judge(wall, Default::default(), &mut |change| said.push(change));
            self.say_all(said)?;
        }
        if self.due.save.take_if(|at| *at <= now).is_some() {
            self.index.save();
        }
        Ok(())
    }

    fn look(&mut self, changes: &Changes) -> io::Result<()> {
        let wall = self.clock.wall().as_millisecond();
        let mut said = Vec::new();
        let more = self.index.look(changes, wall, &mut |change| said.push(change));
        let now = self.clock.monotonic();
        self.due.look = match more {
            More::Now => Some(now),
            More::Soon => Some(now + AGAIN),
            More::Nothing => None,
        };
        self.due.save = Some(now + SAVE);
        if more == More::Nothing && !std::mem::replace(&mut self.complete, true) {
            said.push(SessionChange::Bookmark);
        }
        self.say_all(said)
    }

    fn say_all(&mut self, changes: Vec<SessionChange>) -> io::Result<()> {
        for change in changes {
            self.say(&Word::Change(change))?;
        }
        if self.index.is_live() {
            self.due.judge = Some(self.clock.monotonic() + LIVE);
        }
        self.output.flush()
    }

    fn answer(&mut self, line: &str) -> io::Result<()> {
        let Question { id, asked } = serde_json::from_str(line)?;
        let MessagesAsked { agent, session, from, to, tools } = asked;
        let answer = match self.index.messages(agent, &session, &Wanted { from, to, tools }) {
            Ok(messages) => MessagesAnswer::Messages(messages),
            Err(ReadError::Unknown) => MessagesAnswer::Unknown,
            Err(ReadError::NotUnderstood(why)) => MessagesAnswer::Unreadable(why),
            Err(error @ ReadError::Unreadable { .. }) => {
                let why = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
                MessagesAnswer::Unreadable(format!("{error}{why}"))
            }
        };
        self.say(&Word::Answer { id, answer })?;
        self.output.flush()
    }

    fn say(&mut self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        self.output.write_all(&line)
    }
}
