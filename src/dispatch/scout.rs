//! The scout: looks through the outbox for what the agenda does not know.
//!
//! Invariant: whatever was lost (a hint, a process, a lease) is found by the next look, and looking never takes more
//! than a small part of the time: where a look takes long, the next one comes later. Claims nothing; those who do
//! never wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::courier::Courier;

/// How many times as long as a look took nothing is looked for, unless somebody asks.
const RESTS: u32 = 19;
/// The same when somebody asks.
const RESTS_WHEN_ASKED: u32 = 4;

/// The task that looks.
pub(super) struct Scout {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Scout {
    #[expect(
        clippy::disallowed_methods,
        reason = "the dispatcher owns this task and waits for it in `finish`"
    )]
    pub(super) fn start(courier: Arc<Courier>, poll: Duration) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(courier, poll, stop.clone()));
        Self { stop, task }
    }

    pub(super) async fn finish(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(error = %error, "looking through the outbox ended badly");
        }
    }
}

/// Looks every `poll`, or when somebody asks, until `stop`.
async fn run(courier: Arc<Courier>, poll: Duration, stop: CancellationToken) {
    loop {
        let began = Instant::now();
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = courier.look() => looked,
        };
        if let Err(error) = looked {
            tracing::warn!(error = %error, "the outbox was not looked through");
        }
        let took = began.elapsed();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(poll.max(took * RESTS)) => {}
            () = asked(&courier, took * RESTS_WHEN_ASKED) => {}
        }
    }
}

async fn asked(courier: &Courier, rest: Duration) {
    tokio::time::sleep(rest).await;
    courier.handoff.woken().await;
}
