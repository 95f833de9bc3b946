//! Limits hold inside: what asks for more is refused or killed, the workspace goes on, and its neighbours do not notice.

use crate::BASE;
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
    // A machine that is busy with other tests holds it back by itself: as often as it takes.
    for round in 0.. {
        sh("for ((i = 0; i < 300000; i++)); do :; done").await;
        if held_back().await > before_work + 1 {
            break;
        }
        assert!(round < 30, "never held back");
    }

    let after = agent.until("a", "ready", is_ready).await;
    assert_eq!(after.container_id, before.container_id);
    let started = agent.engine.started_at(after.container_id.as_deref().expect("a container")).await;
    assert_eq!(agent.ok(&["exec", "a", "--", "echo", "still here"]).await, "still here\n");
    assert_eq!(agent.engine.started_at(after.container_id.as_deref().expect("a container")).await, started);
}

#[tokio::test]
async fn limits_are_changed_while_the_workspace_runs_and_one_that_goes_asks_first() {
    let agent = Agent::start().await;
    let spec = |resources: &str| format!("image: {BASE}\nresources: {{ {resources} }}");
    agent.apply("a", &spec("cpus: 0.5, memory: 128Mi, pids: 64, shm: 16Mi")).await;
    let before = agent.until("a", "ready", is_ready).await;
    let sh = async |script: &str| agent.perry(&["exec", "a", "--", "bash", "-c", script]).await;
    let inside = async || {
        let files = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes \
            /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null";
        sh(files).await.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(inside().await, [(128 << 20).to_string(), "64".to_owned()]);
    let fork = "for i in $(seq 100); do sleep 5 & done 2>&1 | grep -c 'temporarily unavailable'; kill $(jobs -p)";
    let eat = "x=$(head -c 96M /dev/zero | tr '\\0' x); echo ${#x}";
    assert_eq!(sh(eat).await.code, Some(137), "twice as much while it is copied");

    // Wider, in the same container.
    let file = agent.folder.path().join("a.yaml");
    let apply = async |resources: &str, more: &[&str]| {
        std::fs::write(&file, agent.manifest("a", &spec(resources))).expect("written");
        let words = [&["apply", "--wait", "-f", file.to_str().expect("text")], more].concat();
        agent.perry(&words).await
    };
    let wide = apply("cpus: 1, memory: 512Mi, pids: 500, shm: 16Mi", &[]).await;
    assert_eq!((wide.code, wide.stdout.as_str()), (Some(0), "a configured\n"), "{wide:?}");
    let after = agent.until("a", "ready", is_ready).await;
    assert_eq!(after.container_id, before.container_id);
    assert_eq!(inside().await, [(512 << 20).to_string(), "500".to_owned()]);
    assert_eq!(sh(eat).await.stdout.trim(), (96 << 20).to_string());
    assert_eq!(sh(fork).await.stdout.trim(), "0");

    // Tighter again, and a limit that goes, which needs a new container.
    assert_eq!(apply("cpus: 0.5, memory: 256Mi, pids: 100, shm: 16Mi", &[]).await.code, Some(0));
    assert_eq!(inside().await, [(256 << 20).to_string(), "100".to_owned()]);
    for resources in ["cpus: 0.5, pids: 100, shm: 16Mi", "cpus: 0.5, memory: 256Mi, pids: 100, shm: 32Mi"] {
        let refused = apply(resources, &[]).await;
        assert!(refused.code == Some(4) && refused.stderr.contains("needs a new container"), "{refused:?}");
    }
    assert_eq!(apply("pids: 100", &["--replace"]).await.code, Some(0));
    let anew = agent.until("a", "ready", is_ready).await;
    assert_ne!(anew.container_id, before.container_id);
    assert_eq!(inside().await[1], "100");
}
