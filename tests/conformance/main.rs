//! What the controller may rely on, of every runtime: the same bodies against the real engine and against the fake, so
//! that the fake cannot drift.

mod bodies;
mod docker;
#[path = "../common/door.rs"]
mod door;
mod engine;
mod fake;
mod worker;
mod world;

/// A test for each body, in a world of its own.
macro_rules! conformance {
    ($world:expr) => {
        conformance!($world;
            an_absent_workspace_is_absent_and_not_unknown,
            everything_is_unknown_while_the_engine_does_not_answer,
            the_engine_says_what_it_is,
            the_life_of_a_container_is_seen_step_by_step,
            a_container_is_created_only_once,
            volumes_and_network_are_created_as_often_as_one_likes,
            starting_and_stopping_twice_is_no_error,
            a_stopped_container_starts_again,
            removing_a_running_container_is_refused,
            removing_what_is_gone_is_no_error,
            touching_a_container_that_is_gone_says_changed,
            a_container_does_not_start_with_what_another_agent_owns,
            a_container_is_not_created_without_its_volumes,
            a_container_is_not_created_without_its_image,
            another_volume_of_the_same_name_is_not_removed,
            a_volume_in_use_is_not_removed,
            another_agents_container_is_seen_only_where_it_occupies_the_name,
            another_agents_container_is_not_touched,
            a_strangers_container_in_the_way_is_seen_without_an_owner,
            an_adopted_container_is_seen_and_may_be_touched,
            a_container_of_the_uid_under_another_name_is_seen,
            a_volume_outside_the_plan_is_seen,
            a_killed_container_shows_its_code,
            an_exit_code_is_seen,
            a_paused_container_is_resumed_and_can_be_stopped,
            a_stopped_container_follows_its_network,
            a_start_without_the_network_fails_and_leaves_the_container,
            what_was_put_in_is_remembered_for_this_container_only,
            isolation_follows_the_plan,
            limits_are_changed_in_the_container_that_is_there,
            an_image_is_absent_until_it_is_brought,
            a_taken_port_is_seen_until_the_container_runs,
            disk_usage_names_what_is_there,
            events_name_the_workspace,
            events_of_volumes_and_networks_cause_a_look,
            orphans_are_what_no_known_workspace_owns,
        );
    };
    ($world:expr; $($body:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $body() {
                let world = $world.await;
                $crate::bodies::$body(&world).await;
            }
        )*
    };
}

mod real {
    conformance!(crate::docker::DockerWorld::new());
}

mod fake_engine {
    conformance!(crate::fake::FakeWorld::new());
}
