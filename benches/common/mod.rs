//! What the benches share. A bench prints figures and what was asked for; it never fails because of a figure.

// Every bench takes what it needs of this.
#![allow(dead_code)]
#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

pub(crate) mod agent;
pub(crate) mod fake;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The release binary: `PERRY_BIN`, else where `make` puts it.
pub(crate) fn perry() -> PathBuf {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/perry");
    let path = std::env::var_os("PERRY_BIN").map_or(made, PathBuf::from);
    assert!(path.is_file(), "{} is no file: run `make bench`, or set PERRY_BIN", path.display());
    path
}

/// A manifest with these lines of spec.
pub(crate) fn manifest(name: &str, spec: &str) -> String {
    let spec = if spec.is_empty() { String::new() } else { format!("spec:\n  {spec}\n") };
    format!("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata:\n  name: {name}\n{spec}")
}

/// A line of its own for a bench, with how busy the machine is.
pub(crate) fn begin(bench: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{bench} (load {})", load.split(' ').next().unwrap_or("unknown"));
}

/// Prints a figure and, where there is one, the most that was asked for.
pub(crate) fn tell(what: &str, value: f64, unit: &str, most: Option<f64>) {
    let verdict = match most {
        Some(most) if value <= most => format!("at most {most}: met"),
        Some(most) => format!("at most {most}: MISSED"),
        None => String::new(),
    };
    println!("  {what:<62} {value:>9.2} {unit:<4} {verdict}");
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The value below which this share (0 to 1) of all lies.
pub(crate) fn quantile(of: &[f64], share: f64) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let at = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[at]
}

/// The one in the middle.
pub(crate) fn median(of: &[f64]) -> f64 {
    quantile(of, 0.5)
}

/// The median of the ratios of pairs that were measured next to each other.
pub(crate) fn ratio(over: &[f64], under: &[f64]) -> f64 {
    median(&over.iter().zip(under).map(|(over, under)| over / under).collect::<Vec<_>>())
}
