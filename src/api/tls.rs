//! TLS, where the settings ask for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::model::config::TlsConfig;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is none.
    #[error("config.json: tls.{key}: {} cannot be used; it must hold {wanted} in PEM", path.display())]
    File {
        /// Which key of `tls`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it must hold.
        wanted: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The certificate file holds none.
    #[error("config.json: tls.cert: {} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// Certificate and key do not belong together, or are of a kind that nobody speaks any more.
    #[error("config.json: tls: certificate and key cannot be used together")]
    Unfit(#[source] rustls::Error),
}

/// Reads certificate and key.
///
/// # Errors
/// See [`TlsError`].
pub(super) fn acceptor(config: &TlsConfig) -> Result<TlsAcceptor, TlsError> {
    let failed = |key, path: &str, wanted| {
        let path = PathBuf::from(path);
        move |source| TlsError::File { key, path, wanted, source }
    };
    let certificates =
        CertificateDer::pem_file_iter(Path::new(&config.cert)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(failed("cert", &config.cert, "certificates"))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(PathBuf::from(&config.cert)));
    }
    let key = PrivateKeyDer::from_pem_file(Path::new(&config.key));
    let key = key.map_err(failed("key", &config.key, "a private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(TlsError::Unfit)?.with_no_client_auth();
    let mut config = builder.with_single_cert(certificates, key).map_err(TlsError::Unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Waits for the handshake of a connection, not for ever.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: &TlsAcceptor,
    tcp: S,
) -> io::Result<TlsStream<S>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
    tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await.map_err(late)?
}
