//! What all connections of a feed share: the watches, the router and the channel.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sniper_core::amm::Kind;
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, watch};

use super::event::{DownCause, FeedEvent, GapCause};
use super::frame::Held;
use super::manager::FeedError;
use super::registry::{Entry, Place, Registry, Target};
use super::router::{MessageRouter, Verdict};
use super::watch::{self as decoding, Content, Watch, WatchId};
use crate::rpc::{Commitment, EndpointName, Latency, RpcConnectionPool};

pub(crate) struct Hub {
    pub(super) commitment: Commitment,
    /// Connections of each shard.
    replicas: usize,
    pub(crate) pool: RpcConnectionPool,
    pub(super) events: mpsc::Sender<FeedEvent>,
    state: Mutex<State>,
    pub(super) wake: Notify,
}

pub(super) struct State {
    pub(super) registry: Registry,
    pub(super) router: MessageRouter,
    /// One of each shard.
    pub(super) needs: Vec<Need>,
    /// What the receiver is to be told of, as soon as there is room.
    pub(super) refused: Vec<(WatchId, i64)>,
    round_trips: Vec<Latency>,
    endpoints: Vec<Option<EndpointName>>,
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
    /// Notices that found the channel full; a snapshot makes up for them.
    pub overflows: u64,
    /// Snapshots read.
    pub snapshots: u64,
    /// Connections made.
    pub connects: u64,
}

