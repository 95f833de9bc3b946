//! Does it answer? One thread for each process that is asked.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::supervisor::Unit;

/// How often it is asked while it starts: the time to ready is what people wait for.
const EAGER: Duration = Duration::from_millis(2);
/// Questions at that pace, some five seconds of them.
const EAGER_QUESTIONS: u32 = 2500;
/// How often afterwards.
const PATIENT: Duration = Duration::from_millis(100);
/// How often dockerd is asked once it has answered: it can hang with its process alive.
const CHECK: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Where dockerd listens.
pub(super) const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// A question that is asked until it is dropped.
#[derive(Debug)]
pub(super) struct Probe {
    over: Arc<AtomicBool>,
}

impl Probe {
    /// Asks until there is an answer, and dockerd from time to time after that. `tell` hears whether it answers, at each
    /// change, and says whether anybody still listens.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn start(
        unit: Unit,
        ask: impl Fn() -> io::Result<()> + Send + 'static,
        tell: impl Fn(bool) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let question = move || {
            let mut answered = false;
            let mut unanswered = 0;
            while !seen.load(Ordering::Relaxed) {
                let answers = ask().is_ok();
                if answers != answered {
                    answered = answers;
                    // Only dockerd is known to hang. Asking sshd again would be a login without a key in its log.
                    if seen.load(Ordering::Relaxed) || !tell(answered) || unit != Unit::Dockerd {
                        return;
                    }
                }
                unanswered = if answers { EAGER_QUESTIONS } else { unanswered + 1 };
                thread::sleep(pause(answers, unanswered));
            }
        };
        thread::Builder::new().name(format!("ask {}", unit.name())).spawn(question)?;
        Ok(Self { over })
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn pause(answers: bool, unanswered: u32) -> Duration {
    match (answers, unanswered) {
        (true, _) => CHECK,
        (false, ..EAGER_QUESTIONS) => EAGER,
        (false, _) => PATIENT,
    }
}

/// Whether an SSH server greets at this port of the machine itself.
pub(super) fn ssh(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting)?;
    if &greeting == b"SSH-" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether somebody listens at this socket.
pub(super) fn listens(socket: &Path) -> io::Result<()> {
    UnixStream::connect(socket).map(drop)
}

/// Whether a Docker engine at this socket says that it is there.
pub(super) fn docker(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    if head.starts_with(b"HTTP/1.") && head.ends_with(b" 200") {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_an_ssh_greeting_counts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let greet = thread::spawn(move || {
            for greeting in ["SSH-2.0-x\r\n", "220 mail\r\n", "SS"] {
                let (mut stream, _) = listener.accept().expect("a connection");
                stream.write_all(greeting.as_bytes()).expect("written");
            }
        });
        assert_eq!([ssh(port).is_ok(), ssh(port).is_ok(), ssh(port).is_ok()], [true, false, false]);
        greet.join().expect("greeted");
        assert!(ssh(port).is_err(), "nobody listens any more");
    }

    #[test]
    fn only_a_200_of_docker_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        assert!(docker(&socket).is_err() && listens(&socket).is_err());
        let listener = UnixListener::bind(&socket).expect("a socket");
        let answer = thread::spawn(move || {
            for status in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 503 not yet\r\n\r\n"] {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut request = [0; 512];
                let length = stream.read(&mut request).expect("a request");
                assert!(request[..length].starts_with(b"GET /_ping "));
                stream.write_all(status.as_bytes()).expect("written");
            }
        });
        assert_eq!([docker(&socket).is_ok(), docker(&socket).is_ok()], [true, false]);
        answer.join().expect("answered");
    }

    #[test]
    fn a_probe_tells_of_the_first_answer_and_then_asks_no_more() {
        let (told, hear) = mpsc::channel();
        let (asked, questions) = mpsc::channel();
        let tries = std::sync::atomic::AtomicU32::new(0);
        let ask = move || {
            asked.send(()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            if tries.fetch_add(1, Ordering::Relaxed) < 3 { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
        };
        let _probe = Probe::start(Unit::Sshd, ask, move |answers| told.send(answers).is_ok()).expect("started");
        assert_eq!(hear.iter().collect::<Vec<_>>(), [true], "the thread has ended");
        assert_eq!(questions.iter().count(), 4);
    }
}
