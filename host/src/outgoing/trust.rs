//! Which certificates of other servers are believed: those of the authorities of the system, or of Mozilla's list in this
//! program, and of the files that the operator names. All is read before the process restricts itself.

use crate::config::Roots;
use anyhow::{Context as _, Result, bail};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The protocols that are offered to a server, the best one first (RFC 7301).
const ALPN: [&[u8]; 2] = [super::connect::HTTP2, b"http/1.1"];

/// The authorities of the system, read once: a reload cannot read them behind the lockdown.
static SYSTEM: LazyLock<Vec<CertificateDer<'static>>> = LazyLock::new(|| {
    // Files that cannot be read are left out. Where none can, the operator is told that there are none.
    rustls_native_certs::load_native_certs().certs
});

/// A configuration that trusts these authorities, and those of the files.
pub fn client_config(roots: Option<Roots>, files: &[PathBuf]) -> Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    if roots != Some(Roots::Webpki) {
        store.add_parsable_certificates(SYSTEM.iter().cloned());
    }
    if store.is_empty() {
        if roots == Some(Roots::System) {
            bail!(
                "the system has no certificates of authorities, which --outgoing-roots system asks for; install its package \
                 `ca-certificates`, or use --outgoing-roots webpki"
            );
        }
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for file in files {
        add(&mut store, file).with_context(|| format!("--outgoing-ca {}", file.display()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().context("cannot set TLS up")?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// Adds the certificates of a PEM file.
fn add(store: &mut RootCertStore, file: &Path) -> Result<()> {
    let text = std::fs::read(file).context("cannot be read")?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.context("is no PEM file")?;
        store.add(certificate).context("has a certificate that is none of an authority")?;
        count += 1;
    }
    if count == 0 {
        bail!("has no certificate; a PEM file with `BEGIN CERTIFICATE` is needed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Roots, client_config};
    use std::path::PathBuf;

    #[test]
    fn a_file_without_a_certificate_is_named_with_its_flag() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| -> PathBuf {
            let path = place.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let missing = place.path().join("missing");
        for (file, why) in [
            (missing, "cannot be read"),
            (path("empty", ""), "has no certificate"),
            (path("broken", "-----BEGIN CERTIFICATE-----\n?"), "is no PEM file"),
            (
                path("wrong", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "none of an authority",
            ),
        ] {
            let error =
                format!("{:#}", client_config(Some(Roots::Webpki), std::slice::from_ref(&file)).unwrap_err());
            assert!(error.starts_with(&format!("--outgoing-ca {}: ", file.display())), "{error}");
            assert!(error.contains(why), "{error}");
        }
        assert!(client_config(Some(Roots::Webpki), &[]).is_ok());
    }
}
