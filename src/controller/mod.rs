//! The loop: what is wanted and what is there become one.

pub mod handle;

pub use handle::{Handle, Preview};
