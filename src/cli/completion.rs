//! `perry completion`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};

/// Print a script that completes commands in a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "bash: source <(perry completion bash)\nzsh:  perry completion zsh > \"${fpath[1]}/_perry\"\nfish: perry completion fish > ~/.config/fish/completions/perry.fish"
)]
pub(super) struct Completion {
    /// Which shell.
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut super::Cli::command(), "perry", &mut script);
        let script = String::from_utf8(script).map_err(|error| Failure::failed(error.to_string()))?;
        context.print(&script)?;
        Ok(DONE)
    }
}
