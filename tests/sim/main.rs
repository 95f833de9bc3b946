//! Seeded worlds: real controller, real queue, real watch, real planner; fake engine, disk, clock and people. After each
//! step the oracle checks S1 to S10, and once faults have stopped, L1 and L2.
//!
//! `PERRY_SIM_SEEDS=100000 cargo test --test sim` tries more; `PERRY_SIM_SEED=17 cargo test --test sim` replays one.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]

mod ablation;
mod chaos;
mod intent;
mod oracle;
mod people;
mod probe;
mod scripted;
mod seeded;
mod world;

use ablation::Ablation;
use seeded::run_seed;

fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("PERRY_SIM_SEED"), number("PERRY_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(default),
    }
}

/// Runs seeds on all processors, one search at a time; the lowest that fails, with what it found.
fn first_failure(seeds: std::ops::Range<u64>, ablation: Ablation) -> Option<(u64, Vec<String>)> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let found = std::sync::Mutex::new(None::<(u64, Vec<String>)>);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= seeds.end || found.lock().unwrap().is_some() {
                        return;
                    }
                    let violations = run_seed(seed, ablation);
                    let mut found = found.lock().unwrap();
                    if !violations.is_empty() && found.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                        *found = Some((seed, violations));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn every_seeded_world_stays_safe_and_ends_well() {
    if let Some((seed, violations)) = first_failure(seeds(2000), Ablation::None) {
        panic!("seed {seed} (PERRY_SIM_SEED={seed} cargo test --test sim):\n{}", violations.join("\n"));
    }
}

/// The lowest world in which a broken rule is found.
fn find(ablation: Ablation) {
    let found = first_failure(seeds(2000), ablation);
    let (seed, violations) = found.unwrap_or_else(|| panic!("{ablation:?} was not found in 2,000 worlds"));
    println!("{ablation:?}: seed {seed}: {}", violations[0]);
}

#[test]
fn it_is_found_when_unknown_counts_as_absent() {
    find(Ablation::UnknownIsAbsent);
}

#[test]
fn it_is_found_when_actions_carry_names_and_not_ids() {
    find(Ablation::NamesNotIds);
}

#[test]
fn it_is_found_when_a_pass_does_not_check_again_before_it_acts() {
    find(Ablation::NoRecheck);
}

#[test]
fn it_is_found_when_a_deletion_ends_while_a_call_may_still_take_effect() {
    find(Ablation::NoDoubt);
}

#[test]
fn it_is_found_when_absence_from_the_state_tears_down() {
    find(Ablation::AbsenceDeletes);
}

#[test]
fn it_is_found_when_a_volume_of_another_incarnation_is_taken() {
    find(Ablation::TakesForeignVolumes);
}
