//! Many at once.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::future::join_all;
use perry::client::{Goal, Wait};

use crate::agent::{Agent, is_ready, of, parse};

const MANY: usize = 30;

#[tokio::test]
async fn thirty_applies_at_once_become_ready_and_thirty_deletes_at_once_leave_nothing() {
    let agent = Agent::start().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("w{number}")).collect();
    let began = Instant::now();
    let applied = join_all(names.iter().map(|name| agent.apply(name, ""))).await;
    eprintln!("accepted after {:?}", began.elapsed());
    let waits = applied.iter().map(|view| agent.reach(Wait::since(view, Goal::Ready)));
    let ready: Vec<_> = join_all(waits).await.into_iter().flatten().collect();
    eprintln!("ready after {:?}", began.elapsed());
    assert!(ready.len() == MANY && ready.iter().all(|view| is_ready(view)));
    let ports: BTreeSet<u16> = ready.iter().flat_map(|view| view.ports.values().copied()).collect();
    assert_eq!(ports.len(), MANY, "each has a port of its own");
    let objects = agent.engine.objects().await;
    assert_eq!((objects.containers.len(), objects.volumes.len()), (MANY, MANY));
    assert_eq!(agent.engine.networks().await.len(), 1);
    assert_eq!(agent.ok(&["get"]).await.lines().count(), MANY + 1);

    let began = Instant::now();
    let inputs: Vec<_> = names.iter().map(|name| of(name)).collect();
    let deleted = join_all(inputs.iter().map(|input| agent.client().delete_workspace(input))).await;
    assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    join_all(names.iter().map(|name| agent.reach(Wait::new(parse(name), Goal::Deleted)))).await;
    eprintln!("gone after {:?}", began.elapsed());
    let left = agent.engine.objects().await;
    assert!(left.containers.is_empty() && left.volumes.is_empty(), "{left:?}");
}
