//! Finds what may concern a workspace without comparing it with everything that there is. A look at a real engine asks
//! by label; here, too, a thousand looks must not cost a million comparisons.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use super::engine::Engine;
use super::objects::{Container, Volume};
use crate::model::Desired;

/// So many looks without a change, and an index pays for itself.
const CALM: usize = 16;

/// An engine that is indexed while it does not change. Whatever changes it drops the index.
#[derive(Default)]
pub(super) struct Indexed {
    engine: Engine,
    index: Option<Index>,
    calm: usize,
}

#[derive(Default)]
struct Index {
    /// Container ids by the uid and the name of their owner, and by their own name.
    containers: BTreeMap<String, BTreeSet<String>>,
    /// Volume names by the uid of their owner.
    volumes: BTreeMap<String, BTreeSet<String>>,
}

/// What may concern a workspace: at least all that does.
pub(super) struct Near<'a> {
    pub(super) containers: Box<dyn Iterator<Item = &'a Container> + 'a>,
    pub(super) volumes: Box<dyn Iterator<Item = (&'a String, &'a Volume)> + 'a>,
}

impl Deref for Indexed {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl DerefMut for Indexed {
    fn deref_mut(&mut self) -> &mut Engine {
        (self.index, self.calm) = (None, 0);
        &mut self.engine
    }
}

impl Indexed {
    pub(super) fn near(&mut self, desired: &Desired) -> (&Engine, Near<'_>) {
        self.calm += 1;
        if self.calm >= CALM {
            self.index.get_or_insert_with(|| Index::of(&self.engine));
        }
        let engine = &self.engine;
        // An adopted container may be meant by the beginning of its id.
        let near = match self.index.as_ref().filter(|_| desired.adopted.is_none()) {
            Some(index) => index.near(engine, desired),
            None => Near { containers: Box::new(engine.containers.values()), volumes: Box::new(engine.volumes.iter()) },
        };
        (engine, near)
    }
}

impl Index {
    fn of(engine: &Engine) -> Self {
        let mut index = Self::default();
        for (id, container) in &engine.containers {
            let owner = container.owner.iter().flat_map(|owner| [owner.uid.0.as_str(), owner.name.as_str()]);
            for key in owner.chain([container.name.as_str()]) {
                index.containers.entry(key.to_owned()).or_default().insert(id.clone());
            }
        }
        for (name, volume) in &engine.volumes {
            if let Some(owner) = &volume.owner {
                index.volumes.entry(owner.uid.0.clone()).or_default().insert(name.clone());
            }
        }
        index
    }

    fn near<'a>(&'a self, engine: &'a Engine, desired: &Desired) -> Near<'a> {
        let owner = &desired.owner;
        let keys = [owner.uid.0.as_str(), owner.name.as_str(), desired.container.name.as_str()];
        // In the order of the engine, each once.
        let ids: BTreeSet<&String> = keys.iter().filter_map(|key| self.containers.get(*key)).flatten().collect();
        let names = self.volumes.get(owner.uid.0.as_str()).into_iter().flatten();
        Near {
            containers: Box::new(ids.into_iter().filter_map(|id| engine.containers.get(id))),
            volumes: Box::new(names.filter_map(|name| engine.volumes.get_key_value(name))),
        }
    }
}
