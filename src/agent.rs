//! The composition root of the agent.

use std::path::Path;

/// Runs the agent of a folder until it is ended.
///
/// # Errors
/// This build has no agent.
pub fn run(_folder: &Path) -> anyhow::Result<()> {
    anyhow::bail!("this build has no agent")
}
