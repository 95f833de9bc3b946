//! Sessions of coding agents in this workspace: an index that is kept up to date by what changes.
pub mod cache;
pub mod database;
pub mod draft;
pub mod formats;
pub mod goose;
pub mod keepers;
pub mod logs;
pub mod opencode;
pub mod shorten;
pub mod source;
pub mod store;
pub mod talk;
pub mod text;
