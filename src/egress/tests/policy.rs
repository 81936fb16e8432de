//! Laws of the policy, and what must stay reachable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use crate::egress::policy::URL_BYTES_MAX;
use crate::egress::{Policy, Refusal, ranges};

const CALLABLE: [&str; 32] = [
    "https://example.com",
    "https://example.com/hooks?tenant=7&x=%20",
    "http://example.com:8443/",
    "https://example.com./",
    "https://EXAMPLE.com/Path",
    "https://bücher.example/",
    "https://xn--bcher-kva.example/",
    "https://my_service.internal/",
    "https://printer.local/",
    "https://hooks/",
    "https://localhost.example.com/",
    "https://notlocalhost/",
    "https://127.0.0.1.example.com/",
    "http://8.8.8.8/",
    "http://134744072/",
    "http://[::ffff:8.8.8.8]/",
    "http://[64:ff9b::8.8.8.8]/",
    "http://[2606:4700:4700::1111]/",
    "http://[2001:4860:4860::8888]/",
    "http://[2001:200::1]/",
    "http://9.255.255.255/",
    "http://11.0.0.0/",
    "http://100.63.255.255/",
    "http://100.128.0.0/",
    "http://126.255.255.255/",
    "http://128.0.0.0/",
    "http://169.253.255.255/",
    "http://172.15.255.255/",
    "http://172.32.0.0/",
    "http://192.169.0.0/",
    "http://198.20.0.0/",
    "http://223.255.255.255/",
];

#[test]
fn what_everyone_may_reach_may_be_called() {
    for url in CALLABLE {
        assert_eq!(Policy::default().check_url(url).err(), None, "{url}");
    }
}

/// These were found to be called global by crates that are used for this.
#[test]
fn addresses_that_others_take_for_global_are_refused() {
    for address in [
        "224.0.0.1",
        "192.88.99.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "::127.0.0.1",
        "3fff::1",
        "5f00::1",
        "100::1",
    ] {
        let judged = Policy::default().check_address(address.parse().unwrap());

        assert!(matches!(judged, Err(Refusal::Address(_))), "{address}");
    }
}

#[test]
fn plain_http_is_refused_where_https_is_demanded() {
    let policy = Policy::new(Vec::new(), true);

    assert_eq!(
        policy.check_url("http://example.com/").err(),
        Some(Refusal::NotHttps)
    );
    assert_eq!(policy.check_url("https://example.com/").err(), None);
}

#[test]
fn localhost_may_be_called_where_loopback_is_allowed() {
    for range in ["127.0.0.0/8", "::1/128"] {
        let policy = Policy::new(vec![range.parse().unwrap()], false);

        assert_eq!(
            policy.check_url("http://localhost:8080/").err(),
            None,
            "{range}"
        );
    }
}

#[test]
fn a_url_may_be_as_long_as_the_limit_and_no_longer() {
    let base = "https://example.com/";
    let longest = format!("{base}{}", "a".repeat(URL_BYTES_MAX - base.len()));

    assert_eq!(Policy::default().check_url(&longest).err(), None);
    let longer = format!("{longest}a");
    assert_eq!(
        Policy::default().check_url(&longer).err(),
        Some(Refusal::TooLong)
    );
    // short as given, too long once its letters are percent-encoded
    let grown = format!("{base}{}", "ü".repeat(900));
    assert_eq!(
        Policy::default().check_url(&grown).err(),
        Some(Refusal::TooLong)
    );
}

#[test]
fn a_refusal_does_not_tell_the_address() {
    let refusal = Policy::default()
        .check_address("10.1.2.3".parse().unwrap())
        .unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "the address is not allowed: private use"
    );
}

#[test]
fn the_ports_can_be_searched() {
    assert!(ranges::OTHER_PROTOCOL_PORTS.is_sorted());
}

#[test]
fn a_mapped_range_opens_the_ipv4_range_that_it_maps() {
    let policy = Policy::new(vec!["::ffff:10.0.0.0/104".parse().unwrap()], false);

    assert!(policy.check_address("10.1.2.3".parse().unwrap()).is_ok());
    assert!(
        policy
            .check_address("::ffff:10.1.2.3".parse().unwrap())
            .is_ok()
    );
    assert!(policy.check_address("127.0.0.1".parse().unwrap()).is_err());
}

