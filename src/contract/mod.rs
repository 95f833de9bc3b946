//! What crosses a wire.

pub mod worker;
