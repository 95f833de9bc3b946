//! What real programs print (`recordings/`), cut at every 1,000th byte: a viewer that comes then must show what xterm.js shows
//! that was there from the beginning, at once and at the end.

use std::path::Path;

use perry::contract::terminal::{ClientFrame, Size};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use crate::host::{Host, Viewer};
use crate::node::Package;

/// A cut after so many bytes.
const CUT: usize = 1000;

enum Step {
    Print(Vec<u8>),
    Resize(Size),
}

/// A recording in the format asciicast v2.
struct Recording {
    size: Size,
    steps: Vec<Step>,
}

impl Recording {
    /// Cut at every 1,000th byte, in the middle of whatever is there.
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/terminals/recordings/{name}.cast"));
        let text = std::fs::read_to_string(path).expect("a recording");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let head = lines.next().expect("a head");
        let side = |what: &str| u16::try_from(head[what].as_u64().expect("a number")).expect("few");
        let mut recording = Self { size: Size { cols: side("width"), rows: side("height") }, steps: Vec::new() };
        let mut bytes = Vec::new();
        for event in lines {
            let data = event[2].as_str().expect("a text");
            if event[1] == "o" {
                bytes.extend_from_slice(data.as_bytes());
                continue;
            }
            recording.print(std::mem::take(&mut bytes));
            let (cols, rows) = data.split_once('x').expect("a size");
            recording.steps.push(Step::Resize(Size { cols: cols.parse().expect("n"), rows: rows.parse().expect("n") }));
        }
        recording.print(bytes);
        recording
    }

    fn print(&mut self, bytes: Vec<u8>) {
        self.steps.extend(bytes.chunks(CUT).map(|piece| Step::Print(piece.to_vec())));
    }
}

/// A terminal whose program prints what it is told, to the byte.
struct Player {
    host: Host,
    viewer: Viewer,
    pipe: pipe::Sender,
    _folder: tempfile::TempDir,
}

impl Player {
    async fn start(size: Size) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let host = Host::start().await;
        let script = format!("stty raw -echo; exec cat {}", path.display());
        let mut viewer = host.view("main", &["sh", "-c", &script]).await;
        viewer.step().await;
        // Open both ways, so that it need not be waited for that the program reads.
        let pipe = pipe::OpenOptions::new().read_write(true).open_sender(&path).expect("a pipe");
        while viewer.snapshots == 0 {
            viewer.step().await;
        }
        viewer.seen.clear();
        let mut player = Self { host, viewer, pipe, _folder: folder };
        player.play(&Step::Resize(size)).await;
        player
    }

    async fn play(&mut self, step: &Step) {
        match step {
            Step::Print(bytes) => {
                self.pipe.write_all(bytes).await.expect("it reads");
                self.viewer.seen.clear();
                while self.viewer.seen.len() < bytes.len() {
                    self.viewer.step().await;
                }
                assert_eq!(self.viewer.seen, *bytes, "what is printed is not changed");
            }
            Step::Resize(size) => {
                self.viewer.frames.send(&ClientFrame::Resize(*size)).await;
                while self.viewer.size != *size {
                    self.viewer.step().await;
                }
            }
        }
    }

    /// What one gets who comes now.
    async fn snapshot(&self) -> (Size, Vec<u8>) {
        let mut viewer = self.host.view("main", &[]).await;
        while viewer.snapshots == 0 {
            viewer.step().await;
        }
        (viewer.size, viewer.seen)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What differs, for each cut.
async fn differences(name: &str) -> (u64, Vec<Value>) {
    let recording = Recording::read(name);
    let mut player = Player::start(recording.size).await;
    let (mut steps, mut cuts) = (Vec::new(), Vec::new());
    let sides = |size: Size| json!([size.cols, size.rows]);
    for (after, step) in recording.steps.iter().enumerate() {
        player.play(step).await;
        let (size, snapshot) = player.snapshot().await;
        cuts.push(json!({"after": after, "size": sides(size), "snapshot": hex(&snapshot)}));
        steps.push(match step {
            Step::Print(bytes) => json!({"data": hex(bytes)}),
            Step::Resize(size) => json!({"resize": sides(*size)}),
        });
    }
    let case = json!({"size": sides(recording.size), "steps": steps, "cuts": cuts});
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), case.to_string()).expect("written");
    let path = file.path().to_str().expect("a path");
    let said = Package::install("tests/xterm").await.run("node", &["compare.mjs", path], &[]).await;
    let told: Value = serde_json::from_str(&said).expect("JSON");
    (told["rows"].as_u64().expect("a number"), told["differences"].as_array().expect("a list").clone())
}

/// What the engine does not know of, as a text in rows where that shows; `specs/terminal.md` lists it.
const UNKNOWN: [(&str, &str); 3] = [
    // Blinking text.
    ("vttest-screen", "{Blink}"),
    // National sets of characters, and that one of them was chosen in the place of line drawing.
    ("vttest-charsets", "£"),
    ("vttest-charsets", "^_"),
];

fn is_known(name: &str, difference: &Value) -> bool {
    let wanted = difference["wanted"].as_str().unwrap_or_default();
    UNKNOWN.iter().any(|(recording, text)| *recording == name && wanted.contains(text))
}

async fn check(name: &str) {
    let (rows, mut found) = differences(name).await;
    found.retain(|difference| !is_known(name, difference));
    assert!(rows > 20, "{rows} rows");
    let shown: Vec<String> = found.iter().take(12).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} differences from xterm.js in {name}, first:\n{}", found.len(), shown.join("\n"));
}

macro_rules! recordings {
    ($($test:ident: $name:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            check($name).await;
        })*
    };
}

recordings! {
    vim_is_restored_as_xterm_shows_it: "vim",
    htop_is_restored_as_xterm_shows_it: "htop",
    tmux_is_restored_as_xterm_shows_it: "tmux",
    less_is_restored_as_xterm_shows_it: "less",
    midnight_commander_is_restored_as_xterm_shows_it: "mc",
    a_shell_is_restored_as_xterm_shows_it: "bash",
    colours_and_wide_characters_are_restored_as_xterm_shows_them: "colours",
    cursor_movements_of_vttest_are_restored_as_xterm_shows_them: "vttest-cursor",
    screen_features_of_vttest_are_restored_as_xterm_shows_them: "vttest-screen",
    character_sets_of_vttest_are_restored_as_xterm_shows_them: "vttest-charsets",
    insertions_of_vttest_are_restored_as_xterm_shows_them: "vttest-insert",
}
