//! TLS 1.3, which every connection has unless told otherwise: the server's key, made at the first start, and the handshake.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_core::fingerprint::Fingerprint;
use ferry_core::login::{Channel, EXPORTER_BYTES, EXPORTER_LABEL};
use ferry_core::wire::ALPN;
use ferry_core::{Error, ErrorKind, Result};
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use serde::{Deserialize, Serialize};

/// The key's name in the data folder.
const KEY: &str = "key.pem";
/// The certificate's name there.
const CERTIFICATE: &str = "certificate.pem";
/// The name in the certificate that we make. Nobody checks it: clients know the key.
const NAME: &str = "ferryd";

/// Where key and certificates are, when the admin has some of his own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// The certificate, followed by those between it and the root; PEM.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key; PEM.
    pub(crate) key: Option<PathBuf>,
}

/// What is needed to greet a client.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    /// The fingerprint of the server's public key.
    pub(crate) fingerprint: Fingerprint,
}

/// Certificate and key, read and not yet looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pem {
    /// Where the certificate was, for messages, and what is in it.
    certificate: (PathBuf, String),
    /// The same of the key.
    key: (PathBuf, String),
}

impl Pem {
    /// The admin's own, if he has some.
    ///
    /// # Errors
    /// `bad_request` for files that cannot be read, a key that others may read, and one without the other.
    pub(crate) fn of(files: &Files) -> Result<Option<Self>> {
        match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => Self::read(certificate, key).map(Some),
            (None, None) => Ok(None),
            _ => Err(Error::bad_request("a certificate needs its key, and a key its certificate")),
        }
    }

    /// Those of the data folder, made when there are none.
    ///
    /// # Errors
    /// `bad_request` as [`Pem::of`]; `internal` when none can be made.
    pub(crate) fn made(data: &Path) -> Result<Self> {
        let (certificate, key) = (data.join(CERTIFICATE), data.join(KEY));
        make(&certificate, &key)?;
        Self::read(&certificate, &key)
    }

    fn read(certificate: &Path, key: &Path) -> Result<Self> {
        check_private(key)?;
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Ok(text) => Ok((path.to_owned(), text)),
            Err(error) => Err(unusable(path, &error)),
        };
        Ok(Self {
            certificate: read(certificate)?,
            key: read(key)?,
        })
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::bad_request(format!("{}: {why}", path.display()))
}

impl Tls {
    /// Reads key and certificate, and makes those in the data folder when there are none.
    ///
    /// # Errors
    /// `bad_request` for files that cannot be used, naming them; `internal` when none can be made.
    pub(crate) fn open(data: &Path, files: &Files) -> Result<Self> {
        let pem = Pem::of(files)?.map_or_else(|| Pem::made(data), Ok)?;
        Self::new(&pem)
    }

    /// Greets with this key and certificate.
    ///
    /// # Errors
    /// `bad_request` when they cannot be used, or do not fit each other.
    pub(crate) fn new(pem: &Pem) -> Result<Self> {
        let ((certificate, chain), (key, secret)) = (&pem.certificate, &pem.key);
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| unusable(certificate, &error))?;
        let secret = PrivateKeyDer::from_pem_slice(secret.as_bytes()).map_err(|error| unusable(key, &error))?;
        let first = chain.first().ok_or_else(|| unusable(certificate, &"no certificate in it"))?;
        let parsed = webpki::EndEntityCert::try_from(first).map_err(|error| unusable(certificate, &error))?;
        let fingerprint = Fingerprint::of(&parsed.subject_public_key_info());
        let mut provider = default_provider();
        // The first is fast wherever there are instructions for it, the second where there are none.
        provider.cipher_suites = vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
        ];
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]);
        let mut config = config
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret))
            .map_err(|error| unusable(certificate, &error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Sessions are not resumed, and a ticket that a client never reads makes the kernel cut off the end of what it sent.
        config.send_tls13_tickets = 0;
        config.send_half_rtt_data = true;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            fingerprint,
        })
    }

    /// Shakes hands; gives the encrypted stream and what a login is bound to. What is to be said first goes out with the server's part of
    /// the handshake, so that a client has it a round trip earlier: nobody but the peer of this handshake can read it, and it must be
    /// nothing that is not for everybody.
    ///
    /// # Errors
    /// `unreachable` when the client leaves, speaks no TLS 1.3 or does not trust us.
    pub(crate) async fn greet<S>(&self, stream: S, first: &[u8]) -> Result<(TlsStream<S>, Channel)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let broke = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Unreachable, format!("TLS handshake: {error}"));
        let mut said = Ok(());
        let accepting = self
            .acceptor
            .accept_with(stream, |session| said = session.writer().write_all(first));
        said.map_err(|error| broke(&error))?;
        let stream = accepting.await.map_err(|error| broke(&error))?;
        let exported = stream
            .get_ref()
            .1
            .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, Some(&[]));
        let exported = exported.map_err(|error| broke(&error))?;
        Ok((stream, Channel::TlsExporter(exported)))
    }
}

