//! Coming back: the screen as it was, what was missed, and input that is applied once.

use bytes::Bytes;
use perry::contract::terminal::{ClientFrame, Size};
use rand::{Rng, RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use crate::host::{Host, number};

#[tokio::test]
async fn a_terminal_outlives_its_viewers_and_shows_the_same_again() {
    let host = Host::start().await;
    let mut viewer =
        host.view("main", &["sh", "-c", "printf '\\033]2;a title\\007\\033[31mred\\033[m'; exec cat"]).await;
    viewer.until("red").await;
    drop(viewer);
    let mut viewer = host.view("main", &[]).await;
    viewer.until("red").await;
    assert_eq!(viewer.snapshots, 1);
    assert!(
        viewer.text().contains("\x1b[31mred") && viewer.text().contains("\x1b]0;a title\x07"),
        "{:?}",
        viewer.text()
    );
    viewer.input("again\r").await;
    viewer.until("again\r\nagain").await;
}

#[tokio::test]
async fn who_comes_back_soon_gets_only_what_was_missed() {
    let host = Host::start().await;
    let mut viewer = host.view("main", &["cat"]).await;
    viewer.input("one\r").await;
    viewer.until("one\r\none\r\n").await;
    viewer.frames = host.connect(&viewer.session, None).await;
    viewer.input("two\r").await;
    viewer.until("two\r\ntwo\r\n").await;
    assert_eq!((viewer.snapshots, viewer.text().matches("one").count()), (1, 2));
}

#[tokio::test]
async fn what_was_typed_is_applied_once_however_often_it_is_sent() {
    let host = Host::start().await;
    let mut viewer = host.view("main", &["sh", "-c", "stty -echo; echo ready; exec cat"]).await;
    viewer.until("ready").await;
    for _ in 0..3 {
        viewer.frames.send(&ClientFrame::Input(1, Bytes::from_static(b"once\r"))).await;
    }
    viewer.frames = host.connect(&viewer.session, None).await;
    viewer.frames.send(&ClientFrame::Input(1, Bytes::from_static(b"once\r"))).await;
    viewer.frames.send(&ClientFrame::Input(2, Bytes::from_static(b"end\r"))).await;
    viewer.until("end").await;
    assert_eq!(viewer.text().matches("once").count(), 1, "{:?}", viewer.text());
}

#[tokio::test]
async fn random_bytes_both_ways_over_two_hundred_cuts_are_neither_lost_nor_doubled() {
    // `make soak` sends 100 MB.
    let all = usize::try_from(number("PERRY_BYTES", 16 << 20)).expect("few");
    let seed = std::env::var("PERRY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("PERRY_SEED={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut bytes = vec![0; all];
    random.fill_bytes(&mut bytes);
    let bytes = Bytes::from(bytes);
    let host = Host::start().await;
    let mut viewer = host.view("main", &["sh", "-c", "stty raw -echo; echo ready; exec cat"]).await;
    viewer.until("ready").await;
    // What came before it may have been in a snapshot: this comes back as data, and nothing follows it.
    viewer.input("<begin>").await;
    viewer.until("<begin>").await;
    let begin = viewer.seen.len();
    let (mut typed, mut cut_at) = (0, 0);
    let mut cuts = 0;
    while viewer.seen.len() < begin + all {
        if viewer.seen.len() >= cut_at && cuts < 200 {
            cuts += 1;
            cut_at = begin + cuts * (all / 200) + random.random_range(0..all / 400);
            viewer.frames = host.connect(&viewer.session, None).await;
        }
        while viewer.session.has_room() && typed < all {
            let piece = bytes.slice(typed..(typed + random.random_range(1..9000)).min(all));
            typed += piece.len();
            viewer.input(piece).await;
        }
        viewer.step().await;
        assert_eq!(viewer.snapshots, 1, "a snapshot in the place of bytes, by PERRY_SEED={seed}");
    }
    assert_eq!(cuts, 200);
    assert_eq!(Sha256::digest(&viewer.seen[begin..]), Sha256::digest(&bytes), "PERRY_SEED={seed}");
}

#[tokio::test]
async fn the_last_who_typed_decides_the_size_and_the_others_are_told() {
    let host = Host::start().await;
    let mut first = host.view("main", &["cat"]).await;
    first.input("x").await;
    first.until("x").await;
    let mut second = host.view("main", &[]).await;
    second.frames.send(&ClientFrame::Resize(Size { cols: 40, rows: 10 })).await;
    second.until("x").await;
    assert_eq!(second.size, Size::USUAL, "it has not typed");
    second.input("y").await;
    while first.size != (Size { cols: 40, rows: 10 }) || second.size != first.size {
        tokio::select! {
            _ = first.step() => {}
            _ = second.step() => {}
        }
    }
    drop(second);
    while first.size != Size::USUAL {
        first.step().await;
    }
}
