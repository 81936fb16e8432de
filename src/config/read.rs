//! Reading: settings as text become typed sections, each value in its range.
//!
//! Invariant: all values that cannot be read or are out of range are reported together, each with the place that
//! set it. What values mean for each other is `check`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing::level_filters::LevelFilter;
use url::Url;

use super::fault::{ConfigError, Fault};
use super::model::{
    AuditConfig, BootstrapConfig, Config, DataConfig, DatabaseConfig, DeliveryConfig, EgressConfig,
    EventsConfig, IngestConfig, LogConfig, LogFormat, PortalConfig, SecretsConfig, ServerConfig,
};
use super::settings::{Setting, Settings, Value};
use super::units;
use crate::domain::access::ApiKeyText;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::Redacted;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Bytes of the shortest master key.
const MASTER_KEY_BYTES_MIN: usize = 16;

impl Config {
    /// Understands the settings.
    ///
    /// Errors: every value that cannot be read or is out of its range; then every contradiction.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(settings);
        let config = Self {
            server: ServerConfig::read(&mut reader),
            portal: PortalConfig::read(&mut reader),
            data: DataConfig::read(&mut reader),
            database: DatabaseConfig::read(&mut reader),
            secrets: SecretsConfig::read(&mut reader),
            bootstrap: BootstrapConfig {
                api_key: reader.optional("bootstrap.api_key", api_key),
            },
            events: EventsConfig::read(&mut reader),
            audit: AuditConfig {
                require_schema: reader.one("audit.require_schema", units::truth),
            },
            ingest: IngestConfig::read(&mut reader),
            delivery: DeliveryConfig::read(&mut reader),
            egress: EgressConfig::read(&mut reader),
            log: LogConfig::read(&mut reader),
            in_effect: settings.shown(),
        };
        // A value that could not be read was replaced by its default, which may contradict others: one thing at a time.
        if reader.faults.is_empty() {
            config.check()?;
            return Ok(config);
        }
        Err(ConfigError {
            faults: reader.faults,
        })
    }
}

impl ServerConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            listen: reader.one("server.listen", units::socket),
            public_url: reader.optional("server.public_url", public_url),
            workers: reader.one("server.workers", number(0..=1024)),
            body_bytes_max: reader.one("server.body_max", bytes(64 * KIB..=64 * MIB)),
            rate_limit: reader.one("server.rate_limit", number(0..=1_000_000)),
            wrong_keys_max: reader.one("server.wrong_keys_max", number(0..=1_000_000)),
            trusted_proxies: reader.list("server.trusted_proxies", networks),
        }
    }
}

impl PortalConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            frame_ancestors: reader.list("portal.frame_ancestors", |texts| {
                texts.iter().map(|text| origin(text)).collect()
            }),
        }
    }
}

impl DataConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            dir: reader.optional("data.dir", path),
            postgres_bin_dir: reader.optional("data.postgres_bin_dir", path),
        }
    }
}

impl DatabaseConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            url: reader.optional("database.url", database_url),
            connections_max: reader.one("database.connections_max", number(2..=500)),
            ca_file: reader.optional("database.ca_file", path),
            unsafe_durability: reader.one("database.unsafe_durability", units::truth),
        }
    }
}

impl SecretsConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            master_key: reader.optional("secrets.master_key", master_key),
            master_key_file: reader.optional("secrets.master_key_file", path),
            old_master_key: reader.optional("secrets.old_master_key", master_key),
            old_master_key_file: reader.optional("secrets.old_master_key_file", path),
        }
    }
}

impl EventsConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            data_bytes_max: reader.one("events.data_max", bytes(KIB..=MIB)),
            retention: reader.one("events.retention", duration(DAY..=3653 * DAY)),
            idempotency_retention: reader
                .one("events.idempotency_retention", duration(DAY..=30 * DAY)),
        }
    }
}

impl IngestConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            connections: reader.one("ingest.connections", number(1..=64)),
            queue_max: reader.one("ingest.queue_max", number(500..=1_000_000)),
            batch_max: reader.one("ingest.batch_max", number(1..=10_000)),
        }
    }
}

impl DeliveryConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            retry_schedule: reader.list("delivery.retry_delays", retry_schedule),
            timeout: reader.one(
                "delivery.timeout",
                duration(Duration::from_secs(1)..=2 * MINUTE),
            ),
            connect_timeout: reader.one(
                "delivery.connect_timeout",
                duration(Duration::from_millis(100)..=2 * MINUTE),
            ),
            lease: reader.one(
                "delivery.lease",
                duration(Duration::from_secs(5)..=10 * MINUTE),
            ),
            concurrency: reader.one("delivery.concurrency", number(1..=10_000)),
            concurrency_per_endpoint: reader
                .one("delivery.concurrency_per_endpoint", number(1..=10_000)),
            poll: reader.one(
                "delivery.poll",
                duration(Duration::from_millis(10)..=Duration::from_millis(500)),
            ),
            drain: reader.one("delivery.drain", duration(Duration::ZERO..=10 * MINUTE)),
        }
    }
}

