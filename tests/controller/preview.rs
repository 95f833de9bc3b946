//! What the loop would do; and what else others may ask of it.

use futures::FutureExt;
use perry::controller::{Handle, Preview};
use perry::model::{Run, Seen, Workspace};

use crate::common::fixture::workspace;
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
    assert!(!preview.replaces && preview.blocked.is_none());
    world.advance(MINUTE);
    assert_eq!(world.world.with(Clone::clone), engine);
    assert!(world.try_view("w").is_none(), "nor is it shown to anybody");
}

#[test]
fn it_says_whether_running_work_would_end() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let mut wanted = workspace("w");
    assert_eq!(preview(&world, &wanted), Preview { actions: Vec::new(), blocked: None, replaces: false });
    wanted.spec.docker = false;
    assert!(preview(&world, &wanted).replaces);
    wanted.spec.run = Some(Run::Stopped);
    assert!(!preview(&world, &wanted).replaces, "stopped, and kept");
    world.edit("w", |workspace| workspace.spec.run = Some(Run::Stopped));
    wanted.spec.run = Some(Run::Running);
    let stopped = preview(&world, &wanted);
    assert_eq!((steps(&stopped), stopped.replaces), (vec!["remove", "create"], false), "nothing runs");
}

#[test]
fn a_deletion_is_no_replacement() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let mut wanted = workspace("w");
    wanted.metadata.deletion_timestamp = Some(wanted.metadata.created);
    let preview = preview(&world, &wanted);
    assert_eq!(steps(&preview), ["stop", "remove", "remove-volume", "remove-volume"]);
    assert!(!preview.replaces);
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
    let orphans = |world: &Loop| world.controller.orphans().now_or_never().expect("no time");
    assert_eq!(orphans(&world), Some(0));
    let lost = crate::common::fixture::owner_of(&workspace("lost"));
    world.meddle(|engine| engine.put_volume("workspace-lost-home", Some(lost.clone())));
    let stranger = crate::common::fixture::of_another_agent(&lost);
    world.meddle(|engine| engine.put_volume("other", Some(stranger)));
    assert_eq!(orphans(&world), Some(1));
    world.advance(10 * MINUTE);
    assert_eq!(orphans(&world), Some(1), "counted, never removed");
}

#[test]
fn a_new_image_is_built_and_replaces_nothing() {
    let mut world = Loop::new();
    world.put(workspace("w"));
    let (id, image) = (world.container("w"), world.world.with(|engine| engine.images.clone()));
    world.controller.build_image(&|_| {}).now_or_never().expect("no time").expect("it builds");
    world.advance(10 * MINUTE);
    assert_ne!(world.world.with(|engine| engine.images.clone()), image);
    assert_eq!(world.container("w"), id);
    assert!(world.is_ready("w"));
}
