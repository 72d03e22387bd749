//! Which addresses a webhook may be sent to. A receiver's URL comes from outside, and what answers behind a
//! harmless name is decided when the name is resolved: so the guard sits in the resolver, and literal addresses,
//! which no resolver sees, are checked by the client.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Special-purpose blocks inside IPv4 and inside the global unicast block of IPv6, 2000::/3. Sources: the IANA
/// special-purpose address registries, RFC 6890 and its updates. 6to4 is refused as it wraps an IPv4 address.
const SPECIAL: [&str; 19] = [
    "0.0.0.0/8",       // this network
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // carrier-grade NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local: cloud metadata services
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocol assignments
    "192.0.2.0/24",    // documentation
    "192.88.99.0/24",  // 6to4 relays
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarking
    "198.51.100.0/24", // documentation
    "203.0.113.0/24",  // documentation
    "224.0.0.0/4",     // multicast
    "240.0.0.0/4",     // reserved, broadcast
    "2001::/23",       // protocol assignments: Teredo, ORCHID, benchmarking
    "2001:db8::/32",   // documentation
    "2002::/16",       // 6to4
    "3fff::/20",       // documentation
];

/// What is routed publicly. Everything else of IPv6 (loopback, unique local, link-local, multicast, NAT64) is not.
const GLOBAL_V6: &str = "2000::/3";

static BLOCKS: LazyLock<(Vec<IpNet>, Option<IpNet>)> =
    LazyLock::new(|| (SPECIAL.iter().filter_map(|net| net.parse().ok()).collect(), GLOBAL_V6.parse().ok()));

/// The rule for addresses: public ones, and the networks an operator has listed.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    allowed: Arc<[IpNet]>,
    /// Whether public addresses will do; plain http is for listed networks only.
    public: bool,
}

/// A name that resolves to nothing we may call.
#[derive(Debug, thiserror::Error)]
#[error("no permitted address behind this name")]
pub(super) struct Refused;

impl Guard {
    /// Public addresses and listed networks.
    pub fn new(allowed: Arc<[IpNet]>) -> Self {
        Self { allowed, public: true }
    }

    /// The same networks and no public address.
    pub fn listed_only(&self) -> Self {
        Self { public: false, ..self.clone() }
    }

    /// Whether any network is listed at all.
    pub fn lists_any(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether an address may be called.
    pub fn permits(&self, address: IpAddr) -> bool {
        // An IPv4 address in IPv6's clothes is judged as what it is.
        let address = address.to_canonical();
        self.allowed.iter().any(|net| net.contains(&address)) || (self.public && is_public(address))
    }
}

fn is_public(address: IpAddr) -> bool {
    let (special, global_v6) = &*BLOCKS;
    let global = address.is_ipv4() || global_v6.is_some_and(|net| net.contains(&address));
    global && !special.iter().any(|net| net.contains(&address))
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<SocketAddr> = found.filter(|found| guard.permits(found.ip())).collect();
            if permitted.is_empty() {
                return Err(Refused.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str]) -> Guard {
        Guard::new(allowed.iter().map(|net| net.parse().unwrap()).collect())
    }

    #[test]
    fn every_block_is_understood() {
        assert_eq!((BLOCKS.0.len(), BLOCKS.1.is_some()), (SPECIAL.len(), true));
    }

    #[test]
    fn only_public_addresses_are_called() {
        for refused in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!guard(&[]).permits(refused.parse().unwrap()), "{refused}");
        }
        for permitted in
            ["1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8", "2606:4700::1"]
        {
            assert!(guard(&[]).permits(permitted.parse().unwrap()), "{permitted}");
            assert!(!guard(&[]).listed_only().permits(permitted.parse().unwrap()), "{permitted}");
        }
    }

    #[test]
    fn a_listed_network_is_permitted_and_nothing_beside_it() {
        let guard = guard(&["10.1.0.0/16", "fd00::/8"]);
        for (address, permitted) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd12::1", true),
            ("10.2.0.1", false),
            ("fc00::1", false),
        ] {
            assert_eq!(guard.permits(address.parse().unwrap()), permitted, "{address}");
            assert_eq!(guard.listed_only().permits(address.parse().unwrap()), permitted, "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to() {
        assert!(guard(&[]).resolve("localhost".parse().unwrap()).await.is_err());
        let found = guard(&["127.0.0.0/8"]).resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.into_iter().all(|address| address.ip().to_string() == "127.0.0.1"));
    }
}
