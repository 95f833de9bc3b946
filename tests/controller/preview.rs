//! What the loop would do; and what else others may ask of it.

use futures::FutureExt;
use perry::controller::{Handle, Preview, PruneError};
use perry::model::workspace::Adopted;
use perry::model::{Desired, Observed, Run, Seen, Workspace};

use crate::common::fixture::{env, uid, workspace};
use crate::common::harness::{Loop, MINUTE};

fn preview(world: &Loop, workspace: &Workspace) -> Preview {
    world.controller.preview(workspace).now_or_never().expect("a look takes no time here")
}

fn steps(preview: &Preview) -> Vec<&str> {
    preview.actions.iter().map(perry::model::Action::step).collect()
}

#[test]
fn a_preview_is_what_the_loop_does_next_and_changes_nothing() {
    let mut world = Loop::new();
    let engine = world.world.with(Clone::clone);
    let wanted = workspace("w");
    let preview = preview(&world, &wanted);
    assert_eq!(steps(&preview), ["network", "volumes", "volumes", "image", "create"]);
    assert!(preview.replaces == Some(false) && preview.blocked.is_none());
    world.advance(MINUTE);
    assert_eq!(world.world.with(Clone::clone), engine);
    assert!(world.try_view("w").is_none(), "nor is it shown to anybody");
}

#[test]
fn it_says_whether_running_work_would_end() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let mut wanted = workspace("w");
    assert_eq!(preview(&world, &wanted), Preview { actions: Vec::new(), blocked: None, replaces: Some(false) });
    wanted.spec.docker = false;
    assert_eq!(preview(&world, &wanted).replaces, Some(true));
    wanted.spec.run = Some(Run::Stopped);
    assert_eq!(preview(&world, &wanted).replaces, Some(false), "stopped, and kept");
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    wanted.spec.run = Some(Run::Running);
    let stopped = preview(&world, &wanted);
    assert_eq!((steps(&stopped), stopped.replaces), (vec!["remove", "create"], Some(false)), "nothing runs");
}

/// The same with another environment, which needs another container.
fn changed(workspace: &Workspace) -> Workspace {
    let mut changed = workspace.clone();
    changed.spec.env = env(&[("A", "1")]);
    changed.metadata.generation += 1;
    changed
}

#[test]
fn while_the_engine_is_away_it_says_of_a_change_that_needs_a_container_that_nobody_knows() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.meddle(|engine| engine.up = false);
    let replaces = |world: &Loop, wanted: &Workspace| preview(world, wanted).replaces;
    let same = workspace("w");
    assert_eq!(replaces(&world, &changed(&same)), None);
    assert_eq!(replaces(&world, &same), Some(false), "as it is");
    let mut keys = same.clone();
    keys.spec.ssh.authorized_keys = vec!["ssh-ed25519 AAAA".to_owned()];
    keys.metadata.labels = env(&[("team", "a")]);
    assert_eq!(replaces(&world, &keys), Some(false), "the container has no part in it");
    let mut stops = changed(&same);
    stops.spec.run = Some(Run::Stopped);
    assert_eq!(replaces(&world, &stops), Some(false), "it is to stop anyhow");
    assert_eq!(replaces(&world, &changed(&workspace("new"))), Some(false), "nothing is there");
    let mut reborn = changed(&same);
    reborn.metadata.uid = uid("another");
    assert_eq!(replaces(&world, &reborn), Some(false), "it is not the one that runs");
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    assert_eq!(replaces(&world, &changed(&same)), Some(false), "work was ended by whoever stopped it");
}

#[test]
fn a_change_that_something_is_in_the_way_of_is_no_replacement_only_where_nothing_runs() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let wanted = changed(&workspace("w"));
    world.tamper.with(|_: &Desired, observed: &mut Observed| observed.image = Seen::Unknown("not now".to_owned()));
    let unsure = preview(&world, &wanted);
    assert_eq!(unsure.blocked.map(|reason| reason.reason.into_owned()).as_deref(), Some("NotObserved"));
    assert_eq!(unsure.replaces, None, "it follows as soon as the image can be seen");
    let id = world.container("w").expect("a container");
    // The loop has not heard of it yet.
    world.world.meddle(|engine| engine.exit(&id, 1));
    assert_eq!(preview(&world, &wanted).replaces, Some(false), "nothing runs");
}

