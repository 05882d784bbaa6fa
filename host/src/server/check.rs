//! Checking a configuration: everything up to the listeners.

use super::open::{check_directories, give_rules, of_site, refuse_in_clear};
use crate::app::build::{self, Builder, OpenedSite};
use crate::component::load::Loader;
use crate::config::Serve;
use crate::config::grants::HostPort;
use crate::config::listen::ListenAddress;
use crate::config::log::Place;
use crate::config::tls::{Source, Tls};
use crate::engine::Resources;
use crate::net::tls::certificate::Certificate;
use crate::report::log_file::LogFile;
use crate::report::otlp::Collector;
use crate::site::{self, Faults};
use anyhow::Result;
use std::net::SocketAddr;
use std::time::SystemTime;

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong.
    pub faults: Vec<String>,
    /// What is worth to be known.
    pub notes: Vec<String>,
}

/// The address at which passwords from other machines could be read on their way. Names are not looked up.
fn in_clear(config: &Serve) -> Option<String> {
    if config.tls.is_some() || config.proxies.tell_schemes() {
        return None;
    }
    config.addresses.iter().find_map(|address| {
        let ListenAddress::Tcp(HostPort { host, port }) = address else { return None };
        let address = SocketAddr::new(host.parse().ok()?, *port);
        (!address.ip().to_canonical().is_loopback()).then(|| format!("http://{address}/"))
    })
}

/// Does everything up to the listeners, and returns what is wrong with sites and certificates.
pub fn check(config: &Serve) -> Result<Checked> {
    check_directories(config)?;
    let sites = build::open(config, &Loader::new(&config.components)?)?;
    let mut checked =
        Checked { notes: sites.iter().flat_map(OpenedSite::ungranted).collect(), ..Checked::default() };
    Builder::new(config, &sites, &Resources::open(), None, None)?.build(config, sites)?;
    for site in &config.sites {
        let Faults { errors, warnings } = site::check(site);
        let faults = errors.into_iter().chain(warnings);
        checked.faults.extend(faults.map(|fault| of_site(config, site, fault)));
    }
    let mut given = config.clone();
    let logins = give_rules(&mut given).and_then(|_| refuse_in_clear(&given, in_clear(config).as_deref()));
    if let Err(error) = logins
        && checked.faults.is_empty()
    {
        checked.faults.push(format!("{error:#}"));
    }
    if let Some(Place::File(path)) = &config.log.place
        && let Err(error) = LogFile::check(path)
    {
        checked.faults.push(format!("{error:#}"));
    }
    if let Some(Err(error)) = config.otlp.as_ref().map(Collector::find) {
        checked.faults.push(format!("{error:#}"));
    }
    if let Some(Tls { source: Source::Files(pairs), .. }) = &config.tls {
        for pair in pairs {
            let path = pair.certificate.display();
            match Certificate::read(pair) {
                Ok(certificate) => {
                    checked.notes.push(format!("The certificate {path} is {certificate}."));
                    let fault = certificate.fault(SystemTime::now());
                    checked.faults.extend(fault.map(|fault| format!("the certificate {path} {fault}")));
                    checked.faults.extend(certificate.warnings);
                }
                Err(error) => checked.faults.push(format!("{error:#}")),
            }
        }
    }
    Ok(checked)
}
