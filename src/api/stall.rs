//! A connection that ends once its reader has stopped reading: hyper bounds how long a request may take to come, and not
//! how long an answer may take to go. Without this, one who opens a stream and never reads keeps it for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection on which a write fails when it has got rid of nothing for a while. Any byte that goes begins the time
/// anew, so a slow reader is not cut off; nor is one to whom nothing is sent.
#[derive(Debug)]
pub(super) struct Impatient<T> {
    inner: T,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Impatient<T> {
    pub(super) fn new(inner: T, patience: Duration) -> Self {
        Self { inner, patience, waiting: None }
    }

    /// What came of a write, or the end of the patience.
    fn judge(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        waiting.as_mut().poll(context).map(|()| {
            let what = format!("the reader took nothing for {} s", patience.as_secs_f64());
            Err(io::Error::new(io::ErrorKind::TimedOut, what))
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Impatient<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Impatient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    // A socket has nothing to flush, and its shutdown does not wait for the reader.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_write_that_gets_rid_of_nothing_fails_when_the_patience_ends() {
        let (near, _far) = tokio::io::duplex(8);
        let mut near = Impatient::new(near, PATIENCE);
        let began = Instant::now();
        near.write_all(b"12345678").await.expect("there is room");
        tokio::time::sleep(10 * PATIENCE).await;
        let sent = Instant::now();
        let failed = tokio::time::timeout(2 * PATIENCE, near.write_all(b"9")).await.expect("it ends");
        let error = failed.expect_err("nobody reads");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::TimedOut, "the reader took nothing for 30 s")
        );
        assert!(began.elapsed() > 10 * PATIENCE, "silence is no stall");
        // Timers go by the millisecond.
        assert!((PATIENCE..PATIENCE + Duration::from_millis(2)).contains(&sent.elapsed()), "{:?}", sent.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_byte_in_time_each_time_gets_everything() {
        let (near, mut far) = tokio::io::duplex(8);
        let mut near = Impatient::new(near, PATIENCE);
        let writing = tokio::spawn(async move { near.write_all(&[7; 100]).await });
        let began = Instant::now();
        for _ in 0..100 {
            tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
            assert_eq!(far.read_u8().await.expect("a byte"), 7);
        }
        writing.await.expect("no panic").expect("all went");
        assert!(began.elapsed() > 90 * PATIENCE);
    }
}
