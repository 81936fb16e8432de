//! `tidings bench`: measures an installation from outside, or a private one that it makes for the purpose.
//!
//! Invariant: what the bench has made is gone when it ends, however it ends: endpoints, the private platform, its
//! folder. Events stay in the feed of a server that was named: they are immutable. What cannot be known from here
//! is said to be not known. The method and its units: `docs/PERFORMANCE.md`.

mod ledger;
mod options;
mod payload;
mod private;
mod producer;
mod progress;
mod receiver;
mod report;
mod run;
mod target;
mod usage;
mod wire;

pub(super) use options::{Bench, EXAMPLES};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::client::Client;
use super::flags::SettingsFlags;
use super::output;
use crate::runtime::Meter;
use private::Private;
use report::Report;
use run::Site;
use usage::Processes;

pub(super) async fn run(mut command: Bench, settings: &SettingsFlags) -> anyhow::Result<()> {
    // First of all: from here on a signal is acted upon where it leaves nothing behind.
    let mut interrupt = Interrupt::listen()?;
    let report = if command.server.name_a_server() {
        of_server(&mut command, settings, &mut interrupt).await?
    } else {
        of_private(&command, settings, &mut interrupt).await?
    };
    if command.json {
        output::json(&report)?;
    } else {
        output::line(&report.table())?;
    }
    report.verdict()
}

/// Measures a private platform.
async fn of_private(
    command: &Bench,
    settings: &SettingsFlags,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Report> {
    let named = ["database.url", "data.dir"];
    anyhow::ensure!(
        !settings
            .given()
            .iter()
            .any(|flag| named.contains(&flag.key)),
        "a private platform has a database of its own; to measure yours, name its server with --url"
    );
    let config = settings.load()?.config;
    progress::say("starting a private platform");
    let started = Private::start(command.scratch.as_deref(), settings.file(), config).await;
    progress::clear();
    let private = started?;
    let measured = async {
        let mut site = Site::of(&private.client, "private".to_owned());
        let mut meter = Meter::open(&private.config).await?;
        site.processes = Processes::find(private.pid(), Some(meter.read().await?.backend));
        site.meter = Some(meter);
        run::measure(command, site, interrupt).await
    };
    let measured = measured.await;
    progress::say("stopping the private platform");
    let stopped = private.stop().await;
    progress::clear();
    let measured = measured?;
    stopped?;
    Ok(measured)
}

/// Measures a server that runs already.
async fn of_server(
    command: &mut Bench,
    settings: &SettingsFlags,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Report> {
    let config = settings.load()?.config;
    let client = Client::new(std::mem::take(&mut command.server))?;
    let mut site = Site::of(&client, client.base().to_string());
    let mut backend = None;
    // Only a database that was named is taken for the server's.
    if config.database.url.is_some() || config.data.dir.is_some() {
        let mut meter = Meter::open(&config)
            .await
            .context("the server's database cannot be read")?;
        let footprint = meter.read().await?;
        backend = footprint.on_this_machine.then_some(footprint.backend);
        site.meter = Some(meter);
    }
    site.processes = Processes::find(command.pid, backend);
    if let Some(pid) = command.pid {
        anyhow::ensure!(
            site.processes.know_the_server(),
            "--pid {pid}: there is no such process on this machine, or no /proc to read it from"
        );
    }
    run::measure(command, site, interrupt).await
}

/// SIGINT and SIGTERM, from when this was made.
struct Interrupt(Signal, Signal);

impl Interrupt {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self(
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    }

    /// Ends when there was a signal.
    async fn came(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