/// A private key is for its owner alone.
fn check_private(key: &Path) -> Result<()> {
    let meta = std::fs::metadata(key).map_err(|error| Error::bad_request(format!("{}: {error}", key.display())))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("{}: others may read this private key (mode {mode:o})", key.display());
        return Err(Error::bad_request(text).hint("chmod 600 makes it private"));
    }
    Ok(())
}

/// Makes a key, and a certificate that it signs itself, where there is none. The certificate comes first: the key beside it says
/// that both are whole.
fn make(certificate: &Path, key: &Path) -> Result<()> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| Error::internal(format!("cannot make {}: {why}", path.display()));
    match std::fs::symlink_metadata(key) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // Another key in place of one that cannot be read would look to every client like somebody in between.
        Err(error) => return Err(failed(key, &error)),
    }
    let pair = rcgen::KeyPair::generate().map_err(|error| failed(key, &error))?;
    let params = rcgen::CertificateParams::new([NAME.to_owned()]).map_err(|error| failed(certificate, &error))?;
    let signed = params.self_signed(&pair).map_err(|error| failed(certificate, &error))?;
    for (path, text) in [(certificate, signed.pem()), (key, pair.serialize_pem())] {
        write_private(path, &text).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

/// Writes a file for its owner alone, whole or not at all.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let _ = std::fs::remove_file(&draft);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    fn open(data: &Path) -> Result<Tls> {
        Tls::open(data, &Files::default())
    }

    /// A client's first flight, and what the server says to it. Nothing more ever comes.
    struct Half(std::io::Cursor<Vec<u8>>, Vec<u8>);

    impl AsyncRead for Half {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<std::io::Result<usize>> {
            match std::io::Read::read(&mut self.0, buffer)? {
                0 => Poll::Pending,
                len => Poll::Ready(Ok(len)),
            }
        }
    }

    impl AsyncWrite for Half {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
            self.1.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn what_is_said_first_comes_with_the_first_flight() {
        let folder = tempfile::tempdir().unwrap();
        let tls = open(folder.path()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(folder.path().join(CERTIFICATE)).unwrap();
        roots.add(certificate).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(&[&TLS13]).unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let mut client = rustls::ClientConnection::new(Arc::new(config), NAME.try_into().unwrap()).unwrap();
        let mut half = Half(std::io::Cursor::default(), Vec::new());
        client.write_tls(half.0.get_mut()).unwrap();
        let greeted = ferry_core::rt::block_on(futures_lite::future::poll_once(tls.greet(&mut half, b"hello")));
        assert!(greeted.is_none(), "the client has not finished yet");
        let mut said = half.1.as_slice();
        while client.read_tls(&mut said).unwrap() > 0 {
            client.process_new_packets().unwrap();
        }
        let mut first = [0; 5];
        std::io::Read::read_exact(&mut client.reader(), &mut first).unwrap();
        assert_eq!(&first, b"hello");
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap().fingerprint;
        assert_eq!(open(folder.path()).unwrap().fingerprint, first);
        let mode = std::fs::metadata(folder.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(open(other.path()).unwrap().fingerprint, first);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        let key = folder.path().join(KEY);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = open(folder.path()).err().unwrap();
        assert!(
            error.kind == ErrorKind::BadRequest && error.message.contains("key.pem"),
            "{error}"
        );
    }

    #[test]
    fn a_start_that_was_killed_between_certificate_and_key_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join(KEY)).unwrap();
        open(folder.path()).unwrap();
    }

    #[test]
    fn own_files_come_in_pairs_that_fit() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        open(folder.path()).unwrap();
        let fingerprint = open(other.path()).unwrap().fingerprint;
        let files = |certificate: &tempfile::TempDir, key: &tempfile::TempDir| Files {
            certificate: Some(certificate.path().join(CERTIFICATE)),
            key: Some(key.path().join(KEY)),
        };
        assert_eq!(
            Tls::open(folder.path(), &files(&other, &other)).unwrap().fingerprint,
            fingerprint
        );
        assert!(Tls::open(folder.path(), &files(&folder, &other)).is_err());
        let half = Files {
            key: None,
            ..files(&other, &other)
        };
        assert!(Tls::open(folder.path(), &half).is_err());
    }
}