/// Which watches are to come, and where to.
pub(super) struct Coming<'a> {
    pub(super) watches: &'a [Watch],
    /// Addresses of a shard, at most.
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
        commitment: Commitment,
        pool: RpcConnectionPool,
        events: mpsc::Sender<FeedEvent>,
    ) -> Self {
        let state = State {
            registry: Registry::new(most),
            router: MessageRouter::new(),
            needs: Vec::new(),
            refused: Vec::new(),
            round_trips: Vec::new(),
            endpoints: Vec::new(),
            counters: FeedCounters::default(),
        };
        Self { commitment, replicas, pool, events, state: Mutex::new(state), wake: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the router as of its last complete notice.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with_router<R>(&self, f: impl FnOnce(&mut MessageRouter) -> R) -> R {
        f(&mut self.state().router)
    }

    pub(crate) fn counters(&self) -> FeedCounters {
        self.state().counters
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.events.is_closed()
    }

    /// Takes watches, all or none. They are in force once the connections of their shards have seen them.
    pub(super) fn follow(&self, coming: &Coming<'_>) -> Result<Came, FeedError> {
        let mut state = self.state();
        // Those given up take room until the receiver has heard of it: else it could be made to wait without end.
        let more = coming.watches.len().saturating_add(state.refused.len());
        state.registry.check_room(more)?;
        let mut came = Came { ids: Vec::new(), connections: Vec::new() };
        let mut touched = BTreeSet::new();
        for watch in coming.watches {
            let shard = match state.registry.shard_for(&watch.address, coming.room) {
                Some(shard) => shard,
                None => self.add_shard(&mut state, coming.first, &mut came.connections),
            };
            let place = state.registry.add(shard, *watch, !coming.first);
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
        }
        shard
    }

    /// Lets watches go: nothing more is told of them from here on. Gives how many there were.
    pub(super) fn unfollow(&self, watches: &[WatchId]) -> usize {
        let mut state = self.state();
        let mut touched = BTreeSet::new();
        let gone = watches.iter().filter(|id| state.remove(**id, &mut touched)).count();
        state.registry.raise(&touched);
        gone
    }

    /// What a watch follows.
    pub(super) fn watch(&self, id: WatchId) -> Option<Watch> {
        self.state().registry.find(id).map(|entry| entry.watch)
    }

    /// How many watches there are.
    pub(super) fn watched(&self) -> usize {
        self.state().registry.len()
    }

    /// Tells of a shard's changes.
    pub(super) fn revisions(&self, shard: usize) -> Option<watch::Receiver<u64>> {
        self.state().registry.revisions(shard)
    }

    /// The addresses a shard subscribes to, each with its watches, and the revision that this is.
    pub(super) fn targets(&self, shard: usize) -> (u64, Vec<Target>) {
        self.state().registry.targets(shard)
    }

    /// An account notice of a connection.
    pub(super) fn account(&self, connection: usize, place: Place, notice: &Notice<'_>) {
        let Notice { slot, account, received } = *notice;
        let print = decoding::fingerprint(account.lamports, account.data);
        let mut state = self.state();
        let State { registry, router, counters, .. } = &mut *state;
        // One that was let go a moment ago is still told of, until the node knows.
        let Some(entry) = registry.get(place) else { return };
        let verdict = router.notice(place.index, connection, slot, print, received);
        match verdict {
            Verdict::Duplicate => counters.duplicates += 1,
            Verdict::Late => counters.late += 1,
            Verdict::Deliver(slot) => {
                let data = (entry.owner == account.owner).then_some(account.data);
                let event = event(entry, slot, account.lamports, data, received);
                let shard = entry.shard;
                self.offer(&mut state, place, shard, slot, event);
            }
        }
    }

    /// Puts an event into the channel; a full channel is a gap to be healed, never a wait.
    fn offer(&self, state: &mut State, place: Place, shard: usize, slot: Slot, event: FeedEvent) {
        if matches!(event, FeedEvent::Unreadable { .. }) {
            state.counters.unreadable += 1;
        }
        match self.events.try_send(event) {
            Ok(()) => state.counters.delivered += 1,
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                state.counters.overflows += 1;
                state.router.forget(place.index);
                if let Some(need) = state.needs.get_mut(shard) {
                    need.gap = need.gap.or((!need.open).then_some(GapCause::Overflow));
                    need.snapshot = need.snapshot.max(Some(slot.get()));
                }
                self.wake.notify_one();
            }
        }
    }

    /// A slot notice of a connection.
    pub(crate) fn slot(&self, connection: usize, slot: Slot, received: Instant) {
        self.pool.observe_slot(slot);
        let mut state = self.state();
        if let Some(slot) = state.router.slot(connection, slot, received) {
            // Missing one is harmless: the next says more.
            drop(self.events.try_send(FeedEvent::Slot { slot, received }));
        }
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

    /// A node refuses an address. Says whether its watches could be given up for that, and were.
    pub(super) fn give_up(&self, shard: usize, address: &Address, code: i64) -> bool {
        let mut state = self.state();
        if !state.registry.may_give_up(shard, address) {
            return false;
        }
        let mut touched = BTreeSet::new();
        for id in state.registry.of_address(shard, address) {
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
        let State { registry, needs, .. } = &mut *state;
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

    pub(crate) fn garbage(&self) {
        self.state().counters.unreadable += 1;
    }

    pub(crate) fn round_trip(&self, connection: usize, now: Instant, took: Duration) {
        if let Some(latency) = self.state().round_trips.get_mut(connection) {
            latency.record(now, took);
        }
    }

    pub(crate) fn round_trip_us(&self, connection: usize) -> Option<u64> {
        let state = self.state();
        let latency = state.round_trips.get(connection)?;
        (latency.samples() > 0).then(|| latency.quantile_us(0.5))
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
    fn remove(&mut self, id: WatchId, touched: &mut BTreeSet<usize>) -> bool {
        let Some((index, entry)) = self.registry.remove(id) else { return false };
        self.router.unfollow(index);
        touched.insert(entry.shard);
        true
    }
}

/// The event of an account's bytes; none stands for bytes that are not what they should be.
pub(super) fn event(
    entry: &Entry,
    slot: Slot,
    lamports: u64,
    data: Option<&[u8]>,
    received: Instant,
) -> FeedEvent {
    let watch = entry.id;
    match data.map(|data| decoding::decode(entry.watch.role, lamports, data)) {
        Some(Ok(Content::Market { pool, update })) => {
            FeedEvent::Market { watch, event: Content::market(pool, slot, update), received }
        }
        Some(Ok(Content::OwnToken { mint, amount })) => FeedEvent::OwnToken { mint, amount, slot },
        Some(Ok(Content::OwnLamports(lamports))) => FeedEvent::OwnLamports { lamports, slot },
        Some(Err(error)) => {
            tracing::warn!(watch = watch.0, %error, "account unreadable");
            let drifted: Option<Kind> = entry.watch.drifted(&error);
            FeedEvent::Unreadable { watch, slot, drifted }
        }
        None => FeedEvent::Unreadable { watch, slot, drifted: None },
    }
}

/// An account notice as it came.
pub(super) struct Notice<'a> {
    pub(super) slot: Slot,
    pub(super) account: &'a Held<'a>,
    pub(super) received: Instant,
}
