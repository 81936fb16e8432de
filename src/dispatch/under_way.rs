//! Under way: the POSTs that are being made, each with its endpoint.
//!
//! Invariant: every POST that was started ends here exactly once, also when its task panics, so that its lane and
//! its permit are always given back.

use std::collections::HashMap;

use tokio::task::{Id, JoinSet};

use super::lanes::Pace;
use crate::store::handoff::EndpointKey;

/// Tasks that send.
#[derive(Default)]
pub(super) struct UnderWay {
    tasks: JoinSet<Pace>,
    endpoints: HashMap<Id, EndpointKey>,
}

impl UnderWay {
    pub(super) fn start(
        &mut self,
        endpoint: EndpointKey,
        sending: impl Future<Output = Pace> + Send + 'static,
    ) {
        let id = self.tasks.spawn(sending).id();
        self.endpoints.insert(id, endpoint);
    }

    /// Waits for the next end; `None` when nothing is under way.
    pub(super) async fn next(&mut self) -> Option<(EndpointKey, Pace)> {
        loop {
            let (id, pace) = match self.tasks.join_next_with_id().await? {
                Ok(ended) => ended,
                Err(error) => {
                    tracing::error!(error = %error, "a delivery ended badly; its lease will run out");
                    (error.id(), Pace::Unknown)
                }
            };
            if let Some(endpoint) = self.endpoints.remove(&id) {
                return Some((endpoint, pace));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Ends whatever is under way.
    pub(super) async fn cut_off(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{EndpointId, EnvironmentId};

    #[tokio::test]
    async fn a_delivery_that_panics_ends_like_any_other() {
        let key = |number| (EnvironmentId::at(1, 1), EndpointId::at(1, number));
        let mut under_way = UnderWay::default();
        under_way.start(key(1), async { panic!("on purpose") });
        assert_eq!(under_way.next().await, Some((key(1), Pace::Unknown)));

        under_way.start(key(2), async { Pace::Answered });
        assert_eq!(under_way.next().await, Some((key(2), Pace::Answered)));
        assert_eq!(under_way.next().await, None);
    }
}
