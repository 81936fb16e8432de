//! `tidings audit`: what operators do about audit logs.

mod keys;

use clap::Subcommand;

use super::flags::SettingsFlags;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// List, rotate and retire the keys that sign checkpoints
    #[command(subcommand)]
    Keys(keys::AuditKeys),
}

pub(super) async fn run(command: Audit, settings: &SettingsFlags) -> anyhow::Result<()> {
    match command {
        Audit::Keys(command) => keys::run(command, settings).await,
    }
}
