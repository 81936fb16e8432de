//! `tidings events`: publish to a running server, and follow what is published.

mod publish;
mod tail;

use clap::Subcommand;

#[derive(Subcommand)]
pub(super) enum Events {
    /// Publish one event
    #[command(after_help = publish::EXAMPLES)]
    Publish(publish::Publish),
    /// Print events, oldest first, and go on as new ones come
    #[command(after_help = tail::EXAMPLES)]
    Tail(tail::Tail),
}

pub(super) async fn run(command: Events) -> anyhow::Result<()> {
    match command {
        Events::Publish(command) => publish::run(command).await,
        Events::Tail(command) => tail::run(command).await,
    }
}