#[test]
fn a_container_from_before_perry_is_kept_so_that_no_change_replaces_it_unasked() {
    let mut world = Loop::new();
    let mut old = workspace("w");
    old.metadata.adopted = Some(Adopted {
        container: Some("0123456789ab".to_owned()),
        volumes: Default::default(),
        pending: false,
        replace: false,
    });
    world.put(old.clone());
    world.meddle(|engine| engine.up = false);
    assert_eq!(preview(&world, &changed(&old)).replaces, Some(false));
    let mut asked = changed(&old);
    asked.metadata.adopted.as_mut().expect("adopted").replace = true;
    assert_eq!(preview(&world, &asked).replaces, None);
}

#[test]
fn a_deletion_is_no_replacement() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let mut wanted = workspace("w");
    wanted.metadata.deletion_timestamp = Some(wanted.metadata.created);
    let preview = preview(&world, &wanted);
    assert_eq!(steps(&preview), ["stop", "remove", "remove-volume", "remove-volume"]);
    assert_eq!(preview.replaces, Some(false));
}

#[test]
fn it_says_what_is_in_the_way_and_when_nobody_can_look() {
    let mut world = Loop::new();
    world.meddle(|engine| engine.put_volume("workspace-w-home", None));
    let blocked = preview(&world, &workspace("w")).blocked.expect("in the way");
    assert_eq!(blocked.reason, "VolumeTaken");
    world.meddle(|engine| engine.up = false);
    let blocked = preview(&world, &workspace("w")).blocked.expect("nobody can look");
    assert_eq!(blocked.reason, "EngineUnreachable");
    assert!(matches!(world.controller.engine().now_or_never(), Some(Seen::Unknown(_))));
}

#[test]
fn orphans_are_counted_and_those_of_known_workspaces_are_none() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let orphans = |world: &Loop| {
        let found = world.controller.orphans().now_or_never().expect("no time").expect("the engine answers");
        found.containers.len() + found.volumes.len()
    };
    assert_eq!(orphans(&world), 0);
    let lost = crate::common::fixture::owner_of(&workspace("lost"));
    world.meddle(|engine| engine.put_volume("workspace-lost-home", Some(lost.clone())));
    let stranger = crate::common::fixture::of_another_agent(&lost);
    world.meddle(|engine| engine.put_volume("other", Some(stranger)));
    assert_eq!(orphans(&world), 1);
    world.advance(10 * MINUTE);
    assert_eq!(orphans(&world), 1, "counted, never removed");
}

#[test]
fn what_is_pruned_is_what_no_workspace_owns_and_of_volumes_only_those_that_are_named() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    world.advance(MINUTE);
    let lost = crate::common::fixture::owner_of(&workspace("lost"));
    let stranger = crate::common::fixture::of_another_agent(&lost);
    world.meddle(|engine| {
        engine.put_volume("lost-home", Some(lost.clone()));
        engine.put_volume("lost-docker", Some(lost.clone()));
        engine.put_volume("other", Some(stranger.clone()));
    });
    let own = world.meddle(|engine| (engine.containers.len(), engine.volumes.len()));
    let prune = |world: &Loop, names: &[&str], dry_run| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        world.controller.prune(&names, dry_run).now_or_never().expect("no time")
    };
    for name in ["other", "workspace-w-home", "no-such"] {
        let error = prune(&world, &["lost-home", name], false).expect_err("not an orphan of ours");
        assert_eq!(error, PruneError::NoOrphan(name.to_owned()));
    }
    let planned = prune(&world, &["lost-home"], true).expect("a look");
    assert_eq!(world.meddle(|engine| (engine.containers.len(), engine.volumes.len())), own, "nothing was done");
    let pruned = prune(&world, &["lost-home"], false).expect("removed");
    assert_eq!((&pruned, pruned.volumes.len(), pruned.kept.len()), (&planned, 1, 1));
    let names: Vec<String> = world.meddle(|engine| engine.volumes.keys().cloned().collect());
    assert!(!names.contains(&"lost-home".to_owned()) && names.contains(&"lost-docker".to_owned()), "{names:?}");
    assert_eq!(names.len(), own.1 - 1);
    world.meddle(|engine| engine.up = false);
    assert!(matches!(prune(&world, &[], false), Err(PruneError::Unseen(_))));
}

#[test]
fn a_new_image_is_built_and_replaces_nothing() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let (id, image) = (world.container("w"), world.world.with(|engine| engine.images.clone()));
    world.controller.build_image(None, &|_| {}).now_or_never().expect("no time").expect("it builds");
    world.advance(10 * MINUTE);
    assert_ne!(world.world.with(|engine| engine.images.clone()), image);
    assert_eq!(world.container("w"), id);
    assert!(world.is_ready("w"));
}
