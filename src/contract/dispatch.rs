//! From a path and an input to a method of the server, and from its answer to the envelope of oRPC.

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::ApiError;
use super::input::decode;
use super::table::{Descriptor, Events, Item, Procedures, procedures};
use super::types::*;

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
    pub data: Vec<u8>,
}

/// `{"json": value}`; nothing (`()`) is `{}`, as no procedure answers with null.
///
/// # Errors
/// [`ApiError::Internal`]: the value cannot be written as JSON.
fn envelope<T: Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    let mut body = b"{\"json\":".to_vec();
    let start = body.len();
    serde_json::to_writer(&mut body, value).map_err(|error| ApiError::Internal(format!("encoding: {error}")))?;
    if &body[start..] == b"null" {
        return Ok(b"{}".to_vec());
    }
    body.push(b'}');
    Ok(body)
}

fn frames<T: Serialize + Send + 'static>(events: Events<T>) -> Reply {
    let encode = |item: Item<T>| Ok(Frame { data: envelope(&item.value)?, id: item.id });
    Reply::Stream(events.map(move |item| item.and_then(encode)).boxed())
}

macro_rules! routes {
    (
        calls { $($(#[$doc:meta])+ $call:ident($input:ty) -> $output:ty, $path:literal, $effect:ident,
            $caller:ident, [$($error:ident),*];)* }
        streams { $($(#[$sdoc:meta])+ $stream:ident($sinput:ty) -> $item:ty, $spath:literal, $seffect:ident,
            $scaller:ident, [$($serror:ident),*];)* }
    ) => {
        /// Calls the procedure of a row with the input of an envelope (`None`: it had none).
        ///
        /// # Errors
        /// What the procedure failed with, or the faults of its input.
        pub async fn dispatch(
            server: &dyn Procedures,
            row: &Descriptor,
            input: Option<&RawValue>,
            resume: Option<String>,
        ) -> Result<Reply, ApiError> {
            match row.path {
                $($path => Ok(Reply::Json(envelope(&server.$call(decode::<$input>(input)?).await?)?)),)*
                $($spath => Ok(frames(server.$stream(decode::<$sinput>(input)?, resume).await?)),)*
                other => Err(ApiError::NoProcedure(other.to_owned())),
            }
        }
    };
}
procedures!(routes);
