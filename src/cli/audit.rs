//! `tidings audit`: what operators do about the keys of audit logs, and what an auditor does on a machine of their
//! own, without a server and without a network.

mod input;
mod keys;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use super::flags::SettingsFlags;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Check an NDJSON export against public keys and a checkpoint that you have kept
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Verify),
    /// List, rotate and retire the keys that sign checkpoints
    #[command(subcommand)]
    Keys(keys::AuditKeys),
}

pub(super) async fn run(command: Audit, settings: &SettingsFlags) -> anyhow::Result<ExitCode> {
    match command {
        Audit::Verify(command) => verify::run(&command),
        Audit::Keys(command) => keys::run(command, settings)
            .await
            .map(|()| ExitCode::SUCCESS),
    }
}
