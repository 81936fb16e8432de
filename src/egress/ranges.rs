//! Ranges: which addresses are not for everyone, and what each range is for.
//!
//! Invariant: an address that is not globally reachable unicast has a label here; in IPv6 only 2000::/3 can be
//! without one. Data and one look-up; does not know what an operator has allowed, that is `policy`.
//!
//! Source: IANA IPv4 Special-Purpose Address Registry, revision of 2020-09-04; IANA IPv6 Special-Purpose Address
//! Registry, revision of 2024-10-22, and the dummy prefix of RFC 9780, which is younger; RFC 4291, section 2.5.
//! Stricter on purpose: the protocol blocks 192.0.0.0/24 and 2001::/23 are refused whole, and so are the anycast
//! services (AS112, AMT, 6to4 relays), which answer from the nearest instance, perhaps in the operator's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

struct V4(Ipv4Net, &'static str);
struct V6(Ipv6Net, &'static str);

const IPV4: [V4; 19] = [
    v4([0, 0, 0, 0], 8, "this network"),
    v4([10, 0, 0, 0], 8, "private use"),
    v4([100, 64, 0, 0], 10, "shared by carriers"),
    v4([127, 0, 0, 0], 8, "loopback"),
    // The Azure host answers here from inside every virtual machine, though the address is not in a special range.
    v4([168, 63, 129, 16], 32, "cloud metadata"),
    v4([169, 254, 0, 0], 16, "link local"),
    v4([172, 16, 0, 0], 12, "private use"),
    v4([192, 0, 0, 0], 24, "protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation"),
    v4([192, 31, 196, 0], 24, "AS112 anycast"),
    v4([192, 52, 193, 0], 24, "AMT anycast"),
    v4([192, 88, 99, 0], 24, "6to4 relay anycast"),
    v4([192, 168, 0, 0], 16, "private use"),
    v4([192, 175, 48, 0], 24, "AS112 anycast"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([240, 0, 0, 0], 4, "reserved"),
];

/// Outside 2000::/3 everything is refused; the entries there only name what it is.
const IPV6: [V6; 21] = [
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "IPv4-compatible"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated"),
    // Local-use translation may map to anything its operator likes.
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local-use NAT64"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard only"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "dummy prefix"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol assignments"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "AS112 anycast"),
    v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, "returned 6bone space"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link local"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site local"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, "not global unicast"),
    v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, "not global unicast"),
];

/// Well-known NAT64 prefix (RFC 6052): the last 32 bits are the IPv4 address that is reached.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const GLOBAL_UNICAST: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Ports that speak other protocols, which a POST could be made to speak too.
///
/// Source: Fetch Standard, "bad port"; sorted, so that it can be searched.
pub(super) const OTHER_PROTOCOL_PORTS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];

/// What the special range is for that holds `address`; `None` when everyone may be reached there.
///
/// Shape: IPv4-mapped and well-known NAT64 addresses are what they embed, because that is where a packet ends up.
pub(super) fn special_use(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => special_use_v4(address),
        IpAddr::V6(address) => special_use_v6(address),
    }
}

fn special_use_v4(address: Ipv4Addr) -> Option<&'static str> {
    IPV4.iter()
        .find(|V4(range, _)| range.contains(&address))
        .map(|V4(_, label)| *label)
}

fn special_use_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some(embedded) = embedded(address) {
        return special_use_v4(embedded);
    }
    if let Some(V6(_, label)) = IPV6.iter().find(|V6(range, _)| range.contains(&address)) {
        return Some(label);
    }
    (!GLOBAL_UNICAST.contains(&address)).then_some("not global unicast")
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    address.to_ipv4_mapped().or_else(|| {
        let [.., a, b, c, d] = address.octets();
        NAT64
            .contains(&address)
            .then_some(Ipv4Addr::new(a, b, c, d))
    })
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8, label: &'static str) -> V4 {
    V4(
        Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix),
        label,
    )
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8, label: &'static str) -> V6 {
    V6(
        Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix),
        label,
    )
}
