//! What becomes of terminals: begun, renamed, ended, and who may do what in them.

use perry::client::Session;
use perry::contract::terminal::{ClientFrame, Create, Size};
use perry::contract::terminals::{Refusal, TerminalAnswer, TerminalRequest};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::host::{Host, PATIENCE, name};

fn create(terminal: &str, command: &[&str]) -> TerminalRequest {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    TerminalRequest::Create { terminal: name(terminal), create: Create { command, cwd: None }, cols: 80, rows: 24 }
}

async fn names(host: &Host) -> Vec<String> {
    let TerminalAnswer::List(all) = host.ask(TerminalRequest::List).await else { panic!("no list") };
    all.into_iter().map(|info| info.terminal.to_string()).collect()
}

#[tokio::test]
async fn terminals_are_begun_listed_renamed_and_closed() {
    let host = Host::start().await;
    let TerminalAnswer::One(made) = host.ask(create("build", &["sleep", "1000"])).await else { panic!("not made") };
    assert_eq!((made.cols, made.rows, made.command), (80, 24, vec!["sleep".to_owned(), "1000".to_owned()]));
    assert!(made.tty.starts_with("/dev/pts/"), "{}", made.tty);
    let again = host.ask(create("build", &[])).await;
    assert_eq!(again, TerminalAnswer::Refused(Refusal::Exists(name("build"))));
    let mut viewer = host.view("build", &[]).await;
    viewer.step().await;
    let renamed = host.ask(TerminalRequest::Rename { terminal: name("build"), to: name("make") }).await;
    assert!(matches!(renamed, TerminalAnswer::One(info) if info.terminal == name("make") && info.viewers == 1));
    assert_eq!(names(&host).await, ["make"]);
    assert_eq!(host.ask(TerminalRequest::Close { terminal: name("make") }).await, TerminalAnswer::Closed);
    let exit = viewer.exit().await;
    assert_eq!((exit.code, exit.signal), (Some(129), Some(1)));
    assert!(names(&host).await.is_empty());
    let gone = host.ask(TerminalRequest::Close { terminal: name("make") }).await;
    assert_eq!(gone, TerminalAnswer::Refused(Refusal::NotFound(name("make"))));
}

#[tokio::test]
async fn a_program_that_does_not_hear_the_hang_up_is_ended_all_the_same() {
    let host = Host::start().await;
    let mut viewer = host.view("deaf", &["sh", "-c", "trap '' HUP TERM; echo ready; while :; do sleep 1; done"]).await;
    viewer.until("ready").await;
    assert_eq!(host.ask(TerminalRequest::Close { terminal: name("deaf") }).await, TerminalAnswer::Closed);
    assert_eq!(viewer.exit().await.signal, Some(9));
}

#[tokio::test]
async fn the_end_of_a_program_is_told_with_its_code_also_to_who_was_away() {
    let host = Host::start().await;
    let mut viewer = host.view("job", &["sh", "-c", "echo begin; read line; echo end $line; exit 7"]).await;
    viewer.until("begin").await;
    let mut session = Session::new("away".to_owned(), name("job"));
    let mut frames = host.connect(&session, None).await;
    // Until it knows which terminal it is, and has all of it.
    while session.hello(Size::USUAL, None).have.is_none() || session.hello(Size::USUAL, None).id.is_none() {
        session.take(frames.next().await.expect("a frame"));
    }
    drop(frames);
    viewer.input("now\r").await;
    let exit = viewer.exit().await;
    assert_eq!((exit.code, exit.reason.as_str()), (Some(7), "Process exited with code 7"));
    assert!(viewer.text().contains("end now"));
    viewer.session = session;
    viewer.frames = host.connect(&viewer.session, None).await;
    viewer.seen.clear();
    assert_eq!(viewer.exit().await.code, Some(7));
    assert!(viewer.text().contains("end now"), "{:?}", viewer.text());
    let mut anew = host.view("job", &["echo", "another"]).await;
    anew.until("another").await;
}

#[tokio::test]
async fn who_does_not_know_the_secret_or_talks_nonsense_gets_nothing() {
    let host = Host::start().await;
    for secret in ["", "wrong"] {
        let mut frames = host.open(TerminalRequest::List, secret).await;
        let answer: TerminalAnswer = serde_json::from_slice(&frames.next_bytes().await.expect("told")).expect("JSON");
        assert!(matches!(answer, TerminalAnswer::Refused(Refusal::Invalid(_))), "{answer:?}");
    }
    let mut viewer = host.view("main", &["cat"]).await;
    viewer.step().await;
    viewer.frames.send_bytes(b"\x77nonsense").await;
    while viewer.frames.next().await.is_some() {}
    let mut viewer = host.view("main", &[]).await;
    viewer.input("still there\r").await;
    viewer.until("still there").await;
}

