//! Descriptors that are awaited for what comes, and for room only while there is none.
//!
//! The kernel wakes who awaits room in a Unix socket whenever the other side reads (`unix_write_space`), and in a terminal
//! alike. Where each message is a few bytes, that is a second wake-up for each, for nothing; tokio's own sockets await both
//! at all times.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncWrite, Join, join};
use tokio::net::unix::pipe::{Receiver, Sender};

/// A connection.
pub type Stream = Join<Receiver, Writer<UnixStream>>;

/// Both ends of something that does not block. For reading it is no pipe, but awaited and read as one is.
///
/// # Errors
/// The system refuses to watch it.
pub fn split<T: AsFd>(inner: T) -> io::Result<(Receiver, Writer<T>)> {
    let reader = Receiver::from_owned_fd_unchecked(inner.as_fd().try_clone_to_owned()?)?;
    Ok((reader, Writer { inner, full: None }))
}

/// A connection that tokio has made.
///
/// # Errors
/// The system refuses to watch it.
pub fn stream(stream: tokio::net::UnixStream) -> io::Result<Stream> {
    let (reader, writer) = split(stream.into_std()?)?;
    Ok(join(reader, writer))
}

/// What is written to.
#[derive(Debug)]
pub struct Writer<T> {
    inner: T,
    /// The same once more, while room in it is awaited.
    full: Option<Sender>,
}

impl<T: AsFd> Writer<T>
where
    for<'a> &'a T: Write,
{
    /// The descriptor itself.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// There is none (`WouldBlock`), or the write failed.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.inner).write(bytes)
    }

    /// The same, from several places.
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.inner).write_vectored(pieces)
    }

    /// Waits until there may be room. Cancel-safe.
    ///
    /// # Errors
    /// The system refuses to watch it.
    pub async fn writable(&self) -> io::Result<()> {
        self.watch()?.writable().await
    }

    fn watch(&self) -> io::Result<Sender> {
        Sender::from_owned_fd_unchecked(self.inner.as_fd().try_clone_to_owned()?)
    }
}

impl AsyncWrite for Writer<UnixStream> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // As long as there is no room it is watched by this.
        if let Some(full) = &mut self.full {
            let written = ready!(Pin::new(full).poll_write(context, bytes));
            self.full = None;
            return Poll::Ready(written);
        }
        match self.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.full = Some(self.watch()?);
                self.poll_write(context, bytes)
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.inner.shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn what_is_written_arrives_also_where_there_was_no_room_for_long() {
        const ALL: usize = 8 << 20;
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let mut near = stream(near).expect("watched");
        let sent: Vec<u8> = (0..ALL).map(|at| u8::try_from(at % 251).expect("small")).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            near.write_all(&sent).await.expect("written");
            assert!(near.writer().full.is_none(), "room is awaited no longer");
            near.shutdown().await.expect("ended");
            let mut back = String::new();
            near.read_to_string(&mut back).await.expect("read");
            back
        });
        let mut came = Vec::new();
        far.read_to_end(&mut came).await.expect("read");
        assert!(came == expected);
        far.write_all(b"thanks").await.expect("written");
        drop(far);
        assert_eq!(writing.await.expect("no panic"), "thanks");
    }

    #[tokio::test]
    async fn room_is_told_of_to_who_waits_for_it() {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let (reader, near) = split(near.into_std().expect("a socket")).expect("watched");
        let piece = [7; 64 << 10];
        let mut sent = 0;
        while let Ok(length) = near.try_write(&piece) {
            sent += length;
        }
        let taking = async {
            let mut taken = vec![0; sent];
            far.read_exact(&mut taken).await.expect("read");
        };
        let (room, ()) = tokio::join!(near.writable(), taking);
        room.expect("room");
        assert!(near.try_write(&piece).is_ok());
        far.write_all(b"x").await.expect("written");
        reader.readable().await.expect("something");
        assert_eq!(reader.try_read(&mut [0; 4]).expect("read"), 1);
        assert_eq!(reader.try_read(&mut [0; 4]).expect_err("nothing").kind(), io::ErrorKind::WouldBlock);
    }
}
