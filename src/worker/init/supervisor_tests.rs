use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ZERO: Duration = Duration::ZERO;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn with_all() -> Supervisor {
    let mut supervisor = Supervisor::new(|_| true);
    for unit in [Unit::Serve, Unit::Sshd, Unit::Dockerd] {
        supervisor.want(unit, true);
    }
    supervisor
}

/// Does every step; processes get numbers from 100 on.
fn settle(supervisor: &mut Supervisor, now: Duration) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = supervisor.next(now) {
        if let Step::Start(unit) = step {
            supervisor.started(unit, 100 + unit as i32, now);
        }
        steps.push(step);
        assert!(steps.len() < 20, "no end to {steps:?}");
    }
    steps
}

fn message(service: &Service) -> &str {
    match service {
        Service::Failed { message } => message,
        other => panic!("not failed: {other:?}"),
    }
}

#[test]
fn everything_is_started_at_once_but_dockerd_waits_for_containerd() {
    let mut supervisor = with_all();
    let starts = [Unit::Serve, Unit::Containerd, Unit::Sshd].map(Step::Start);
    assert_eq!(settle(&mut supervisor, ZERO), starts);
    assert_eq!(supervisor.docker(), Service::Starting);
    supervisor.probed(Unit::Containerd, 102, true);
    assert_eq!(settle(&mut supervisor, ZERO), [Step::Start(Unit::Dockerd)]);
    supervisor.probed(Unit::Dockerd, 103, true);
    assert_eq!(supervisor.docker(), Service::Running);
}

#[test]
fn without_containerd_in_the_image_dockerd_starts_by_itself() {
    let mut supervisor = Supervisor::new(|unit| unit == Unit::Dockerd);
    supervisor.want(Unit::Dockerd, true);
    assert_eq!(settle(&mut supervisor, ZERO), [Step::Start(Unit::Dockerd)]);
    assert_eq!(supervisor.service(Unit::Sshd), Service::NotInImage);
}

#[test]
fn what_is_not_wanted_is_off_and_what_is_not_there_is_not_in_the_image() {
    let mut supervisor = Supervisor::new(|unit| unit != Unit::Sshd);
    supervisor.want(Unit::Sshd, true);
    assert_eq!(settle(&mut supervisor, ZERO), []);
    assert_eq!((supervisor.service(Unit::Sshd), supervisor.docker()), (Service::NotInImage, Service::Off));
}

#[test]
fn pauses_double_from_a_quarter_of_a_second_to_half_a_minute() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    let mut now = ZERO;
    let mut pauses = Vec::new();
    for _ in 0..10 {
        supervisor.exited(Unit::Sshd, "gone".into(), now);
        let due = supervisor.deadline().expect("a next try");
        pauses.push((due - now).as_millis());
        assert_eq!(settle(&mut supervisor, due - ms(1)), [], "not before its time");
        now = due;
        assert_eq!(settle(&mut supervisor, now), [Step::Start(Unit::Sshd)]);
    }
    assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
}

#[test]
fn who_ran_well_for_a_while_starts_again_at_the_shortest_pause() {
    let mut supervisor = with_all();
    let mut now = ZERO;
    settle(&mut supervisor, now);
    for _ in 0..5 {
        supervisor.exited(Unit::Sshd, "gone".into(), now);
        now = supervisor.deadline().expect("a next try");
        settle(&mut supervisor, now);
    }
    supervisor.probed(Unit::Sshd, 101, true);
    now += 10 * SECOND;
    supervisor.exited(Unit::Sshd, "gone".into(), now);
    assert_eq!(supervisor.deadline(), Some(now + ms(250)));
    // One that lived as long but never answered did not run well.
    now += SECOND;
    settle(&mut supervisor, now);
    now += 10 * SECOND;
    supervisor.exited(Unit::Sshd, "gone".into(), now);
    assert_eq!(supervisor.deadline(), Some(now + ms(500)));
}

#[test]
fn a_failure_is_shown_until_it_answers_again() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Sshd, 101, true);
    supervisor.exited(Unit::Sshd, "killed by signal 9".into(), SECOND);
    assert_eq!(message(&supervisor.service(Unit::Sshd)), "killed by signal 9");
    settle(&mut supervisor, 2 * SECOND);
    assert_eq!(message(&supervisor.service(Unit::Sshd)), "killed by signal 9", "started, but does not answer yet");
    supervisor.probed(Unit::Sshd, 101, true);
    assert_eq!(supervisor.service(Unit::Sshd), Service::Running);
}

