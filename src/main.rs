//! The `perry` binary: argv in, exit code out.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    // Before anything else: PID 1 of a workspace must not pay for the command line of people.
    if let Some((verb, rest)) = args.split_first()
        && verb == "worker"
        && let Some(code) = perry::worker::run(rest)
    {
        return code;
    }
    perry::cli::run(args, perry::agent::run)
}
