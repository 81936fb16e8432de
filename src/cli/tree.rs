//! The tree of commands, and which file runs which.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::flags::SettingsFlags;
use super::{
    admin, audit, bench, config, demo, environments, events, exit, keys, portal, receive, replays,
    serve,
};

const EXAMPLES: &str = "\
Examples:
  tidings                                          serve, with a Postgres of its own
  tidings --database-url postgres://u:p@host/db    serve, with yours
  tidings receive                                  print what is delivered to http://127.0.0.1:9000
  tidings --egress-allow 127.0.0.0/8               serve, and deliver to this machine too
  tidings events publish invoice.paid '{\"amount\": 12}'
  tidings events tail

Settings come from flags, the environment, a file and defaults, in this order;
`tidings config print` shows them.";

/// Events, webhooks and audit logs on one Postgres
#[derive(Parser)]
#[command(name = "tidings", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: SettingsFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (what `tidings` alone does)
    #[command(after_help = serve::EXAMPLES)]
    Serve,
    /// Bring the database up to date and exit
    #[command(after_help = admin::MIGRATE_EXAMPLES)]
    Migrate,
    /// Create and list environments, the isolated spaces that own everything
    #[command(subcommand)]
    Environments(environments::Environments),
    /// Create, list and revoke API keys; replace the master key
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Let somebody into the portal
    #[command(subcommand)]
    Portal(portal::Portal),
    /// Look after the keys that sign audit logs
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Show and check the settings in effect
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Publish events to a running server, or follow them
    #[command(subcommand)]
    Events(events::Events),
    /// Send events to an endpoint again, in bulk
    #[command(subcommand)]
    Replays(replays::Replays),
    /// Receive webhooks on this machine, print and verify them
    #[command(after_help = receive::EXAMPLES)]
    Receive(receive::Receive),
    /// Fill an environment with a story, to look at in the portal
    #[command(after_help = demo::EXAMPLES)]
    Demo(Box<demo::Demo>),
    /// Measure an installation: throughput, latency, losses, CPU time and bytes for each event
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<bench::Bench>),
}

/// Runs the command; failures are told on standard error.
pub async fn run(cli: Cli) -> ExitCode {
    let Cli { command, settings } = cli;
    let result = match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&settings).await,
        Command::Migrate => admin::migrate(&settings).await,
        Command::Environments(command) => environments::run(command, &settings).await,
        Command::Keys(command) => keys::run(command, &settings).await,
        Command::Portal(command) => portal::run(command, &settings).await,
        Command::Audit(command) => return exit::of(audit::run(command, &settings).await),
        Command::Config(command) => config::run(command, &settings).await,
        Command::Events(command) => events::run(command).await,
        Command::Replays(command) => replays::run(command).await,
        Command::Receive(command) => receive::run(command).await,
        Command::Demo(command) => demo::run(*command).await,
        Command::Bench(command) => bench::run(*command, &settings).await,
    };
    exit::of(result.map(|()| ExitCode::SUCCESS))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::load::load_from;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_tree_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_taken_before_and_after_the_command() {
        for line in [
            "tidings --egress-allow 127.0.0.0/8,::1 --listen 127.0.0.1:1 --data-dir /d --database-url postgres://h/db",
            "tidings serve --egress-allow 127.0.0.0/8 --egress-allow ::1 --listen 127.0.0.1:1 --data-dir /d --database-url postgres://h/db",
            "tidings --listen 127.0.0.1:1 --data-dir /d keys create --egress-allow 127.0.0.0/8,::1 --database-url postgres://h/db",
        ] {
            let cli = parse(line).unwrap();
            let config = load_from(None, [], &cli.settings.given()).unwrap().config;

            assert_eq!(config.egress.allow.len(), 2, "{line}");
            assert_eq!(config.server.listen.port(), 1, "{line}");
            assert_eq!(config.data.dir.as_deref(), Some("/d".as_ref()), "{line}");
            assert_eq!(
                config.database.url.unwrap().expose(),
                "postgres://h/db",
                "{line}"
            );
        }
    }

    #[test]
    fn no_command_is_serve_and_no_flag_is_no_setting() {
        let cli = parse("tidings").unwrap();

        assert!(cli.command.is_none());
        assert!(cli.settings.given().is_empty());
    }

    #[test]
    fn wrong_usage_is_refused_before_anything_runs() {
        for line in [
            "tidings nonsense",
            "tidings --listen 8080",
            "tidings keys create --permissions everything",
            "tidings keys create --environment org_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "tidings events publish not..a.type",
            "tidings events tail --after 7",
            "tidings replays create --since 2h",
            "tidings replays create we_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "tidings replays create we_01ARZ3NDEKTSV4RRFFQ69G5FAV --since 2h --rate 1001",
            "tidings replays preview we_01ARZ3NDEKTSV4RRFFQ69G5FAV --since 2h --scope some",
            "tidings receive --answer 99",
            "tidings receive --answer 500 --fail-first 2",
            "tidings receive --secret whsec_short",
            "tidings portal link --role manager",
            "tidings demo --quick --events 100",
            "tidings demo --over 2h",
            "tidings portal link --for 8d",
            "tidings audit verify log.ndjson",
            "tidings audit verify log.ndjson --key nonsense",
            "tidings audit verify log.ndjson --key-file k --consistency-proof p",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
