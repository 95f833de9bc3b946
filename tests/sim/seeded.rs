//! Worlds by a seed: people and faults come as they like.

use std::sync::Arc;
use std::time::Duration;

use perry::clock::Clock;
use perry::store::sim_disk::{Fault, Reboot};

use super::ablation::Ablation;
use super::chaos::Chaos;
use super::people;
use super::world::{Sim, trace};

/// Lives through one world; what was violated.
pub fn run_seed(seed: u64, ablation: Ablation) -> Vec<String> {
    let mut sim = Sim::new(Chaos::new(seed), ablation);
    sim.live();
    if sim.oracle.violations().is_empty() {
        sim.end();
    }
    sim.oracle.violations()
}

impl Sim {
    /// The agent starts, and may be about to die.
    fn boot_to_die(&mut self) {
        self.boot();
        if self.life.is_some() {
            *self.dies_after.lock().unwrap() = self.chaos.chance(500).then(|| self.chaos.below(40));
        }
    }

    fn crash_somehow(&mut self) {
        let kind = if self.chaos.chance(500) { Reboot::Process } else { Reboot::Machine(self.chaos.bits()) };
        self.crash(kind);
    }

    /// The time of faults: people edit, things break, the agent dies and comes back.
    fn live(&mut self) {
        self.boot_to_die();
        self.settle();
        for _ in 0..40 + self.chaos.below(120) {
            let until = self.clock.monotonic() + self.pause();
            while self.clock.monotonic() < until && self.oracle.violations().is_empty() {
                self.advance(until - self.clock.monotonic());
                if self.is_dying() {
                    self.crash_somehow();
                }
            }
            if !self.oracle.violations().is_empty() {
                return;
            }
            self.disturb();
            self.settle();
        }
    }

    fn pause(&self) -> Duration {
        match self.chaos.below(10) {
            0..=5 => self.chaos.millis(1, 400),
            6..=8 => self.chaos.millis(400, 8_000),
            _ => self.chaos.millis(8_000, 90_000),
        }
    }

    fn disturb(&mut self) {
        let (chaos, now) = (self.chaos.clone(), self.now());
        let before = (self.desk.state(), self.world.with(Clone::clone));
        match chaos.below(10) {
            // What this rule is for is rare otherwise: a pass is amid its actions when something of somebody else's comes
            // to bear the name of what it saw.
            _ if self.ablation == Ablation::NamesNotIds && chaos.chance(300) => {
                let chance = chaos.clone();
                self.desk.edit(move |state| people::edit(state, &chance, now));
                self.settle();
                self.advance(chaos.millis(1, 2_000));
                self.world.meddle(|engine| people::swap(engine, &chaos));
            }
            0..=4 => {
                let chance = chaos.clone();
                self.desk.edit(move |state| people::edit(state, &chance, now));
            }
            5 => self.disturb_disk(),
            6 | 7 => self.world.meddle(|engine| people::meddle(engine, &chaos)),
            8 if self.life.is_some() => self.crash_somehow(),
            9 if self.life.is_none() && chaos.chance(300) => self.desk.lose(),
            _ if self.life.is_none() => self.boot_to_die(),
            _ => {}
        }
        let after = (self.desk.state(), self.world.with(Clone::clone));
        if after.0 != before.0 {
            trace(&self.clock, || format!("intent: {:?}", summary(&after.0)));
        }
        if after.1 != before.1 {
            trace(&self.clock, || format!("meddled: {:?}", after.1));
        }
        if self.life.is_none() && chaos.chance(700) {
            self.boot_to_die();
        }
    }

    /// Something happens to the folder: a step fails, everything ends at a step, or somebody writes into it.
    fn disturb_disk(&mut self) {
        let step = self.desk.disk.steps() + self.chaos.below(12);
        let fault = match self.chaos.below(4) {
            0 => Fault::Fail(std::io::ErrorKind::StorageFull),
            1 => Fault::FailAfter(std::io::ErrorKind::Other),
            2 => Fault::Crash,
            _ => {
                let content = self.desk.disk.content("state.json").unwrap_or_default();
                let scribbled = people::scribble(&content, &self.chaos);
                trace(&self.clock, || {
                    format!(
                        "state.json is edited: {:?}",
                        scribbled.as_ref().map(|text| String::from_utf8_lossy(text).into_owned())
                    )
                });
                self.desk.touch(scribbled.as_deref());
                self.desk.poll();
                return;
            }
        };
        trace(&self.clock, || format!("the disk at step {step}: {fault:?}"));
        self.desk.disk.fault_at(step, fault);
    }
}

fn summary(state: &perry::model::State) -> Vec<String> {
    let one = |w: &Arc<perry::model::Workspace>| {
        let m = &w.metadata;
        format!("{} {} g{} {:?} deleting={}", m.name, m.uid, m.generation, w.spec.run(), m.deletion_timestamp.is_some())
    };
    state.workspaces.values().map(one).collect()
}
