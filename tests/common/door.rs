//! A way to the engine that can be closed: the engine itself is everybody's.

use std::path::{Path, PathBuf};

use perry::runtime::docker::Host;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// A socket that leads to the engine until it is dropped, and every connection with it.
pub(crate) struct Door {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Door {
    pub(crate) fn open(path: &Path) -> Self {
        let Host::Unix(engine) = Host::from_environment(None).expect("a host") else { panic!("an engine on a socket") };
        let listener = UnixListener::bind(path).expect("a listener");
        let task = tokio::spawn(async move {
            // Dropped with this task, it aborts all of them.
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let engine = engine.clone();
                connections.spawn(async move {
                    let mut engine = UnixStream::connect(engine).await.expect("the engine");
                    // Either side may end it.
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut engine).await;
                });
            }
        });
        Self { path: path.to_owned(), task }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        std::fs::remove_file(&self.path).expect("removed");
    }
}
