//! Reading values: durations, sizes, networks, levels, each with the unit its text must carry.
//!
//! Invariant: a message says what is expected and shows an example, never the value: the caller knows whether
//! the value may be shown. Pure; does not know keys or ranges.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

/// Reads a duration with its unit: `15s`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    or_expected(
        humantime::parse_duration(text),
        "must be a duration with its unit, such as 15s, 10m or 90d",
    )
}

/// Reads a size with its unit: `256KiB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let size = or_expected(
        text.parse::<ByteSize>(),
        "must be a size with its unit, such as 256KiB or 8MiB",
    )?;
    or_expected(
        usize::try_from(size.as_u64()),
        "is more than this machine can count",
    )
}

pub(super) fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    or_expected(text.parse(), "must be a whole number")
}

pub(super) fn truth(text: &str) -> Result<bool, String> {
    or_expected(text.parse(), "must be true or false")
}

pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    or_expected(
        text.parse(),
        "must be an IP address and a port, such as 127.0.0.1:8080 or [::]:8080",
    )
}

/// Reads a network, or one address as the network of that address alone.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text
        .parse()
        .or_else(|_: ipnet::AddrParseError| text.parse::<IpAddr>().map(IpNet::from));
    or_expected(
        network,
        "must be networks or addresses, such as 10.1.0.0/16 or ::1",
    )
}

/// The value, or what was expected instead. The cause is left out: it may quote the value.
pub(super) fn or_expected<T, E>(result: Result<T, E>, expected: &str) -> Result<T, String> {
    result.ok().ok_or_else(|| expected.to_owned())
}

/// Reads one part of a log level: `info` (for everything), or `tidings::dispatch=debug`.
pub(super) fn level(text: &str) -> Result<(Option<String>, LevelFilter), String> {
    let (target, word) = match text.split_once('=') {
        Some((target, word)) => (Some(target.trim().to_owned()), word.trim()),
        None => (None, text),
    };
    let filter = match word {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => {
            return Err(
                "must be off, error, warn, info, debug or trace, or target=level".to_owned(),
            );
        }
    };
    Ok((target, filter))
}

/// Passes a value that lies in `range`; the message shows the bounds as `text` writes them.
pub(super) fn within<T: PartialOrd>(
    value: T,
    range: &RangeInclusive<T>,
    text: impl Fn(&T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "must be from {} to {}",
        text(range.start()),
        text(range.end())
    ))
}

/// A duration as people write it.
pub(super) fn duration_text(duration: &Duration) -> String {
    humantime::format_duration(*duration).to_string()
}

/// A size as people write it.
pub(super) fn bytes_text(bytes: &usize) -> String {
    u64::try_from(*bytes).map_or_else(|_| bytes.to_string(), |bytes| ByteSize(bytes).to_string())
}

pub(super) fn plain_text(value: &impl fmt::Display) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 24 * 3600)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "15", "-1s", "soon"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_size_is_read_in_both_families_of_units() {
        assert_eq!(bytes("256KiB"), Ok(262_144));
        assert_eq!(bytes("1MB"), Ok(1_000_000));
        assert!(bytes("much").is_err());
        assert!(bytes("-1KiB").is_err());
    }

    #[test]
    fn a_bare_address_is_the_network_of_itself() {
        assert_eq!(
            network("127.0.0.1").map(|net| net.to_string()),
            Ok("127.0.0.1/32".to_owned())
        );
        assert_eq!(
            network("::1").map(|net| net.to_string()),
            Ok("::1/128".to_owned())
        );
        assert_eq!(
            network("10.0.0.0/8").map(|net| net.to_string()),
            Ok("10.0.0.0/8".to_owned())
        );
        for bad in ["10.0.0.0/33", "localhost", "10.0.0"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mistyped_level_is_not_taken_for_a_target() {
        assert_eq!(level("warn"), Ok((None, LevelFilter::WARN)));
        assert_eq!(
            level("tidings::dispatch=trace"),
            Ok((Some("tidings::dispatch".to_owned()), LevelFilter::TRACE))
        );
        for bad in ["inf", "tidings", "tidings=loud", ""] {
            assert!(level(bad).is_err(), "{bad:?}");
        }
    }
}
