//! Sessions of coding agents in this workspace: an index that is kept up to date by what changes. A tour:
//!
//! [`formats`] tells how each agent writes down what is said, [`talk`] what is remembered of a conversation (where each
//! message is written, nothing of what it says), [`draft`] how a message is read back. Two kinds of [`store`] find the
//! conversations: [`logs`] those in files that grow, [`keepers`] those in databases and trees of files. [`index`] puts all
//! together and says with [`state`] what each session does; [`serve`] keeps it up to date by what [`watch`] hears of, and
//! [`cache`] is what a new start need not read again.

pub mod cache;
pub mod command;
pub mod database;
pub mod draft;
pub mod formats;
pub mod goose;
pub mod index;
pub mod keepers;
pub mod link;
pub mod logs;
pub mod opencode;
pub mod processes;
pub mod serve;
pub mod shorten;
pub mod source;
pub mod state;
pub mod store;
pub mod talk;
pub mod text;
pub mod watch;
