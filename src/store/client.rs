//! `client.json`, as far as the agent writes it: its own token for the command line of the same folder, and `worker`.

use std::io;

use super::StoreError;
use super::disk::{Disk, replace};
use super::tokens::{TokenError, Tokens, Wanted};
use crate::model::files::{CLIENT, ClientConfig};
use crate::model::{Name, Role};

/// The longest `client.json` that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// The name of the token of whoever owns the folder.
const LOCAL: &str = "local";

/// Sees to it that the folder's own `client.json` holds an admin token of this agent. Whoever can read that file can read
/// the agent's state too. One that was lost is replaced and made worthless.
///
/// # Errors
/// A file cannot be read or written.
pub fn ensure_token(disk: &dyn Disk, agent: &str, tokens: &Tokens) -> Result<(), TokenError> {
    let mut client = read(disk)?;
    let known = client.tokens.get(agent).and_then(|token| tokens.verify(&token.0));
    if known.is_some_and(|caller| caller.role == Role::Admin && caller.workspaces.is_none()) {
        return Ok(());
    }
    let name: Name = LOCAL.parse().expect("it is a name");
    match tokens.revoke(&name) {
        Ok(_) | Err(TokenError::Absent(_)) => {}
        Err(error) => return Err(error),
    }
    let wanted = Wanted { name, role: Role::Admin, workspaces: None, allow_host: true, expires_in: None };
    let (token, _) = tokens.create(wanted)?;
    client.tokens.insert(agent.to_owned(), token);
    Ok(write(disk, &client)?)
}

/// The agent that clients of this folder talk to.
///
/// # Errors
/// The file cannot be read.
pub fn worker(disk: &dyn Disk) -> Result<Option<String>, StoreError> {
    Ok(read(disk)?.worker)
}

/// Has clients of this folder talk to another agent, or to the folder's own again.
///
/// # Errors
/// The file can be neither read nor written.
pub fn set_worker(disk: &dyn Disk, worker: Option<String>) -> Result<(), StoreError> {
    let client = read(disk)?;
    write(disk, &ClientConfig { worker, ..client })
}

fn read(disk: &dyn Disk) -> Result<ClientConfig, StoreError> {
    match disk.read(CLIENT, LIMIT) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| StoreError::Damaged {
            file: CLIENT.to_owned(),
            message: format!("{error}; it holds {{ \"worker\": \"host:port\", \"tokens\": {{}} }}, or is not there"),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ClientConfig::default()),
        Err(error) => Err(StoreError::reading(CLIENT, error)),
    }
}

fn write(disk: &dyn Disk, client: &ClientConfig) -> Result<(), StoreError> {
    let mut text = serde_json::to_vec_pretty(client).map_err(|error| StoreError::writing(CLIENT, error.into()))?;
    text.push(b'\n');
    replace(disk, CLIENT, &text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::SimDisk;
    use super::*;
    use crate::clock::ManualClock;

    fn tokens(disk: &SimDisk) -> Tokens {
        Tokens::open(Box::new(disk.clone()), Arc::new(ManualClock::default())).expect("they open")
    }

    #[test]
    fn the_folder_has_an_admin_token_that_stays_and_a_lost_one_is_replaced() {
        let disk = SimDisk::new();
        disk.outside_write(CLIENT, br#"{"worker": "desk:7391", "tokens": {"other": "perry_x_y"}, "new": 1}"#);
        ensure_token(&disk, "me", &tokens(&disk)).expect("made");
        let first = read(&disk).expect("read");
        assert_eq!((first.worker.as_deref(), first.tokens.len(), first.other.len()), (Some("desk:7391"), 2, 1));
        ensure_token(&disk, "me", &tokens(&disk)).expect("there");
        assert_eq!(read(&disk).expect("read"), first);
        let caller = tokens(&disk).verify(&first.tokens["me"].0).expect("known");
        assert_eq!((caller.role, caller.name.as_str()), (Role::Admin, "local"));
        disk.outside_write(CLIENT, b"{}");
        ensure_token(&disk, "me", &tokens(&disk)).expect("made anew");
        let second = read(&disk).expect("read");
        assert!(tokens(&disk).verify(&second.tokens["me"].0).is_some());
        assert!(tokens(&disk).verify(&first.tokens["me"].0).is_none(), "the lost one is worthless");
        assert_eq!(tokens(&disk).list().len(), 1);
    }

    #[test]
    fn a_client_json_that_cannot_be_understood_is_not_written_over() {
        let disk = SimDisk::new();
        disk.outside_write(CLIENT, b"{ worker }");
        let error = ensure_token(&disk, "me", &tokens(&disk)).expect_err("damaged");
        assert!(error.to_string().starts_with("client.json is damaged"), "{error}");
        assert_eq!(disk.content(CLIENT).as_deref(), Some(&b"{ worker }"[..]));
    }

    #[test]
    fn the_worker_is_set_and_taken_away_and_the_rest_stays() {
        let disk = SimDisk::new();
        ensure_token(&disk, "me", &tokens(&disk)).expect("made");
        set_worker(&disk, Some("desk:7391".to_owned())).expect("written");
        assert_eq!(worker(&disk).expect("read").as_deref(), Some("desk:7391"));
        set_worker(&disk, None).expect("written");
        assert_eq!((worker(&disk).expect("read"), read(&disk).expect("read").tokens.len()), (None, 1));
    }
}
