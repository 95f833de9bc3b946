//! What crosses a wire.

pub mod worker;

pub use crate::model::files;
