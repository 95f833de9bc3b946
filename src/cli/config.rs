//! `perry config`.

use std::io::{self, BufRead, IsTerminal};

use crate::client::Client;
use crate::contract::{ClaimInput, NoInput};
use crate::model::Secret;
use crate::model::files::ClientConfig;

use super::address::with_port;
use super::client_file;
use super::context::Context;
use super::failure::{DONE, Failure, NOT_FOUND, Outcome};
use super::format;
use crate::shown::table::Table;

/// Show settings, and choose the agent to talk to
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigVerb {
    /// Show the agent's settings, defaults included
    Show,
    /// Talk to the agent at this address from now on, or to the one of this folder: perry config worker ""
    Worker {
        /// host, or host:port.
        host: String,
    },
    /// Agents on other machines
    #[command(subcommand)]
    Agent(AgentVerb),
}

/// Agents on other machines
#[derive(Debug, clap::Subcommand)]
pub(super) enum AgentVerb {
    /// Get a token for an agent by a pairing code (perry pair there), and talk to that agent from now on
    Add {
        /// host, or host:port.
        host: String,
        /// Store this token instead, read from standard input.
        #[arg(long)]
        token_stdin: bool,
    },
    /// Talk to an agent that was added
    Use {
        /// host, or host:port.
        host: String,
    },
    /// List the agents that there are tokens for
    #[command(visible_alias = "ls")]
    List,
    /// Forget an agent and the token for it; revoke it there too
    Remove {
        /// host, or host:port.
        host: String,
    },
}

impl ConfigVerb {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Show => {
                let config = context.client()?.get_config(&NoInput {}).await?;
                context.print(&format::json(&config)?)?;
            }
            Self::Worker { host } => talk_to(context, &host)?,
            Self::Agent(AgentVerb::Add { host, token_stdin }) => add(context, &host, token_stdin).await?,
            Self::Agent(AgentVerb::Use { host }) => take(context, &host)?,
            Self::Agent(AgentVerb::List) => context.print(&list(&client_file::read(context.folder())?))?,
            Self::Agent(AgentVerb::Remove { host }) => remove(context, &host)?,
        }
        Ok(DONE)
    }
}

fn talk_to(context: &Context, host: &str) -> Result<(), Failure> {
    if host.is_empty() {
        client_file::change(context.folder(), |client| client.worker = None)?;
        return context.print("the agent of this folder it is\n");
    }
    let address = with_port(host)?;
    client_file::change(context.folder(), |client| client.worker = Some(address.clone()))?;
    if !client_file::read(context.folder())?.tokens.contains_key(&address) {
        context.note(&format!("note: there is no token for {address} yet: perry config agent add {address}"));
    }
    context.print(&format!("the agent at {address} it is\n"))
}

async fn add(context: &Context, host: &str, token_stdin: bool) -> Result<(), Failure> {
    let address = with_port(host)?;
    let client = Client::new(&address);
    let token = if token_stdin {
        Secret(line("a token, on standard input")?)
    } else {
        if io::stdin().is_terminal() {
            context.note(&format!("Pairing code of {address} (perry pair there):"));
        }
        let code = Secret(line("a pairing code, on standard input")?);
        client.claim_pairing(&ClaimInput { code }).await?.token
    };
    // Before it is kept: a wrong one would only be found out later.
    client.with_token(token.clone()).agent_info(&NoInput {}).await?;
    client_file::change(context.folder(), |client| {
        client.tokens.insert(address.clone(), token);
        client.worker = Some(address.clone());
    })?;
    context.print(&format!("the agent at {address} it is\n"))
}

fn line(what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).map_err(|error| Failure::failed(format!("standard input: {error}")))?;
    match text.trim() {
        "" => Err(Failure::usage(format!("{what}, is needed"))),
        text => Ok(text.to_owned()),
    }
}

fn take(context: &Context, host: &str) -> Result<(), Failure> {
    let address = known(context, host)?;
    client_file::change(context.folder(), |client| client.worker = Some(address.clone()))?;
    context.print(&format!("the agent at {address} it is\n"))
}

fn remove(context: &Context, host: &str) -> Result<(), Failure> {
    let address = known(context, host)?;
    client_file::change(context.folder(), |client| {
        client.tokens.remove(&address);
        client.worker = client.worker.take().filter(|worker| *worker != address);
    })?;
    context.print(&format!("{address} is forgotten; its token is good until it is revoked there\n"))
}

fn known(context: &Context, host: &str) -> Result<String, Failure> {
    let address = with_port(host)?;
    if client_file::read(context.folder())?.tokens.contains_key(&address) {
        return Ok(address);
    }
    let hint = format!("add it: perry config agent add {address}");
    Err(Failure::new(NOT_FOUND, format!("there is no token for {address}")).hint(hint))
}

fn list(client: &ClientConfig) -> String {
    let mut table = Table::new(&["", "AGENT"]);
    let mark = |talked: bool| if talked { "*" } else { "" }.to_owned();
    table.row(vec![mark(client.worker.is_none()), "the one of this folder".to_owned()]);
    let worker = client.worker.as_deref();
    // Tokens for the folder's own agent are under its id.
    let elsewhere = client.tokens.keys().filter(|key| key.contains(':')).map(String::as_str);
    let all: std::collections::BTreeSet<&str> = elsewhere.chain(worker).collect();
    all.into_iter().for_each(|address| table.row(vec![mark(worker == Some(address)), address.to_owned()]));
    table.render()
}
