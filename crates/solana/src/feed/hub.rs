//! What all connections of a feed share: the watches, the router and the channel. What they tell goes through `deliver`.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sniper_core::units::Slot;
use tokio::sync::{Notify, mpsc, watch};

use super::backlog::Backlog;
use super::event::{DownCause, FeedEvent, GapCause};
use super::frame::{FrameError, UNKNOWN_METHOD};
use super::manager::FeedError;
use super::registry::{Place, Registry, Target};
use super::router::MessageRouter;
use super::subscription::{Subject, Subscription};
use super::watch::{Watch, WatchId};
use crate::json::Encoding;
use crate::rpc::{Commitment, EndpointName, Latency, RpcConnectionPool};

pub(crate) struct Hub {
    pub(super) commitment: Commitment,
    pub(super) encoding: Encoding,
    /// Connections of each shard.
    replicas: usize,
    pub(crate) pool: RpcConnectionPool,
    pub(super) events: mpsc::Sender<FeedEvent>,
    state: Mutex<State>,
    /// There is something to heal.
    pub(super) wake: Notify,
    /// Something waits for room in the channel.
    pub(super) waits: Notify,
}

pub(super) struct State {
    pub(super) registry: Registry,
    pub(super) router: MessageRouter,
    pub(super) backlog: Backlog,
    /// One of each shard.
    pub(super) needs: Vec<Need>,
    /// What the receiver is to be told of, as soon as there is room.
    pub(super) refused: Vec<(WatchId, i64)>,
    round_trips: Vec<Latency>,
    endpoints: Vec<Option<EndpointName>>,
    /// Of each connection, the last frame that could not be read.
    faults: Vec<Option<FrameError>>,
    pub(super) counters: FeedCounters,
}

/// What a shard needs before its receiver knows everything.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// A gap to tell of.
    pub(super) gap: Option<GapCause>,
    /// The receiver was told of a gap and not yet of its end.
    pub(super) open: bool,
    /// A snapshot of everything, no older than this.
    pub(super) snapshot: Option<u64>,
    /// Some of its watches are to be read alone.
    pub(super) some: bool,
}

impl Need {
    /// A gap is open, and everything was read since.
    pub(super) fn is_healed(&self) -> bool {
        self.snapshot.is_none() && self.gap.is_none() && self.open
    }
}

/// What a feed has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounters {
    /// Notices passed on.
    pub delivered: u64,
    /// Notices told before by another connection.
    pub duplicates: u64,
    /// Notices of connections that were behind.
    pub late: u64,
    /// Accounts or frames that could not be read.
    pub unreadable: u64,
    /// Notices that found the channel full and had to wait.
    pub overflows: u64,
    /// Events that wait for room in the channel now.
    pub waiting: u64,
    /// Notices that were overtaken while they waited: a newer one of the same account took their place.
    pub coalesced: u64,
    /// Notices that could not wait, as each of their kind counts; told as [`FeedEvent::Missed`].
    pub missed: u64,
    /// Snapshots read.
    pub snapshots: u64,
    /// Connections made.
    pub connects: u64,
}

/// Which watches are to come, and where to.
pub(super) struct Coming<'a> {
    pub(super) subscriptions: &'a [Subscription],
    /// Subjects of a shard, at most.
    pub(super) room: usize,
    /// They are what the feed begins with: until they are read there is a gap.
    pub(super) first: bool,
}

/// What came of it.
pub(super) struct Came {
    pub(super) ids: Vec<WatchId>,
    /// Connections to be made, with their shards.
    pub(super) connections: Vec<(usize, usize)>,
}

