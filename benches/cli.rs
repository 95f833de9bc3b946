//! `perry list` with 100 workspaces, as a whole process, next to `true` through the same shell.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;

use std::process::{Command, Stdio};
use std::time::Instant;

use common::{begin, median, ms, ratio, tell};

const ROUNDS: usize = 50;

fn main() {
    common::fake::serve_if_told();
    begin("cli");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let agent = runtime.block_on(common::fake::Agent::with(100));
    let list = format!("'{}' list", common::perry().display());
    let commands = [list.as_str(), "true", "/bin/true"];
    let mut took = [const { Vec::new() }; 3];
    // The first round fills the page cache and does not count.
    for round in 0..=ROUNDS {
        for (command, took) in commands.iter().zip(&mut took) {
            let began = Instant::now();
            let output = Command::new("sh")
                .args(["-c", command])
                .env("PERRY_CONFIG_DIR", agent.folder.path())
                .stdin(Stdio::null())
                .output()
                .expect("a shell");
            let elapsed = began.elapsed();
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            let rows = output.stdout.iter().filter(|byte| **byte == b'\n').count();
            assert!(*command != list || rows >= 100, "{rows} lines");
            if round > 0 {
                took.push(ms(elapsed));
            }
        }
    }
    let [list, builtin, program] = &took;
    println!("  sh -c …, {ROUNDS} rounds, interleaved, medians:");
    tell("perry list", median(list), "ms", None);
    tell("true, the shell's own", median(builtin), "ms", None);
    tell("/bin/true, a process", median(program), "ms", None);
    tell("ratio to true, the shell's own", ratio(list, builtin), "", Some(3.0));
    tell("ratio to /bin/true", ratio(list, program), "", Some(3.0));
}
