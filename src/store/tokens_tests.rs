use super::super::sim_disk::{Fault, Reboot, SimDisk};
use super::*;
use crate::clock::ManualClock;

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn wanted(text: &str) -> Wanted {
    Wanted { name: name(text), role: Role::User, workspaces: None, allow_host: false, expires_in: None }
}

fn open(disk: &SimDisk, clock: &ManualClock) -> Tokens {
    Tokens::open(Box::new(disk.clone()), Arc::new(clock.clone())).expect("they open")
}

#[test]
fn a_token_is_known_until_it_is_revoked_and_its_file_holds_a_hash_alone() {
    let (disk, clock) = (SimDisk::new(), ManualClock::default());
    let tokens = open(&disk, &clock);
    let (Secret(token), entry) = tokens.create(wanted("phone")).expect("made");
    assert_eq!(tokens.verify(&token).map(|caller| caller.name.clone()).as_deref(), Some("phone"));
    let text = String::from_utf8(disk.content(TOKENS).expect("there")).expect("text");
    let secret = token.rsplit('_').next().expect("a secret");
    assert!(text.contains(&entry.id) && !text.contains(secret), "{text}");
    assert!(!format!("{entry:?}").contains(&entry.hash));
    let again = open(&disk, &clock);
    assert!(again.verify(&token).is_some(), "after a restart too");
    assert!(matches!(again.create(wanted("phone")), Err(TokenError::Exists(_))));
    again.revoke(&name("phone")).expect("there");
    assert!(again.verify(&token).is_none());
    assert!(matches!(again.revoke(&name("phone")), Err(TokenError::Absent(_))));
    assert!(open(&disk, &clock).verify(&token).is_none());
}

#[test]
fn what_only_resembles_a_token_is_none() {
    let tokens = open(&SimDisk::new(), &ManualClock::default());
    let (Secret(token), entry) = tokens.create(wanted("phone")).expect("made");
    let flipped = token[..token.len() - 1].to_owned() + if token.ends_with('0') { "1" } else { "0" };
    for wrong in [
        "",
        "perry_",
        "perry__",
        &entry.id,
        &format!("perry_{}_", entry.id),
        &format!("perry_{}_{}", entry.id, entry.hash),
        &flipped,
        &token.to_uppercase(),
        &format!("{token} "),
        &token.replace("perry_", "perry_0"),
    ] {
        assert!(tokens.verify(wrong).is_none(), "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_end_of_a_token_is_told_of_expiry_and_of_revocation() {
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
    let tokens = Arc::new(Tokens::open(Box::new(SimDisk::new()), clock).expect("they open"));
    let (Secret(token), entry) = tokens.create(wanted("a")).expect("made");
    let waiting = tokio::spawn({
        let (tokens, id) = (tokens.clone(), entry.id.clone());
        async move { tokens.ended(&id).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished() && tokens.verify(&token).is_some());
    tokens.revoke(&name("a")).expect("there");
    waiting.await.expect("it ends");
    tokens.ended("no-such").await;
    // The wall clock is the real one here, so a moment that has passed.
    let past = Wanted { expires_in: Some(Duration::ZERO), ..wanted("b") };
    let (Secret(token), entry) = tokens.create(past).expect("made");
    tokens.ended(&entry.id).await;
    assert!(tokens.verify(&token).is_none());
}

#[test]
fn its_last_use_is_kept_to_the_hour_and_written_no_more_often() {
    let (disk, clock) = (SimDisk::new(), ManualClock::default());
    let tokens = open(&disk, &clock);
    let (Secret(token), _) = tokens.create(wanted("phone")).expect("made");
    tokens.flush().expect("nothing to write");
    let before = disk.content(TOKENS);
    assert_eq!(tokens.list()[0].last_used, None);
    tokens.verify(&token).expect("known");
    let used = tokens.list()[0].last_used.expect("just now");
    assert_eq!(used.as_second() % USED, 0);
    assert_eq!(disk.content(TOKENS), before, "looking writes nothing");
    tokens.flush().expect("written");
    assert_eq!(open(&disk, &clock).list()[0].last_used, Some(used));
}

#[test]
fn they_are_whole_at_every_crash_point_and_a_failed_change_changes_nothing() {
    for step in 0.. {
        let (disk, clock) = (SimDisk::new(), ManualClock::default());
        let (Secret(first), _) = open(&disk, &clock).create(wanted("first")).expect("made");
        disk.fault_at(step, Fault::Crash);
        let second = open_result(&disk, &clock).and_then(|tokens| tokens.create(wanted("second")).ok());
        disk.reboot(Reboot::Machine(step));
        disk.clear_faults();
        let tokens = open(&disk, &clock);
        assert!(tokens.verify(&first).is_some(), "crash at {step}");
        if let Some((Secret(second), _)) = second {
            assert!(tokens.verify(&second).is_some(), "crash at {step}: it was given out");
            break;
        }
    }
}

fn open_result(disk: &SimDisk, clock: &ManualClock) -> Option<Tokens> {
    Tokens::open(Box::new(disk.clone()), Arc::new(clock.clone())).ok()
}

#[test]
fn a_damaged_file_is_an_error_and_stays_as_it_is() {
    for content in ["", "{", "[]", r#"{"schemaVersion": 2, "tokens": []}"#, r#"{"schemaVersion": 1}"#] {
        let disk = SimDisk::new();
        disk.outside_write(TOKENS, content.as_bytes());
        let error = Tokens::open(Box::new(disk.clone()), Arc::new(ManualClock::default())).err().expect("damaged");
        assert!(error.to_string().starts_with("tokens.json is damaged: "), "{error}");
        assert_eq!(disk.content(TOKENS).as_deref(), Some(content.as_bytes()));
    }
}
