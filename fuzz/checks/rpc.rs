//! Any bytes as what a client of the API sends: answered without panic, as an input or as a fault that is named.

use perry::contract::input::decode;
use perry::contract::permit::Names;
use perry::contract::socket::{self, Incoming};
use perry::contract::*;

/// Any bytes as the body of a request: an envelope, and in it an input of each kind.
pub fn body(bytes: &[u8]) {
    let Ok(envelope) = Envelope::read(bytes) else { return };
    macro_rules! read {
        ($($input:ty),*) => {
            $(match decode::<$input>(envelope.json) {
                // What it is about is told of every input that is taken.
                Ok(input) => drop(input.names()),
                Err(ApiError::BadRequest(issues)) => assert!(!issues.0.is_empty(), "a fault has a name"),
                Err(other) => panic!("{other:?}"),
            })*
        };
    }
    read!(
        NoInput,
        NameInput,
        CreateInput,
        StartInput,
        RestartInput,
        ApplyInput,
        EventsInput,
        ExecInput,
        LogsInput,
        BuildInput,
        PruneInput,
        SetWorkerInput,
        CreateTokenInput,
        RevokeTokenInput,
        ClaimInput
    );
}

/// Any bytes as a frame of a WebSocket; whatever id it has, the answers to it are JSON with that id.
pub fn frame(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(Incoming::Call(asked)) = Incoming::read(text) else { return };
    asked.target();
    asked.header("authorization");
    if let Some(input) = asked.body {
        body(input.get().as_bytes());
    }
    let error = ApiError::NoProcedure(asked.url.to_string()).body(&[]);
    let event = Frame { id: Some(asked.id.to_string()), data: b"{}".to_vec().into(), is_return: false };
    let answers = [
        socket::result(&asked.id, b"{}"),
        socket::failure(&asked.id, &error),
        socket::opening(&asked.id),
        socket::event(&asked.id, &event),
        socket::ending(&asked.id, b"{}"),
        socket::failing(&asked.id, &error),
    ];
    for answer in answers {
        let value: serde_json::Value = serde_json::from_str(&answer).expect("an answer is JSON");
        assert_eq!(value["i"].as_str(), Some(&*asked.id));
    }
}
