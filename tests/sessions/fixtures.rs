//! What real agents wrote.

use perry::worker::sessions::formats::Home;
use perry::worker::sessions::opencode;
use perry::worker::sessions::store::Store;

use crate::support;

fn stores(home: &Home) -> Vec<Box<dyn Store>> {
    let mut stores = support::logs(home);
    stores.push(Box::new(opencode::store(home)));
    stores
}

#[test]
fn sessions_that_agents_wrote_are_listed_and_read_as_expected() {
    for fixture in support::all() {
        let folder = tempfile::tempdir().expect("a folder");
        support::copy(&fixture.home, folder.path());
        let found = support::found(&mut stores(&support::home(folder.path())));
        let mut expected = support::expected(&fixture);
        assert_eq!(found.len(), expected.len(), "{}", fixture.name);
        for (found, expected) in found.iter().zip(&mut expected) {
            // Not recorded: not to be compared.
            if expected["cwd"].is_null() {
                expected["cwd"] = found["cwd"].clone();
            }
            assert_eq!(found, expected, "{}", fixture.name);
        }
    }
}
