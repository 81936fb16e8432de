//! One run: endpoints made, a warm-up, the measurement, endpoints deleted.
//!
//! Invariant: what is counted begins after the warm-up has been delivered, and ends when everything was delivered
//! and settled, or nothing has moved for as long as the command allows. Never hangs.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use url::Url;

use super::Interrupt;
use super::ledger::Ledger;
use super::options::Bench;
use super::payload::Payload;
use super::producer::{self, Latencies, Load};
use super::progress;
use super::receiver::Receiver;
use super::report::Report;
use super::target::Endpoints;
use super::usage::{Cpu, Processes};
use super::wire::Address;
use crate::cli::client::Client;
use crate::domain::signature::SigningSecret;
use crate::runtime::Meter;
use tokio_util::sync::CancellationToken;

/// How long after its last delivery a server is given to write down what came of it.
const SETTLE: Duration = Duration::from_millis(500);
/// Times that are kept in memory, 8 bytes each.
const TIMES_MAX: usize = 50_000_000;

/// What is measured, and what is known about it.
pub(super) struct Site<'a> {
    pub(super) client: &'a Client,
    /// For the report.
    pub(super) name: String,
    pub(super) processes: Processes,
    pub(super) meter: Option<Meter>,
}

/// What a run has found.
pub(super) struct Measured {
    pub(super) ledger: Arc<Ledger>,
    /// The events that count.
    pub(super) numbers: Range<u32>,
    pub(super) posts: Latencies,
    pub(super) cpu: Cpu,
    pub(super) server_peak_bytes: Option<u64>,
    pub(super) database_bytes: Option<i64>,
    pub(super) wal_bytes: Option<i64>,
    /// What is known about deliveries that did not arrive.
    pub(super) why_lost: Option<String>,
}

impl<'a> Site<'a> {
    pub(super) fn of(client: &'a Client, name: String) -> Self {
        Self {
            client,
            name,
            processes: Processes::default(),
            meter: None,
        }
    }
}

/// Does the whole run, and cleans up after it.
pub(super) async fn measure(
    command: &Bench,
    site: Site<'_>,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Report> {
    let endpoints = command.endpoints();
    let times = usize::try_from(command.total())?.saturating_mul(endpoints + 2);
    anyhow::ensure!(
        times <= TIMES_MAX,
        "so many events for so many endpoints do not fit into the bench's memory; measure fewer"
    );
    let run = format!("run_{:08x}", rand::random::<u32>());
    let secret = SigningSecret::from_bytes(rand::random());
    let address = Address::of(site.client.base(), site.client.key())?;
    let ledger = Arc::new(Ledger::open(command.total(), endpoints));
    let receiver = Receiver::start(command.receive_on, &run, &secret, ledger.clone())?;
    let url = match &command.receive_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{}/", receiver.address()))?,
    };
    let made = Endpoints::make(site.client, &run, endpoints, &url, &secret).await?;

    let stop = CancellationToken::new();
    let runner = Runner {
        command,
        client: site.client,
        endpoints: &made,
        ledger,
        stop: stop.clone(),
        load: Load {
            address,
            payload: Payload::new(&run, command.payload, command.batch),
            numbers: 0..0,
            batch: command.batch,
            producers: command.producers(),
            rate: None,
        },
    };
    let name = site.name;
    let ran = tokio::select! {
        ran = Box::pin(runner.run(site.processes, site.meter)) => ran,
        () = interrupt.came() => Err(anyhow::anyhow!("interrupted")),
    };
    stop.cancel();
    progress::clear();
    let deleted = made.delete(site.client).await;
    let measured = ran?;
    deleted?;
    Ok(Report::new(command, name, &measured))
}

struct Runner<'a> {
    command: &'a Bench,
    client: &'a Client,
    endpoints: &'a Endpoints,
    ledger: Arc<Ledger>,
    stop: CancellationToken,
    load: Load,
}

impl Runner<'_> {
    async fn run(self, processes: Processes, mut meter: Option<Meter>) -> anyhow::Result<Measured> {
        let warmup = self.command.warmup;
        self.warm_up(0..warmup).await?;
        processes.forget_peak();
        let before = read(&mut meter).await?;
        let cpu = processes.cpu();

        let numbers = warmup..self.command.total();
        let load = Load {
            rate: self.command.rate,
            ..self.load.clone()
        };
        let posts = self.publish("publishing", load, numbers.clone()).await?;
        let arrived = self.await_deliveries("delivering", numbers.clone()).await;
        tokio::time::sleep(SETTLE).await;

        let cpu = processes.cpu().since(&cpu);
        let after = read(&mut meter).await?;
        let grown = |of: fn((i64, i64)) -> i64| Some(of(after?) - of(before?));
        Ok(Measured {
            numbers,
            posts,
            cpu,
            server_peak_bytes: processes.server_peak_bytes(),
            database_bytes: grown(|(database, _)| database),
            wal_bytes: grown(|(_, wal)| wal),
            why_lost: match arrived {
                true => None,
                false => Some(self.endpoints.why_nothing_arrives(self.client).await),
            },
            ledger: self.ledger,
        })
    }

    /// Publishes as many events as it takes for connections, statements and caches to be there.
    async fn warm_up(&self, numbers: Range<u32>) -> anyhow::Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        self.publish("warming up", self.load.clone(), numbers.clone())
            .await?;
        if let Some(why) = self.ledger.first_failure() {
            let failed = self.ledger.counts.failed.load(Ordering::Relaxed);
            anyhow::bail!("{failed} of the first {} events failed: {why}", numbers.end);
        }
        if !self.await_deliveries("warming up", numbers.clone()).await {
            let missing = self.ledger.missing(numbers);
            let why = self.endpoints.why_nothing_arrives(self.client).await;
            let waited = humantime::format_duration(self.command.give_up);
            anyhow::bail!("{missing} deliveries did not arrive, and none for {waited}; {why}");
        }
        Ok(())
    }

    async fn publish(
        &self,
        what: &str,
        load: Load,
        numbers: Range<u32>,
    ) -> anyhow::Result<Latencies> {
        // In an open loop there may be long pauses by intention.
        let between = load.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(load.batch.into()) / rate
        });
        let patience = self.command.give_up + between;
        let load = Load { numbers, ..load };
        let published = tokio::select! {
            published = producer::publish(load, self.ledger.clone(), self.stop.clone()) => published,
            _never = progress::watch(what, &self.ledger, patience, || false) => {
                let waited = humantime::format_duration(patience);
                Err(anyhow::anyhow!("the server has answered nothing for {waited}"))
            }
        };
        progress::clear();
        published
    }

    /// Waits for what was accepted to be received; answers whether all of it was.
    async fn await_deliveries(&self, what: &str, numbers: Range<u32>) -> bool {
        let (ledger, endpoints) = (&self.ledger, self.command.endpoints());
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let all_arrived = || {
            let owed = count(&ledger.counts.accepted)
                .saturating_mul(u64::try_from(endpoints).unwrap_or(u64::MAX));
            // The sums first: they are cheap, and wrong only about events whose answer was lost.
            count(&ledger.counts.delivered) >= owed && ledger.missing(numbers.clone()) == 0
        };
        endpoints == 0 || progress::watch(what, ledger, self.command.give_up, all_arrived).await
    }
}

/// Bytes of the database, and of write-ahead log so far.
async fn read(meter: &mut Option<Meter>) -> anyhow::Result<Option<(i64, i64)>> {
    let Some(meter) = meter else {
        return Ok(None);
    };
    let footprint = meter.read().await?;
    Ok(Some((footprint.database_bytes, footprint.wal_bytes)))
}
