//! The certificates of a server: one for the name that a client asks for, and all replaced at once.

use super::certificate::Certificate;
use crate::config::tls::Pair;
use anyhow::Result;
use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

/// The certificates that new connections are shown.
#[derive(Debug)]
pub struct Store(ArcSwap<Choice>);

/// Certificates, by name.
#[derive(Debug, Default)]
pub struct Choice {
    /// In the order of the command line.
    keys: Vec<Arc<CertifiedKey>>,
    /// For each name, and each name with `*` as its first label, the keys that are for it.
    by_name: HashMap<String, Vec<usize>>,
}

impl Store {
    /// Begins with these certificates.
    pub fn new(choice: Choice) -> Self {
        Self(ArcSwap::from_pointee(choice))
    }

    /// Shows these certificates to connections from now on.
    pub fn replace(&self, choice: Choice) {
        self.0.store(Arc::new(choice));
    }
}

impl Choice {
    /// Reads the files of all pairs, and returns what an operator should know about them.
    pub fn read(pairs: &[Pair]) -> Result<(Self, Vec<String>)> {
        let now = SystemTime::now();
        let (mut certificates, mut warnings) = (Vec::new(), Vec::new());
        for pair in pairs {
            let mut certificate = Certificate::read(pair)?;
            warnings.append(&mut certificate.warnings);
            // A warning only: to be down is worse than a certificate that some clients refuse.
            if let Some(fault) = certificate.fault(now) {
                warnings.push(format!("the certificate {} {fault}", pair.certificate.display()));
            }
            certificates.push(certificate);
        }
        Ok((Self::new(&certificates), warnings))
    }

    /// These certificates.
    pub fn new(certificates: &[Certificate]) -> Self {
        let mut choice = Self::default();
        for (at, Certificate { key, names, .. }) in certificates.iter().enumerate() {
            choice.keys.push(Arc::clone(key));
            for name in names {
                choice.by_name.entry(name.clone()).or_default().push(at);
            }
        }
        choice
    }

    /// The keys for a name, which is in lower case: those that have it, or else those with a wildcard for its first label
    /// (RFC 9525 §6.3); or else all.
    fn named(&self, name: Option<&str>) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let exact = name.and_then(|name| self.by_name.get(name));
        let wildcard = || self.by_name.get(&format!("*.{}", name?.split_once('.')?.1));
        let found = exact.or_else(wildcard);
        let others = found.is_none().then_some(&self.keys);
        found.into_iter().flatten().map(|&at| &self.keys[at]).chain(others.into_iter().flatten())
    }
}

impl ResolvesServerCert for Store {
    /// Of the certificates for the name, the first whose key the client can verify. A client that names no host, or one
    /// that no certificate is for, is shown the first certificate: what is wrong with it then says more to people than an
    /// alert.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let choice = self.0.load();
        let schemes = hello.signature_schemes();
        let mut named = choice.named(name.as_deref());
        let first = named.next()?;
        let can_verify = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let chosen = if can_verify(&first) { first } else { named.find(can_verify).unwrap_or(first) };
        Some(Arc::clone(chosen))
    }
}
