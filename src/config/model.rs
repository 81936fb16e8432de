//! The typed sections: what each part of the program is configured with.
//!
//! Invariant: a [`Config`] exists only when every value could be read and lies in its range (`read`) and none
//! contradicts another (`check`). Empty texts are `None`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

use super::shown::ShownSetting;
use crate::domain::access::ApiKeyText;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::Redacted;

/// Every setting.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: ServerConfig,
    pub portal: PortalConfig,
    pub data: DataConfig,
    pub database: DatabaseConfig,
    pub secrets: SecretsConfig,
    pub bootstrap: BootstrapConfig,
    pub events: EventsConfig,
    pub audit: AuditConfig,
    pub ingest: IngestConfig,
    pub delivery: DeliveryConfig,
    pub egress: EgressConfig,
    pub log: LogConfig,
    /// What of all this may be shown, as it was read.
    pub in_effect: Vec<ShownSetting>,
}

#[derive(Debug, Clone)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    /// Without a slash at the end; `None`: see [`ServerConfig::public_url`].
    pub public_url: Option<String>,
    /// 0: one for each core.
    pub workers: usize,
    pub body_bytes_max: usize,
    /// 0: none.
    pub rate_limit: u32,
    /// 0: none.
    pub wrong_keys_max: u32,
    pub trusted_proxies: Vec<IpNet>,
}

impl ServerConfig {
    /// The address for links, without a slash at the end; `bound` is the address that the server really has.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        let mut reachable = bound;
        if bound.ip().is_unspecified() {
            reachable.set_ip(match bound {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("http://{reachable}"))
    }

    /// Threads that serve requests.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

#[derive(Debug, Clone)]
pub struct PortalConfig {
    /// Origins, as a browser writes them.
    pub frame_ancestors: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct DataConfig {
    /// `None`: the default of this machine and user.
    pub dir: Option<PathBuf>,
    pub postgres_bin_dir: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `None`: the embedded cluster.
    pub url: Option<Redacted<String>>,
    pub connections_max: u32,
    pub ca_file: Option<PathBuf>,
    pub unsafe_durability: bool,
}

#[derive(Debug, Clone)]
pub struct SecretsConfig {
    pub master_key: Option<Redacted<String>>,
    pub master_key_file: Option<PathBuf>,
    /// What `master_key` replaces.
    pub old_master_key: Option<Redacted<String>>,
    pub old_master_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct BootstrapConfig {
    pub api_key: Option<ApiKeyText>,
}

#[derive(Debug, Clone)]
pub struct EventsConfig {
    pub data_bytes_max: usize,
    pub retention: Duration,
    pub idempotency_retention: Duration,
}

#[derive(Debug, Clone)]
pub struct AuditConfig {
    pub require_schema: bool,
}

#[derive(Debug, Clone)]
pub struct IngestConfig {
    pub connections: u32,
    pub queue_max: usize,
    pub batch_max: usize,
}

#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    pub retry_schedule: RetrySchedule,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub lease: Duration,
    pub concurrency: usize,
    pub concurrency_per_endpoint: usize,
    pub poll: Duration,
    pub drain: Duration,
}

#[derive(Debug, Clone)]
pub struct EgressConfig {
    pub allow: Vec<IpNet>,
    pub https_only: bool,
}

#[derive(Debug, Clone)]
pub struct LogConfig {
    pub level: LevelFilter,
    /// Targets with a level of their own.
    pub targets: Vec<(String, LevelFilter)>,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}
