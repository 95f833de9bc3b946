//! `perry token`.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::contract::{CreateTokenInput, NewToken, NoInput, RevokeTokenInput, TokenInfo};
use crate::model::{Name, Role};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::format::{self, Plain};
use super::values;
use crate::shown::table::Table;

/// Make, list or revoke access tokens
#[derive(Debug, clap::Subcommand)]
pub(super) enum Token {
    /// Make a token and print it; it is not shown again
    Create {
        /// What to call it, such as the device that it is for.
        #[arg(long)]
        name: Name,
        #[command(flatten)]
        rights: Rights,
        /// The form: text (the token alone), json or yaml.
        #[arg(short, long, value_enum, default_value = "text", hide_possible_values = true, value_name = "FORM")]
        output: Plain,
    },
    /// List tokens, without what is secret of them
    #[command(visible_alias = "ls")]
    List {
        /// The form: text, json or yaml.
        #[arg(short, long, value_enum, default_value = "text", hide_possible_values = true, value_name = "FORM")]
        output: Plain,
    },
    /// Make a token worthless at once
    Revoke {
        /// The token's name.
        name: Name,
    },
}

/// What a token is to be good for.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Rights {
    /// viewer looks, user changes workspaces and runs commands in them, admin does everything.
    #[arg(long, default_value = "user")]
    role: Role,
    /// Only this workspace, which need not exist yet; may be given several times. No boundary where workspaces are
    /// privileged.
    #[arg(long = "workspace", value_name = "NAME", value_parser = values::name)]
    workspaces: Vec<Name>,
    /// How long it is good for, such as 12h or 30d [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = life)]
    expires: Option<Duration>,
    /// With role user: it may have what reaches this host, that is Docker inside where that needs a privileged container,
    /// and ports beyond 127.0.0.1.
    #[arg(long)]
    allow_host: bool,
}

impl Rights {
    pub(super) fn of(self, name: Name) -> CreateTokenInput {
        let Self { role, workspaces, expires, allow_host } = self;
        let workspaces = (!workspaces.is_empty()).then(|| BTreeSet::from_iter(workspaces));
        CreateTokenInput { name, role, workspaces, expires_in: expires.map(|life| life.as_secs()), allow_host }
    }
}

impl Token {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::Create { name, rights, output } => {
                let made = client.create_token(&rights.of(name)).await?;
                context.print(&created(&made, output)?)?;
            }
            Self::List { output } => {
                let tokens = client.list_tokens(&NoInput {}).await?;
                context.print(&match output {
                    Plain::Text => text(context, &tokens),
                    Plain::Json => format::json(&tokens)?,
                    Plain::Yaml => format::yaml(&tokens),
                })?;
            }
            Self::Revoke { name } => {
                client.revoke_token(&RevokeTokenInput { name: name.clone() }).await?;
                context.print(&format!("{name} is revoked\n"))?;
            }
        }
        Ok(DONE)
    }
}

fn created(made: &NewToken, output: Plain) -> Result<String, Failure> {
    Ok(match output {
        Plain::Text => format!("{}\n", made.token.0),
        Plain::Json => format::json(made)?,
        Plain::Yaml => format::yaml(made),
    })
}

const HEAD: [&str; 7] = ["NAME", "ROLE", "WORKSPACES", "HOST", "AGE", "USED", "EXPIRES"];

fn text(context: &Context, tokens: &[TokenInfo]) -> String {
    let mut table = Table::new(&HEAD);
    for token in tokens {
        let names = token.workspaces.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let host = token.role == Role::Admin || token.allow_host;
        table.row(vec![
            token.name.to_string(),
            token.role.to_string(),
            if token.workspaces.is_some() { names } else { "all".to_owned() },
            if host { "yes" } else { "no" }.to_owned(),
            shown::age(token.created, context.now()),
            token.last_used.map_or_else(|| "never".to_owned(), |used| used_ago(used, context.now())),
            token.expires.map_or_else(|| "never".to_owned(), |expires| left(context.now(), expires)),
        ]);
    }
    table.render()
}

/// It is known to the hour.
fn used_ago(used: jiff::Timestamp, now: jiff::Timestamp) -> String {
    if now.as_second() - used.as_second() < 7_200 { "<2h".to_owned() } else { shown::age(used, now) }
}

fn left(now: jiff::Timestamp, expires: jiff::Timestamp) -> String {
    if expires <= now { "expired".to_owned() } else { format!("in {}", shown::age(now, expires)) }
}

/// A time span, in days too.
fn life(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(Duration::from_secs(u64::from(days) * 86_400));
    }
    values::duration(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_read_in_days_too() {
        assert_eq!(life("30d"), Ok(Duration::from_secs(2_592_000)));
        assert_eq!(life("12h"), Ok(Duration::from_secs(43_200)));
        assert!(life("d").is_err() && life("-1d").is_err() && life("soon").is_err());
    }
}