#[test]
fn an_answer_of_a_process_that_is_gone_does_not_count() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Sshd, 99, true);
    assert_eq!(supervisor.service(Unit::Sshd), Service::Starting);
}

#[test]
fn dockerd_that_no_longer_answers_is_starting_and_is_left_alone() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Containerd, 102, true);
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Dockerd, 103, true);
    supervisor.probed(Unit::Dockerd, 103, false);
    assert_eq!(supervisor.docker(), Service::Starting);
    assert_eq!(settle(&mut supervisor, 60 * SECOND), []);
}

#[test]
fn turned_off_dockerd_ends_first_then_containerd_and_who_lingers_is_killed() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Containerd, 102, true);
    settle(&mut supervisor, ZERO);
    supervisor.want(Unit::Dockerd, false);
    assert_eq!(settle(&mut supervisor, SECOND), [Step::Terminate(Unit::Dockerd, 103)]);
    assert_eq!(supervisor.docker(), Service::Off);
    assert_eq!(settle(&mut supervisor, 11 * SECOND), [Step::Kill(Unit::Dockerd, 103)]);
    assert_eq!(settle(&mut supervisor, 99 * SECOND), [], "killed once");
    supervisor.exited(Unit::Dockerd, "killed".into(), 99 * SECOND);
    assert_eq!(settle(&mut supervisor, 99 * SECOND), [Step::Terminate(Unit::Containerd, 102)]);
    supervisor.exited(Unit::Containerd, "done".into(), 99 * SECOND);
    assert_eq!((supervisor.deadline(), supervisor.docker()), (None, Service::Off));
}

#[test]
fn turned_on_again_while_it_ends_it_starts_once_it_has_ended() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Containerd, 102, true);
    settle(&mut supervisor, ZERO);
    supervisor.want(Unit::Dockerd, false);
    settle(&mut supervisor, ZERO);
    supervisor.want(Unit::Dockerd, true);
    assert_eq!(settle(&mut supervisor, ZERO), []);
    supervisor.exited(Unit::Dockerd, "done".into(), ZERO);
    assert_eq!(settle(&mut supervisor, ZERO), [Step::Start(Unit::Dockerd)]);
}

#[test]
fn a_new_wish_does_not_wait_for_an_old_pause() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    for _ in 0..8 {
        supervisor.failed(Unit::Sshd, "no".into(), ZERO);
    }
    supervisor.want(Unit::Sshd, false);
    supervisor.want(Unit::Sshd, true);
    assert_eq!(settle(&mut supervisor, ZERO), [Step::Start(Unit::Sshd)]);
}

#[test]
fn containerd_that_never_answered_is_given_up_and_one_that_did_is_not() {
    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    for round in 1..=3 {
        supervisor.exited(Unit::Containerd, "unknown flag".into(), ZERO);
        if round < 3 {
            assert_eq!(message(&supervisor.docker()), "containerd: unknown flag");
            settle(&mut supervisor, 10 * SECOND);
        }
    }
    assert_eq!(settle(&mut supervisor, 10 * SECOND), [Step::Start(Unit::Dockerd)]);
    assert!(!supervisor.has_containerd());

    let mut supervisor = with_all();
    settle(&mut supervisor, ZERO);
    supervisor.probed(Unit::Containerd, 102, true);
    for _ in 0..9 {
        supervisor.exited(Unit::Containerd, "killed".into(), ZERO);
        settle(&mut supervisor, 99 * SECOND);
    }
    assert!(supervisor.has_containerd());
}

#[test]
fn adopted_processes_are_not_started_again_and_keep_their_state() {
    let mut supervisor = with_all();
    supervisor.adopt(Unit::Sshd, 7, true, ZERO);
    supervisor.adopt(Unit::Containerd, 8, true, ZERO);
    supervisor.adopt(Unit::Dockerd, 9, false, ZERO);
    assert_eq!(settle(&mut supervisor, ZERO), [Step::Start(Unit::Serve)]);
    assert_eq!((supervisor.service(Unit::Sshd), supervisor.docker()), (Service::Running, Service::Starting));
    assert_eq!((supervisor.unit_of(8), supervisor.unit_of(1)), (Some(Unit::Containerd), None));
}
