//! The command line: argv → exit code. One file a verb; all of them talk to the agent through [`crate::client`] only.
//!
//! Data goes to stdout, everything else to stderr. Exit codes are in `failure`.

mod address;
mod agent;
mod apply;
mod client_file;
mod completion;
mod config;
mod context;
mod dashboard;
mod delete;
mod describe;
mod diff;
mod doctor;
mod each;
mod events;
mod exec;
mod explain;
mod failure;
mod format;
mod get;
mod image;
mod logs;
mod manifests;
mod pair;
mod prune;
mod restart;
mod schema;
mod selector;
mod sessions;
mod shell;
mod start;
mod stop;
mod sync;
mod terminals;
mod token;
mod top;
mod tty;
mod values;
mod version;
mod wait;
mod waiting;
mod why;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use agent::LogFormat;
use context::Context;
use failure::{Failure, INTERRUPTED, Outcome};

/// Isolated Docker-in-Docker workspaces on a machine of your own.
#[derive(Debug, Parser)]
#[command(name = "perry", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// The folder of settings and state [default: $PERRY_CONFIG_DIR, else ~/.config/perry]
    #[arg(long, global = true, env = "PERRY_CONFIG_DIR", hide_env = true, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Apply(apply::Apply),
    Diff(diff::Diff),
    #[command(visible_aliases = ["list", "ls"])]
    Get(get::Get),
    Describe(describe::Describe),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Delete(delete::Delete),
    Wait(wait::WaitFor),
    Events(events::Events),
    Logs(logs::Logs),
    Top(top::Top),
    Exec(exec::Exec),
    Shell(shell::Shell),
    #[command(subcommand)]
    Terminals(terminals::Terminals),
    #[command(subcommand)]
    Sessions(sessions::Sessions),
    Sync(sync::Sync),
    Why(why::Why),
    #[command(subcommand)]
    Agent(agent::Agent),
    #[command(subcommand)]
    Image(image::Image),
    #[command(subcommand)]
    Config(config::ConfigVerb),
    #[command(subcommand)]
    Token(token::Token),
    Pair(pair::Pair),
    Dashboard(dashboard::Dashboard),
    Prune(prune::Prune),
    Doctor(doctor::Doctor),
    Explain(explain::Explain),
    Schema(schema::Schema),
    Completion(completion::Completion),
    Version(version::Version),
}

/// Runs a command line, without the program's name. `run_agent` is the agent itself: it is given the folder of settings
/// and state and the form of its log, and comes back when the agent has ended.
pub fn run(args: Vec<OsString>, run_agent: fn(&Path, LogFormat) -> anyhow::Result<()>) -> ExitCode {
    if let Some(verb) = plain_list(&args) {
        return match Context::new(std::env::var_os("PERRY_CONFIG_DIR").map(PathBuf::from)) {
            Ok(context) => converse(verb, &context),
            Err(failure) => failure.exit(),
        };
    }
    let cli = match Cli::try_parse_from(std::iter::once(OsString::from("perry")).chain(args)) {
        Ok(cli) => cli,
        // Its code is 0 for help and version, else 2.
        Err(error) => {
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let context = match Context::new(cli.config_dir) {
        Ok(context) => context,
        Err(failure) => return failure.exit(),
    };
    match cli.verb {
        // It makes a runtime of its own.
        Verb::Agent(agent::Agent::Run { log_format }) => match run_agent(context.folder(), log_format) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => Failure::failed(format!("{error:#}")).exit(),
        },
        verb => converse(verb, &context),
    }
}

/// The commonest command line is known without building the whole tree of commands, which takes a tenth of its time.
fn plain_list(args: &[OsString]) -> Option<Verb> {
    let [verb] = args else { return None };
    (verb == "list" || verb == "ls" || verb == "get").then(|| Verb::Get(get::Get::plain()))
}

/// One thread is enough, and quicker to start than many.
fn converse(verb: Verb, context: &Context) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("no runtime: {error}")).exit(),
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = answer(verb, context) => result,
            _ = tokio::signal::ctrl_c() => Ok(INTERRUPTED),
        }
    });
    context.end_progress();
    // A name that is being looked up must not hold the end back.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.exit(),
    }
}

async fn answer(verb: Verb, context: &Context) -> Outcome {
    match verb {
        Verb::Apply(verb) => verb.run(context).await,
        Verb::Diff(verb) => verb.run(context).await,
        Verb::Get(verb) => verb.run(context).await,
        Verb::Describe(verb) => verb.run(context).await,
        Verb::Start(verb) => verb.run(context).await,
        Verb::Stop(verb) => verb.run(context).await,
        Verb::Restart(verb) => verb.run(context).await,
        Verb::Delete(verb) => verb.run(context).await,
        Verb::Wait(verb) => verb.run(context).await,
        Verb::Events(verb) => verb.run(context).await,
        Verb::Logs(verb) => verb.run(context).await,
        Verb::Top(verb) => verb.run(context).await,
        Verb::Exec(verb) => verb.run(context).await,
        Verb::Shell(verb) => verb.run(context).await,
        Verb::Terminals(verb) => verb.run(context).await,
        Verb::Sessions(verb) => verb.run(context).await,
        Verb::Sync(verb) => verb.run(context).await,
        Verb::Why(verb) => verb.run(context).await,
        Verb::Agent(verb) => verb.run(context).await,
        Verb::Image(verb) => verb.run(context).await,
        Verb::Config(verb) => verb.run(context).await,
        Verb::Token(verb) => verb.run(context).await,
        Verb::Pair(verb) => verb.run(context).await,
        Verb::Dashboard(verb) => verb.run(context).await,
        Verb::Prune(verb) => verb.run(context).await,
        Verb::Doctor(verb) => verb.run(context).await,
        Verb::Explain(verb) => verb.run(context),
        Verb::Schema(verb) => verb.run(context),
        Verb::Completion(verb) => verb.run(context),
        Verb::Version(verb) => verb.run(context),
    }
}
