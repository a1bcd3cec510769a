//! What all connections of a feed share: the router, the channel, and the healing of gaps.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::amm::Kind;
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::event::{DownCause, FeedEvent, GapCause};
use super::router::{MessageRouter, Verdict};
use super::watch::{self, Content, Watch, WatchId};
use crate::rpc::endpoint::jitter;
use crate::rpc::{Commitment, EndpointName, Latency, RpcConnectionPool, RpcError};

/// Accounts read in one call, so that they are of one state.
const SNAPSHOT_MAX: usize = 100;
/// Pause after a snapshot that failed.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(200);
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Hub {
    pub(crate) watches: Vec<Watch>,
    /// The owner of each watch as the wire has it.
    owners: Vec<String>,
    /// The watches of each shard.
    shards: Vec<Range<usize>>,
    commitment: Commitment,
    pub(crate) pool: RpcConnectionPool,
    events: mpsc::Sender<FeedEvent>,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    router: MessageRouter,
    needs: Vec<Need>,
    round_trips: Vec<Latency>,
    endpoints: Vec<Option<EndpointName>>,
    counters: FeedCounters,
}

/// What a shard needs before its receiver knows everything.
#[derive(Clone, Copy, Debug, Default)]
struct Need {
    /// A gap to tell of.
    gap: Option<GapCause>,
    /// The receiver was told of a gap and not yet of its end.
    open: bool,
    /// A snapshot no older than this.
    snapshot: Option<u64>,
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

/// What remains to be done for the receiver.
enum Work {
    Gap(usize, GapCause),
    Snapshot(usize, u64),
    Nothing,
}

/// The receiver is gone.
pub(crate) struct Closed;

impl Hub {
    pub(crate) fn new(
        watches: Vec<Watch>,
        shards: Vec<Range<usize>>,
        connections: &[usize],
        commitment: Commitment,
        pool: RpcConnectionPool,
        events: mpsc::Sender<FeedEvent>,
    ) -> Self {
        let now = Instant::now();
        let start = Need { gap: Some(GapCause::Start), ..Need::default() };
        let state = State {
            router: MessageRouter::new(watches.len(), connections, now),
            needs: vec![start; shards.len()],
            round_trips: connections.iter().map(|_| Latency::new(now)).collect(),
            endpoints: vec![None; connections.len()],
            counters: FeedCounters::default(),
        };
        Self {
            owners: watches.iter().map(|watch| watch.owner.to_string()).collect(),
            watches,
            shards,
            commitment,
            pool,
            events,
            state: Mutex::new(state),
            wake: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
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

    /// The addresses a shard subscribes to, each with its watches: an address is subscribed to once.
    pub(crate) fn targets(&self, shard: usize) -> Vec<(Address, Vec<usize>)> {
        let mut targets: Vec<(Address, Vec<usize>)> = Vec::new();
        for index in self.shards.get(shard).cloned().unwrap_or_default() {
            let Some(watch) = self.watches.get(index) else { continue };
            match targets.iter_mut().find(|(address, _)| *address == watch.address) {
                Some((_, watches)) => watches.push(index),
                None => targets.push((watch.address, vec![index])),
            }
        }
        targets
    }

    /// An account notice of a connection.
    pub(crate) fn account(
        &self,
        connection: usize,
        watch: usize,
        notice: &Notice<'_>,
        scratch: &mut Vec<u8>,
    ) {
        scratch.clear();
        let decoded = STANDARD.decode_vec(notice.base64.as_bytes(), scratch);
        let print = watch::fingerprint(notice.lamports, scratch);
        let mut state = self.state();
        let verdict = state.router.notice(watch, connection, notice.slot, print, notice.received);
        match verdict {
            Verdict::Duplicate => state.counters.duplicates += 1,
            Verdict::Late => state.counters.late += 1,
            Verdict::Deliver(slot) => {
                let readable = decoded.is_ok()
                    && self.owners.get(watch).is_some_and(|owner| *owner == notice.owner);
                let event = self.event(
                    watch,
                    slot,
                    notice.lamports,
                    readable.then_some(scratch),
                    notice.received,
                );
                self.offer(&mut state, watch, slot, event);
            }
        }
    }

    /// The event of an account's bytes; none stands for bytes that are not what they should be.
    fn event(
        &self,
        watch: usize,
        slot: Slot,
        lamports: u64,
        data: Option<&mut Vec<u8>>,
        received: Instant,
    ) -> FeedEvent {
        let role = self.watches.get(watch).map(|watch| watch.role);
        let content = role.zip(data).map(|(role, data)| watch::decode(role, lamports, data));
        match content {
            Some(Ok(Content::Market { pool, update })) => {
                FeedEvent::Market { event: Content::market(pool, slot, update), received }
            }
            Some(Ok(Content::OwnToken { mint, amount })) => {
                FeedEvent::OwnToken { mint, amount, slot }
            }
            Some(Ok(Content::OwnLamports(lamports))) => FeedEvent::OwnLamports { lamports, slot },
            Some(Err(error)) => {
                tracing::warn!(watch, %error, "account unreadable");
                let drifted = self.watches.get(watch).and_then(|watch| watch.drifted(&error));
                unreadable(watch, slot, drifted)
            }
            None => unreadable(watch, slot, None),
        }
    }

    /// Puts an event into the channel; a full channel is a gap to be healed, never a wait.
    fn offer(&self, state: &mut State, watch: usize, slot: Slot, event: FeedEvent) {
        if matches!(event, FeedEvent::Unreadable { .. }) {
            state.counters.unreadable += 1;
        }
        match self.events.try_send(event) {
            Ok(()) => state.counters.delivered += 1,
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                state.counters.overflows += 1;
                state.router.forget(watch);
                let shard = self.shards.iter().position(|range| range.contains(&watch));
                if let Some(need) = shard.and_then(|shard| state.needs.get_mut(shard)) {
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

    /// A connection has all its acknowledgements.
    pub(crate) fn up(&self, connection: usize, endpoint: &EndpointName) {
        let mut state = self.state();
        state.router.up(connection);
        state.counters.connects += 1;
        if let Some(name) = state.endpoints.get_mut(connection) {
            *name = Some(endpoint.clone());
        }
        let endpoint = endpoint.clone();
        drop(self.events.try_send(FeedEvent::ConnectionUp { connection, endpoint }));
    }

    /// The state must be read again, no older than `slot`: what changed while nobody listened is in it.
    pub(crate) fn want_snapshot(&self, shard: usize, slot: Slot) {
        if let Some(need) = self.state().needs.get_mut(shard) {
            need.snapshot = need.snapshot.max(Some(slot.get()));
        }
        self.wake.notify_one();
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
        if state.router.down(connection)
            && let Some(need) = state.needs.get_mut(shard)
        {
            need.gap = need.gap.or((!need.open).then_some(GapCause::Disconnected));
            need.snapshot = None; // the connection to come asks for its own
            self.wake.notify_one();
        }
        let endpoint = endpoint.clone();
        drop(self.events.try_send(FeedEvent::ConnectionDown { connection, endpoint, cause }));
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

    /// Tells of gaps and heals them, for ever.
    pub(crate) async fn heal(self: Arc<Self>) {
        let mut failures = 0_u32;
        loop {
            let outcome = match self.next_work() {
                Work::Nothing => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = self.events.closed() => return,
                    }
                    continue;
                }
                Work::Gap(shard, cause) => {
                    self.tell(FeedEvent::Gap { shard, cause }).await.map(|()| Ok(()))
                }
                Work::Snapshot(shard, at_least) => self.snapshot(shard, Slot::new(at_least)).await,
            };
            match outcome {
                Err(Closed) => return,
                Ok(Ok(())) => failures = 0,
                Ok(Err(error)) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(%error, failures, "snapshot failed, asking again");
                    let pause = SNAPSHOT_PAUSE.saturating_mul(failures)
                        + Duration::from_millis(u64::from(jitter()));
                    tokio::time::sleep(pause.min(SNAPSHOT_PAUSE_MAX)).await;
                }
            }
        }
    }

    fn next_work(&self) -> Work {
        let mut state = self.state();
        for (shard, need) in state.needs.iter_mut().enumerate() {
            if let Some(cause) = need.gap.take() {
                need.open = true;
                return Work::Gap(shard, cause);
            }
        }
        let State { router, needs, .. } = &mut *state;
        for (shard, need) in needs.iter_mut().enumerate() {
            if let Some(at_least) = need.snapshot
                && router.is_live(shard)
            {
                return Work::Snapshot(shard, at_least);
            }
        }
        Work::Nothing
    }

    async fn tell(&self, event: FeedEvent) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }

    /// Reads every account of a shard and passes on what is not known to be newer.
    async fn snapshot(&self, shard: usize, at_least: Slot) -> Result<Result<(), RpcError>, Closed> {
        let range = self.shards.get(shard).cloned().unwrap_or_default();
        let mut oldest = Slot::MAX;
        for start in range.clone().step_by(SNAPSHOT_MAX) {
            let indices = start..start.saturating_add(SNAPSHOT_MAX).min(range.end);
            let watches = self.watches.get(indices.clone()).unwrap_or_default();
            let addresses: Vec<Address> = watches.iter().map(|watch| watch.address).collect();
            let read =
                self.pool.multiple_accounts(&addresses, self.commitment, Some(at_least)).await;
            let read = match read {
                Ok(read) => read,
                Err(error) => return Ok(Err(error)),
            };
            oldest = oldest.min(read.slot);
            for (index, account) in indices.zip(read.value) {
                // Room first, then judge and send in one go: nothing newer can slip in between.
                let Ok(permit) = self.events.reserve().await else { return Err(Closed) };
                let (received, mut state) = (Instant::now(), self.state());
                let (lamports, owner, mut data) = account.map_or_else(
                    || (0, watch::SYSTEM_PROGRAM, Vec::new()),
                    |account| (account.lamports.get(), account.owner, account.data),
                );
                let print = watch::fingerprint(lamports, &data);
                if let Verdict::Deliver(slot) =
                    state.router.snapshot(index, read.slot, print, received)
                {
                    let fits =
                        self.watches.get(index).is_some_and(|watch| watch.accepts(&owner, &data));
                    state.counters.delivered += 1;
                    permit.send(self.event(
                        index,
                        slot,
                        lamports,
                        fits.then_some(&mut data),
                        received,
                    ));
                }
            }
        }
        self.finish_snapshot(shard, at_least, oldest).await.map(Ok)
    }

    /// Closes the gap unless a new one was opened meanwhile.
    async fn finish_snapshot(
        &self,
        shard: usize,
        at_least: Slot,
        slot: Slot,
    ) -> Result<(), Closed> {
        let Ok(permit) = self.events.reserve().await else { return Err(Closed) };
        let mut state = self.state();
        state.counters.snapshots += 1;
        let live = state.router.is_live(shard);
        let Some(need) = state.needs.get_mut(shard) else { return Ok(()) };
        if need.snapshot.is_some_and(|wanted| wanted <= at_least.get()) {
            need.snapshot = None;
        }
        if need.snapshot.is_none() && need.gap.is_none() && need.open && live {
            need.open = false;
            permit.send(FeedEvent::Restored { shard, slot });
        }
        Ok(())
    }
}

fn unreadable(watch: usize, slot: Slot, drifted: Option<Kind>) -> FeedEvent {
    FeedEvent::Unreadable {
        watch: WatchId(u32::try_from(watch).unwrap_or(u32::MAX)),
        slot,
        drifted,
    }
}

/// An account notice as it came.
pub(crate) struct Notice<'a> {
    pub(crate) slot: Slot,
    pub(crate) lamports: u64,
    pub(crate) owner: &'a str,
    pub(crate) base64: &'a str,
    pub(crate) received: Instant,
}
