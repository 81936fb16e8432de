//! The platform: every part, built from its section of the configuration, not yet running.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::app::{App, AppParts, AppSettings};
use crate::config::Config;
use crate::dispatch::{Courier, CourierSettings, Dispatcher, DispatcherSettings, World};
use crate::domain::event::EventLimits;
use crate::domain::id::WorkerId;
use crate::domain::time::Clock;
use crate::egress::{Policy, Sender, SenderSettings};
use crate::ingest::{Recorder, RecorderSettings};
use crate::store::Store;
use crate::store::gate::HoldLimits;
use crate::store::handoff::{Handoff, Held};
use crate::upkeep::UpkeepSettings;

/// How much earlier than its lease's end a POST must be over.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// Claims that may wait in memory for each POST that may be under way.
const WAITING_PER_POST: usize = 4;
/// Bytes of bodies in memory: waiting to be recorded, and waiting to be sent.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
const HELD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that go into one transaction.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How the parts are put together.
#[derive(Debug, Clone)]
pub struct PlatformSettings {
    pub clock: Clock,
    /// Where callers reach the API.
    pub public_url: String,
    /// New deliveries are claimed for this process; without it, only `dispatch_due` sends.
    pub hand_over: bool,
}

/// Every part.
pub struct Platform {
    pub app: App,
    pub store: Store,
    pub recorder: Recorder,
    pub courier: Arc<Courier>,
    pub handoff: Handoff,
    pub worker: WorkerId,
    handed: mpsc::UnboundedReceiver<Held>,
}

impl Platform {
    /// Puts the parts together; nothing runs yet.
    ///
    /// Errors: no root certificates on this machine.
    pub fn build(
        config: &Config,
        store: Store,
        settings: PlatformSettings,
    ) -> anyhow::Result<Self> {
        install_crypto();
        let clock = settings.clock;
        let worker = WorkerId::new(clock.now());
        let delivery = &config.delivery;
        let start_within = delivery
            .lease
            .saturating_sub(delivery.timeout + LEASE_MARGIN);
        let (handoff, handed) =
            Handoff::new(worker, hold_limits(config), delivery.lease, start_within);
        let policy = Arc::new(Policy::new(
            config.egress.allow.clone(),
            config.egress.https_only,
        ));
        let mut sender = SenderSettings::new(policy.clone());
        sender.total_timeout = delivery.timeout;
        sender.connect_timeout = delivery.connect_timeout;
        let courier = CourierSettings {
            schedule: delivery.retry_schedule.clone(),
            timeout: delivery.timeout,
        };
        let courier = Courier::new(
            World::real(store.clone(), clock.clone(), Sender::new(sender)?),
            handoff.clone(),
            courier,
        );
        let handed_over = settings.hand_over.then(|| handoff.clone());
        let recorder = Recorder::new(
            recorder_settings(config),
            store.clone(),
            clock.clone(),
            handed_over,
        );
        let app = App::new(AppParts {
            store: store.for_requests(),
            recorder: recorder.clone(),
            clock,
            policy,
            handoff: handoff.clone(),
            settings: app_settings(config, settings.public_url),
        });
        Ok(Self {
            app,
            store,
            recorder,
            courier: Arc::new(courier),
            handoff,
            worker,
            handed,
        })
    }

    /// The loop that sends; its settling task starts now.
    pub fn dispatcher(&mut self, config: &Config) -> Dispatcher {
        let settings = DispatcherSettings {
            in_flight_max: config.delivery.concurrency,
            per_endpoint_max: config.delivery.concurrency_per_endpoint,
            poll: config.delivery.poll,
            drain: config.delivery.drain,
        };
        let (_closed, empty) = mpsc::unbounded_channel();
        let handed = std::mem::replace(&mut self.handed, empty);
        Dispatcher::new(self.courier.clone(), settings, handed)
    }
}

/// An app that records and reads, for commands that end by themselves: what is due is sent by a server.
pub(super) fn idle_app(config: &Config, store: Store, policy: Arc<Policy>) -> App {
    let delivery = &config.delivery;
    let (handoff, _closed) = Handoff::new(
        WorkerId::new(Clock::System.now()),
        hold_limits(config),
        delivery.lease,
        Duration::ZERO,
    );
    App::new(AppParts {
        recorder: Recorder::new(
            recorder_settings(config),
            store.clone(),
            Clock::System,
            None,
        ),
        store,
        clock: Clock::System,
        policy,
        handoff,
        settings: app_settings(config, config.server.public_url(config.server.listen)),
    })
}

/// Makes ring the process's crypto provider; the first call counts.
pub(super) fn install_crypto() {
    let _already = rustls::crypto::ring::default_provider().install_default();
}

fn hold_limits(config: &Config) -> HoldLimits {
    HoldLimits {
        claims_max: config.delivery.concurrency * WAITING_PER_POST,
        claims_per_endpoint_max: config.delivery.concurrency_per_endpoint * WAITING_PER_POST,
        bytes_max: HELD_BYTES_MAX,
    }
}

fn recorder_settings(config: &Config) -> RecorderSettings {
    RecorderSettings {
        connections: usize::try_from(config.ingest.connections).unwrap_or(1),
        queue_events_max: config.ingest.queue_max,
        queue_bytes_max: QUEUE_BYTES_MAX,
        batch_events_max: config.ingest.batch_max,
        batch_bytes_max: BATCH_BYTES_MAX,
    }
}

fn app_settings(config: &Config, public_url: String) -> AppSettings {
    AppSettings {
        event_limits: EventLimits {
            data_bytes_max: config.events.data_bytes_max,
        },
        audit_schemas_required: config.audit.require_schema,
        public_url,
        frame_ancestors: config.portal.frame_ancestors.clone(),
        in_effect: config.in_effect.clone(),
    }
}

/// How long things are kept.
pub(super) fn upkeep_settings(config: &Config) -> UpkeepSettings {
    UpkeepSettings {
        events_for: config.events.retention,
        idempotency_keys_for: config.events.idempotency_retention,
        held_deliveries_for: config.delivery.retry_schedule.horizon(),
    }
}
