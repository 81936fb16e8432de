//! Resolver: names become addresses only through the policy.
//!
//! Invariant: what was checked is what is connected to: the connector gets the very addresses that were judged, and
//! one forbidden address spoils the whole answer, so that no rebinding and no mixed answer gets past. Bounded: the
//! system resolver blocks a thread and cannot be cancelled, so at most `lookups_max` threads are in it, at most one
//! of them for a name, and nobody waits longer than `lookup_timeout`. A quarter of them are kept for names that have had an
//! address, so that names whose servers say nothing cannot hold up those that work. Does not choose among addresses.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::policy::{Policy, Refusal};

/// Names that are remembered at once.
const NAMES_MAX: usize = 4096;

/// Addresses of a name that are tried; the connect timeout is shared among them, so more would help nobody.
const ADDRESSES_MAX: usize = 8;

/// Why a name gave no address to connect to; found by walking the `source()` of the client's error.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum LookupError {
    #[error("the name resolves to an address that must not be called")]
    Forbidden(#[source] Refusal),
    #[error("the name has no address")]
    NoAddress,
    #[error("the lookup failed")]
    Failed(#[source] Arc<io::Error>),
    #[error("the lookup took longer than {after:?}")]
    TimedOut { after: Duration },
}

/// Asks the system for the addresses of a name; blocks. Tests bring their own answers.
pub(super) type AskSystem = fn(&str) -> io::Result<Vec<SocketAddr>>;

#[derive(Debug, Clone, Copy)]
pub(super) struct LookupLimits {
    pub(super) lookups_max: usize,
    pub(super) timeout: Duration,
    /// How long an answer, good or bad, is used again.
    pub(super) ttl: Duration,
}

type Answer = Result<Arc<[SocketAddr]>, LookupError>;

#[derive(Debug)]
pub(super) struct GuardedResolver {
    policy: Arc<Policy>,
    limits: LookupLimits,
    ask_system: AskSystem,
    threads: Arc<Semaphore>,
    /// Those of them that names may use which have had no address when they were last asked for.
    for_untried: Arc<Semaphore>,
    lookups: TaskTracker,
    names: Mutex<HashMap<Box<str>, Known>>,
}

/// A lookup that is under way or done.
#[derive(Debug)]
struct Known {
    since: Instant,
    answer: watch::Receiver<Option<Answer>>,
    /// Alive while the lookup's thread is still in the system resolver, even after it was given up.
    thread: Weak<()>,
}

impl GuardedResolver {
    pub(super) fn new(policy: Arc<Policy>, limits: LookupLimits, ask_system: AskSystem) -> Self {
        let threads = limits.lookups_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            policy,
            limits,
            ask_system,
            threads: Arc::new(Semaphore::new(threads)),
            for_untried: Arc::new(Semaphore::new(threads - threads / 4)),
            lookups: TaskTracker::new(),
            names: Mutex::default(),
        }
    }

    /// The lookup of `name`: the one that is known, or a new one.
    fn lookup(&self, name: &str) -> watch::Receiver<Option<Answer>> {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names
            .get(name)
            .filter(|known| known.is_current(now, self.limits.ttl))
        {
            return known.answer.clone();
        }
        let is_tried = names.get(name).is_some_and(Known::has_address);
        if names.len() >= NAMES_MAX {
            names.retain(|_, known| known.is_current(now, self.limits.ttl));
        }
        let known = self.start(name, now, is_tried);
        let answer = known.answer.clone();
        if names.len() < NAMES_MAX {
            names.insert(name.into(), known);
        }
        answer
    }

    /// Starts a lookup that goes on when its first asker has gone away: others may be waiting for it.
    fn start(&self, name: &str, since: Instant, is_tried: bool) -> Known {
        let (answered, answer) = watch::channel(None);
        let in_thread = Arc::new(());
        let thread = Arc::downgrade(&in_thread);
        let (policy, threads, limits) = (
            Arc::clone(&self.policy),
            Arc::clone(&self.threads),
            self.limits,
        );
        let for_untried = (!is_tried).then(|| Arc::clone(&self.for_untried));
        let (ask_system, name) = (self.ask_system, Box::<str>::from(name));
        self.lookups.spawn(async move {
            let asked = tokio::time::timeout(limits.timeout, async {
                let turn = match for_untried {
                    Some(threads) => Some(threads.acquire_owned().await.map_err(io::Error::other)?),
                    None => None,
                };
                let permit = threads.acquire_owned().await.map_err(io::Error::other)?;
                // the permits go into the thread: they are free again when the thread is, not when the wait is over
                tokio::task::spawn_blocking(move || {
                    let _held = (turn, permit, in_thread);
                    ask_system(&name)
                })
                .await?
            });
            let judged = match asked.await {
                Ok(Ok(addresses)) => judge(&policy, &addresses),
                Ok(Err(error)) => Err(LookupError::Failed(Arc::new(error))),
                Err(_elapsed) => Err(LookupError::TimedOut {
                    after: limits.timeout,
                }),
            };
            answered.send_replace(Some(judged));
        });
        Known {
            since,
            answer,
            thread,
        }
    }
}

impl Known {
    fn is_current(&self, now: Instant, ttl: Duration) -> bool {
        if self.thread.strong_count() > 0 {
            return true;
        }
        match self.answer.borrow().as_ref() {
            Some(_) => now.duration_since(self.since) < ttl,
            // between the thread's end and the verdict; a lookup that died without one is not current
            None => self.answer.has_changed().is_ok(),
        }
    }
}

impl Known {
    fn has_address(&self) -> bool {
        matches!(self.answer.borrow().as_ref(), Some(Ok(_)))
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let mut lookup = self.lookup(name.as_str());
        Box::pin(async move {
            let answer = match lookup.wait_for(Option::is_some).await {
                Ok(answer) => answer.clone(),
                Err(died) => Some(Err(LookupError::Failed(Arc::new(io::Error::other(died))))),
            };
            let addresses = answer.unwrap_or(Err(LookupError::NoAddress))?;
            // the client sets the port of the URL where it finds 0
            Ok(Box::new(Vec::from(addresses.as_ref()).into_iter()) as Addrs)
        })
    }
}

/// Asks the system resolver (hosts file, DNS, whatever the machine is set up for).
pub(super) fn ask_system(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

/// All addresses are judged, also those that will not be tried.
fn judge(policy: &Policy, addresses: &[SocketAddr]) -> Answer {
    for address in addresses {
        policy
            .check_address(address.ip())
            .map_err(LookupError::Forbidden)?;
    }
    match addresses.get(..ADDRESSES_MAX).unwrap_or(addresses) {
        [] => Err(LookupError::NoAddress),
        tried => Ok(tried.into()),
    }
}
