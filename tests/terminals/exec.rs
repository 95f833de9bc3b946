//! Commands without a terminal, with input.

use bytes::Bytes;
use perry::contract::terminal::ClientFrame;
use perry::contract::terminals::{TerminalAnswer, TerminalRequest};

use crate::host::Host;

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
async fn a_command_ends_with_its_connection_and_all_that_it_started() {
    let host = Host::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let script = format!("sleep 1000 & exec 3>{}; echo up; wait", pipe.display());
    let held = tokio::task::spawn_blocking(move || std::fs::read(pipe));
    let mut command = host.exec(&["sh", "-c", &script], None).await;
    command.until("up").await;
    drop(command);
    // Read to its end once nobody holds the other one.
    let read = tokio::time::timeout(crate::host::PATIENCE, held).await.expect("it ends");
    assert!(read.expect("no panic").expect("read").is_empty());
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
