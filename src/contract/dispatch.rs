//! From a path and an input to a method of the server, and from its answer to the envelope of oRPC.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::value::RawValue;

use super::access::{ClaimInput, CreateTokenInput, RevokeTokenInput};
use super::envelope::Envelope;
use super::error::ApiError;
use super::input::decode;
use super::permit::{Names, ShownTo, permit, within};
use super::pieces::{Pieces, ToPieces};
use super::sessions::{MessagesInput, SearchInput, SessionsInput, WatchSessionsInput};
use super::table::{Call, Descriptor, Events, Item, Procedures, procedures};
use super::terminals::{CloseTerminalInput, CreateTerminalInput, RenameTerminalInput};
use super::types::*;
use super::upkeep::{PruneInput, SetWorkerInput};
use crate::model::{Caller, Name};

/// What a procedure answered, encoded.
pub enum Reply {
    /// The whole body.
    Json(Vec<u8>),
    /// The events.
    Stream(Frames),
}

/// The events of a stream, encoded. After an error nothing more comes.
pub type Frames = BoxStream<'static, Result<Frame, ApiError>>;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where to resume after it.
    pub id: Option<String>,
    /// `{"json": value}`.
    pub data: Pieces,
    /// It is what the stream returns: nothing comes after it. Streams of this house return nothing.
    pub is_return: bool,
}

/// What the protocol serves: a table, and the procedures behind it.
#[async_trait]
pub trait Service: Send + Sync {
    /// The row with exactly this path.
    fn row(&self, path: &str) -> Option<&'static Descriptor>;

    /// Calls the procedure of a row.
    ///
    /// # Errors
    /// What the procedure failed with, the faults of its input, or that the caller may not.
    async fn call(&self, row: &'static Descriptor, call: &Call, input: &Envelope<'_>) -> Result<Reply, ApiError>;
}

/// The table of this house.
pub struct Table(pub Arc<dyn Procedures>);

#[async_trait]
impl Service for Table {
    fn row(&self, path: &str) -> Option<&'static Descriptor> {
        Descriptor::find(path)
    }

    /// No input has a value that JSON has no word for, so `meta` says nothing that matters.
    async fn call(&self, row: &'static Descriptor, call: &Call, input: &Envelope<'_>) -> Result<Reply, ApiError> {
        dispatch(&*self.0, row, call, input.json).await
    }
}

/// `{"json": value}`; nothing (`()`) is `{}`, as no procedure answers with null.
///
/// # Errors
/// [`ApiError::Internal`]: the value cannot be written as JSON.
pub(super) fn envelope<T: Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    let mut body = b"{\"json\":".to_vec();
    let start = body.len();
    serde_json::to_writer(&mut body, value).map_err(|error| ApiError::Internal(format!("encoding: {error}")))?;
    if &body[start..] == b"null" {
        return Ok(b"{}".to_vec());
    }
    body.push(b'}');
    Ok(body)
}

fn reply<T: Serialize + ShownTo>(value: T, caller: &Caller) -> Result<Reply, ApiError> {
    let hidden = || ApiError::Forbidden(format!("the token {} may not see it", caller.name));
    Ok(Reply::Json(envelope(&value.shown_to(caller).ok_or_else(hidden)?)?))
}

fn frames<T: ToPieces + ShownTo + Send + 'static>(events: Events<T>, caller: Arc<Caller>) -> Reply {
    let encode = move |item: Item<T>| {
        let value = item.value.shown_to(&caller)?;
        Some(value.to_pieces().map(|data| Frame { data, id: item.id, is_return: false }))
    };
    let encoded =
        move |item: Result<Item<T>, ApiError>| std::future::ready(item.map_or_else(|error| Some(Err(error)), &encode));
    Reply::Stream(events.filter_map(encoded).boxed())
}

/// What a call is about, for its caller's rights and for the records.
fn about<'a, I: Names>(call: &'a Call, input: &I) -> Result<&'a [Name], ApiError> {
    if !I::FREE && call.caller.workspaces.is_none() {
        return Ok(&[]);
    }
    let names = input.names()?;
    Ok(call.about.get_or_init(|| names))
}

macro_rules! routes {
    (
        calls { $($(#[$doc:meta])+ $call:ident($input:ty) -> $output:ty, $path:literal, $effect:ident,
            $role:ident, $reach:ident, [$($error:ident),*];)* }
        streams { $($(#[$sdoc:meta])+ $stream:ident($sinput:ty) -> $item:ty, $spath:literal, $seffect:ident,
            $srole:ident, $sreach:ident, [$($serror:ident),*];)* }
    ) => {
        /// Calls the procedure of a row with the input of an envelope (`None`: it had none), where the caller may.
        ///
        /// # Errors
        /// What the procedure failed with, the faults of its input, or that the caller may not.
        pub async fn dispatch(
            server: &dyn Procedures,
            row: &Descriptor,
            call: &Call,
            input: Option<&RawValue>,
        ) -> Result<Reply, ApiError> {
            let caller = &call.caller;
            permit(row, caller)?;
            match row.path {
                $($path => {
                    let input = decode::<$input>(input)?;
                    within(caller, about(call, &input)?)?;
                    reply(server.$call(call, input).await?, caller)
                })*
                $($spath => {
                    let input = decode::<$sinput>(input)?;
                    within(caller, about(call, &input)?)?;
                    Ok(frames(server.$stream(call, input).await?, caller.clone()))
                })*
                other => Err(ApiError::NoProcedure(other.to_owned())),
            }
        }
    };
}
procedures!(routes);
