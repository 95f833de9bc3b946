use proptest::prelude::*;

use super::*;

const RING: usize = 1 << 20;

fn flow() -> Flow {
    Flow::new(Ring::new(RING, 0))
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Prints as long as it may, in pieces; how much.
fn print(flow: &mut Flow, now: Duration, most: usize) -> usize {
    let mut printed = 0;
    while printed < most && flow.may_read(now) == Read::Go {
        flow.ring.push(&[b'y'; 4096]);
        printed += 4096;
    }
    printed
}

/// Sends all that may be sent; how much, and whether a snapshot is to come.
fn send(flow: &mut Flow, id: ViewerId) -> (u64, bool) {
    let mut sent = 0;
    loop {
        match flow.next(id) {
            Next::Data(_, length) => {
                flow.sent(id, length);
                sent += length as u64;
            }
            Next::Resized(_) => flow.told_size(id),
            Next::Snapshot => return (sent, true),
            Next::Nothing => return (sent, false),
        }
    }
}

#[test]
fn a_viewer_that_reads_no_more_is_waited_for_a_while_and_then_costs_nothing() {
    let mut flow = flow();
    flow.attach(1, Some(0));
    let printed = print(&mut flow, at(0), 10 << 20);
    assert!((64 << 10..=68 << 10).contains(&printed), "{printed}");
    assert_eq!(flow.may_read(at(10)), Read::Wait(PATIENCE));
    assert_eq!(send(&mut flow, 1), (64 << 10, false));
    assert_eq!(print(&mut flow, PATIENCE, 10 << 20), 10 << 20, "the program goes on");
    assert_eq!(flow.next(1), Next::Nothing);
    assert!(flow.acked(1, 64 << 10, at(9000)), "it wakes up");
    assert_eq!(flow.next(1), Next::Snapshot);
}

#[test]
fn a_slow_viewer_does_not_hold_up_a_quick_one() {
    let mut flow = flow();
    flow.attach(1, Some(0));
    flow.attach(2, Some(0));
    for _ in 0..100 {
        print(&mut flow, at(0), 60 << 10);
        let (sent, snapshot) = send(&mut flow, 1);
        assert!(sent > 0 && !snapshot);
        let head = flow.ring.head();
        flow.acked(1, head, at(0));
        send(&mut flow, 2);
    }
    assert!(flow.ring.head() > 4 << 20);
    flow.acked(2, 64 << 10, at(0));
    assert_eq!(flow.next(2), Next::Snapshot);
}

#[test]
fn whoever_was_cut_off_is_waited_for_and_loses_nothing() {
    let mut flow = flow();
    flow.attach(1, Some(0));
    print(&mut flow, at(0), 10 << 20);
    send(&mut flow, 1);
    flow.acked(1, 40 << 10, at(0));
    flow.detach(1, true, at(0));
    let printed = print(&mut flow, at(1), 10 << 20);
    assert!(printed < RING);
    assert_eq!(flow.may_read(at(2)), Read::Wait(PATIENCE));
    flow.attach(2, Some(40 << 10));
    assert_eq!(flow.next(2), Next::Data(40 << 10, DATA_MAX));
    flow.detach(2, false, at(3));
    assert_eq!(flow.may_read(PATIENCE), Read::Go, "for a while");
}

#[test]
fn a_viewer_far_away_gets_a_larger_window_and_one_nearby_does_not() {
    for (wait, window) in [(1, 64 << 10), (40, 256 << 10)] {
        let mut flow = flow();
        flow.attach(1, Some(0));
        let mut now = at(0);
        for _ in 0..8 {
            print(&mut flow, now, 10 << 20);
            send(&mut flow, 1);
            now += at(wait);
            let head = flow.ring.head();
            flow.acked(1, head, now);
        }
        print(&mut flow, now, 10 << 20);
        assert_eq!(send(&mut flow, 1).0, window);
    }
}

#[test]
fn a_change_of_size_is_told_between_the_bytes_it_lay_between() {
    let mut flow = flow();
    flow.attach(1, Some(0));
    flow.ring.push(b"before");
    let size = Size { cols: 40, rows: 10 };
    flow.resized(size);
    flow.ring.push(b"after");
    assert_eq!(flow.next(1), Next::Data(0, 6));
    flow.sent(1, 6);
    assert_eq!(flow.next(1), Next::Resized(size));
    flow.told_size(1);
    assert_eq!(flow.next(1), Next::Data(6, 5));
}

#[derive(Debug, Clone)]
enum Step {
    Print(usize),
    Attach(ViewerId, Option<u16>),
    Detach(ViewerId, bool),
    Send(ViewerId),
    Ack(ViewerId, u8),
    Resize,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_u64..3;
    prop_oneof![
        4 => (1_usize..200_000).prop_map(Step::Print),
        1 => (id.clone(), any::<Option<u16>>()).prop_map(|(id, back)| Step::Attach(id, back)),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, returns)| Step::Detach(id, returns)),
        4 => id.clone().prop_map(Step::Send),
        4 => (id, any::<u8>()).prop_map(|(id, part)| Step::Ack(id, part)),
        1 => Just(Step::Resize),
        1 => any::<u16>().prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens: each viewer is sent each byte once, in order, or a snapshot instead of those it missed; never more
    /// than its window is on its way; and the program goes on after a while.
    #[test]
    fn no_viewer_misses_a_byte_or_gets_one_twice(steps in prop::collection::vec(step(), 1..120)) {
        let mut flow = flow();
        let mut now = Duration::ZERO;
        let mut have: BTreeMap<ViewerId, (u64, u64)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Print(length) => drop(print(&mut flow, now, length)),
                Step::Attach(id, back) => {
                    flow.detach(id, false, now);
                    let from = back.map(|back| flow.ring.head().saturating_sub(u64::from(back)));
                    flow.attach(id, from);
                    have.insert(id, (from.unwrap_or(0), from.unwrap_or(0)));
                }
                Step::Detach(id, returns) => {
                    flow.detach(id, returns, now);
                    have.remove(&id);
                }
                Step::Send(id) => {
                    let Some((next, acked)) = have.get_mut(&id) else { continue };
                    loop {
                        match flow.next(id) {
                            Next::Nothing => break,
                            Next::Resized(_) => flow.told_size(id),
                            Next::Snapshot => {
                                let head = flow.snapshot_begun(id);
                                flow.snapshot_sent(id, head);
                                (*next, *acked) = (head, head);
                            }
                            Next::Data(from, length) => {
                                prop_assert_eq!(from, *next);
                                prop_assert!(flow.ring.from(from, length).is_some());
                                *next += length as u64;
                                prop_assert!(*next - *acked <= WINDOW);
                                flow.sent(id, length);
                            }
                        }
                    }
                }
                Step::Ack(id, part) => {
                    let Some((next, acked)) = have.get_mut(&id) else { continue };
                    *acked += (*next - *acked) * u64::from(part) / 255;
                    flow.acked(id, *acked, now);
                }
                Step::Resize => flow.resized(Size { cols: 80, rows: 24 }),
                Step::Wait(milliseconds) => now += at(u64::from(milliseconds)),
            }
            if let Read::Wait(until) = flow.may_read(now) {
                prop_assert!(until > now && until <= now + PATIENCE);
            }
        }
    }
}
