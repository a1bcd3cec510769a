//! Follows every signed order until the chain has said how it ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sniper_core::event::{Deltas, OrderEvent};
use sniper_core::ids::{Address, MintId, OrderId, Signature};
use sniper_core::units::BlockHeight;
use tokio::sync::{Notify, mpsc};

use super::expiry::{Verdict, judge};
use super::prepared::Prepared;
use crate::rpc::{Commitment, Landed, RpcConnectionPool, SendRequest, SignatureStatus};

/// When the tracker does what.
#[derive(Clone, Copy, Debug)]
pub struct TrackerSettings {
    /// Longest pause between two looks at all orders in flight; a new slot is a reason to look earlier.
    pub poll_every: Duration,
    /// Pause before the same bytes go out again.
    pub resend_every: Duration,
    /// Pause between two looks at the block height.
    pub expiry_every: Duration,
    /// Let nodes simulate before they forward. Off: what we send was quoted from fresher state than theirs.
    pub preflight: bool,
}

impl Default for TrackerSettings {
    fn default() -> Self {
        Self {
            poll_every: Duration::from_millis(300),
            resend_every: Duration::from_secs(2),
            expiry_every: Duration::from_secs(2),
            preflight: false,
        }
    }
}

/// An order under way.
#[derive(Clone, Debug)]
struct Flight {
    signature: Signature,
    last_valid: BlockHeight,
    request: SendRequest,
    sent: Option<Instant>,
    /// It may have landed long ago (found in a journal, or in a node's history): nodes must search their history.
    search: bool,
}

/// The orders in flight; cheap to clone, all clones share them.
#[derive(Clone, Debug)]
pub struct Tracker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: RpcConnectionPool,
    owner: Address,
    settings: TrackerSettings,
    state: Mutex<State>,
    wake: Notify,
}

/// Shortest pause between two looks, however fast slots come.
const POLL_MIN: Duration = Duration::from_millis(50);
/// Signatures remembered so that no two orders share one.
const NAMES_MAX: usize = 512;

#[derive(Debug, Default)]
struct State {
    names: HashMap<Signature, OrderId>,
    /// The names, oldest first.
    oldest: VecDeque<Signature>,
    flights: BTreeMap<OrderId, Flight>,
    mints: BTreeMap<Address, MintId>,
    height_asked: Option<Instant>,
    /// Confirmed height, as last read.
    height: Option<BlockHeight>,
}

impl Tracker {
    pub(crate) fn new(pool: RpcConnectionPool, owner: Address, settings: TrackerSettings) -> Self {
        let state = Mutex::new(State::default());
        Self { shared: Arc::new(Shared { pool, owner, settings, state, wake: Notify::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one insertion or removal: a panic elsewhere leaves the table whole.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_mint(&self, id: MintId, address: Address) {
        self.state().mints.insert(address, id);
    }

    /// Orders in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state().flights.len()
    }

    /// Looks at all orders now rather than at the next tick, such as when a slot has come.
    pub fn poke(&self) {
        self.shared.wake.notify_one();
    }

    /// Reserves a signature for an order. False if another order has it: their bytes are the same, so only one of
    /// them could ever land, and both would be told that it was theirs. False as well if the order is under way with
    /// another signature: both could land.
    pub(crate) fn claim(&self, signature: Signature, order: OrderId) -> bool {
        let mut state = self.state();
        if state.flights.get(&order).is_some_and(|flight| flight.signature != signature) {
            return false;
        }
        if let Some(holder) = state.names.get(&signature) {
            return *holder == order;
        }
        if state.oldest.len() >= NAMES_MAX
            && let Some(oldest) = state.oldest.pop_front()
        {
            state.names.remove(&oldest);
        }
        state.oldest.push_back(signature);
        state.names.insert(signature, order);
        true
    }

    /// Follows a signed order and sends its bytes for the first time.
    pub(crate) fn launch(&self, prepared: &Prepared, resumed: bool) {
        let request = match prepared.request(self.shared.settings.preflight) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(%error, order = %prepared.order(), "send request not written");
                return;
            }
        };
        let (order, signature) = (prepared.order(), prepared.signature());
        if !self.claim(signature, order) {
            tracing::error!(%order, "order not sent: one under way is in its way");
            return;
        }
        // On the wire first: its bytes are durable, and nobody asks after it before this returns.
        if !resumed {
            self.send(order, &request);
        }
        let flight = Flight {
            signature,
            last_valid: prepared.last_valid(),
            request,
            // A resumed one is first asked about; it goes out again when it is not known.
            sent: (!resumed).then(Instant::now),
            search: resumed,
        };
        self.state().flights.insert(order, flight);
        self.poke();
    }

    /// Puts bytes on the wire. Whatever comes of it, only the chain knows whether the order landed.
    fn send(&self, order: OrderId, request: &SendRequest) {
        let sending = self.shared.pool.send_transaction(request);
        tokio::spawn(async move {
            match sending.await {
                Ok(report) => {
                    tracing::debug!(%order, accepted = ?report.accepted.first(), "order sent");
                }
                Err(errors) => {
                    for error in errors {
                        tracing::warn!(%order, %error, "send failed, outcome unknown");
                    }
                }
            }
        });
    }

    /// Follows all orders for ever and tells how each ended. Run it as a task of its own; it returns when the
    /// receiver is gone.
    pub async fn run(self, events: mpsc::Sender<OrderEvent>) {
        let mut slots = self.shared.pool.slots();
        loop {
            if self.in_flight() == 0 {
                tokio::select! {
                    () = self.shared.wake.notified() => {}
                    () = events.closed() => return,
                }
            }
            for event in self.step().await {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            slots.mark_unchanged();
            let new_slot = async {
                tokio::time::sleep(POLL_MIN).await;
                slots.changed().await
            };
            tokio::select! {
                () = tokio::time::sleep(self.shared.settings.poll_every) => {}
                () = self.shared.wake.notified(), if self.in_flight() > 0 => {}
                // The pool lives as long as we do, so its slots do not end.
                Ok(()) = new_slot => {}
            }
        }
    }

    /// One look at all orders in flight.
    pub async fn step(&self) -> Vec<OrderEvent> {
        let flights: Vec<(OrderId, Flight)> = {
            let state = self.state();
            state.flights.iter().map(|(order, flight)| (*order, flight.clone())).collect()
        };
        let mut events = Vec::new();
        let mut unseen = Vec::new();
        for search in [false, true] {
            let group: Vec<_> = flights.iter().filter(|(_, f)| f.search == search).collect();
            if group.is_empty() {
                continue;
            }
            let signatures: Vec<Signature> = group.iter().map(|(_, f)| f.signature).collect();
            let statuses = if search {
                self.shared.pool.statuses_seen_by_any(&signatures).await
            } else {
                self.shared.pool.signature_statuses(&signatures, false).await
            };
            let statuses = match statuses {
                Ok(statuses) => statuses.value,
                Err(error) => {
                    // An error is no answer: everything stays in flight.
                    tracing::warn!(%error, "order statuses not read");
                    continue;
                }
            };
            for ((order, flight), status) in group.into_iter().zip(statuses) {
                match status {
                    Some(status) => events.extend(self.seen(*order, flight, &status).await),
                    None => unseen.push((*order, flight.clone())),
                }
            }
        }
        events.extend(self.expire(&unseen).await);
        self.resend(&unseen);
        let mut state = self.state();
        for event in &events {
            state.flights.remove(&event.order());
        }
        events
    }

    /// A transaction the chain knows: at `confirmed` it is read, and tells how the order ended.
    async fn seen(
        &self,
        order: OrderId,
        flight: &Flight,
        status: &SignatureStatus,
    ) -> Option<OrderEvent> {
        if status.commitment < Commitment::Confirmed {
            return None;
        }
        let Shared { pool, owner, .. } = &*self.shared;
        match pool.transaction(&flight.signature, owner, Commitment::Confirmed).await {
            Ok(Some(landed)) => Some(self.outcome(order, landed)),
            // Its status and its contents need not come from the same node.
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%order, %error, "landed order not read, asking again");
                None
            }
        }
    }

