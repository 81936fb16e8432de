//! Who sent a request: the other end of the connection, or whom the proxies in front name.
//!
//! Invariant: nobody can claim an address. What a proxy adds to `X-Forwarded-For` stands at the end, so it is read
//! from there, and no further than to the first address that is not a trusted proxy's.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{USER_AGENT, X_FORWARDED_FOR};
use actix_web::web::Data;
use ipnet::IpNet;

use crate::domain::access::Origin;
use crate::http::throttle::Throttle;

/// The networks of the proxies whose word is taken.
#[derive(Debug)]
pub(in crate::http) struct TrustedProxies(pub(in crate::http) Vec<IpNet>);

impl TrustedProxies {
    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who is behind `peer`, who says `hops`: values of `X-Forwarded-For` as they came.
    fn sender<'a>(&self, peer: IpAddr, hops: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut sender = peer;
        for hop in hops.rev().flat_map(|value| value.rsplit(',')) {
            if !self.trust(sender) {
                break;
            }
            match address(hop.trim()) {
                Some(named) => sender = named,
                None => break,
            }
        }
        sender
    }
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse();
    let with_port = || text.parse().map(|socket: SocketAddr| socket.ip());
    address
        .or_else(|_| with_port())
        .ok()
        .map(|ip: IpAddr| ip.to_canonical())
}

/// Counts a wrong key against its sender's address; answers whether the sender should stop guessing.
pub(in crate::http) fn guesses(request: &HttpRequest) -> bool {
    let throttle = request.app_data::<Data<Throttle>>();
    throttle.is_some_and(|throttle| throttle.wrong_key(sender(request)))
}

/// Where a request comes from, for the trail.
pub(in crate::http) fn origin(request: &HttpRequest) -> Origin {
    let user_agent = request.headers().get(USER_AGENT);
    Origin {
        address: sender(request),
        user_agent: user_agent.map(|text| String::from_utf8_lossy(text.as_bytes()).into()),
    }
}

fn sender(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let Some(proxies) = request.app_data::<Data<TrustedProxies>>() else {
        return Some(peer);
    };
    // a value that is no text names nobody, and what stands before it is not believed
    let values = request.headers().get_all(X_FORWARDED_FOR);
    let hops: Vec<_> = values.map(|value| value.to_str().unwrap_or("")).collect();
    Some(proxies.sender(peer, hops.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(peer: &str, hops: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
        let peer = address(peer).expect("an address");
        let proxies = TrustedProxies(trusted.into());
        proxies.sender(peer, hops.iter().copied()).to_string()
    }

    #[test]
    fn without_a_trusted_proxy_the_other_end_is_the_sender() {
        assert_eq!(sender("203.0.113.7", &[]), "203.0.113.7");
        assert_eq!(sender("203.0.113.7", &["192.0.2.1"]), "203.0.113.7");
        assert_eq!(sender("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn behind_trusted_proxies_the_last_address_that_is_none_of_them_is_the_sender() {
        assert_eq!(sender("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(sender("::1", &["192.0.2.1, 10.9.9.9"]), "192.0.2.1");
        assert_eq!(
            sender("10.0.0.1", &["192.0.2.1", "10.9.9.9,10.8.8.8"]),
            "192.0.2.1"
        );
        assert_eq!(
            sender("10.0.0.1", &["10.9.9.9"]),
            "10.9.9.9",
            "one of the house"
        );
    }

    #[test]
    fn what_a_sender_claims_before_the_proxies_is_not_believed() {
        assert_eq!(sender("10.0.0.1", &["127.0.0.1, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(sender("10.0.0.1", &["10.5.5.5, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(sender("10.0.0.1", &["192.0.2.9", "192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn what_names_nobody_ends_the_chain() {
        for hop in ["", "unknown", "_hidden", "192.0.2.1;", "[::", "1.2.3"] {
            assert_eq!(sender("10.0.0.1", &["192.0.2.1", hop]), "10.0.0.1", "{hop}");
        }
    }

    #[test]
    fn ports_brackets_and_mapped_addresses_are_read() {
        for (hop, named) in [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(sender("10.0.0.1", &[hop]), named);
        }
    }
}
