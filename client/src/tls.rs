//! TLS 1.3 to a server: its key is what we know it by, as with ssh. Certificates matter only where an authority is configured.

use std::path::Path;
use std::sync::Arc;

use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::{Channel, EXPORTER_BYTES, EXPORTER_LABEL};
use ferry_core::text::escape;
use ferry_core::wire::ALPN;
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};

use crate::exit::{Failure, Result};

/// What stands for a host that is no name that TLS knows. It is never checked without an authority.
const NO_NAME: &str = "ferry.invalid";

/// An encrypted stream, and who is at its other end.
pub(crate) struct Greeted<S> {
    /// The stream.
    pub(crate) stream: TlsStream<S>,
    /// What the login is bound to.
    pub(crate) channel: Channel,
    /// The key that the server proved to have.
    pub(crate) key: Fingerprint,
    /// Whether a configured authority vouches for the server's name.
    pub(crate) is_vouched_for: bool,
}

/// Shakes hands with `host`. Whether its key is the right one is for the caller to say, before anything is sent.
///
/// # Errors
/// Exit code 3 when the server cannot prove that it has its key or when `authority` is given and does not vouch for it; 8 when it leaves;
/// 12 when it speaks no TLS 1.3.
pub(crate) async fn greet<S>(stream: S, host: &str, authority: Option<&Path>) -> Result<Greeted<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut provider = default_provider();
    // The first is fast wherever there are instructions for it, the second where there are none.
    provider.cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
    ];
    let provider = Arc::new(provider);
    let verifier = Verifier {
        provider: provider.clone(),
        authority: authority.map(|path| roots(path, &provider)).transpose()?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| Failure::login(format!("TLS: {error}")))?;
    let mut config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    let name = match ServerName::try_from(host.to_owned()) {
        Err(_) if authority.is_none() => ServerName::try_from(NO_NAME),
        name => name,
    };
    let name = name.map_err(|error| Failure::login(format!("{}: {error}", escape(host.as_bytes()))))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| refused(host, &error))?;
    let session = stream.get_ref().1;
    let exported = session.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]));
    let exported = exported.map_err(|error| Failure::login(format!("TLS: {error}")))?;
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let key = certificate.and_then(|certificate| key_of(certificate).ok());
    let key = key.ok_or_else(|| Failure::login(format!("{host} showed no certificate")))?;
    Ok(Greeted {
        stream,
        channel: Channel::TlsExporter(exported),
        key,
        is_vouched_for: authority.is_some(),
    })
}

fn key_of(certificate: &CertificateDer<'_>) -> std::result::Result<Fingerprint, webpki::Error> {
    let parsed = webpki::EndEntityCert::try_from(certificate)?;
    Ok(Fingerprint::of(&parsed.subject_public_key_info()))
}

/// What a handshake that failed means.
fn refused(host: &str, error: &std::io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        None => Failure::unreachable(format!("{host}: {}", crate::exit::plain(error))),
        Some(TlsError::InvalidMessage(_) | TlsError::PeerIncompatible(_)) => {
            Failure::unexpected("something that is not TLS 1.3: is this a Ferry server, and one with TLS?")
        }
        Some(TlsError::InvalidCertificate(CertificateError::BadSignature)) => {
            Failure::login(format!("{host} does not have the key that it shows: somebody is in between"))
        }
        Some(other) => Failure::login(format!("{host} is not to be trusted: {other}"))
            .hint("ask the server's admin; --pin trusts the one key that he tells you"),
    }
}

/// The certificates of an authority.
fn roots(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let failed = |why: &dyn std::fmt::Display| Failure::login(format!("{}: {why}", crate::local::shown(path)));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        store.add(certificate).map_err(|error| failed(&error))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
        .build()
        .map_err(|error| failed(&error))
}

/// Takes every certificate, as long as the server proves that it has the key in it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        match &self.authority {
            Some(authority) => authority.verify_server_cert(certificate, between, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
