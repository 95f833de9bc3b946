// What must hold for any bytes; shared by the fuzz target and the test that replays its corpus.

use perry::model::admission::{Change, NOT_KNOWN, Settings, admit_all};
use perry::model::{Config, Document, State, Uid, manifest};

/// Reads, admits, admits again, prints and reads again.
pub fn manifest(bytes: &[u8]) {
    let located = match manifest::parse("-", bytes) {
        Ok(located) => located,
        Err(bad) => {
            assert!(!bad.faults.is_empty() && !bad.to_string().is_empty());
            return;
        }
    };
    let documents: Vec<Document> = located.iter().map(|one| one.document.clone()).collect();
    let config = Config::default();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let settings = Settings {
        config: &config,
        now,
        uid: Uid(String::new()),
        if_generation: None,
        allow_replace: false,
        in_use: &NOT_KNOWN,
    };
    let printed = manifest::to_yaml(&documents);
    let read = manifest::parse("-", printed.as_bytes()).unwrap_or_else(|bad| panic!("{bad}\n{printed}"));
    assert!(read.iter().map(|one| &one.document).eq(&documents), "{printed}");
    match admit_all(&State::default(), &documents, &settings, || Uid("u".to_owned())) {
        Ok(batch) => {
            let again = admit_all(&batch.state, &documents, &settings, || Uid("v".to_owned())).expect("again");
            assert!(again.admitted.iter().all(|one| one.change == Change::Unchanged));
            assert_eq!(again.state, batch.state);
        }
        Err(rejected) => {
            assert!(!rejected.is_empty());
            for (index, rejection) in rejected {
                assert!(!rejection.to_string().is_empty());
                if let perry::model::admission::Rejection::Invalid(issues) = rejection {
                    assert!(!located[index].blame(&issues).to_string().is_empty());
                }
            }
        }
    }
}
