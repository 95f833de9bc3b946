//! The `perry` binary: argv in, exit code out.
fn main() {}
