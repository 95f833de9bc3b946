//! Sessions of coding agents in this workspace: an index that is kept up to date by what changes.
pub mod cache;
pub mod draft;
pub mod formats;
pub mod logs;
pub mod shorten;
pub mod source;
pub mod store;
pub mod talk;
pub mod text;
