//! The proxies whose forwarding headers are believed.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// The proxies in front.
#[derive(Clone, Debug, Default)]
pub struct Trusted(pub Vec<IpNet>);

impl Trusted {
    /// Whether an address is that of a proxy of ours.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Where a request comes from: the peer (`None` for a Unix socket, which is a proxy's), or what proxies of ours say
    /// of it. The addresses in `X-Forwarded-For` are read from the right, up to the first that is no proxy of ours: any
    /// client could have written those before it.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let mut client = peer.map(|address| address.to_canonical());
        if peer.is_some_and(|address| !self.has(address)) {
            return client;
        }
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let all = lines
            .iter()
            .rev()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.rsplit(','));
        for text in all {
            let Ok(address) = text.trim().parse::<IpAddr>() else {
                return client;
            };
            client = Some(address.to_canonical());
            if !self.has(address) {
                return client;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    // S-11
    #[test]
    fn a_client_is_the_last_address_that_is_no_proxy_of_ours() {
        let trusted = Trusted(vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()]);
        for (from, lines, client) in [
            (Some("192.0.2.7"), &["1.1.1.1"][..], "192.0.2.7"),
            (Some("127.0.0.1"), &[], "127.0.0.1"),
            (Some("127.0.0.1"), &["192.0.2.9"], "192.0.2.9"),
            (Some("127.0.0.1"), &["1.1.1.1, 192.0.2.9"], "192.0.2.9"),
            (Some("127.0.0.1"), &["1.1.1.1, 192.0.2.9, 10.1.1.1"], "192.0.2.9"),
            (Some("127.0.0.1"), &["1.1.1.1", "192.0.2.9"], "192.0.2.9"),
            (Some("127.0.0.1"), &["1.1.1.1, made up, 10.1.1.1"], "10.1.1.1"),
            (Some("::ffff:127.0.0.1"), &["192.0.2.9"], "192.0.2.9"),
            (None, &["1.1.1.1, 192.0.2.9"], "192.0.2.9"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            }
            let peer = from.map(|from| from.parse().unwrap());
            let found = trusted.client(&headers, peer);
            assert_eq!(found, Some(client.parse().unwrap()), "{from:?} {lines:?}");
        }
    }
}