impl Hub {
    pub(crate) fn new(
        most: usize,
        replicas: usize,
        (commitment, encoding): (Commitment, Encoding),
        pool: RpcConnectionPool,
        events: mpsc::Sender<FeedEvent>,
    ) -> Self {
        let state = State {
            registry: Registry::new(most),
            router: MessageRouter::new(),
            backlog: Backlog::default(),
            needs: Vec::new(),
            refused: Vec::new(),
            round_trips: Vec::new(),
            endpoints: Vec::new(),
            faults: Vec::new(),
            counters: FeedCounters::default(),
        };
        Self {
            commitment,
            encoding,
            replicas,
            pool,
            events,
            state: Mutex::new(state),
            wake: Notify::new(),
            waits: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the router as of its last complete notice.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with_router<R>(&self, f: impl FnOnce(&mut MessageRouter) -> R) -> R {
        f(&mut self.state().router)
    }

    pub(crate) fn counters(&self) -> FeedCounters {
        let state = self.state();
        FeedCounters { waiting: state.backlog.len(), ..state.counters }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Takes watches, all or none. They are in force once the connections of their shards have seen them.
    pub(super) fn follow(&self, coming: &Coming<'_>) -> Result<Came, FeedError> {
        let mut state = self.state();
        // Those given up take room until the receiver has heard of it: else it could be made to wait without end.
        let more = coming.subscriptions.len().saturating_add(state.refused.len());
        state.registry.check_room(more)?;
        let mut came = Came { ids: Vec::new(), connections: Vec::new() };
        let mut touched = BTreeSet::new();
        for subscription in coming.subscriptions {
            let subject = Subject::of(subscription);
            let shard = match state.registry.shard_for(&subject, coming.room) {
                Some(shard) => shard,
                None => self.add_shard(&mut state, coming.first, &mut came.connections),
            };
            let place = state.registry.add(shard, subscription.clone(), !coming.first);
            state.router.follow(place.index, shard);
            came.ids.push(place.id);
            touched.insert(shard);
        }
        state.registry.raise(&touched);
        Ok(came)
    }

    fn add_shard(
        &self,
        state: &mut State,
        first: bool,
        connections: &mut Vec<(usize, usize)>,
    ) -> usize {
        let (shard, now) = (state.registry.add_shard(), Instant::now());
        // Of watches that come later the receiver expects nothing yet.
        state.needs.push(Need { gap: first.then_some(GapCause::Start), ..Need::default() });
        for _ in 0..self.replicas {
            connections.push((state.router.connect(shard, now), shard));
            state.round_trips.push(Latency::new(now));
            state.endpoints.push(None);
            state.faults.push(None);
        }
        shard
    }

    /// Lets watches go: nothing more is told of them from here on. Gives how many there were.
    pub(super) fn unfollow(&self, watches: &[WatchId]) -> usize {
        let mut state = self.state();
        let mut touched = BTreeSet::new();
        let mut gone = 0;
        for id in watches {
            state.backlog.forget(*id);
            gone += usize::from(state.remove(*id, &mut touched));
        }
        state.registry.raise(&touched);
        gone
    }

    /// The account that a watch follows.
    pub(super) fn watch(&self, id: WatchId) -> Option<Watch> {
        self.state().registry.find(id).and_then(|entry| entry.watch().copied())
    }

    /// What a watch follows.
    pub(super) fn subscription(&self, id: WatchId) -> Option<Subscription> {
        self.state().registry.find(id).map(|entry| entry.subscription.clone())
    }

    /// How many watches there are.
    pub(super) fn watched(&self) -> usize {
        self.state().registry.len()
    }

    /// Tells of a shard's changes.
    pub(super) fn revisions(&self, shard: usize) -> Option<watch::Receiver<u64>> {
        self.state().registry.revisions(shard)
    }

    /// The subjects a shard subscribes to, each with its watches, and the revision that this is.
    pub(super) fn targets(&self, shard: usize) -> (u64, Vec<Target>) {
        self.state().registry.targets(shard)
    }

    /// A connection has all the acknowledgements that its endpoint owed it at first.
    pub(crate) fn up(&self, connection: usize, endpoint: &EndpointName) {
        let mut state = self.state();
        state.counters.connects += 1;
        if let Some(name) = state.endpoints.get_mut(connection) {
            *name = Some(endpoint.clone());
        }
        let endpoint = endpoint.clone();
        drop(self.events.try_send(FeedEvent::ConnectionUp { connection, endpoint }));
    }

    /// A connection has every subscription of that revision of its shard.
    pub(super) fn acknowledged(&self, connection: usize, shard: usize, revision: u64) {
        let mut state = self.state();
        state.router.up(connection, revision);
        state.registry.acknowledge(shard, revision);
    }

    /// A connection had every subscription of `upto` in force before `slot`, and only those of `after` before that:
    /// what came between them must be read, no older than `slot`. After nothing at all, that is everything.
    pub(super) fn want_read(&self, shard: usize, after: u64, upto: u64, slot: Slot) {
        let mut state = self.state();
        let State { registry, needs, .. } = &mut *state;
        let Some(need) = needs.get_mut(shard) else { return };
        if after == 0 || need.open || need.gap.is_some() {
            need.snapshot = need.snapshot.max(Some(slot.get()));
        } else {
            need.some |= registry.want(shard, after, upto, slot.get());
        }
        self.wake.notify_one();
    }

    /// A node refuses a subject. Says whether its watches could be given up for that, and were.
    pub(super) fn give_up(&self, shard: usize, subject: &Subject, code: i64) -> bool {
        let mut state = self.state();
        if !state.registry.may_give_up(shard, subject) {
            return false;
        }
        let mut touched = BTreeSet::new();
        for id in state.registry.of_subject(shard, subject) {
            tracing::warn!(watch = id.0, code, "subscription refused, watch given up");
            state.remove(id, &mut touched);
            state.refused.push((id, code));
        }
        state.registry.raise(&touched);
        self.wake.notify_one();
        true
    }

    /// A connection is gone.
    pub(crate) fn down(
        &self,
        connection: usize,
        shard: usize,
        endpoint: &EndpointName,
        cause: DownCause,
    ) {
        let mut state = self.state();
        if let Some(name) = state.endpoints.get_mut(connection) {
            *name = None;
        }
        let lost = state.router.down(connection);
        let State { registry, router, needs, .. } = &mut *state;
        if let Some(nth) = router.nth(connection) {
            registry.lose(shard, nth);
        }
        if !lost.is_empty()
            && registry.of_shard(shard).any(|(_, entry)| lost.contains(&entry.since))
            && let Some(need) = needs.get_mut(shard)
        {
            need.gap = need.gap.or((!need.open).then_some(GapCause::Disconnected));
            need.snapshot = None; // the connection that comes to cover it asks for its own
            self.wake.notify_one();
        }
        let endpoint = endpoint.clone();
        drop(self.events.try_send(FeedEvent::ConnectionDown { connection, endpoint, cause }));
    }

    /// Whether nobody tells of a shard's accounts, or what was missed meanwhile is not read yet.
    pub(crate) fn is_torn(&self, shard: usize) -> bool {
        self.state().needs.get(shard).is_some_and(|need| need.open || need.gap.is_some())
    }

    /// The last frame of a connection that could not be read.
    pub(super) fn fault(&self, connection: usize) -> Option<FrameError> {
        self.state().faults.get(connection).copied().flatten()
    }

    /// A connection told something that cannot be read, which may have been news of any account: those that it can have
    /// been about are read again. Its endpoint comes later wherever one is chosen.
    pub(super) fn unreadable(
        &self,
        connection: usize,
        shard: usize,
        endpoint: &EndpointName,
        told: Option<(&FrameError, &[Place])>,
    ) {
        self.pool.blame(endpoint);
        let slot = self.pool.highest_slot().get();
        let mut state = self.state();
        let State { registry, needs, counters, faults, .. } = &mut *state;
        counters.unreadable += 1;
        let Some((error, places)) = told else { return };
        tracing::warn!(%endpoint, connection, %error, "feed frame unreadable");
        if let Some(last) = faults.get_mut(connection) {
            *last = Some(*error);
        }
        let wanted = match error.subscription {
            Some(_) => places.iter().filter(|place| registry.want_one(**place, slot)).count() > 0,
            None => error.method != UNKNOWN_METHOD && registry.want(shard, 0, u64::MAX, slot),
        };
        if wanted && let Some(need) = needs.get_mut(shard) {
            need.some = true;
            self.wake.notify_one();
        }
    }

    /// A connection told what it had told before, or something older than that.
    #[cfg(feature = "yellowstone")]
    pub(super) fn passed_over(&self, is_older: bool) {
        let counters = &mut self.state().counters;
        counters.late += u64::from(is_older);
        counters.duplicates += u64::from(!is_older);
    }

    /// What was told of these may be of a branch that the chain has left: they are read again, no older than `slot`.
    #[cfg(feature = "yellowstone")]
    pub(super) fn read_again(&self, shard: usize, places: &[Place], slot: Slot) {
        let mut state = self.state();
        let State { registry, needs, .. } = &mut *state;
        let wanted = places.iter().filter(|place| registry.want_one(**place, slot.get())).count();
        if wanted > 0
            && let Some(need) = needs.get_mut(shard)
        {
            need.some = true;
            self.wake.notify_one();
        }
    }

    pub(crate) fn round_trip(&self, connection: usize, now: Instant, took: Duration) {
        if let Some(latency) = self.state().round_trips.get_mut(connection) {
            latency.record(now, took);
        }
    }

    pub(crate) fn round_trip_us(&self, connection: usize) -> Option<u64> {
        let state = self.state();
        let latency = state.round_trips.get(connection)?;
        (latency.samples() > 0).then(|| latency.quantile_us(500))
    }

    pub(crate) fn reset_delivery(&self, connection: usize) {
        let now = Instant::now();
        let mut state = self.state();
        state.router.reset_delivery(connection, now);
        if let Some(latency) = state.round_trips.get_mut(connection) {
            *latency = Latency::new(now);
        }
    }

    /// The endpoint a connection listens to now.
    pub(crate) fn endpoint_of(&self, connection: usize) -> Option<EndpointName> {
        self.state().endpoints.get(connection).cloned().flatten()
    }
}

impl State {
    pub(super) fn remove(&mut self, id: WatchId, touched: &mut BTreeSet<usize>) -> bool {
        let Some((index, entry)) = self.registry.remove(id) else { return false };
        self.router.unfollow(index);
        touched.insert(entry.shard);
        true
    }
}
