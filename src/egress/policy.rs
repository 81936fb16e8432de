//! Policy: may this URL, may this address be called, and if not, why.
//!
//! Invariant: pure, and strict by default: an address is refused unless it is globally reachable or inside a range
//! that the operator allowed. A URL is judged as it was *parsed*, the form that is connected to, so `0x7f.1` and
//! `127.0.0.1` are one address. Does not resolve names: a good name is only a promise, kept by `resolver`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use url::{Host, Url};

use super::ranges;

/// Longest URL that may be called, as given and as parsed.
pub const URL_BYTES_MAX: usize = 2048;

const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What the operator lets customers reach.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Vec<IpNet>,
    https_only: bool,
}

/// A URL that was parsed and found callable; keep it to save parsing again.
///
/// It may name a host that resolves to a forbidden address; that is judged when the name is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
}

/// Why a URL or an address may not be called; its text may be shown to whoever chose it.
///
/// The text names the kind of an address, never the address: what an internal name resolves to is not for customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("this is not a URL that can be called")]
    Malformed,
    #[error("the scheme must be http or https")]
    Scheme,
    #[error("the scheme must be https")]
    NotHttps,
    #[error("the URL must not hold a user name or password")]
    UserInfo,
    #[error("the URL must not have a fragment: it would never be sent")]
    Fragment,
    #[error("the host is not a valid name or address")]
    Host,
    #[error("the port belongs to another protocol")]
    Port,
    #[error("the address is not allowed: {0}")]
    Address(&'static str),
}

impl Policy {
    /// A policy that opens `allow` besides what everyone may reach.
    pub fn new(allow: Vec<IpNet>, https_only: bool) -> Self {
        Self {
            allow: allow.into_iter().map(unmapped).collect(),
            https_only,
        }
    }

    pub(super) fn https_only(&self) -> bool {
        self.https_only
    }

    /// Parses `url` and judges everything about it that can be judged without asking DNS.
    ///
    /// Shape: whatever the parser would quietly repair (white space, control characters, backslashes) is refused
    /// instead, so that what is accepted reads back as it was given.
    pub fn check_url(&self, url: &str) -> Result<Target, Refusal> {
        if url.len() > URL_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        if url
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err(Refusal::Malformed);
        }
        let url = Url::parse(url).map_err(refusal_of_parse)?;
        // percent-encoding and punycode can make it longer than it was
        if url.as_str().len() > URL_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        let target = Target { url };
        self.check_target(&target)?;
        Ok(target)
    }

    /// Judges a parsed URL again; for one that may have been checked under another policy.
    pub fn check_target(&self, target: &Target) -> Result<(), Refusal> {
        let url = &target.url;
        match url.scheme() {
            "https" => {}
            "http" if self.https_only => return Err(Refusal::NotHttps),
            "http" => {}
            _ => return Err(Refusal::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(Refusal::Fragment);
        }
        check_port(url.port())?;
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_address(address.into()),
            Some(Host::Ipv6(address)) => self.check_address(address.into()),
            Some(Host::Domain(name)) => self.check_name(name),
            None => Err(Refusal::Host),
        }
    }

    /// Judges one address, by what it embeds where it embeds an IPv4 address that the kernel would connect to.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        if self.allow.iter().any(|range| range.contains(&address)) {
            return Ok(());
        }
        match ranges::special_use(address) {
            Some(label) => Err(Refusal::Address(label)),
            None => Ok(()),
        }
    }

    /// `localhost` is loopback by definition (RFC 6761), so it need not wait for DNS to be refused.
    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
            return Err(Refusal::Host);
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.eq_ignore_ascii_case("localhost") {
            return self
                .check_address(Ipv4Addr::LOCALHOST.into())
                .or_else(|refusal| {
                    self.check_address(Ipv6Addr::LOCALHOST.into())
                        .or(Err(refusal))
                });
        }
        Ok(())
    }
}

impl Target {
    /// The URL in its parsed form.
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn into_url(self) -> Url {
        self.url
    }
}

impl Refusal {
    /// The word for this refusal; stable, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "url_too_long",
            Self::Malformed => "url_malformed",
            Self::Scheme => "url_scheme",
            Self::NotHttps => "url_not_https",
            Self::UserInfo => "url_user_info",
            Self::Fragment => "url_fragment",
            Self::Host => "url_host",
            Self::Port => "url_port",
            Self::Address(_) => "address_forbidden",
        }
    }
}

fn refusal_of_parse(error: url::ParseError) -> Refusal {
    use url::ParseError::{
        EmptyHost, IdnaError, InvalidDomainCharacter, InvalidIpv4Address, InvalidIpv6Address,
        InvalidPort, Overflow, RelativeUrlWithCannotBeABaseBase, RelativeUrlWithoutBase,
        SetHostOnCannotBeABaseUrl,
    };
    match error {
        EmptyHost
        | IdnaError
        | InvalidDomainCharacter
        | InvalidIpv4Address
        | InvalidIpv6Address => Refusal::Host,
        InvalidPort => Refusal::Port,
        RelativeUrlWithoutBase => Refusal::Scheme,
        // `ParseError` is open: what it may learn to say later is malformed too
        Overflow | RelativeUrlWithCannotBeABaseBase | SetHostOnCannotBeABaseUrl | _ => {
            Refusal::Malformed
        }
    }
}

fn check_port(port: Option<u16>) -> Result<(), Refusal> {
    match port {
        Some(0) => Err(Refusal::Port),
        Some(port) if ranges::OTHER_PROTOCOL_PORTS.binary_search(&port).is_ok() => {
            Err(Refusal::Port)
        }
        Some(_) | None => Ok(()),
    }
}

/// Letters, digits, hyphens, and the underscore that names inside a cluster use.
///
/// The parser lets more through (`"`, `{`, `;`), which no resolver should be asked for.
fn is_label(label: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.bytes().all(inside)
}

/// Addresses are judged in their canonical form, so ranges are kept in it too.
fn unmapped(range: IpNet) -> IpNet {
    let IpNet::V6(v6) = range else { return range };
    let v4_prefix = v6.prefix_len().checked_sub(96);
    match (v6.network().to_ipv4_mapped(), v4_prefix) {
        (Some(network), Some(prefix)) => Ipv4Net::new(network, prefix).map_or(range, IpNet::V4),
        (None, _) | (_, None) => range,
    }
}
