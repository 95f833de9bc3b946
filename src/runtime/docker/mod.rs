mod engine;
mod fault;
mod host;
pub mod labels;
