//! How settings become sections, and every fault is found.

use super::*;
use crate::config::settings::Origin;

fn with(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut settings = Settings::defaults();
    for (key, text) in changes {
        let origin = Origin::Flag { name: "--test" };
        settings
            .set(key, Value::One((*text).to_owned()), origin)
            .unwrap();
    }
    Config::read(&settings)
}

/// The keys that a configuration with these changes is refused for.
fn refused(changes: &[(&str, &str)]) -> Vec<String> {
    with(changes)
        .unwrap_err()
        .faults
        .into_iter()
        .map(|fault| fault.key)
        .collect()
}

#[test]
fn the_defaults_are_a_configuration() {
    let config = with(&[]).unwrap();

    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.delivery.retry_schedule, RetrySchedule::default());
    assert_eq!(config.events.data_bytes_max, 256 * KIB);
    assert_eq!(config.events.retention, 90 * DAY);
    assert!(config.database.url.is_none());
    assert!(config.check_serving().is_ok());
}

#[test]
fn the_model_reads_exactly_the_keys_of_the_defaults() {
    let settings = Settings::defaults();
    let mut reader = Reader::new(&settings);
    ServerConfig::read(&mut reader);
    PortalConfig::read(&mut reader);
    DataConfig::read(&mut reader);
    DatabaseConfig::read(&mut reader);
    SecretsConfig::read(&mut reader);
    reader.optional("bootstrap.api_key", api_key);
    EventsConfig::read(&mut reader);
    reader.one("audit.require_schema", units::truth);
    IngestConfig::read(&mut reader);
    DeliveryConfig::read(&mut reader);
    EgressConfig::read(&mut reader);
    LogConfig::read(&mut reader);
    reader.keys.sort_unstable();

    let known: Vec<_> = settings.iter().map(|(key, _)| key).collect();
    assert_eq!(reader.keys, known);
}

#[test]
fn each_value_out_of_its_range_is_refused_under_its_key() {
    let cases = [
        ("server.listen", "localhost"),
        ("server.public_url", "ftp://example.com"),
        ("server.public_url", "https://example.com/?a=b"),
        ("portal.frame_ancestors", "app.example.com"),
        ("portal.frame_ancestors", "https://app.example.com/portal"),
        ("portal.frame_ancestors", "https://*.example.com"),
        ("portal.frame_ancestors", "https://a.example.com;script-src"),
        ("portal.frame_ancestors", "data:text/html,x"),
        ("server.workers", "1025"),
        ("server.body_max", "65MiB"),
        ("server.rate_limit", "-1"),
        ("server.wrong_keys_max", "1000001"),
        ("server.trusted_proxies", "10.0.0.0/8,proxy"),
        ("database.url", "mysql://h/db"),
        ("database.connections_max", "1"),
        ("database.connections_max", "501"),
        ("database.unsafe_durability", "yes"),
        ("secrets.master_key", "fifteen bytes.."),
        ("bootstrap.api_key", "pk_123456789"),
        ("events.data_max", "1023B"),
        ("events.data_max", "1025KiB"),
        ("events.retention", "23h"),
        ("events.idempotency_retention", "86399s"),
        ("ingest.connections", "0"),
        ("ingest.queue_max", "499"),
        ("ingest.batch_max", "0"),
        ("delivery.retry_delays", "5s,8d"),
        ("delivery.retry_delays", "5"),
        ("delivery.timeout", "999ms"),
        ("delivery.connect_timeout", "0s"),
        ("delivery.lease", "11m"),
        ("delivery.concurrency", "0"),
        ("delivery.concurrency_per_endpoint", "0"),
        ("delivery.poll", "501ms"),
        ("delivery.drain", "11m"),
        ("egress.allow", "10.0.0.0/8,here"),
        ("egress.https_only", "1"),
        ("log.level", "loud"),
        ("log.format", "xml"),
    ];
    for (key, value) in cases {
        assert_eq!(refused(&[(key, value)]), [key], "{value}");
    }
}

#[test]
fn all_wrong_values_are_reported_at_once_with_their_place() {
    let error = with(&[("delivery.timeout", "15"), ("log.format", "xml")]).unwrap_err();

    assert_eq!(
        error.to_string(),
        "the configuration cannot be used\n  \
         delivery.timeout (flag --test): must be a duration with its unit, such as 15s, 10m or 90d\n  \
         log.format (flag --test): must be auto, text or json"
    );
}

#[test]
fn a_list_is_no_single_value() {
    let mut settings = Settings::defaults();
    let origin = Origin::Flag { name: "--test" };
    settings
        .set(
            "server.listen",
            Value::Many(vec!["127.0.0.1:1".to_owned()]),
            origin,
        )
        .unwrap();

    assert!(Config::read(&settings).is_err());
}

