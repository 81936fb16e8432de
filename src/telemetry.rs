//! Telemetry: what operators see. Tracing set-up, and the names of log fields.
//!
//! Invariant: lines go to standard error, because standard output belongs to the answer of a command; no field
//! holds a payload, a secret, a header's value or a person. Does not decide what is logged; whoever handles a
//! thing logs it, once.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::model::{LogConfig, LogFormat};

/// Starts logging for the whole process.
///
/// Errors: something else logs already.
pub fn start(config: &LogConfig) -> Result<(), TryInitError> {
    let terminal = stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(terminal);
    let layer = match resolved(config.format, terminal) {
        Resolved::Text => layer.boxed(),
        Resolved::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter(config)))
        .try_init()
}

#[derive(Debug, PartialEq, Eq)]
enum Resolved {
    Text,
    Json,
}

fn resolved(format: LogFormat, terminal: bool) -> Resolved {
    match format {
        LogFormat::Text => Resolved::Text,
        LogFormat::Json => Resolved::Json,
        LogFormat::Auto if terminal => Resolved::Text,
        LogFormat::Auto => Resolved::Json,
    }
}

fn filter(config: &LogConfig) -> Targets {
    Targets::new()
        .with_default(config.level)
        .with_targets(config.targets.iter().cloned())
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing::level_filters::LevelFilter;

    use super::*;

    #[test]
    fn a_target_with_its_own_level_is_logged_at_that_level() {
        let filter = filter(&LogConfig {
            level: LevelFilter::WARN,
            targets: vec![("tidings::dispatch".to_owned(), LevelFilter::DEBUG)],
            format: LogFormat::Auto,
        });

        assert!(filter.would_enable("tidings::dispatch::claim", &Level::DEBUG));
        assert!(!filter.would_enable("tidings::http", &Level::INFO));
        assert!(filter.would_enable("tidings::http", &Level::WARN));
    }

    #[test]
    fn lines_are_text_for_people_and_json_for_machines_unless_one_is_wanted() {
        assert_eq!(resolved(LogFormat::Auto, true), Resolved::Text);
        assert_eq!(resolved(LogFormat::Auto, false), Resolved::Json);
        assert_eq!(resolved(LogFormat::Text, false), Resolved::Text);
        assert_eq!(resolved(LogFormat::Json, true), Resolved::Json);
    }
}
