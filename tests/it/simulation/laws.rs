//! The laws: what must hold after every step, whatever has happened.
//!
//! Invariant: each law is about what can be seen from outside of dispatch: rows that are committed, requests that
//! receivers get, and when. A law that is broken once stays broken, and the run ends there.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tidings::domain::breaker::BreakerState;
use tidings::domain::delivery::StateName;
use tidings::domain::endpoint::Endpoint;
use tidings::domain::id::{DeliveryId, LeaseId};
use tidings::store::handoff::EndpointKey;

use super::rows::Rows;

/// For one POST, as a whole.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);
/// How old what a server believes of an endpoint may be.
const FRESH_FOR: Duration = Duration::from_millis(900);
/// Failures in a row, within [`FAILS_WITHIN`], after which an endpoint is left alone for at least [`LEFT_ALONE`].
const FAILURES: usize = 13;
const FAILS_WITHIN: Duration = Duration::from_secs(4);
const LEFT_ALONE: Duration = Duration::from_millis(799);
/// How often a server may claim from an endpoint that has been disabled for a while, within [`IDLY_WITHIN`].
const IDLY: usize = 20;
const IDLY_WITHIN: Duration = Duration::from_secs(5);
/// The furthest that a probe may be ahead.
const PROBE_AHEAD_MAX: TimeDelta = TimeDelta::seconds(36);

/// One life of a server: from its start to its end. The times are those since the simulation began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life {
    pub(super) is_over: bool,
    /// When the database last refused it something, lost an answer or was slow.
    pub(super) disturbed_at: Option<Duration>,
    /// When others last took it for dead, or the database's clock jumped.
    pub(super) fenced_at: Option<Duration>,
    /// When it last published.
    pub(super) published_at: Option<Duration>,
    /// When its clock last jumped.
    pub(super) stepped_at: Option<Duration>,
}

/// What has become of one delivery.
struct Track {
    key: EndpointKey,
    /// When each life claimed it, as far as that claim is still in its hands.
    claimed: BTreeMap<usize, Vec<(LeaseId, Duration)>>,
    /// Who was last told that it was accepted, and since when he had claimed it.
    accepted: Option<(usize, Duration)>,
    /// By whom it is being sent, and since when he has claimed it.
    in_flight: Vec<(usize, Duration)>,
}

/// When a server read an endpoint.
struct Read {
    began: Duration,
    done: Duration,
    answered: Duration,
}

/// A POST that begins.
pub(super) struct Begun<'a> {
    pub(super) life: usize,
    pub(super) at: Duration,
    pub(super) database_now: DateTime<Utc>,
    pub(super) delivery: DeliveryId,
    pub(super) number: u32,
    pub(super) url: &'a str,
}

/// Everything that is watched.
#[derive(Default)]
pub(super) struct Laws {
    pub(super) broken: Option<String>,
    pub(super) lives: Vec<Life>,
    pub(super) posts: u64,
    pub(super) again: u64,
    pub(super) last_post: BTreeMap<EndpointKey, Duration>,
    tracks: BTreeMap<DeliveryId, Track>,
    reads: HashMap<(usize, EndpointKey), Vec<Read>>,
    failures: HashMap<(usize, EndpointKey), Vec<Duration>>,
    claimed_idly: HashMap<(usize, EndpointKey), Vec<Duration>>,
    disabled_at: HashMap<EndpointKey, Duration>,
    attempts_max: HashMap<EndpointKey, u32>,
}

impl Laws {
    pub(super) fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    pub(super) fn published(&mut self, delivery: DeliveryId, key: EndpointKey) {
        let track = Track {
            key,
            claimed: BTreeMap::new(),
            accepted: None,
            in_flight: Vec::new(),
        };
        self.tracks.insert(delivery, track);
    }

    pub(super) fn key_of(&self, delivery: DeliveryId) -> EndpointKey {
        self.tracks[&delivery].key
    }

    pub(super) fn claimed(
        &mut self,
        life: usize,
        at: Duration,
        claims: impl Iterator<Item = (DeliveryId, LeaseId)>,
    ) {
        for (delivery, lease) in claims {
            if let Some(track) = self.tracks.get_mut(&delivery) {
                track.claimed.entry(life).or_default().push((lease, at));
                let key = track.key;
                self.claimed_of(life, key, at);
            }
        }
    }