impl EgressConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            allow: reader.list("egress.allow", networks),
            https_only: reader.one("egress.https_only", units::truth),
        }
    }
}

impl LogConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        let levels: Vec<_> = reader.list("log.level", |texts| {
            texts.iter().map(|text| units::level(text)).collect()
        });
        let general = levels.iter().rev().find(|(target, _)| target.is_none());
        Self {
            level: general.map_or(LevelFilter::OFF, |&(_, level)| level),
            targets: levels
                .iter()
                .filter_map(|(target, level)| Some((target.clone()?, *level)))
                .collect(),
            format: reader.one("log.format", format),
        }
    }
}

/// Reads settings one by one and notes what is wrong with them.
struct Reader<'a> {
    settings: &'a Settings,
    defaults: Settings,
    faults: Vec<Fault>,
    #[cfg(test)]
    keys: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            defaults: Settings::defaults(),
            faults: Vec::new(),
            #[cfg(test)]
            keys: Vec::new(),
        }
    }

    /// The value of `key`; the default when it cannot be read, with the fault noted.
    fn read<T>(&mut self, key: &'static str, parse: impl Fn(&Value) -> Result<T, String>) -> T {
        #[cfg(test)]
        self.keys.push(key);
        let known = |setting: Option<&Setting>| {
            setting
                .cloned()
                .expect("every key of the model is in default.toml, held by a test")
        };
        let setting = known(self.settings.get(key));
        parse(&setting.value).unwrap_or_else(|message| {
            self.faults.push(Fault::new(key, &setting.origin, message));
            parse(&known(self.defaults.get(key)).value)
                .expect("every default can be read, held by a test")
        })
    }

    fn one<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        self.read(key, |value| parse(single(value)?))
    }

    /// `None` for an empty text.
    fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read(key, |value| match single(value)? {
            "" => Ok(None),
            text => parse(text).map(Some),
        })
    }

    fn list<T>(&mut self, key: &'static str, parse: impl Fn(&[&str]) -> Result<T, String>) -> T {
        self.read(key, |value| parse(&value.elements()))
    }
}

fn single(value: &Value) -> Result<&str, String> {
    match value {
        Value::One(text) => Ok(text.trim()),
        Value::Many(_) => Err("takes one value, not a list".to_owned()),
    }
}

fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String>
where
    T: PartialOrd + std::str::FromStr + std::fmt::Display,
{
    move |text| units::within(units::whole(text)?, &range, units::plain_text)
}

fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| units::within(units::duration(text)?, &range, units::duration_text)
}

fn bytes(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> {
    move |text| units::within(units::bytes(text)?, &range, units::bytes_text)
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

fn networks(texts: &[&str]) -> Result<Vec<IpNet>, String> {
    texts.iter().map(|text| units::network(text)).collect()
}

fn public_url(text: &str) -> Result<String, String> {
    let message = "must be an http or https URL without query, such as https://tidings.example.com";
    let url = units::or_expected(text.parse::<Url>(), message)?;
    let plain = url.has_host() && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        "http" | "https" if plain => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(message.to_owned()),
    }
}

/// An origin as a browser writes it, and nothing that a header could take for more.
fn origin(text: &str) -> Result<String, String> {
    let message = "must be an origin such as https://app.example.com, without a path and without *";
    let url = units::or_expected(text.parse::<Url>(), message)?;
    let origin = url.origin().ascii_serialization();
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let is_plain = origin
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]/".contains(&byte));
    match url.scheme() {
        "http" | "https" if is_bare && is_plain => Ok(origin),
        _ => Err(message.to_owned()),
    }
}

fn database_url(text: &str) -> Result<Redacted<String>, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(Redacted::new(text.to_owned()));
    }
    Err("must be a URL such as postgres://user:password@host:5432/name".to_owned())
}

fn master_key(text: &str) -> Result<Redacted<String>, String> {
    if text.len() >= MASTER_KEY_BYTES_MIN {
        return Ok(Redacted::new(text.to_owned()));
    }
    Err(format!("must have at least {MASTER_KEY_BYTES_MIN} bytes"))
}

fn api_key(text: &str) -> Result<ApiKeyText, String> {
    ApiKeyText::parse(text).map_err(|invalid| invalid.message.into_owned())
}

fn retry_schedule(texts: &[&str]) -> Result<RetrySchedule, String> {
    let mut delays = Vec::with_capacity(texts.len());
    for text in texts {
        delays.push(units::duration(text)?);
    }
    RetrySchedule::new(delays).map_err(|fault| fault.to_string())
}

fn format(text: &str) -> Result<LogFormat, String> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be auto, text or json".to_owned()),
    }
}

#[cfg(test)]
mod tests;
