//! Logs that come piece by piece, with everything that writers and file systems do in between, give what they give whole.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perry::worker::sessions::cache::Cache;
use perry::worker::sessions::formats::Home;
use perry::worker::sessions::logs::{self, Logs};
use perry::worker::sessions::store::{Changes, Store};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::Value;

use crate::support::{self, Known};

/// Cuts of all logs together; more of them by `PERRY_CUTS`.
const CUTS: usize = 10_000;

fn stores(home: &Home, cache: Option<&Arc<Cache>>) -> Vec<Box<dyn Store>> {
    let one = |format| Box::new(Logs::new(format, home, cache.cloned())) as Box<dyn Store>;
    logs::FORMATS.into_iter().map(one).collect()
}

/// The logs below a folder, not those that are one document or compressed.
fn logs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One life of an index over a home that is being written.
struct Life {
    stores: Vec<Box<dyn Store>>,
    known: Known,
    cache: Option<Arc<Cache>>,
}

impl Life {
    fn begin(home: &Home, cache: Option<Arc<Cache>>) -> Self {
        Self { stores: stores(home, cache.as_ref()), known: Known::default(), cache }
    }

    fn look(&mut self, rng: &mut StdRng, path: &Path) {
        let paths = Changes::Paths([path.to_owned()].into());
        let changes = if rng.random_ratio(1, 50) { Changes::Everything } else { paths };
        self.known.look(&mut self.stores, &changes);
    }

    /// It is killed, having written down what it knew or not, and begun anew.
    fn again(&mut self, rng: &mut StdRng, home: &Home) {
        if rng.random() {
            self.stores.iter_mut().for_each(|store| store.save());
        }
        self.stores = stores(home, self.cache.as_ref());
        self.known.begin(&mut self.stores);
    }
}

/// What happens to a log between two looks.
fn write(rng: &mut StdRng, target: &Path, content: &[u8], from: usize, to: usize) {
    match rng.random_range(0..20) {
        // In the place of the file comes another one with all of it so far.
        0 => {
            let other = target.with_extension("tmp");
            fs::write(&other, &content[..to]).expect("written");
            fs::rename(&other, target).expect("renamed");
        }
        // It is truncated, and written anew.
        1 => fs::write(target, &content[..to]).expect("written"),
        _ => {
            let mut file = OpenOptions::new().append(true).create(true).open(target).expect("opened");
            file.write_all(&content[from..to]).expect("written");
            if rng.random_ratio(1, 50) {
                file.sync_all().expect("synced");
            }
        }
    }
}

#[test]
fn any_cuts_of_a_log_give_what_it_gives_whole() {
    let seed =
        std::env::var("PERRY_SEED").map_or_else(|_| rand::rng().next_u64(), |text| text.parse().expect("a number"));
    let cuts = std::env::var("PERRY_CUTS").map_or(CUTS, |text| text.parse().expect("a number"));
    println!("PERRY_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let fixtures = support::all();
    let all: usize = fixtures.iter().map(|fixture| logs(&fixture.home).len()).sum();
    let mut done = 0;
    for fixture in &fixtures {
        let whole = tempfile::tempdir().expect("a folder");
        support::copy(&fixture.home, whole.path());
        let expected = support::found(&mut stores(&support::home(whole.path()), None));
        let folder = tempfile::tempdir().expect("a folder");
        support::copy(&fixture.home, folder.path());
        let parts = logs(folder.path());
        let contents: Vec<Vec<u8>> = parts.iter().map(|path| fs::read(path).expect("read")).collect();
        parts.iter().for_each(|path| fs::remove_file(path).expect("removed"));
        let home = support::home(folder.path());
        let cache = Cache::open(&folder.path().join("cache/sessions.db")).expect("a cache");
        let mut life = Life::begin(&home, rng.random::<bool>().then(|| Arc::new(cache)));
        life.known.look(&mut life.stores, &Changes::Everything);
        // All logs grow side by side.
        let mut at = vec![0; parts.len()];
        let share = cuts * parts.len() / all.max(1);
        let step = contents.iter().map(Vec::len).sum::<usize>() / share.max(1) + 1;
        while let Some(log) = open_one(&mut rng, &at, &contents) {
            let to = (at[log] + rng.random_range(1..=2 * step)).min(contents[log].len());
            write(&mut rng, &parts[log], &contents[log], at[log], to);
            at[log] = to;
            done += 1;
            let path = home.folder.join(parts[log].strip_prefix(folder.path()).expect("below"));
            life.look(&mut rng, &path);
            if rng.random_ratio(1, 40) {
                life.again(&mut rng, &home);
            }
        }
        assert_eq!(found(&mut life), expected, "{} with PERRY_SEED={seed}", fixture.name);
    }
    // Short logs cannot be cut as often as one likes.
    assert!(done >= cuts.min(CUTS) * 9 / 10, "{done} cuts");
}

fn open_one(rng: &mut StdRng, at: &[usize], contents: &[Vec<u8>]) -> Option<usize> {
    let open: Vec<usize> = (0..at.len()).filter(|log| at[*log] < contents[*log].len()).collect();
    (!open.is_empty()).then(|| open[rng.random_range(0..open.len())])
}

/// What is known, without another look at what did not change: news alone must have led here.
fn found(life: &mut Life) -> Vec<Value> {
    support::shown(&life.known, &mut life.stores)
}