    /// What a disabled endpoint is owed is not claimed and given back without end.
    fn claimed_of(&mut self, life: usize, key: EndpointKey, at: Duration) {
        let disabled_at = self.disabled_at.get(&key);
        if disabled_at.is_none_or(|disabled_at| at <= *disabled_at + FRESH_FOR * 2) {
            return;
        }
        let times = self.claimed_idly.entry((life, key)).or_default();
        times.retain(|earlier| at < *earlier + IDLY_WITHIN && *earlier != at);
        times.push(at);
        let count = times.len();
        self.demand(count <= IDLY, || {
            format!("{} is disabled and was claimed from {count} times", key.1)
        });
    }

    /// Claims are given back.
    pub(super) fn released(&mut self, life: usize, claims: &[(DeliveryId, LeaseId)]) {
        for (delivery, lease) in claims {
            let track = self.tracks.get_mut(delivery);
            if let Some(claims) = track.and_then(|track| track.claimed.get_mut(&life)) {
                claims.retain(|(claimed, _)| claimed != lease);
            }
        }
    }

    /// Uses up one of a life's claims: the one that counts, if it has that, or else the oldest. Answers since when it
    /// may have had it: who was taken for dead may hold a delivery twice, and sends what it has had for longest.
    fn used(
        &mut self,
        life: usize,
        delivery: DeliveryId,
        held: Option<LeaseId>,
    ) -> Option<Duration> {
        let claims = self.tracks.get_mut(&delivery)?.claimed.get_mut(&life)?;
        let counts = claims.iter().position(|(lease, _)| Some(*lease) == held);
        let (_, since) = *claims.first()?;
        claims.remove(counts.unwrap_or(0));
        Some(since)
    }

    pub(super) fn read(
        &mut self,
        reader: (usize, EndpointKey),
        began: Duration,
        done: Duration,
        answered: Duration,
    ) {
        let reads = self.reads.entry(reader).or_default();
        reads.retain(|read| answered < read.answered + FRESH_FOR * 2);
        reads.push(Read {
            began,
            done,
            answered,
        });
    }

    /// An endpoint is something else now.
    pub(super) fn changed(&mut self, endpoint: &Endpoint, at: Duration) {
        let key = (endpoint.environment, endpoint.id);
        if !endpoint.is_enabled() {
            self.disabled_at.entry(key).or_insert(at);
        } else {
            self.disabled_at.remove(&key);
        }
        let attempts = endpoint.schedule.clone().unwrap_or_default().attempts_max();
        let most = self.attempts_max.entry(key).or_insert(attempts);
        *most = attempts.max(*most);
    }

    pub(super) fn breaker_written(&mut self, state: BreakerState, now: DateTime<Utc>) {
        let is_legal = match state {
            BreakerState::Closed => true,
            BreakerState::Open { since, probe_at } => {
                since <= probe_at && probe_at - now <= PROBE_AHEAD_MAX
            }
            BreakerState::HalfOpen { room, .. } => room.is_power_of_two() && room <= 32,
        };
        self.demand(is_legal, || format!("a breaker is {state:?} at {now}"));
    }

    /// Whether what `life` held could have been taken from it since `since`.
    fn is_fenced(&self, life: usize, since: Duration) -> bool {
        let life = self.lives[life];
        life.is_over || life.fenced_at.is_some_and(|at| at >= since)
    }

    fn is_disturbed(&self, life: usize, since: Duration) -> bool {
        self.is_fenced(life, since) || self.lives[life].disturbed_at.is_some_and(|at| at >= since)
    }

