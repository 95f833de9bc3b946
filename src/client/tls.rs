//! TLS to an agent that speaks it: whom the machine trusts is trusted. `SSL_CERT_FILE` names others.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How an address says that its agent speaks TLS.
pub(super) const HTTPS: &str = "https://";

/// How to speak TLS.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// For an address that says so.
    pub(super) fn of(address: &str) -> Option<Self> {
        address.starts_with(HTTPS).then(|| {
            let mut roots = RootCertStore::empty();
            // What of them cannot be read trusts nobody; the handshake then says that the certificate is unknown.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let builder = builder.expect("ring has the versions that are safe");
            Self(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
        })
    }

    /// Secures a connection to `host:port`.
    pub(super) async fn secure(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.0.clone()).connect(name, tcp).await
    }
}
