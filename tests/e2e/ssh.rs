//! ssh as people use it: with the keys of the manifest and of the agent's settings and no others, for a shell, for
//! files, for git, and on the same port with the same host key for as long as the workspace exists.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;

use crate::BASE;
use crate::agent::{Agent, Options, is_ready};

/// A person with keys and a list of hosts of their own.
struct Person {
    folder: tempfile::TempDir,
    port: u16,
}

impl Person {
    async fn key(&self, name: &str) -> (PathBuf, String) {
        let key = self.folder.path().join(name);
        let path = key.to_str().expect("text");
        let made = command("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]).await;
        assert!(made.status.success(), "{made:?}");
        let public = std::fs::read_to_string(key.with_extension("pub")).expect("a public key");
        (key, public.trim().to_owned())
    }

    /// What ssh, scp and git are told: this key alone, a host key that is learned once and may not change.
    fn options(&self, key: &Path) -> Vec<String> {
        let hosts = self.folder.path().join("known_hosts");
        let options = [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "LogLevel=ERROR".to_owned(),
            "StrictHostKeyChecking=accept-new".to_owned(),
            format!("UserKnownHostsFile={}", hosts.display()),
            format!("IdentityFile={}", key.display()),
            format!("Port={}", self.port),
        ];
        let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]);
        ["-F".to_owned(), "/dev/null".to_owned()].into_iter().chain(options).collect()
    }

    async fn ssh(&self, key: &Path, script: &str) -> Output {
        let options = self.options(key);
        let words = options.iter().map(String::as_str).chain(["workspace@127.0.0.1", script]);
        command("ssh", &words.collect::<Vec<_>>()).await
    }

    async fn scp(&self, key: &Path, from: &str, to: &str) -> Output {
        let options = self.options(key);
        command("scp", &options.iter().map(String::as_str).chain(["-q", from, to]).collect::<Vec<_>>()).await
    }

    async fn git(&self, key: &Path, words: &[&str]) -> Output {
        let ssh = format!("core.sshCommand=ssh {}", self.options(key).join(" "));
        let who = ["-c", "user.name=me", "-c", "user.email=me@laptop", "-c", "init.defaultBranch=main"];
        let words = [&["-c", ssh.as_str()], &who[..], words].concat();
        command("git", &words).await
    }
}

async fn command(program: &str, words: &[&str]) -> Output {
    let run = Command::new(program).args(words).stdin(std::process::Stdio::null()).output().await;
    run.unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn ssh_scp_and_git_work_with_the_keys_that_were_given_and_a_new_container_is_the_same_host() {
    let mut person = Person { folder: tempfile::tempdir().expect("a folder"), port: 0 };
    let (mine, mine_public) = person.key("of-the-manifest").await;
    let (ours, ours_public) = person.key("of-the-settings").await;
    let (strange, _) = person.key("of-a-stranger").await;
    let settings = serde_json::json!({ "ssh": { "authorizedKeys": [ours_public] } });
    let agent = Agent::start_with(Options { settings, ..Options::default() }).await;
    let spec = format!("image: {BASE}\nssh: {{ authorizedKeys: [ {mine_public:?} ] }}");
    agent.apply("a", &spec).await;
    let ready = agent.until("a", "ready", is_ready).await;
    person.port = ready.ports["ssh"];

    // Who may, and who may not, with a key or without.
    for key in [&mine, &ours] {
        assert_eq!(ok(&person.ssh(key, "whoami; sudo -n id -u").await), "workspace\n0");
    }
    let refused = person.ssh(&strange, "true").await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("Permission denied (publickey)"), "{said}");

    // Files, there and back, byte by byte.
    let bytes: Vec<u8> = (0..1 << 20).map(|at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let (sent, back) = (person.folder.path().join("sent"), person.folder.path().join("back"));
    std::fs::write(&sent, &bytes).expect("written");
    ok(&person.scp(&mine, text(&sent), "workspace@127.0.0.1:file").await);
    ok(&person.scp(&mine, "workspace@127.0.0.1:file", text(&back)).await);
    assert!(std::fs::read(&back).expect("read") == bytes);

    // A push and a clone.
    let (tree, clone) = (person.folder.path().join("tree"), person.folder.path().join("clone"));
    ok(&person.ssh(&mine, "git init -q --bare -b main app.git").await);
    ok(&person.git(&mine, &["init", "-q", text(&tree)]).await);
    std::fs::write(tree.join("README"), "pushed\n").expect("written");
    ok(&person.git(&mine, &["-C", text(&tree), "add", "."]).await);
    ok(&person.git(&mine, &["-C", text(&tree), "commit", "-qm", "first"]).await);
    let url = format!("ssh://workspace@127.0.0.1:{}/home/workspace/app.git", person.port);
    ok(&person.git(&mine, &["-C", text(&tree), "push", "-q", &url, "main"]).await);
    ok(&person.git(&ours, &["clone", "-q", &url, text(&clone)]).await);
    assert_eq!(std::fs::read_to_string(clone.join("README")).expect("cloned"), "pushed\n");

    // Another container, the same port, host key and home: whoever knew the host knows it still.
    agent.ok(&["restart", "a", "--upgrade", "--wait"]).await;
    let upgraded = agent.until("a", "ready", is_ready).await;
    assert_ne!(upgraded.container_id, ready.container_id);
    assert_eq!(upgraded.ports["ssh"], person.port);
    assert_eq!(ok(&person.ssh(&mine, "git -C app.git log --format=%s").await), "first");

    // Reached from this machine alone.
    let inspected = agent.engine.inspect(upgraded.container_id.as_deref().expect("a container")).await;
    let published = inspected.network_settings.and_then(|settings| settings.ports).expect("ports");
    let addresses: Vec<_> = published.into_values().flatten().flatten().filter_map(|one| one.host_ip).collect();
    assert_eq!(addresses, ["127.0.0.1"]);
}
