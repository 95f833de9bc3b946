//! The fake engine finds by an index, once nothing changes, what it finds by comparing with everything.

use std::sync::Arc;

use perry::clock::ManualClock;
use perry::model::Observed;
use perry::model::desired::Owner;
use perry::runtime::Runtime as _;
use perry::runtime::fake::{Container, Smooth, World};

use crate::common::case::Case;

#[tokio::test]
async fn a_calm_engine_shows_the_same_as_one_that_has_just_changed() {
    let desired = Case::converged().desired();
    let mine = desired.owner.clone();
    let other = |uid: &str, agent: &str| Owner {
        uid: perry::model::Uid(uid.to_owned()),
        agent: agent.to_owned(),
        ..mine.clone()
    };
    let world = World::new(Arc::new(ManualClock::default()), Smooth);
    let name = &desired.container.name;
    let containers = [
        ("e1", "renamed", Some(mine.clone())),
        ("e2", "earlier", Some(other("earlier-uid", &mine.agent))),
        ("e3", name.as_str(), None),
        ("e4", "elsewhere", Some(other(&mine.uid.0, "another-agent"))),
        ("e5", "stranger", None),
    ];
    world.meddle(|engine| {
        engine.up = true;
        for (id, name, owner) in &containers {
            engine.containers.insert((*id).to_owned(), Container::stranger(id, name, owner.clone()));
        }
        engine.put_volume(&desired.volumes[0].name, None);
        engine.put_volume("forgotten", Some(mine.clone()));
        engine.put_volume("not-mine", Some(other("earlier-uid", &mine.agent)));
        engine.put_volume("of-another-agent", Some(other(&mine.uid.0, "another-agent")));
    });
    let runtime = world.runtime(&mine.agent, "hash");
    let first: Observed = runtime.observe(&desired).await;
    let ids: Vec<&str> =
        first.containers.present().expect("seen").iter().map(|container| container.id.as_str()).collect();
    assert_eq!(ids, ["e1", "e2", "e3"]);
    assert!(first.volumes.contains_key("forgotten") && first.volumes.contains_key(&desired.volumes[0].name));
    assert!(!first.volumes.contains_key("not-mine") && !first.volumes.contains_key("of-another-agent"));
    for look in 2..50 {
        assert_eq!(runtime.observe(&desired).await, first, "look {look}");
    }
    world.meddle(|engine| engine.containers.remove("e2"));
    assert_eq!(runtime.observe(&desired).await.containers.present().expect("seen").len(), 2);
}
