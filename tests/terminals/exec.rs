//! Commands without a terminal, with input.

use std::time::Duration;

use bytes::Bytes;
use perry::contract::terminal::ClientFrame;
use perry::contract::terminals::{TerminalAnswer, TerminalRequest};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::OpenOptions;
use tokio::time::timeout;

use crate::host::{Host, PATIENCE};

#[tokio::test]
async fn bytes_of_any_kind_go_through_a_command_and_its_errors_come_apart() {
    let host = Host::start().await;
    let mut command = host.exec(&["sh", "-c", "cat; echo oh >&2; exit 7"], None).await;
    let all =
        Bytes::from((0..3_000_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect::<Vec<_>>());
    let mut at = 0;
    while at < all.len() {
        while command.session.has_room() && at < all.len() {
            let piece = all.slice(at..(at + 16_000).min(all.len()));
            at += piece.len();
            command.input(piece).await;
        }
        assert!(command.step().await.is_none());
    }
    command.frames.send(&ClientFrame::End).await;
    let exit = command.exit().await;
    assert_eq!((exit.code, command.errors.as_slice()), (Some(7), &b"oh\n"[..]));
    assert!(command.seen == all, "{} bytes of {}", command.seen.len(), all.len());
    let TerminalAnswer::List(none) = host.ask(TerminalRequest::List).await else { panic!("no list") };
    assert!(none.is_empty(), "it is no terminal");
}

#[tokio::test]
async fn a_command_ends_with_its_connection_and_all_that_it_started_also_where_it_reads_nothing() {
    let host = Host::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let script = format!("exec 3>{}; sleep 1000 & echo up; wait", pipe.display());
    let mut held = OpenOptions::new().open_receiver(&pipe).expect("opened");
    let mut command = host.exec(&["sh", "-c", &script], None).await;
    command.until("up").await;
    // As much as a pipe holds is taken from the client, and then no more.
    while command.session.has_room() {
        command.input(vec![b'x'; 16_000]).await;
        while timeout(Duration::from_millis(100), command.step()).await.is_ok() {}
    }
    drop(command);
    // At its end once nobody holds the other one.
    let mut nothing = Vec::new();
    let read = held.read_to_end(&mut nothing);
    assert_eq!(timeout(PATIENCE, read).await.expect("it ends").expect("read"), 0);
}

#[tokio::test]
async fn nothing_is_lost_of_a_command_that_has_ended_before_its_output_was_read() {
    const ALL: usize = 1_000_000;
    let host = Host::start().await;
    let mut command = host.exec(&["head", "-c", "1000000", "/dev/zero"], None).await;
    // What is left has room in the pipe and the socket together, and in the socket alone it has none.
    while command.seen.len() < ALL - 260_000 {
        assert!(command.step().await.is_none());
    }
    // Nothing tells that it has ended and was given its time since, which is 100 ms: what is tested is that nothing happens.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((command.exit().await.code, command.seen.len()), (Some(0), ALL));
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_and_a_wrong_one_is_refused() {
    let host = Host::start().await;
    let mut slow = host.exec(&["sleep", "1000"], Some(1)).await;
    assert_eq!(slow.exit().await.code, Some(124));
    let mut missing = host.exec(&["no-such-program"], None).await;
    assert_eq!(missing.exit().await.code, Some(127));
    assert!(!missing.errors.is_empty());
    let exit = host.exec(&[""], None).await.exit().await;
    assert!(exit.code.is_none() && exit.reason.contains("command must be a program"), "{exit:?}");
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_does_not_hold_it_up() {
    let host = Host::start().await;
    let mut command = host.exec(&["sh", "-c", "echo first; sleep 1000 & exit 3"], None).await;
    let exit = command.exit().await;
    assert_eq!((exit.code, command.text().as_str()), (Some(3), "first\n"));
}