    pub(super) fn begun(&mut self, rows: &Rows, post: &Begun<'_>) {
        self.posts += 1;
        let (life, at, delivery) = (post.life, post.at, post.delivery);
        let row = rows.owed().get(&delivery);
        let held = row.and_then(|row| row.lease.map(|lease| (lease, row.due_at)));
        let claimed = self.used(life, delivery, held.map(|((lease, _), _)| lease));
        let track = &self.tracks[&delivery];
        let key = track.key;
        let (accepted, in_flight) = (track.accepted, track.in_flight.clone());
        self.again += u64::from(accepted.is_some());
        let claimed_at = claimed.unwrap_or_default();
        self.demand(claimed.is_some(), || {
            format!("{delivery} was sent and never claimed")
        });
        let is_fenced = self.is_fenced(life, claimed_at);
        let cancelled = rows
            .ended
            .get(&delivery)
            .is_some_and(|end| end.state == StateName::Cancelled);
        let lasts = held
            .filter(|((_, worker), _)| *worker == super::worker(life))
            .map(|(_, until)| until - post.database_now);
        let covers = lasts.is_some_and(|lasts| lasts >= TimeDelta::from_std(TIMEOUT).unwrap());
        self.demand(covers || is_fenced || cancelled, || {
            format!("{delivery} was sent under a lease that lasts {lasts:?}")
        });
        for (other, since) in in_flight {
            let had_cause = is_fenced || self.is_fenced(other, since);
            self.demand(had_cause, || format!("{delivery} was sent twice at once"));
        }
        if let Some((told, since)) = accepted {
            let had_cause = is_fenced || self.is_disturbed(told, since);
            self.demand(had_cause, || {
                format!("{delivery} was sent again without cause")
            });
        }
        let most = self.attempts_max[&key];
        self.demand((1..=most).contains(&post.number), || {
            format!("{delivery} is at attempt {} of {most}", post.number)
        });
        let url = rows.endpoints[&key].url.clone();
        self.demand(url == post.url, || {
            format!("{delivery} went to {}", post.url)
        });
        self.demand(self.may_believe_enabled(life, key, at), || {
            format!("{delivery} was sent although its endpoint is disabled")
        });
        self.demand(self.may_be_called(life, key, at), || {
            format!("{delivery} was sent although its endpoint only fails")
        });
        self.last_post.insert(key, at);
        let track = self.tracks.get_mut(&delivery).unwrap();
        track.in_flight.push((life, claimed_at));
    }

    fn may_believe_enabled(&self, life: usize, key: EndpointKey, at: Duration) -> bool {
        let Some(&disabled_at) = self.disabled_at.get(&key) else {
            return true;
        };
        let reads = self.reads.get(&(life, key));
        reads.is_some_and(|reads| {
            let excuses = |read: &Read| {
                read.done <= disabled_at && (at <= read.began + FRESH_FOR || at == read.answered)
            };
            reads.iter().any(excuses)
        })
    }

    /// The breaker's law as a receiver sees it: after many failures in a row there is a pause.
    fn may_be_called(&self, life: usize, key: EndpointKey, at: Duration) -> bool {
        let Some(failures) = self
            .failures
            .get(&(life, key))
            .filter(|failures| failures.len() >= FAILURES)
        else {
            return true;
        };
        let [first, .., last] = failures[failures.len() - FAILURES..] else {
            return true;
        };
        let stepped = self.lives[life].stepped_at.is_some_and(|at| at >= first);
        stepped || last > first + FAILS_WITHIN || at <= last || at >= last + LEFT_ALONE
    }

    pub(super) fn ended(
        &mut self,
        life: usize,
        at: Duration,
        delivery: DeliveryId,
        accepted: bool,
    ) {
        let Some(track) = self.tracks.get_mut(&delivery) else {
            return;
        };
        let place = track.in_flight.iter().position(|(other, _)| *other == life);
        let since = place.map(|place| track.in_flight.remove(place).1);
        let failures = self.failures.entry((life, track.key)).or_default();
        if accepted {
            track.accepted = since.map(|since| (life, since));
            failures.clear();
        } else {
            failures.push(at);
            let many = failures.len().saturating_sub(FAILURES);
            failures.drain(..many);
        }
    }

    pub(super) fn over(&mut self, life: usize) {
        self.lives[life].is_over = true;
        for track in self.tracks.values_mut() {
            track.in_flight.retain(|(other, _)| *other != life);
        }
    }

    /// Nothing that was published is lost, and nothing is there that was not published.
    pub(super) fn counted(&mut self, rows: &Rows) {
        let (owed, ended) = (rows.owed().len(), rows.ended.len());
        let published = self.tracks.len();
        self.demand(owed + ended == published, || {
            format!("{published} deliveries were published, {owed} are owed and {ended} have ended")
        });
    }
}
