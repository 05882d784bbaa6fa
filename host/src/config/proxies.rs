//! Which proxies are believed what they say of a connection or a request, and how they say it.

use super::ConfigError;
use ipnet::IpNet;
use std::net::IpAddr;

/// What the values of these flags are called where one is wrong.
pub(super) const PROXY_PROTOCOL: &str = "--proxy-protocol-from";
const FORWARDED: &str = "--forwarded-from";
const X_FORWARDED: &str = "--x-forwarded-from";

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Those whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Peers,
    /// Those that say by `Forwarded` for whom they send a request.
    pub forwarded: Peers,
    /// Those that say it by `X-Forwarded-For`.
    pub x_forwarded: Peers,
}

/// Peers of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Their addresses.
    networks: Vec<IpNet>,
    /// Whether the programs that connect through unix sockets are among them.
    pub unix: bool,
}

impl Peers {
    /// Whether this address is one of theirs. An IPv4 address has to be given as one.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Reads the values of a flag.
    pub(crate) fn parse(flag: &'static str, texts: &[String]) -> Result<Self, ConfigError> {
        let mut peers = Self::default();
        for text in texts {
            if text == "unix" {
                peers.unix = true;
                continue;
            }
            let network = text.parse().map(|address: IpAddr| address.into()).or_else(|_| text.parse());
            let wrong = |_| ConfigError::Peers { flag, text: text.clone() };
            peers.networks.push(network.map_err(wrong)?);
        }
        Ok(peers)
    }

    /// One that is also among the others.
    fn shared_with(&self, others: &Self) -> Option<String> {
        let overlaps =
            |one: &IpNet, other: &IpNet| one.contains(&other.network()) || other.contains(&one.network());
        if self.unix && others.unix {
            return Some("unix".to_owned());
        }
        let shared =
            self.networks.iter().find(|one| others.networks.iter().any(|other| overlaps(one, other)));
        shared.map(IpNet::to_string)
    }
}

impl Proxies {
    /// Whether one of them says which scheme its clients use.
    pub fn tell_schemes(&self) -> bool {
        !self.forwarded.is_empty() || !self.x_forwarded.is_empty()
    }

    /// Reads the values of the flags, in the order of the fields.
    pub(super) fn parse(
        proxy_protocol: &[String],
        forwarded: &[String],
        x_forwarded: &[String],
    ) -> Result<Self, ConfigError> {
        let proxy_protocol = Peers::parse(PROXY_PROTOCOL, proxy_protocol)?;
        let forwarded = Peers::parse(FORWARDED, forwarded)?;
        let x_forwarded = Peers::parse(X_FORWARDED, x_forwarded)?;
        // Whichever field a proxy does not set is as its client has sent it.
        match forwarded.shared_with(&x_forwarded) {
            Some(shared) => Err(ConfigError::TwoFields(shared)),
            None => Ok(Self { proxy_protocol, forwarded, x_forwarded }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Peers, Proxies};

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn peers_are_addresses_and_networks() {
        let peers =
            Peers::parse("--x", &texts(&["192.0.2.1", "10.0.0.0/8", "2001:db8::/32", "unix"])).unwrap();
        assert!(peers.unix);
        for (address, expected) in [
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(peers.contain(address.parse().unwrap()), expected, "{address}");
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.1:80", "[::1]", "10.0.0", "*", "unix:/run/x"] {
            let wrong = Err(ConfigError::Peers { flag: "--x", text: text.into() });
            assert_eq!(Peers::parse("--x", &texts(&[text])), wrong);
        }
    }

    #[test]
    fn one_proxy_says_it_in_one_way() {
        let parse = |one: &[&str], other: &[&str]| Proxies::parse(&[], &texts(one), &texts(other));
        assert!(parse(&["10.0.0.1", "unix"], &["10.0.0.2"]).is_ok());
        for (one, other, shared) in
            [("10.0.0.1", "10.0.0.0/8", "10.0.0.1/32"), ("::/0", "::1", "::/0"), ("unix", "unix", "unix")]
        {
            assert_eq!(parse(&[one], &[other]), Err(ConfigError::TwoFields(shared.into())));
        }
    }
}
