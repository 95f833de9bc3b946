//! `perry dashboard`.

use std::process::{Command, Stdio};

use crate::contract::CreateTokenInput;
use crate::model::Role;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::pair;

/// How long a browser stays logged in, in seconds: 30 days.
const LIFE: u64 = 30 * 86_400;

/// Open the dashboard in a browser of this machine, logged in by a link that works once
#[derive(Debug, clap::Args)]
pub(super) struct Dashboard {
    /// Print the link and open nothing.
    #[arg(long)]
    no_open: bool,
}

impl Dashboard {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let offer = client
            .offer_pairing(&CreateTokenInput {
                name: pair::unique("browser")?,
                role: Role::Admin,
                workspaces: None,
                expires_in: Some(LIFE),
                allow_host: false,
            })
            .await?;
        // Where the command line reaches it, a browser of the same machine does too.
        let link = pair::link(&pair::with_scheme(client.address()), &offer.code);
        context.print(&format!("{link}\n"))?;
        if self.no_open {
            return Ok(DONE);
        }
        if !open(&link) {
            context.note("no browser could be opened: open the link yourself, within five minutes");
        }
        Ok(DONE)
    }
}

/// Has the desktop open a link. It is seen in the list of processes for a moment, which is why it works once only.
fn open(link: &str) -> bool {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if !display && !cfg!(target_os = "macos") {
        return false;
    }
    let status =
        Command::new(program).arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
