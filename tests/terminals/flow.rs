//! Floods, viewers that do not read, and large pastes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use perry::contract::terminals::{TerminalAnswer, TerminalRequest};

use crate::host::{Host, number};

#[tokio::test]
async fn a_viewer_that_reads_nothing_under_a_flood_harms_nobody_and_catches_up_by_a_snapshot() {
    let host = Host::start().await;
    let mut asleep = host.view("main", &["sh", "-c", "read go; exec yes"]).await;
    asleep.step().await;
    let mut awake = host.view("main", &[]).await;
    awake.input("go\r").await;
    let mut other = host.view("other", &["cat"]).await;
    let began = Instant::now();
    let mut bytes = 0;
    // `make soak` has it sleep for ten minutes.
    let stall = Duration::from_secs(number("PERRY_STALL", 10));
    while began.elapsed() < stall {
        awake.step().await;
        bytes += awake.seen.len();
        awake.seen.clear();
        assert!(awake.snapshots <= 1, "it keeps up");
    }
    assert!(bytes > 10 << 20, "{bytes} bytes in 10 s");
    let asked = Instant::now();
    other.input("quick\r").await;
    other.until("quick\r\nquick").await;
    let TerminalAnswer::List(all) = host.ask(TerminalRequest::List).await else { panic!("no list") };
    assert_eq!(all.len(), 2);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    awake.input("\x03").await;
    assert_eq!(awake.exit().await.signal, Some(2));
    // Far fewer bytes than it slept through.
    let mut shown = 0;
    loop {
        let end = asleep.step().await;
        shown += asleep.seen.len();
        asleep.seen.clear();
        if end.is_some() {
            break;
        }
    }
    assert!(asleep.snapshots >= 2 && shown < 2 << 20, "{} snapshots, {shown} bytes", asleep.snapshots);
}

#[tokio::test]
async fn a_lone_viewer_that_reads_nothing_holds_the_program_up_only_for_a_while() {
    let host = Host::start().await;
    let mut viewer = host.view("main", &["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' y"]).await;
    viewer.step().await;
    let ended = async {
        loop {
            let TerminalAnswer::List(all) = host.ask(TerminalRequest::List).await else { panic!("no list") };
            if all.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the program goes on");
    assert_eq!(viewer.exit().await.code, Some(0));
}

#[tokio::test]
async fn an_interrupt_cuts_through_a_flood() {
    let host = Host::start().await;
    let mut viewer =
        host.view("main", &["sh", "-c", "trap 'printf %s%s inter rupted; exit 3' INT; echo go; yes"]).await;
    viewer.until("go").await;
    for _ in 0..200 {
        viewer.step().await;
    }
    viewer.seen.clear();
    viewer.input("\x03").await;
    let exit = viewer.exit().await;
    assert_eq!(exit.code, Some(3));
    assert!(viewer.text().contains("interrupted"));
    assert!(viewer.seen.len() < 256 << 10, "{} bytes came after it", viewer.seen.len());
}

#[tokio::test]
async fn a_paste_of_five_megabytes_arrives_whole() {
    let host = Host::start().await;
    let count = 5_000_000;
    let script = format!("stty raw -echo; echo ready; head -c {count} | cksum; echo done");
    let mut viewer = host.view("main", &["sh", "-c", &script]).await;
    viewer.until("ready").await;
    let paste = Bytes::from((0..count).map(|at| b"0123456789abcdef"[at % 16]).collect::<Vec<u8>>());
    let mut at = 0;
    while at < count {
        while viewer.session.has_room() && at < count {
            let piece = paste.slice(at..(at + 16_000).min(count));
            at += piece.len();
            viewer.input(piece).await;
        }
        viewer.step().await;
    }
    viewer.until("done").await;
    assert!(viewer.text().contains(&format!(" {count}")), "{:?}", viewer.text());
}
