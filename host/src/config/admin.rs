//! Where a server tells how it is. This is pure parsing: no name is looked up.

use super::ConfigError;
use super::grants::HostPort;
use super::listen::ListenAddress;
use crate::cli;
use std::net::IpAddr;

/// The configuration of `--admin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub address: ListenAddress,
    /// Whether other machines may reach it.
    pub public: bool,
}

impl Admin {
    /// Validates the arguments. A name that leads to other addresses than loopback ones is found when it is looked up.
    pub(super) fn new(typed: cli::Admin) -> Result<Option<Self>, ConfigError> {
        let cli::Admin { admin, admin_public } = typed;
        let Some(text) = admin else {
            return if admin_public { Err(ConfigError::NoAdmin) } else { Ok(None) };
        };
        let address = ListenAddress::parse("--admin", &text)?;
        if !admin_public
            && let ListenAddress::Tcp(HostPort { host, .. }) = &address
            && host.parse::<IpAddr>().is_ok_and(|address| !address.to_canonical().is_loopback())
        {
            return Err(ConfigError::AdminPublic(text));
        }
        Ok(Some(Self { address, public: admin_public }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Admin, ConfigError};
    use crate::cli;

    fn admin(address: Option<&str>, admin_public: bool) -> Result<Option<Admin>, ConfigError> {
        Admin::new(cli::Admin { admin: address.map(str::to_owned), admin_public })
    }

    #[test]
    fn a_public_address_needs_a_flag() {
        for address in
            ["localhost:1", "127.0.0.1:0", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:a"]
        {
            assert!(admin(Some(address), false).is_ok_and(|admin| admin.is_some()), "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1"] {
            assert_eq!(admin(Some(address), false), Err(ConfigError::AdminPublic(address.to_owned())));
            assert!(admin(Some(address), true).is_ok_and(|admin| admin.is_some_and(|admin| admin.public)));
        }
        assert_eq!(admin(None, false), Ok(None));
        assert_eq!(admin(None, true), Err(ConfigError::NoAdmin));
    }

    #[test]
    fn what_is_no_address_is_told_by_its_flag() {
        let error = admin(Some("9090"), false).unwrap_err();
        assert!(error.to_string().starts_with("--admin takes HOST:PORT or unix:PATH"), "{error}");
    }
}
