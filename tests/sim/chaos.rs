//! What goes wrong, by a seed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use perry::model::desired::Owner;
use perry::model::{Action, Desired};
use perry::runtime::RuntimeError;
use perry::runtime::fake::{Blind, Delivery, Fate, Life, Reply, Script, Sight};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// A call that is broken off may still take effect this much later; the controller is told to doubt for longer.
pub const LATEST_EFFECT: Duration = Duration::from_secs(4);

/// A seeded source of chance that can be shared and calmed.
#[derive(Clone)]
pub struct Chaos {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    rng: StdRng,
    calm: bool,
    /// How often anything goes wrong, of a thousand.
    per_mille: u32,
}

impl Chaos {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let per_mille = [0, 20, 80, 250][rng.random_range(0..4)];
        Self { inner: Arc::new(Mutex::new(Inner { rng, calm: false, per_mille })) }
    }

    /// Chance without faults: only how long things take.
    pub fn quiet(seed: u64) -> Self {
        let inner = Inner { rng: StdRng::seed_from_u64(seed), calm: true, per_mille: 0 };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// From now on nothing goes wrong.
    pub fn calm(&self) {
        self.inner.lock().unwrap().calm = true;
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.inner.lock().unwrap().rng.random_range(0..end)
    }

    /// Whether something happens that happens `per_mille` times in a thousand.
    pub fn chance(&self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub fn bits(&self) -> u64 {
        self.inner.lock().unwrap().rng.next_u64()
    }

    pub fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    fn fault(&self) -> bool {
        let (calm, per_mille) = {
            let inner = self.inner.lock().unwrap();
            (inner.calm, inner.per_mille)
        };
        !calm && self.chance(u64::from(per_mille))
    }

    fn error(&self) -> RuntimeError {
        match self.below(4) {
            0 => RuntimeError::Unreachable("connection reset".to_owned()),
            1 => RuntimeError::Changed("conflict".to_owned()),
            2 => RuntimeError::Failed("no space left on device".to_owned()),
            _ => RuntimeError::Failed("internal error".to_owned()),
        }
    }
}

impl Script for Chaos {
    fn call(&mut self, action: &Action) -> Fate {
        let takes = match action {
            Action::EnsureImage { .. } => self.millis(500, 20_000),
            Action::StopContainer { .. } => self.millis(5, 10_000),
            _ => self.millis(1, 300),
        };
        if !self.fault() {
            return Fate { effect: Some(takes), reply: Reply::After(takes) };
        }
        match self.below(4) {
            0 => Fate { effect: None, reply: Reply::Error(takes, self.error()) },
            1 => Fate { effect: Some(takes), reply: Reply::Error(takes, self.error()) },
            // An answer that is lost on the way, while the engine goes on.
            2 => Fate {
                effect: Some(takes + LATEST_EFFECT.mul_f64(0.9)),
                reply: Reply::Error(takes, RuntimeError::Unreachable("connection reset".to_owned())),
            },
            _ => {
                let deadline = action.deadline();
                let effect = [None, Some(takes), Some(deadline + LATEST_EFFECT.mul_f64(0.9))][self.below(3) as usize];
                Fate { effect, reply: Reply::Never }
            }
        }
    }

    fn look(&mut self, _: &Desired) -> Sight {
        let after = self.millis(1, 50);
        if !self.fault() {
            return Sight::Partial { after, blind: Blind::default() };
        }
        let mut blind = Blind::default();
        match self.below(8) {
            0 => return Sight::Never,
            1 => blind.image = true,
            2 => blind.network = true,
            3 => blind.containers = true,
            4 => blind.volumes = true,
            5 => blind.worker = true,
            _ => blind.lists = true,
        }
        Sight::Partial { after, blind }
    }

    fn hint(&mut self) -> Delivery {
        if !self.fault() {
            return Delivery::Once;
        }
        match self.below(3) {
            0 => Delivery::Dropped,
            1 => Delivery::Twice,
            _ => Delivery::Late(self.millis(1, 30_000)),
        }
    }

    fn started(&mut self, _: &Owner) -> Life {
        let exits = self.fault().then(|| (self.millis(1, 5_000), self.below(3) as i64));
        Life { worker: self.millis(1, 100), ssh: self.millis(10, 500), docker: self.millis(200, 3_000), exits }
    }
}
