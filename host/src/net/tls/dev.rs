//! A certificate for this machine, made at the first start and kept, so that a browser that was told once to trust it goes
//! on doing so.

use super::certificate::{Certificate, Wrong};
use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The file of the certificate and its key.
const FILE: &str = "localhost.pem";

/// The largest content of it, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// How long a certificate is valid: about as long as clients accept one of a public authority.
const VALIDITY: Duration = Duration::from_hours(24 * 365);

/// How many days before its end it is replaced. It must not end while a server runs that was started today.
const RENEWAL_DAYS: u64 = 30;

/// How much earlier than now it is valid from: clocks of containers and virtual machines may be behind.
const BACKDATED: Duration = Duration::from_hours(24);

/// The permissions of others than the owner.
const OTHERS: u32 = 0o077;

/// A certificate for this machine, and what to print about it.
pub struct Dev {
    /// The certificate.
    pub certificate: Certificate,
    /// Its SHA-256 fingerprint, as browsers show it.
    pub fingerprint: String,
    /// Where it is kept.
    pub path: PathBuf,
}

/// The user's directory for what programs keep (XDG Base Directory Specification).
fn data_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // Relative paths are to be ignored.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("wasi-httpd"))
}

/// Reads the certificate of this user, or makes it.
pub fn open() -> Result<Dev> {
    let directory = data_directory(|name| std::env::var_os(name))
        .context("--tls-dev keeps its certificate in the home directory; set HOME or XDG_DATA_HOME")?;
    open_in(&directory)
}

/// The same in another directory.
pub(super) fn open_in(directory: &Path) -> Result<Dev> {
    let path = directory.join(FILE);
    if let Some(certificate) = read(&path)? {
        return Ok(certificate);
    }
    let pem = make().map_err(|error| anyhow!("cannot make a certificate for localhost: {error}"))?;
    write(directory, &pem).with_context(|| {
        format!(
            "cannot write the certificate for localhost to {}; set XDG_DATA_HOME to another directory",
            path.display()
        )
    })?;
    read(&path)?.with_context(|| format!("{} was replaced at this moment; start again", path.display()))
}

/// The certificate in a file; `None` if there is none, or not for long any more.
fn read(path: &Path) -> Result<Option<Dev>> {
    let shown = path.display();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {shown}")),
    };
    let metadata = file.metadata().with_context(|| format!("cannot read {shown}"))?;
    // The holder of the key can pose as this machine to a browser that trusts the certificate.
    if metadata.mode() & OTHERS != 0 {
        bail!("other users may have read the private key in {shown}; delete it, and a new one is made");
    }
    let mut pem = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut pem).with_context(|| format!("cannot read {shown}"))?;
    let damaged = || anyhow!("{shown} is damaged; delete it, and a new one is made");
    let der = CertificateDer::from_pem_slice(&pem).map_err(|_| damaged())?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| damaged())?;
    let fingerprint = fingerprint(&der);
    let certificate = Certificate::new(vec![der], key).map_err(|_: Wrong| damaged())?;
    if certificate.days_left(SystemTime::now()) < RENEWAL_DAYS {
        return Ok(None);
    }
    Ok(Some(Dev { certificate, fingerprint, path: path.to_owned() }))
}

/// Makes a certificate and its key, in PEM.
fn make() -> Result<String> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    params.subject_alt_names.extend(loopback.map(SanType::IpAddress));
    params.distinguished_name.push(DnType::CommonName, "wasi-httpd on this machine");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = epoch + since.saturating_sub(BACKDATED);
    params.not_after = epoch + since + VALIDITY;
    let key = KeyPair::generate()?;
    Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
}

/// Writes the file as a whole: servers that start at the same time read one certificate or another, and never half of one.
fn write(directory: &Path, pem: &str) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let temporary = directory.join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all())?;
    fs::rename(&temporary, directory.join(FILE))
}

/// The SHA-256 of a certificate, in pairs of digits.
fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(&SHA256, der).as_ref() {
        let separator = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{separator}{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{FILE, data_directory, open_in};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    #[test]
    fn a_certificate_is_made_once_and_is_for_this_machine_only() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("data/wasi-httpd");
        let first = open_in(&directory).unwrap();
        assert_eq!(first.certificate.names, ["localhost"]);
        assert_eq!(first.certificate.addresses.len(), 2);
        assert_eq!(first.certificate.fault(std::time::SystemTime::now()), None);
        assert_eq!(first.fingerprint.len(), 32 * 3 - 1);
        assert_eq!(open_in(&directory).unwrap().fingerprint, first.fingerprint);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_damaged_is_told() {
        let root = tempfile::tempdir().unwrap();
        open_in(root.path()).unwrap();
        let file = root.path().join(FILE);
        fs::write(&file, "nothing").unwrap();
        let message = |root: &Path| open_in(root).err().unwrap().to_string();
        assert!(message(root.path()).contains("is damaged; delete it"), "{}", message(root.path()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(message(root.path()).contains("other users may have read"), "{}", message(root.path()));
    }

    #[test]
    fn the_directory_is_the_users() {
        let directory = |data: &str, home: &str| {
            data_directory(|name| match name {
                "XDG_DATA_HOME" => Some(data.into()),
                _ => Some(home.into()),
            })
        };
        assert_eq!(directory("/data", "/home").unwrap(), Path::new("/data/wasi-httpd"));
        assert_eq!(directory("", "/home").unwrap(), Path::new("/home/.local/share/wasi-httpd"));
        assert_eq!(directory("data", ""), None);
    }
}
