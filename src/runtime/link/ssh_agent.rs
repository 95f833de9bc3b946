//! Answers for the ssh agent of this machine what workers ask of it. Keys are listed and used, nothing else: none is
//! added, removed or locked from inside a workspace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::client::{Client, LinkError};
use crate::contract::worker::{SSH_AGENT_MESSAGE, SshAgentRequest};

/// What may be asked: for the list of keys, and for a signature (draft-ietf-sshm-ssh-agent, section 3).
const ALLOWED: [u8; 2] = [11, 13];
/// The answer to everything else, and where the ssh agent does not answer.
const FAILURE: &[u8] = &[5];
/// How long the ssh agent has: a person may have to touch a key.
const ANSWER: Duration = Duration::from_secs(55);

/// Answers until the link ends.
pub(super) async fn answer(client: Client, socket: PathBuf) -> Result<(), LinkError> {
    let mut requests = client.lines("/v1/ssh-agent").await?;
    while let Some(SshAgentRequest { id, message }) = requests.next().await? {
        let answer = match message.first() {
            Some(kind) if ALLOWED.contains(kind) => {
                tokio::time::timeout(ANSWER, ask(&socket, &message)).await.ok().and_then(Result::ok)
            }
            _ => None,
        };
        let answer = answer.unwrap_or_else(|| FAILURE.to_vec());
        // Who asked may have gone.
        let _ = client.ask(Method::POST, &format!("/v1/ssh-agent/{id}"), Bytes::from(answer)).await;
    }
    Ok(())
}

async fn ask(socket: &Path, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_u32(u32::try_from(message.len()).map_err(std::io::Error::other)?).await?;
    stream.write_all(message).await?;
    let length = usize::try_from(stream.read_u32().await?).ok().filter(|length| *length <= SSH_AGENT_MESSAGE);
    let mut answer = vec![0; length.ok_or(std::io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
