//! Certificates for tests: an authority, what it issues, and clients that trust it.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The variable that has all servers of a suite speak TLS, so that it runs over TLS as well.
const EVERYWHERE: &str = "TESTS_OVER_TLS";

/// The certificate of all servers, and clients that trust it, if all tests are to be over TLS.
pub(crate) fn everywhere() -> Option<&'static (Files, Clients)> {
    static IDENTITY: LazyLock<Option<(Files, Clients)>> = LazyLock::new(|| {
        std::env::var_os(EVERYWHERE)?;
        let authority = Authority::new();
        // Not removed: the tests of a process end in no particular order.
        let directory = tempfile::tempdir().unwrap().keep();
        let files = Files::write(&directory, "localhost", &authority.issue(&["localhost"]));
        Some((files, authority.clients()))
    });
    IDENTITY.as_ref()
}

/// An authority that tests trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new authority, with keys of its own.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these host names or addresses, and its key, in PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_until(names, 2100)
    }

    /// A certificate that is valid until the beginning of this year, and its key, in PEM.
    pub fn issue_until(&self, names: &[&str], year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// What clients do that trust this authority.
    pub fn clients(&self) -> Clients {
        self.clients_of(&[&version::TLS13, &version::TLS12])
    }

    /// Clients that speak these versions of TLS.
    pub fn clients_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Clients {
        let mut roots = RootCertStore::empty();
        roots.add(AsRef::<Certificate>::as_ref(&self.0).der().clone()).unwrap();
        Clients::new(roots, versions)
    }
}

/// Clients that trust an authority. Clones share their sessions.
#[derive(Clone, Debug)]
pub struct Clients {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Clients {
    fn new(roots: RootCertStore, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(16);
        Self { config: Arc::new(config), name: ServerName::try_from("localhost").unwrap() }
    }

    /// Clients that trust the certificate in this PEM file.
    pub fn trusting(file: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
        Self::new(roots, &[&version::TLS13])
    }

    /// Clients that ask for another host name.
    #[must_use]
    pub fn asking_for(&self, name: &str) -> Self {
        Self { name: ServerName::try_from(name.to_owned()).unwrap(), ..self.clone() }
    }

    /// Clients that speak these protocols after the handshake.
    #[must_use]
    pub fn speaking(&self, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// Has the handshake on a connection.
    ///
    /// # Errors
    ///
    /// If it fails, as some tests mean it to.
    pub fn begin(&self, mut stream: TcpStream) -> io::Result<Secured> {
        let mut session = ClientConnection::new(Arc::clone(&self.config), self.name.clone()).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Secured { session, stream })
    }
}

/// A connection over TLS.
#[derive(Debug)]
pub struct Secured {
    session: ClientConnection,
    stream: TcpStream,
}

impl Secured {
    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The session.
    pub fn session(&self) -> &ClientConnection {
        &self.session
    }

    /// The certificate that the server has shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.session.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Says that nothing more comes.
    pub fn finish_sending(&mut self) {
        self.session.send_close_notify();
        self.session.complete_io(&mut self.stream).unwrap();
    }
}

impl Read for Secured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut self.session, &mut self.stream).read(buffer)
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut self.session, &mut self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        rustls::Stream::new(&mut self.session, &mut self.stream).flush()
    }
}

/// The files of a certificate and its key, in a directory.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, which only the owner can read.
    pub key: PathBuf,
}

impl Files {
    /// Writes a certificate and its key to files of this name.
    pub fn write(directory: &Path, name: &str, (certificate, key): &(String, String)) -> Self {
        let files = Self {
            certificate: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, certificate).unwrap();
        write_private(&files.key, key);
        files
    }

    /// The flags that name them.
    pub fn flags(&self) -> [&str; 4] {
        ["--tls-cert", self.certificate.to_str().unwrap(), "--tls-key", self.key.to_str().unwrap()]
    }
}

/// Writes a file that only its owner can read.
pub fn write_private(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
