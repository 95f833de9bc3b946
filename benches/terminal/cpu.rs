//! How long processors have worked, in seconds.

use std::fs;

/// Processes that serve a way to a terminal, by words of their command lines.
#[derive(Debug, Clone)]
pub(crate) struct Servers(pub(crate) &'static [&'static str]);

impl Servers {
    /// All of their threads until now. Whoever has ended counts no more.
    pub(crate) fn seconds(&self) -> f64 {
        self.processes().map(|process| threads(process, "")).sum()
    }

    /// Their threads of this name.
    pub(crate) fn seconds_of(&self, thread: &str) -> f64 {
        self.processes().map(|process| threads(process, thread)).sum()
    }

    /// Resident memory, in bytes: all of it, and without pages of files, which all processes of a program share.
    pub(crate) fn resident(&self) -> (f64, f64) {
        let pages = |process: u32| {
            let text = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
            let page = |at| text.split(' ').nth(at).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or_default();
            (page(1) * 4096.0, (page(1) - page(2)) * 4096.0)
        };
        self.processes().map(pages).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    fn processes(&self) -> impl Iterator<Item = u32> {
        let all =
            fs::read_dir("/proc").expect("proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        all.filter(|process: &u32| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            self.0.iter().any(|words| line.contains(words))
        })
    }
}

fn threads(process: u32, name: &str) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanoseconds = |task: fs::DirEntry| {
        let called = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if !name.is_empty() && called.trim() != name {
            return 0.0;
        }
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or_default()
    };
    tasks.map(nanoseconds).sum::<f64>() / 1e9
}

/// All of the machine's, whatever they worked for.
pub(crate) fn all() -> f64 {
    let text = fs::read_to_string("/proc/stat").expect("proc");
    let first = text.lines().next().expect("a line");
    let ticks: Vec<f64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system; then idle and waiting; then irq and softirq.
    (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / 100.0
}
