//! TLS on a blocking socket, for either side of a test that stands in between: keys of its own, and certificates of others.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::{Channel, EXPORTER_BYTES, EXPORTER_LABEL};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{default_provider, sign};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
};

use crate::PATIENCE;
use crate::peer::Peer;

/// The protocol's name in the handshake.
const ALPN: &[u8] = b"ferry/1";

/// The server's end of a TLS connection.
pub type Accepted = Peer<StreamOwned<ServerConnection, TcpStream>>;
/// The client's end of a TLS connection.
pub type Connected = Peer<StreamOwned<ClientConnection, TcpStream>>;

/// What a server shows, and what it signs with. They need not belong together.
#[derive(Debug, Clone)]
pub struct Identity {
    shown: Arc<CertifiedKey>,
    /// The fingerprint of the key that it signs with.
    pub fingerprint: Fingerprint,
}

fn made() -> Result<Identity, Box<dyn std::error::Error>> {
    let pair = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(["ferryd".to_owned()])?.self_signed(&pair)?;
    let key = PrivateKeyDer::from_pem_slice(pair.serialize_pem().as_bytes())?;
    Ok(Identity {
        shown: Arc::new(CertifiedKey::new(
            vec![certificate.der().clone()],
            sign::any_ecdsa_type(&key)?,
        )),
        fingerprint: Fingerprint::of(&rcgen::PublicKeyData::subject_public_key_info(&pair)),
    })
}

impl Identity {
    /// A new key with a certificate of its own.
    pub fn new() -> Self {
        made().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A certificate that was taken from a server, in PEM, and a key that is another one.
    pub fn stolen(certificate: &Path) -> Self {
        let own = Self::new();
        let theirs = CertificateDer::from_pem_file(certificate).unwrap_or_else(|error| panic!("{error}"));
        Self {
            // Built by hand: the usual way refuses a key that does not fit.
            shown: Arc::new(CertifiedKey::new(vec![theirs], own.shown.key.clone())),
            fingerprint: own.fingerprint,
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Shakes hands as a server.
///
/// # Errors
/// The client left, or did not trust us in the handshake.
pub fn accept(mut stream: TcpStream, identity: &Identity) -> io::Result<Accepted> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(io::Error::other)?.with_no_client_auth();
    let mut config = config.with_cert_resolver(Arc::new(Shows(identity.shown.clone())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    let mut session = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(Peer {
        stream: StreamOwned::new(session, stream),
    })
}

/// Shakes hands as a client that trusts everybody; gives what a login on it is bound to.
///
/// # Errors
/// Nobody listens, or it speaks no TLS 1.3.
pub fn connect(address: SocketAddr) -> io::Result<(Connected, Channel)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider())).with_protocol_versions(&[&TLS13]);
    let config = config.map_err(io::Error::other)?.dangerous();
    let mut config = config
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let name = ServerName::try_from("ferryd").map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    let exported = session.export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]));
    let channel = Channel::TlsExporter(exported.map_err(io::Error::other)?);
    let stream = StreamOwned::new(session, stream);
    Ok((Peer { stream }, channel))
}

/// Trusts whoever is there: what a man in between does with the server behind him.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
