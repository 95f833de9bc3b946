//! What must hold for any bytes, a module for each kind of input. The targets feed these; tests of the ordinary build include
//! the same files.

pub mod manifest;
pub mod rpc;
pub mod sessions;
pub mod state;
pub mod terminal;
