//! TLS towards the webhook.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Why there is no connection.
#[derive(Debug, Error)]
pub(super) enum TlsError {
    #[error(
        "the system trusts no certificate authority{0}: install ca-certificates, or name a file of certificates in SSL_CERT_FILE"
    )]
    NobodyTrusted(String),
    #[error("`{0}` is no name that a certificate could have")]
    Name(String),
    #[error("TLS: {0}")]
    Handshake(io::Error),
    #[error("TLS: {0}")]
    Setup(#[from] tokio_rustls::rustls::Error),
}

/// Whose certificates are believed.
pub(super) type Trust = fn() -> Result<RootCertStore, TlsError>;

/// Those of the system: SSL_CERT_FILE and SSL_CERT_DIR, else where distributions put them.
pub(super) fn system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        true => {
            let why = found.errors.first();
            let why = why.map(|error| format!(" ({error})"));
            Err(TlsError::NobodyTrusted(why.unwrap_or_default()))
        }
        false => Ok(roots),
    }
}

/// Makes connections to one host.
pub(super) struct Tls {
    trust: Trust,
    /// Made with the first connection: until then whose certificates count may be mended.
    connector: Option<TlsConnector>,
}

impl Tls {
    pub(super) fn new(trust: Trust) -> Tls {
        Tls {
            trust,
            connector: None,
        }
    }

    /// `host` is a name or an address: what its certificate is for.
    pub(super) async fn connect(
        &mut self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| TlsError::Name(host.to_owned()))?;
        let connector = match &self.connector {
            Some(connector) => connector,
            None => self.connector.insert(connector(self.trust)?),
        };
        let connected = connector.connect(name, stream).await;
        connected.map_err(TlsError::Handshake)
    }
}

fn connector(trust: Trust) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trust()?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
