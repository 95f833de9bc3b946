//! Limits hold inside: what asks for more is refused or killed, the workspace goes on, and its neighbours do not notice.

use crate::agent::{Agent, is_ready};

const SPEC: &str = "image: workspace-base:slim\nresources: { cpus: 0.5, memory: 128Mi, pids: 64, shm: 16Mi }";

#[tokio::test]
async fn memory_processors_processes_and_shared_memory_are_bounded_and_the_workspace_goes_on() {
    let agent = Agent::start().await;
    agent.apply("a", SPEC).await;
    let before = agent.until("a", "ready", is_ready).await;
    let sh = async |script: &str| agent.perry(&["exec", "a", "--", "bash", "-c", script]).await;

    // /dev/shm takes what it may and no byte more.
    let filled = sh("head -c 32M /dev/zero > /dev/shm/fill; stat -c %s /dev/shm/fill; rm /dev/shm/fill").await;
    assert_eq!(filled.stdout.trim(), (16 << 20).to_string(), "{filled:?}");
    assert!(filled.stderr.contains("No space left on device"), "{filled:?}");

    // Processes: the kernel refuses, and those that are there end with their parent.
    let forked = sh("n=0; for i in $(seq 200); do sleep 5 & done 2>&1; jobs -p | wc -l; kill $(jobs -p)").await;
    assert!(forked.stdout.contains("Resource temporarily unavailable"), "{forked:?}");

    // Memory: the one that wants it is killed, and nothing else.
    let greedy = sh("x=$(head -c 1G /dev/zero | tr '\\0' x); echo ${#x}").await;
    assert_eq!(greedy.code, Some(137), "{greedy:?}");

    // Half a processor: what would keep a whole one busy is held back, as the kernel counts it (cgroup v2 or v1).
    let stat = "cat /sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu/cpu.stat 2>/dev/null | sed -n 's/^nr_throttled //p'";
    let held_back = async || sh(stat).await.stdout.trim().parse::<u64>().expect("a count");
    let before_work = held_back().await;
    sh("for ((i = 0; i < 300000; i++)); do :; done").await;
    assert!(held_back().await > before_work + 1, "never held back");

    let after = agent.until("a", "ready", is_ready).await;
    assert_eq!(after.container_id, before.container_id);
    let started = agent.engine.started_at(after.container_id.as_deref().expect("a container")).await;
    assert_eq!(agent.ok(&["exec", "a", "--", "echo", "still here"]).await, "still here\n");
    assert_eq!(agent.engine.started_at(after.container_id.as_deref().expect("a container")).await, started);
}
