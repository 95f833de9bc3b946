//! Many terminals, many viewers, many sizes.

use perry::contract::terminal::{ClientFrame, Size};
use perry::contract::terminals::{TerminalAnswer, TerminalRequest};

use crate::host::Host;

#[tokio::test]
async fn two_hundred_terminals_are_listed_and_each_answers() {
    let host = Host::start().await;
    let mut viewers = Vec::new();
    for number in 0..200 {
        viewers.push(host.view(&format!("t{number}"), &["cat"]).await);
    }
    for (number, viewer) in viewers.iter_mut().enumerate() {
        viewer.input(format!("hello {number}\r")).await;
    }
    for (number, viewer) in viewers.iter_mut().enumerate() {
        viewer.until(&format!("hello {number}\r\nhello {number}")).await;
    }
    let TerminalAnswer::List(all) = host.ask(TerminalRequest::List).await else { panic!("no list") };
    assert_eq!(all.len(), 200);
    for viewer in &mut viewers {
        viewer.input("\x04").await;
        assert_eq!(viewer.exit().await.code, Some(0));
    }
}

#[tokio::test]
async fn fifty_viewers_see_the_same_and_what_one_types_comes_to_all() {
    let host = Host::start().await;
    let mut viewers = vec![host.view("main", &["sh", "-c", "stty -echo; echo ready; exec cat"]).await];
    viewers[0].until("ready").await;
    for _ in 1..50 {
        viewers.push(host.view("main", &[]).await);
    }
    for (number, viewer) in viewers.iter_mut().enumerate() {
        viewer.input(format!("from {number}.\r")).await;
    }
    for viewer in &mut viewers {
        for number in 0..50 {
            viewer.until(&format!("from {number}.")).await;
        }
        assert_eq!(viewer.text().matches("from 7.").count(), 1);
    }
    while viewers[0].viewers != 50 {
        viewers[0].step().await;
    }
}

#[tokio::test]
async fn a_storm_of_sizes_ends_with_the_last_one() {
    let host = Host::start().await;
    let mut viewer = host.view("main", &["sh"]).await;
    let last = Size { cols: 77, rows: 33 };
    for step in 0..2000_u16 {
        let size = if step == 1999 { last } else { Size { cols: 20 + step % 200, rows: 5 + step % 50 } };
        viewer.frames.send(&ClientFrame::Resize(size)).await;
    }
    while viewer.size != last {
        viewer.step().await;
    }
    viewer.input("stty size\r").await;
    viewer.until("33 77").await;
}
