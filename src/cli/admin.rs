//! Work on the database beside a server or without one: what `keys`, `environments` and `migrate` share.
//!
//! Invariant: the connection is closed, and a cluster that this command started is stopped, whatever became of
//! the work.

use tracing::level_filters::LevelFilter;

use super::flags::SettingsFlags;
use super::output;
use crate::app::App;
use crate::config::settings::Origin;
use crate::config::{Config, Loaded};
use crate::domain::audit::Actor;
use crate::runtime;

pub(super) const MIGRATE_EXAMPLES: &str = "\
The server does this at its start; run it by itself to do it before a release.
Several at once wait for each other.

Examples:
  tidings migrate
  DATABASE_URL=postgres://u:p@host/db tidings migrate";

/// Does `work` on the database, with the migrations applied.
pub(super) async fn with_app<T>(
    settings: &SettingsFlags,
    work: impl AsyncFnOnce(&App) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let config = quiet(settings.load()?);
    let admin = runtime::connect(&config).await?;
    let done = work(admin.app()).await;
    let closed = admin.close().await;
    let done = done?;
    closed?;
    Ok(done)
}

pub(super) async fn migrate(settings: &SettingsFlags) -> anyhow::Result<()> {
    with_app(settings, async |_: &App| Ok(())).await?;
    Ok(output::line("the database is up to date")?)
}

/// Who runs this command, for the environment's own trail.
pub(super) fn operator() -> Actor {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user.ok().flatten().map(|user| user.name);
    let machine = nix::unistd::gethostname().ok();
    let machine = machine.and_then(|name| name.into_string().ok());
    Actor::operator(user.as_deref(), machine.as_deref())
}

/// The configuration of a command that ends by itself: it logs what went wrong, unless more was asked for.
fn quiet(loaded: Loaded) -> Config {
    let Loaded {
        mut config,
        settings,
    } = loaded;
    if settings
        .get("log.level")
        .is_none_or(|setting| setting.origin == Origin::Default)
    {
        config.log.level = LevelFilter::WARN;
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load_from;

    #[test]
    fn a_short_command_is_quiet_unless_a_level_was_asked_for() {
        let asked = [("TIDINGS__LOG__LEVEL".into(), "info".into())];

        assert_eq!(
            quiet(load_from(None, [], &[]).unwrap()).log.level,
            LevelFilter::WARN
        );
        assert_eq!(
            quiet(load_from(None, asked, &[]).unwrap()).log.level,
            LevelFilter::INFO
        );
    }
}
