//! An engine that comes and goes, and the image that is built on it.

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use perry::model::observed::Seen;
use perry::model::{Action, Variant};
use perry::runtime::docker::Host;
use perry::runtime::executable::Executable;
use perry::runtime::{Hint, Runtime};

use super::docker::DockerWorld;
use super::door::Door;
use super::world::{Subject, World as _};

const PATIENCE: Duration = Duration::from_secs(30);

async fn everything(events: &mut (impl futures::Stream<Item = Hint> + Unpin), after: &str) {
    let wanted = async { while events.next().await.expect("a hint") != Hint::Everything {} };
    tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("no hint after {after}"));
}

#[tokio::test]
async fn an_engine_that_comes_late_and_goes_and_comes_again_is_followed() {
    let world = DockerWorld::new().await;
    let subject = Subject::new(&world, "demo");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("engine.sock");
    let docker = world.another(Some(Host::Unix(socket.clone())), Executable::from(Vec::new()));
    let mut events = docker.events();
    let Seen::Unknown(why) = docker.observe(&subject.desired).await.containers else { panic!("there is no engine") };
    assert!(why.contains("engine.sock") && why.contains("DOCKER_HOST"), "{why}");

    for round in 0..2 {
        let door = Door::open(&socket);
        everything(&mut events, "its coming").await;
        assert_eq!(docker.observe(&subject.desired).await.containers, Seen::Present(Vec::new()), "round {round}");
        drop(door);
        everything(&mut events, "its going").await;
        assert!(docker.observe(&subject.desired).await.containers.is_unknown(), "round {round}");
    }
}

#[tokio::test]
async fn a_session_that_broke_between_two_looks_is_made_again() {
    let world = DockerWorld::new().await;
    let subject = Subject::new(&world, "demo");
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("engine.sock");
    let docker = world.another(Some(Host::Unix(socket.clone())), Executable::from(Vec::new()));
    for _ in 0..3 {
        let _door = Door::open(&socket);
        assert!(docker.observe(&subject.desired).await.containers.present().is_some());
    }
}

#[tokio::test]
async fn two_who_want_the_agents_image_share_one_build() {
    let world = DockerWorld::new().await;
    let image = format!("{}:built", world.unique("image"));
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| told.lock().expect("not poisoned").push(line.to_owned());
    let ensure = Action::EnsureImage { image: image.clone(), build: Some(Variant::Slim) };
    let (first, second) = tokio::join!(world.docker().apply(&ensure, &tell), world.docker().apply(&ensure, &tell));
    first.and(second).expect("built");
    let mut subject = Subject::new(&world, "demo");
    subject.desired.container.image.clone_from(&image);
    assert!(subject.look().await.image.present().is_some());
    let told = told.into_inner().expect("not poisoned");
    assert_eq!(told.iter().filter(|line| line.starts_with("waiting for another")).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("Successfully tagged")).count(), 1, "{told:?}");
    world.docker().build_image(&image, Variant::Slim, &|_| ()).await.expect("built again");
    world
        .client()
        .remove_image(&image, None::<bollard::query_parameters::RemoveImageOptions>, None)
        .await
        .expect("removed");
}
