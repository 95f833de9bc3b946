//! What the agent proves itself with to a worker: nothing is stored, it is computed from the agent's key.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::executable::hex;
use crate::model::Uid;

/// The agent's key; it never leaves the agent.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of these bytes; 32 random ones are right.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The secret of a workspace: HMAC-SHA-256 over its uid, in hexadecimal. No workspace learns another's from its own.
    pub fn secret(&self, uid: &Uid) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length will do");
        mac.update(uid.0.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_the_mac_of_rfc_4231() {
        let key = Key::new(b"Jefe".to_vec());
        let uid = Uid("what do ya want for nothing?".to_owned());
        assert_eq!(key.secret(&uid), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", Key::new(b"Jefe".to_vec())), "Key(…)");
    }
}