fn may_reach(address: impl Into<IpAddr>) -> bool {
    Policy::default().check_address(address.into()).is_ok()
}

/// Addresses on both sides of every edge, which uniform ones would hardly ever hit.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let first = prop::sample::select(vec![
        0, 10, 100, 127, 169, 172, 192, 198, 203, 224, 240, 255,
    ]);
    let near = (first, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Ipv4Addr::new(a, b, c, d));
    prop_oneof![any::<u32>().prop_map(Ipv4Addr::from), near]
}

fn any_v6() -> impl Strategy<Value = Ipv6Addr> {
    let first = prop::sample::select(vec![
        0, 0x64, 0x100, 0x2001, 0x2002, 0x2620, 0x3fff, 0x5f00, 0xfc00, 0xfe80, 0xfec0, 0xff02,
    ]);
    let near = (first, any::<[u16; 7]>())
        .prop_map(|(a, [b, c, d, e, f, g, h])| Ipv6Addr::new(a, b, c, d, e, f, g, h));
    prop_oneof![any::<u128>().prop_map(Ipv6Addr::from), near]
}

fn any_net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any_v4(), 0..=32u8).prop_map(|(a, prefix)| Ipv4Net::new(a, prefix).unwrap().into()),
        (any_v6(), 0..=128u8).prop_map(|(a, prefix)| Ipv6Net::new(a, prefix).unwrap().into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn no_address_that_the_standard_library_knows_as_special_is_reached(address in any_v4()) {
        let special = address.is_private() || address.is_loopback() || address.is_link_local()
            || address.is_multicast() || address.is_broadcast() || address.is_documentation()
            || address.is_unspecified() || address.octets()[0] == 0 || address.octets()[0] >= 240;

        prop_assert!(!(special && may_reach(address)));
    }

    #[test]
    fn a_mapped_or_translated_address_is_judged_as_what_it_embeds(address in any_v4()) {
        let translated = Ipv6Addr::from((0x64_ff9b_u128 << 96) | u128::from(u32::from(address)));

        prop_assert_eq!(may_reach(address.to_ipv6_mapped()), may_reach(address));
        prop_assert_eq!(may_reach(translated), may_reach(address));
    }

    #[test]
    fn outside_global_unicast_only_embedded_addresses_are_reached(address in any_v6()) {
        let global_unicast = address.segments()[0] >> 13 == 1;
        let embedding = address.to_ipv4_mapped().is_some() || u128::from(address) >> 32 == 0x64_ff9b << 64;

        prop_assert!(global_unicast || embedding || !may_reach(address));
    }

    #[test]
    fn allowing_a_range_opens_it_and_nothing_else(range in any_net(), v4 in any_v4(), v6 in any_v6()) {
        let policy = Policy::new(vec![range], false);

        for address in [IpAddr::from(v4), v6.into(), range.addr(), range.network(), range.broadcast()] {
            let canonical = address.to_canonical();
            let opened = range.contains(&canonical) || may_reach(canonical);
            prop_assert_eq!(policy.check_address(address).is_ok(), opened, "{}", address);
        }
    }

    #[test]
    fn a_number_is_judged_as_the_address_that_it_is(address in any_v4()) {
        let number = u32::from(address);
        for url in [format!("http://{number}/"), format!("http://{number:#x}"), format!("http://0{number:o}/")] {
            prop_assert_eq!(Policy::default().check_url(&url).is_ok(), may_reach(address), "{}", url);
        }
    }

    #[test]
    fn what_is_accepted_is_accepted_again_as_it_was_parsed(tail in "\\PC{0,40}") {
        for url in [tail.clone(), format!("http://{tail}"), format!("https://example.com/{tail}")] {
            if let Ok(target) = Policy::default().check_url(&url) {
                prop_assert_eq!(Policy::default().check_url(target.url().as_str()), Ok(target));
            }
        }
    }
}