    fn outcome(&self, order: OrderId, landed: Landed) -> OrderEvent {
        let Landed { slot, fee, err, lamports_before, lamports_after, .. } = landed;
        if let Some(err) = err {
            tracing::debug!(%order, error = %err.text, "order reverted");
            return OrderEvent::Reverted { order, slot, fee, code: err.custom };
        }
        let (mut deltas, state) = (Deltas::new(), self.state());
        for (mint, change) in landed.deltas {
            let known = state.mints.get(&mint).copied();
            let told = known.is_some_and(|id| deltas.try_push((id, change)).is_ok());
            if !told {
                // The next comparison with the chain will differ and halt trading.
                tracing::error!(%order, %mint, change, "a fill moved a mint that is not ours to trade");
            }
        }
        deltas.sort_unstable();
        // Whether it is the rent that was meant is the core's to judge. If our key gained instead, nothing is booked, and
        // the next comparison with the chain differs.
        let rent = lamports_before.saturating_sub(lamports_after).saturating_sub(fee);
        OrderEvent::Filled { order, slot, deltas, fee, rent }
    }

    /// Sends the same bytes again, where it is time and of any use: never to a chain that is past them.
    fn resend(&self, unseen: &[(OrderId, Flight)]) {
        let (now, every) = (Instant::now(), self.shared.settings.resend_every);
        let height = self.state().height;
        for (order, flight) in unseen {
            let due = match flight.sent {
                Some(sent) => now.saturating_duration_since(sent) >= every,
                None => height.is_some(),
            };
            if !due || height.is_some_and(|height| flight.last_valid < height) {
                continue;
            }
            if let Some(flight) = self.state().flights.get_mut(order) {
                flight.sent = Some(now);
            }
            self.send(*order, &flight.request);
        }
    }

    /// The orders that are proved dead.
    async fn expire(&self, unseen: &[(OrderId, Flight)]) -> Vec<OrderEvent> {
        let now = Instant::now();
        {
            let (mut state, every) = (self.state(), self.shared.settings.expiry_every);
            let recent =
                state.height_asked.is_some_and(|at| now.saturating_duration_since(at) < every);
            if unseen.is_empty() || recent {
                return Vec::new();
            }
            state.height_asked = Some(now);
        }
        // Not one node's word: bytes that still could land would no longer be sent.
        let height = match self.shared.pool.block_height_quorum(Commitment::Confirmed).await {
            Ok(height) => height,
            Err(error) => {
                tracing::warn!(%error, "block height not read");
                return Vec::new();
            }
        };
        self.state().height = Some(height);
        let past: Vec<_> = unseen.iter().filter(|(_, flight)| flight.last_valid < height).collect();
        if past.is_empty() {
            return Vec::new();
        }
        let asked: Vec<_> = past.iter().map(|(_, f)| (f.signature, f.last_valid)).collect();
        let verdicts = judge(&self.shared.pool, &asked).await;
        let mut events = Vec::new();
        for ((order, _), verdict) in past.iter().zip(verdicts) {
            match verdict {
                Verdict::Dead => events.push(OrderEvent::Expired { order: *order }),
                Verdict::Known => {
                    if let Some(flight) = self.state().flights.get_mut(order) {
                        flight.search = true;
                    }
                }
                Verdict::Unproved => {}
            }
        }
        events
    }
}
