//! The throttle: how often a key may ask, and how often an address may be wrong about one.
//!
//! Invariant: bounded in memory, and nothing is stored or shared: each server counts for itself, and forgets when it
//! restarts. A wrong key is looked up before it is counted, so that a right one from the same address always works.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::id::ApiKeyId;

/// Keys and addresses that are remembered; when there are more, those that may ask freely are forgotten first.
const REMEMBERED_MAX: usize = 20_000;
/// The window in which a key may use its limit.
const KEY_WINDOW: Duration = Duration::from_secs(1);
/// The window in which an address may be wrong so often.
const ADDRESS_WINDOW: Duration = Duration::from_secs(60);
/// Addresses of one network are one address: whoever has one of IPv6 has 2^64.
const IPV6_NETWORK: u32 = 64;

/// How much is too much; 0: nothing is.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThrottleSettings {
    /// Requests of one key in a second.
    pub requests_per_second: u32,
    /// Wrong keys from one address in a minute.
    pub wrong_keys_per_minute: u32,
}

/// Counts for all workers of a server.
#[derive(Default)]
pub(super) struct Throttle {
    settings: ThrottleSettings,
    keys: Meters<ApiKeyId>,
    addresses: Meters<IpAddr>,
}

/// How a key stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Until the whole limit can be used again.
    pub(super) reset: Duration,
}

/// Whether one more is within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Within(Standing),
    Beyond(Standing),
}

impl Throttle {
    pub(super) fn new(settings: ThrottleSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Counts a request of a key; `None` where there is no limit.
    pub(super) fn request(&self, key: ApiKeyId) -> Option<Verdict> {
        let limit = self.settings.requests_per_second;
        (limit > 0).then(|| self.keys.count(key, limit, KEY_WINDOW, Instant::now()))
    }

    /// Counts a wrong key; answers whether its sender should stop guessing.
    pub(super) fn wrong_key(&self, from: Option<IpAddr>) -> bool {
        let limit = self.settings.wrong_keys_per_minute;
        let (Some(from), true) = (from, limit > 0) else {
            return false;
        };
        let verdict = self
            .addresses
            .count(network(from), limit, ADDRESS_WINDOW, Instant::now());
        matches!(verdict, Verdict::Beyond(_))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let host_bits = u128::BITS - IPV6_NETWORK;
            IpAddr::V6((address.to_bits() >> host_bits << host_bits).into())
        }
    }
}

/// For each of many, the moment at which it will have used nothing. Source: the generic cell rate algorithm.
struct Meters<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for Meters<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Meters<K> {
    fn count(&self, who: K, limit: u32, window: Duration, now: Instant) -> Verdict {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= REMEMBERED_MAX && !meters.contains_key(&who) {
            meters.retain(|_, free_at| *free_at > now);
            if meters.len() >= REMEMBERED_MAX {
                meters.clear();
            }
        }
        let each = window / limit;
        let free_at = meters.entry(who).or_insert(now);
        let used = free_at.saturating_duration_since(now);
        let standing = |used: Duration| Standing {
            limit,
            remaining: left(window.saturating_sub(used), each).min(limit),
            reset: used,
        };
        if used + each > window {
            return Verdict::Beyond(standing(used));
        }
        *free_at = now + used + each;
        Verdict::Within(standing(used + each))
    }
}

/// How many whole `each` are in `time`.
fn left(time: Duration, each: Duration) -> u32 {
    let count = time.as_nanos().checked_div(each.as_nanos());
    u32::try_from(count.unwrap_or_default()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Within(_))
    }

    #[test]
    fn a_limit_can_be_used_at_once_and_comes_back_evenly() {
        let (meters, began) = (Meters::default(), Instant::now());
        let count = |after: u64| {
            let now = began + Duration::from_millis(after);
            meters.count("a", 4, KEY_WINDOW, now)
        };

        let first: Vec<_> = (0..5).map(|_| within(count(0))).collect();
        assert_eq!(first, [true, true, true, true, false]);
        assert!(!within(count(249)));
        assert!(within(count(250)) && !within(count(250)));
        assert!(within(count(500)));
        let later: Vec<_> = (0..5).map(|_| within(count(5_000))).collect();
        assert_eq!(later, [true, true, true, true, false]);
    }

    #[test]
    fn a_standing_tells_what_is_left() {
        let (meters, now) = (Meters::default(), Instant::now());

        let first = meters.count("a", 10, KEY_WINDOW, now);
        let other = meters.count("b", 10, KEY_WINDOW, now);

        let standing = Standing {
            limit: 10,
            remaining: 9,
            reset: Duration::from_millis(100),
        };
        assert_eq!(first, Verdict::Within(standing));
        assert_eq!(other, first);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (meters, now) = (Meters::default(), Instant::now());
        for number in 0..REMEMBERED_MAX * 2 {
            meters.count(number, 1, KEY_WINDOW, now);
        }
        assert!(meters.0.lock().expect("no panic").len() <= REMEMBERED_MAX);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let parse = |text: &str| network(text.parse().expect("an address"));

        assert_eq!(parse("2001:db8:1:2:3::4"), parse("2001:db8:1:2:ffff::9"));
        assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
        assert_ne!(parse("192.0.2.2"), parse("192.0.2.1"));
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let throttle = Throttle::default();
        let (key, from) = (ApiKeyId::from_bytes([7; 16]), "192.0.2.1".parse().ok());

        assert_eq!(throttle.request(key), None);
        assert!((0..10_000).all(|_| !throttle.wrong_key(from)));
    }
}
