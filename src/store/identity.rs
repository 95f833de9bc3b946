//! Who this agent is: `agent.id`, and what its secrets are made of: `agent.key`. Both are made once.

use std::fmt;

use uuid::Uuid;

use super::disk::{Disk, read_or_create};
use super::{StoreError, random};
use crate::model::files::{AGENT_ID, AGENT_KEY};

/// The longest `agent.id` or `agent.key` that is read.
const LIMIT: u64 = 1024;

/// Who this agent is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// A UUID: the label of everything that is this agent's.
    pub id: String,
    /// What secrets are made of.
    pub key: AgentKey,
}

/// 32 random bytes that never leave the agent.
#[derive(Clone)]
pub struct AgentKey([u8; 32]);

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentKey(..)")
    }
}

impl AgentKey {
    /// The key itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads the agent's id and key, or makes them where there are none.
///
/// # Errors
/// A file can be neither read nor written, or holds something else.
pub fn load(disk: &dyn Disk) -> Result<Identity, StoreError> {
    let (id, _) = read_or_create(disk, AGENT_ID, LIMIT, &format!("{}\n", Uuid::new_v4()))?;
    let id = Uuid::parse_str(id.trim()).map_err(|_| StoreError::Damaged {
        file: AGENT_ID.to_owned(),
        message: "it must hold one UUID, the value of the agent label on this agent's containers and volumes"
            .to_owned(),
    })?;
    let (key, _) = read_or_create(disk, AGENT_KEY, LIMIT, &format!("{}\n", random::hex(&random::bytes::<32>()?)))?;
    let key = random::unhex(key.trim()).ok_or_else(|| StoreError::Damaged {
        file: AGENT_KEY.to_owned(),
        message: "it must hold 64 hexadecimal digits; remove it to have a new one made".to_owned(),
    })?;
    Ok(Identity { id: id.to_string(), key: AgentKey(key) })
}

#[cfg(test)]
mod tests {
    use super::super::sim_disk::{Fault, Reboot, SimDisk};
    use super::*;

    #[test]
    fn they_are_made_once_and_are_whole_at_every_crash_point() {
        for step in 0.. {
            let disk = SimDisk::new();
            disk.fault_at(step, Fault::Crash);
            let first = load(&disk).ok();
            disk.reboot(Reboot::Machine(step));
            disk.clear_faults();
            let second = load(&disk).expect("the disk is well again");
            let third = load(&disk).expect("and still");
            assert_eq!((&second.id, second.key.0), (&third.id, third.key.0));
            if let Some(first) = first {
                assert_eq!((first.id, first.key.0), (second.id, second.key.0));
                break;
            }
        }
    }

    #[test]
    fn a_damaged_id_or_key_is_an_error_and_never_replaced() {
        for (name, content) in [(AGENT_ID, "me"), (AGENT_ID, ""), (AGENT_KEY, "00"), (AGENT_KEY, &"é".repeat(32))] {
            let disk = SimDisk::new();
            disk.outside_write(name, content.as_bytes());
            let error = load(&disk).expect_err("damaged");
            assert!(error.to_string().starts_with(&format!("{name} is damaged: it must hold")), "{error}");
            assert_eq!(disk.content(name).as_deref(), Some(content.as_bytes()));
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let identity = load(&SimDisk::new()).expect("the disk is well");
        assert_eq!(format!("{:?}", identity.key), "AgentKey(..)");
    }
}
