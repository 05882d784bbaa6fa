//! A certificate chain and its private key, read from PEM files and checked.

use crate::config::tls::Pair;
use anyhow::{Context as _, Result, anyhow, bail};
use httpdate::fmt_http_date;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The largest file that is read, in bytes: hundreds of certificates. A wrong path, such as a device, must not fill the
/// memory.
const MAX_FILE: u64 = 1024 * 1024;

/// The permission of others to read a file.
const READABLE_BY_OTHERS: u32 = 0o004;

const DAY: Duration = Duration::from_hours(24);

/// A certificate that clients are shown.
#[derive(Debug)]
pub struct Certificate {
    /// The chain, with its key.
    pub key: Arc<CertifiedKey>,
    /// Host names that it is for, in lower case. `*` may stand for the first label.
    pub names: Vec<String>,
    /// Addresses that it is for.
    pub addresses: Vec<IpAddr>,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// What an operator should know about the files.
    pub warnings: Vec<String>,
}

impl Certificate {
    /// Reads the files of a pair. Each error says which file is wrong, and what to do.
    pub fn read(pair: &Pair) -> Result<Self> {
        let Pair { certificate: path, key: key_path } = pair;
        let (pem, _) = read(path).with_context(|| {
            format!("cannot read the certificate {}; --tls-cert takes a PEM file", path.display())
        })?;
        let (key_pem, mode) = read(key_path).with_context(|| {
            format!("cannot read the key {}; --tls-key takes a PEM file", key_path.display())
        })?;
        let chain = chain(&pem, path)?;
        let key = private_key(&key_pem, key_path)?;
        let mut certificate = Self::new(chain, key).map_err(|wrong| wrong.explain(pair))?;
        if mode & READABLE_BY_OTHERS != 0 {
            certificate.warnings.push(format!(
                "every user of this machine can read the private key {0}; `chmod o= {0}` keeps it private",
                key_path.display()
            ));
        }
        Ok(certificate)
    }

    /// Checks that a chain, which is not empty, and a key belong together.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, Wrong> {
        let first = chain.first().ok_or(Wrong::Unreadable)?;
        let parsed = x509_cert::Certificate::from_der(first).map_err(|_| Wrong::Unreadable)?;
        let parsed = parsed.tbs_certificate();
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        // A certificate with a common name alone is for no host: clients have ignored that name for years (RFC 9525 §2).
        let alternatives = parsed.get_extension::<SubjectAltName>().map_err(|_| Wrong::Unreadable)?;
        for name in alternatives.map(|(_, SubjectAltName(names))| names).unwrap_or_default() {
            match name {
                GeneralName::DnsName(name) => names.push(name.as_str().to_ascii_lowercase()),
                GeneralName::IpAddress(bytes) => addresses.extend(address(bytes.as_bytes())),
                _ => {}
            }
        }
        let validity = parsed.validity();
        let (not_before, not_after) =
            (validity.not_before.to_system_time(), validity.not_after.to_system_time());
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
        let key = Arc::new(key.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Wrong::OtherKey,
            Error::InvalidCertificate(_) => Wrong::Unreadable,
            _ => Wrong::Key,
        })?);
        Ok(Self { key, names, addresses, not_before, not_after, warnings: Vec::new() })
    }

    /// What is wrong with the time of a certificate, if it is `now`.
    pub fn fault(&self, now: SystemTime) -> Option<String> {
        if now > self.not_after {
            Some(format!("has expired on {}; clients refuse it", fmt_http_date(self.not_after)))
        } else if now < self.not_before {
            Some(format!("is valid from {} on only; clients refuse it", fmt_http_date(self.not_before)))
        } else {
            None
        }
    }

    /// Whole days that are left of its time.
    pub fn days_left(&self, now: SystemTime) -> u64 {
        self.not_after.duration_since(now).unwrap_or_default().as_secs() / DAY.as_secs()
    }
}

/// For whom a certificate is, and how long.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subjects = self.names.iter().map(ToString::to_string);
        let mut addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<_> = subjects.by_ref().chain(addresses.by_ref()).collect();
        let all = if all.is_empty() { "no host".to_owned() } else { all.join(", ") };
        let (until, days) = (fmt_http_date(self.not_after), self.days_left(SystemTime::now()));
        write!(f, "for {all}; valid until {until} ({days} days)")
    }
}

/// Why a chain and a key cannot be used.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The first certificate cannot be read.
    Unreadable,
    /// The key belongs to another certificate.
    OtherKey,
    /// The key cannot be used.
    Key,
}

impl Wrong {
    fn explain(self, pair: &Pair) -> anyhow::Error {
        let (certificate, key) = (pair.certificate.display(), pair.key.display());
        match self {
            Self::Unreadable => anyhow!("the first certificate in {certificate} is damaged"),
            Self::OtherKey => anyhow!(
                "the key {key} does not belong to the first certificate in {certificate}; give each --tls-cert its \
                 --tls-key in the same order, and let the chain begin with the server's own certificate"
            ),
            Self::Key => anyhow!(
                "the key {key} is of a kind that is not supported; take ECDSA (P-256, P-384, P-521), Ed25519, or RSA from 2048 bits on"
            ),
        }
    }
}

fn read(path: &Path) -> Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        bail!("it is larger than {MAX_FILE} bytes");
    }
    Ok((content, mode))
}

fn chain(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| anyhow!("{} is damaged: {error}", path.display()))?;
    if !chain.is_empty() {
        return Ok(chain);
    }
    let path = path.display();
    if contains(pem, "PRIVATE KEY-----") {
        bail!("{path} has a private key and no certificate; were --tls-cert and --tls-key mixed up?");
    }
    if pem.first() == Some(&DER_SEQUENCE) {
        bail!(
            "{path} is no PEM file; `openssl x509 -inform der -in {path} -out NEW.pem` makes one of a certificate"
        );
    }
    bail!("there is no certificate in {path}; it should have a line `-----BEGIN CERTIFICATE-----`");
}

fn private_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>> {
    if contains(pem, "BEGIN ENCRYPTED PRIVATE KEY-----") || contains(pem, "Proc-Type: 4,ENCRYPTED") {
        bail!(
            "the key {0} is encrypted, and a server cannot ask for its passphrase; `openssl pkey -in {0} -out NEW.pem` \
             decrypts it",
            path.display()
        );
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(pem);
    match keys.next() {
        Some(Ok(key)) => return Ok(key),
        Some(Err(error)) => bail!("{} is damaged: {error}", path.display()),
        None => {}
    }
    let path = path.display();
    if contains(pem, "BEGIN CERTIFICATE-----") {
        bail!("{path} has a certificate and no private key; were --tls-cert and --tls-key mixed up?");
    }
    if pem.first() == Some(&DER_SEQUENCE) {
        bail!("{path} is no PEM file; `openssl pkey -inform der -in {path} -out NEW.pem` makes one of a key");
    }
    bail!("there is no private key in {path}; it should have a line `-----BEGIN PRIVATE KEY-----`");
}

/// How certificates and keys in DER begin.
const DER_SEQUENCE: u8 = 0x30;

fn contains(pem: &[u8], text: &str) -> bool {
    memchr::memmem::find(pem, text.as_bytes()).is_some()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