#[tokio::test]
async fn who_may_only_look_cannot_type_nor_resize_nor_begin() {
    let host = Host::start().await;
    let mut typist = host.view("main", &["cat"]).await;
    typist.input("one\r").await;
    typist.until("one\r\none").await;
    let mut session = Session::new("looker".to_owned(), name("main"));
    let mut looker = host.attach(session.hello(Size { cols: 20, rows: 5 }, None), true).await;
    for frame in session.input(&"EVIL\r".into()) {
        looker.send(&frame).await;
    }
    looker.send(&ClientFrame::Resize(Size { cols: 20, rows: 5 })).await;
    typist.input("two\r").await;
    typist.until("two\r\ntwo").await;
    assert!(!typist.text().contains("EVIL") && typist.size == Size::USUAL);
    let absent = Session::new("looker".to_owned(), name("absent"));
    let mut frames = host.attach(absent.hello(Size::USUAL, None), true).await;
    let told = format!("{:?}", frames.next().await);
    assert!(told.contains("there is no terminal absent"), "{told}");
}

/// A program that asks what terminal this is once it gets a key, and what it hears from then on.
struct Asking {
    heard: pipe::Receiver,
    script: String,
    _folder: tempfile::TempDir,
}

impl Asking {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("heard");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        // Open both ways, so that it has no end before it begins.
        let heard = pipe::OpenOptions::new().read_write(true).open_receiver(&path).expect("a pipe");
        let script = format!(
            "stty raw -echo; echo ready; head -c 1; printf '\\033]2;asked\\007\\033[c'; exec dd bs=1 of={} 2>/dev/null",
            path.display()
        );
        Self { heard, script, _folder: folder }
    }

    fn command(&self) -> [&str; 3] {
        ["sh", "-c", &self.script]
    }

    /// This is what it hears next.
    async fn hears(&mut self, text: &str) {
        let mut heard = vec![0; text.len()];
        timeout(PATIENCE, self.heard.read_exact(&mut heard)).await.expect("something").expect("readable");
        assert_eq!(String::from_utf8_lossy(&heard), text);
    }
}

/// Lets it ask just when the only viewer's connection breaks; that viewer.
async fn asked_at_a_cut(host: &Host, asking: &Asking) -> Session {
    let mut viewer = host.view("main", &asking.command()).await;
    viewer.until("ready").await;
    viewer.input("x").await;
    let session = viewer.session;
    drop(viewer.frames);
    let asked = async {
        loop {
            let TerminalAnswer::List(all) = host.ask(TerminalRequest::List).await else { panic!("no list") };
            if (all[0].title.as_str(), all[0].viewers) == ("asked", 0) {
                return;
            }
        }
    };
    timeout(PATIENCE, asked).await.expect("asked");
    session
}

#[tokio::test]
async fn who_comes_back_answers_what_was_asked_meanwhile_and_nobody_else() {
    let (host, mut asking) = (Host::start().await, Asking::new());
    let mut session = asked_at_a_cut(&host, &asking).await;
    let mut frames = host.connect(&session, None).await;
    for frame in session.input(&"mine".into()) {
        frames.send(&frame).await;
    }
    asking.hears("mine").await;
}

#[tokio::test]
async fn the_worker_answers_where_nobody_comes_back_to() {
    let (host, mut asking) = (Host::start().await, Asking::new());
    asked_at_a_cut(&host, &asking).await;
    asking.hears("\x1b[?6c").await;
}

#[tokio::test]
async fn the_worker_answers_for_one_who_gets_a_snapshot_and_not_the_question() {
    let (host, mut asking) = (Host::start().await, Asking::new());
    asked_at_a_cut(&host, &asking).await;
    let mut other = host.view("main", &[]).await;
    other.until("ready").await;
    asking.hears("\x1b[?6c").await;
    other.input("x").await;
    asking.hears("x").await;
}

#[tokio::test]
async fn the_worker_answers_where_nobody_looks_who_may_type() {
    let (host, mut asking) = (Host::start().await, Asking::new());
    let script = asking.script.replace("head -c 1;", "");
    host.ask(create("main", &["sh", "-c", &script])).await;
    let session = Session::new("looker".to_owned(), name("main"));
    let _looker = host.attach(session.hello(Size::USUAL, None), true).await;
    asking.hears("\x1b[?6c").await;
}
