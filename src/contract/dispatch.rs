//! From a path and an input to a method of the server, and from its answer to the envelope of oRPC.

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{ApiError, Code, ErrorBody};
use super::input::decode;
use super::table::{Descriptor, Events, Procedures, procedures};
use super::types::*;

/// What a procedure answered, encoded.
pub enum Reply {
    /// The whole body.
    Json(Vec<u8>),
    /// The events.
    Stream(Frames),
}

/// The events of a stream, encoded. After an error nothing more comes.
pub type Frames = BoxStream<'static, Result<Frame, ErrorBody>>;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Where to resume after it.
    pub id: Option<String>,
    /// `{"json": value}`.
    pub data: Vec<u8>,
}

/// Calls the procedure of a row with the input of an envelope (`None`: it had none).
///
/// # Errors
/// What the procedure failed with, or the faults of its input.
pub async fn dispatch(
    server: &dyn Procedures,
    row: &Descriptor,
    input: Option<&RawValue>,
    resume: Option<String>,
) -> Result<Reply, ErrorBody> {
    let declared = row.errors;
    route(server, row, input, resume).await.map_err(|error| report(&error, row.path, declared))
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

/// The body of an error; the text of an internal one goes to the log and nowhere else.
fn report(error: &ApiError, path: &str, declared: &[Code]) -> ErrorBody {
    if let ApiError::Internal(what) = error {
        tracing::error!(procedure = path, "{what}");
    }
    error.body(declared)
}

fn frames<T: Serialize + Send + 'static>(events: Events<T>, row: &Descriptor) -> Reply {
    let (path, declared) = (row.path, row.errors);
    let encode = move |item: Result<super::Item<T>, ApiError>| {
        item.and_then(|item| Ok(Frame { data: envelope(&item.value)?, id: item.id }))
            .map_err(|error| report(&error, path, declared))
    };
    Reply::Stream(events.map(encode).boxed())
}

macro_rules! routes {
    (
        calls { $($(#[$doc:meta])+ $call:ident($input:ty) -> $output:ty, $path:literal, $effect:ident,
            $caller:ident, [$($error:ident),*];)* }
        streams { $($(#[$sdoc:meta])+ $stream:ident($sinput:ty) -> $item:ty, $spath:literal, $seffect:ident,
            $scaller:ident, [$($serror:ident),*];)* }
    ) => {
        async fn route(
            server: &dyn Procedures,
            row: &Descriptor,
            input: Option<&RawValue>,
            resume: Option<String>,
        ) -> Result<Reply, ApiError> {
            match row.path {
                $($path => Ok(Reply::Json(envelope(&server.$call(decode::<$input>(input)?).await?)?)),)*
                $($spath => Ok(frames(server.$stream(decode::<$sinput>(input)?, resume).await?, row)),)*
                other => Err(ApiError::NoProcedure(other.to_owned())),
            }
        }
    };
}
procedures!(routes);