#[test]
fn each_contradiction_is_refused_and_its_edge_is_not() {
    // The change that contradicts, the key that is named, the change that just does not.
    let cases = [
        (
            ("server.body_max", "319KiB"),
            "server.body_max",
            ("server.body_max", "320KiB"),
        ),
        (
            ("database.connections_max", "4"),
            "ingest.connections",
            ("database.connections_max", "5"),
        ),
        (
            ("events.retention", "11d"),
            "events.retention",
            ("events.retention", "12d"),
        ),
        (
            ("ingest.batch_max", "10000"),
            "",
            ("ingest.batch_max", "10000"),
        ),
        (
            ("delivery.connect_timeout", "16s"),
            "delivery.connect_timeout",
            ("delivery.connect_timeout", "15s"),
        ),
        (
            ("delivery.lease", "25s"),
            "delivery.lease",
            ("delivery.lease", "26s"),
        ),
        (
            ("delivery.concurrency", "31"),
            "delivery.concurrency_per_endpoint",
            ("delivery.concurrency", "32"),
        ),
    ];
    for (wrong, key, right) in cases {
        if !key.is_empty() {
            assert_eq!(refused(&[wrong]), [key], "{wrong:?}");
        }
        assert!(with(&[right]).is_ok(), "{right:?}");
    }
    assert_eq!(
        refused(&[("ingest.queue_max", "600"), ("ingest.batch_max", "601")]),
        ["ingest.queue_max"]
    );
    let both = [
        ("secrets.master_key", "sixteen bytes..."),
        ("secrets.master_key_file", "/run/key"),
    ];
    assert_eq!(refused(&both), ["secrets.master_key_file"]);
    let both = [
        ("secrets.old_master_key", "sixteen bytes..."),
        ("secrets.old_master_key_file", "/run/key"),
    ];
    assert_eq!(refused(&both), ["secrets.old_master_key_file"]);
    let same = [
        ("secrets.old_master_key", "sixteen bytes..."),
        ("secrets.master_key", "sixteen bytes..."),
    ];
    assert_eq!(refused(&same), ["secrets.old_master_key"]);
}

#[test]
fn all_contradictions_are_reported_at_once() {
    let keys = refused(&[
        ("delivery.timeout", "2m"),
        ("delivery.lease", "60s"),
        ("delivery.concurrency", "1"),
        ("events.retention", "1d"),
    ]);

    assert_eq!(
        keys,
        [
            "events.retention",
            "delivery.lease",
            "delivery.concurrency_per_endpoint"
        ]
    );
}

#[test]
fn a_server_on_a_shared_database_needs_a_master_key_and_a_migration_does_not() {
    let url = ("database.url", "postgres://u:p@h/db");
    let without = with(&[url]).unwrap();
    let key = with(&[url, ("secrets.master_key", "sixteen bytes...")]).unwrap();
    let file = with(&[url, ("secrets.master_key_file", "/run/key")]).unwrap();

    assert!(without.check_serving().is_err());
    assert!(key.check_serving().is_ok());
    assert!(file.check_serving().is_ok());
}

#[test]
fn no_secret_is_printed_with_the_configuration() {
    let config = with(&[
        ("database.url", "postgres://u:hunter2@h/db"),
        ("secrets.master_key", "hunter2hunter2hunter2"),
        ("secrets.old_master_key", "hunter2hunter2hunter3"),
        ("bootstrap.api_key", "sk_hunter2hunter2"),
    ]);

    assert!(!format!("{:?}", config.unwrap()).contains("hunter2"));
}

#[test]
fn links_point_to_an_address_that_can_be_called() {
    let bound = |text: &str| text.parse().unwrap();
    let default = with(&[]).unwrap().server;
    let set = with(&[("server.public_url", "https://t.example.com/")])
        .unwrap()
        .server;

    assert_eq!(
        default.public_url(bound("127.0.0.1:4711")),
        "http://127.0.0.1:4711"
    );
    assert_eq!(
        default.public_url(bound("0.0.0.0:80")),
        "http://127.0.0.1:80"
    );
    assert_eq!(default.public_url(bound("[::]:80")), "http://[::1]:80");
    assert_eq!(
        set.public_url(bound("127.0.0.1:1")),
        "https://t.example.com"
    );
}

#[test]
fn whoever_may_frame_the_portal_is_named_as_a_browser_names_them() {
    let texts = "https://App.example.com:443/, http://localhost:3000,http://[::1]:80";
    let portal = with(&[("portal.frame_ancestors", texts)]).unwrap().portal;

    assert_eq!(
        portal.frame_ancestors,
        [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]"
        ]
    );
    assert!(with(&[]).unwrap().portal.frame_ancestors.is_empty());
}

#[test]
fn a_log_level_may_differ_for_single_targets() {
    let log = with(&[("log.level", "warn, tidings::dispatch=debug")])
        .unwrap()
        .log;

    assert_eq!(log.level, LevelFilter::WARN);
    assert_eq!(
        log.targets,
        [("tidings::dispatch".to_owned(), LevelFilter::DEBUG)]
    );
}
