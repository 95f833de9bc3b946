//! Published ports: each reaches its server, wherever inside it listens, and none is somebody else's.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::agent::{Agent, is_ready};
use crate::{BASE, PATIENCE};

/// A server that answers each line with its name and that line, on one address.
fn serve(name: &str, address: &str, port: u16) -> String {
    format!(
        "use IO::Socket::IP; $|=1; my $s = IO::Socket::IP->new(LocalHost => '{address}', LocalPort => {port}, Listen => 9, ReuseAddr => 1) or die $!; \
         while (my $c = $s->accept) {{ my $l = <$c>; print $c '{name} '.$l; close $c }}"
    )
}

async fn ask(port: u16) -> Option<String> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream.write_all(b"hello\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer).filter(|answer| !answer.is_empty())
    };
    tokio::time::timeout(Duration::from_secs(5), asking).await.ok()?
}

async fn answers(port: u16, wanted: &str, agent: &Agent) {
    let began = Instant::now();
    let mut last = None;
    while last.as_deref() != Some(wanted) {
        assert!(began.elapsed() < PATIENCE, "never {wanted:?} but {last:?}\n{}", agent.log());
        last = ask(port).await;
        // Nothing tells from outside when a server inside is reached.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_port_reaches_its_server_also_one_that_listens_on_loopback_only_and_then_on_all() {
    let agent = Agent::start().await;
    let ports = "ports: [ { name: all, port: 3000 }, { name: loop, port: 3001 } ]";
    agent.apply("a", &format!("image: {BASE}\n{ports}")).await;
    let view = agent.until("a", "ready", is_ready).await;
    let run = async |name: &str, address: &str, port: u16| {
        let script = format!("exec -a server-{name} perl -e \"$1\" >/dev/null 2>&1 &");
        let words = ["exec", "a", "--", "bash", "-c", &script, "sh", &serve(name, address, port)];
        agent.ok(&words).await;
    };
    run("all", "0.0.0.0", 3000).await;
    run("loop", "127.0.0.1", 3001).await;
    for name in ["all", "loop"] {
        answers(view.ports[name], &format!("{name} hello\n"), &agent).await;
    }

    // It ends, and another one takes every address: the port is free for it soon.
    agent.ok(&["exec", "a", "--", "pkill", "-f", "server-loop"]).await;
    let retry = "until perl -e \"$1\"; do sleep 0.05; done >/dev/null 2>&1 &";
    let words = ["exec", "a", "--", "bash", "-c", retry, "sh", &serve("wide", "0.0.0.0", 3001)];
    agent.ok(&words).await;
    answers(view.ports["loop"], "wide hello\n", &agent).await;
}

#[tokio::test]
async fn a_port_that_another_program_holds_is_said_at_apply_with_free_ones_and_never_chosen() {
    let agent = Agent::start().await;
    let somebody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = somebody.local_addr().expect("an address").port();
    let file = agent.folder.path().join("a.yaml");
    let spec = format!("ports: [ {{ name: http, port: 80, hostPort: {port} }} ]");
    std::fs::write(&file, agent.manifest("a", &spec)).expect("written");
    let told = agent.fails(4, &["apply", "-f", file.to_str().expect("text")]).await;
    assert!(told.contains(&format!("host port {port} belongs to another program on this machine already")), "{told}");
    assert!(told.contains("hint: free ones near it: "), "{told}");
    drop(somebody);
    // Who listens is looked at a few times a second.
    while agent.perry(&["apply", "-f", file.to_str().expect("text")]).await.code == Some(4) {}
    let view = agent.until("a", "ready", is_ready).await;
    assert_eq!(view.ports["http"], port);

    // The next automatic one is held by somebody: the one after it is chosen.
    let next = agent.ready("b", "").await.ports["ssh"] + 1;
    let _somebody = TcpListener::bind(("127.0.0.1", next)).await.expect("free");
    assert_eq!(agent.ready("c", "").await.ports["ssh"], next + 1);
}
