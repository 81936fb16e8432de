//! `tidings serve`: the server, until it is told to stop.

use super::flags::SettingsFlags;
use crate::runtime;

pub(super) const EXAMPLES: &str = "\
Without --database-url the server runs a Postgres of its own in the data
directory. The first start makes an environment and prints its API key once.
SIGTERM or Ctrl-C stop it: deliveries under way are finished first.

Examples:
  tidings serve
  tidings serve --listen 0.0.0.0:8080 --data-dir /var/lib/tidings
  tidings serve --egress-allow 127.0.0.0/8,10.1.0.0/16
  TIDINGS_BOOTSTRAP_API_KEY=sk_test_12345 tidings serve
  TIDINGS_MASTER_KEY_FILE=/run/key tidings serve --database-url postgres://u:p@host/db";

pub(super) async fn run(settings: &SettingsFlags) -> anyhow::Result<()> {
    let config = settings.load()?.config;
    config.check_serving()?;
    runtime::serve(config).await
}
