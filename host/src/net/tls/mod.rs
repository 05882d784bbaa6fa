//! TLS, from the files of certificates to the bytes of a connection.
//!
//! - [`certificate`]: a certificate and its key, read and checked
//! - [`store`]: all certificates, chosen by the name that a client asks for, and replaced while the server runs
//! - [`dev`]: a certificate for this machine
//! - [`handshake`]: from an accepted connection to one that is encrypted
//! - [`stream`]: the bytes of such a connection
//! - this module: what is spoken

pub mod certificate;
pub mod dev;
pub mod handshake;
pub mod store;
pub mod stream;

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::server::ServerSessionMemoryCache;
use std::sync::Arc;
use store::Store;

/// The protocols that may follow the handshake, the best one first (RFC 7301). A client that offers others only gets an
/// alert.
const ALPN: &[&[u8]] = &[HTTP2, b"http/1.1"];

/// The name of HTTP/2 in that (RFC 9113 §3.2).
const HTTP2: &[u8] = b"h2";

/// Sessions that clients of TLS 1.2 without tickets can resume. Each takes some hundred bytes.
const MAX_SESSIONS: usize = 4_096;

/// Makes aws-lc-rs the provider of everything in this process that names none, whatever other features of the library a
/// dependency asks for.
pub fn install_provider() {
    // Fails where the process has a provider already, which then stays.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// The configuration of all TLS listeners: TLS 1.2 with AEAD only, which is all that the library has, and TLS 1.3.
/// Certificates are replaced inside of `store`, so that tickets and sessions outlive that.
pub fn server_config(store: Arc<Store>) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().context("cannot set TLS up")?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(store);
    config.alpn_protocols = ALPN.iter().map(|&protocol| protocol.to_vec()).collect();
    config.session_storage = ServerSessionMemoryCache::new(MAX_SESSIONS);
    config.ticketer = Ticketer::new().context("cannot make a key for the session tickets of TLS")?;
    // What is sent as early data can be replayed by an attacker (RFC 8446 §8). Zero is the default of the library, too.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
