//! Carries out what `core::execution` wants done for the orders in flight.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sniper_core::event::{OrderEvent, RejectReason};
use sniper_core::execution::{self, Input, Landing, Machine, Output};
use sniper_core::ids::{Address, MintId, OrderId, Signature};
use sniper_core::units::{BlockHeight, Timestamp};
use tokio::sync::{Notify, mpsc};

use super::block_engine::BlockEngine;
use super::chain::{asked, landing_of, status_of};
use super::prepared::Prepared;
use super::words::gather;
use crate::rpc::{Commitment, RpcConnectionPool, SendRequest, SignatureStatus};

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
    /// Who else takes the bytes to the leader.
    engines: OnceLock<Vec<BlockEngine>>,
    /// Where the machine's time begins.
    started: Instant,
}

/// Shortest pause between two looks, however fast slots come.
const POLL_MIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct State {
    machine: Machine,
    /// Reused: nothing is allocated to take an order to the wire.
    out: Vec<Output>,
    /// What notices of a subscription want done.
    waiting: Vec<Output>,
    /// The bytes of each order that is followed.
    bytes: BTreeMap<OrderId, SendRequest>,
    mints: BTreeMap<Address, MintId>,
    finals: Vec<OrderId>,
}

/// What is to be asked of the chain.
#[derive(Debug, Default)]
struct Asks {
    recent: Vec<Signature>,
    history: Vec<Signature>,
    reads: Vec<Signature>,
    heights: Vec<execution::Commitment>,
    words: Vec<Signature>,
}

impl Tracker {
    pub(crate) fn new(pool: RpcConnectionPool, owner: Address, settings: TrackerSettings) -> Self {
        let machine = Machine::new(execution::Settings {
            // How often it looks is how often it is woken: here, the least pause between two looks.
            poll_every: Timestamp::ZERO,
            resend_every: span(settings.resend_every),
            expiry_every: span(settings.expiry_every),
            simulate: false,
        });
        let state = Mutex::new(State {
            machine,
            out: Vec::with_capacity(16),
            waiting: Vec::new(),
            bytes: BTreeMap::new(),
            mints: BTreeMap::new(),
            finals: Vec::new(),
        });
        let (wake, started) = (Notify::new(), Instant::now());
        let engines = OnceLock::new();
        Self { shared: Arc::new(Shared { pool, owner, settings, state, wake, engines, started }) }
    }

    /// Hands everything that is sent to these too, from here on. Once: later calls do nothing.
    pub(crate) fn land_through(&self, engines: Vec<BlockEngine>) {
        drop(self.shared.engines.set(engines));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The machine is whole after each step: a panic elsewhere leaves it so.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        span(self.shared.started.elapsed())
    }

    pub(crate) fn add_mint(&self, id: MintId, address: Address) {
        self.state().mints.insert(address, id);
    }

    /// Orders whose end is not known.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state().machine.in_flight()
    }

    /// The orders whose end has become final since this was last asked. What is told as landed before may be taken back.
    #[must_use]
    pub fn take_final(&self) -> Vec<OrderId> {
        std::mem::take(&mut self.state().finals)
    }

    /// Looks at all orders now rather than at the next tick, such as when a slot has come.
    pub fn poke(&self) {
        self.shared.wake.notify_one();
    }

    /// Takes the notice of a subscription on how far an order has come.
    pub fn observe(&self, signature: Signature, status: &SignatureStatus) {
        let now = self.now();
        let State { machine, waiting, .. } = &mut *self.state();
        let status = Some(status_of(status));
        machine.step(now, Input::Status { signature, status }, waiting);
        self.poke();
    }

    /// Asks whether an order may be built and signed. One that was prepared before and never written down may be so again.
    pub(crate) fn approve(&self, order: OrderId, left: Timestamp) -> Result<(), RejectReason> {
        let now = self.now();
        let State { machine, out, .. } = &mut *self.state();
        out.clear();
        machine.step(now, Input::Dropped { order }, out);
        machine.step(now, Input::Approved { order, expires: now.saturating_add(left) }, out);
        match out.as_slice() {
            [Output::Build(_)] => Ok(()),
            [Output::Tell(OrderEvent::Rejected { reason, .. })] => Err(*reason),
            // It is under way already.
            _ => Err(RejectReason::Unbuildable),
        }
    }

    /// It could not be built or signed.
    pub(crate) fn unsigned(&self, order: OrderId, reason: RejectReason) -> RejectReason {
        let now = self.now();
        let State { machine, out, .. } = &mut *self.state();
        out.clear();
        machine.step(now, Input::Unsigned { order, reason }, out);
        reason
    }

    /// It is signed. False if its bytes are another order's: only one of them could ever land, and both would be told
    /// that it was theirs.
    pub(crate) fn signed(
        &self,
        order: OrderId,
        signature: Signature,
        last_valid: BlockHeight,
    ) -> bool {
        let now = self.now();
        let State { machine, out, .. } = &mut *self.state();
        out.clear();
        machine.step(now, Input::Signed { order, signature, last_valid }, out);
        matches!(out.as_slice(), [Output::Journal { .. }])
    }

    /// An order's bytes are durable: puts them on the wire and follows them from here on. Gives what the engine is to be
    /// told.
    pub(crate) fn launch(&self, prepared: &Prepared) -> Option<OrderEvent> {
        let request = self.request(prepared)?;
        let (order, signature) = (prepared.order(), prepared.signature());
        let last_valid = prepared.last_valid();
        let now = self.now();
        let told = {
            let State { machine, out, bytes, .. } = &mut *self.state();
            out.clear();
            if machine.bytes_of(order).is_none() {
                machine.step(now, Input::Approved { order, expires: Timestamp::MAX }, out);
                machine.step(now, Input::Signed { order, signature, last_valid }, out);
                out.clear();
            }
            machine.step(now, Input::Durable { signature }, out);
            let mut told = None;
            for output in out.drain(..) {
                match output {
                    // On the wire first: nobody asks after it before this returns.
                    Output::Send { .. } => self.send(order, &request),
                    Output::Tell(event) => told = Some(event),
                    _ => {}
                }
            }
            if told.is_some() {
                bytes.insert(order, request);
            }
            told
        };
        if told.is_none() {
            tracing::error!(%order, "order not sent: one under way is in its way");
        }
        self.poke();
        told
    }

    /// Follows an order from the journal; `landing` is what the books hold of it already.
    pub(crate) fn resume(&self, prepared: &Prepared, landing: Option<Landing>) {
        let Some(request) = self.request(prepared) else { return };
        let (order, signature) = (prepared.order(), prepared.signature());
        let last_valid = prepared.last_valid();
        let now = self.now();
        let is_followed = {
            let State { machine, out, bytes, .. } = &mut *self.state();
            out.clear();
            // One that was prepared and not written down counts for nothing beside what the journal holds.
            machine.step(now, Input::Dropped { order }, out);
            machine.step(now, Input::Recovered { order, signature, last_valid, landing }, out);
            let is_followed = machine.bytes_of(order).is_some_and(|(name, _)| name == signature);
            if is_followed {
                bytes.insert(order, request);
            }
            is_followed
        };
        if !is_followed {
            tracing::error!(%order, "order not followed: one under way is in its way");
        }
        self.poke();
    }

    fn request(&self, prepared: &Prepared) -> Option<SendRequest> {
        let written = prepared.request(self.shared.settings.preflight);
        written
            .inspect_err(|error| {
                tracing::error!(%error, order = %prepared.order(), "send request not written");
            })
            .ok()
    }

    /// Puts bytes on the wire. Whatever comes of it, only the chain knows whether the order landed.
    fn send(&self, order: OrderId, request: &SendRequest) {
        let sending = self.shared.pool.send_transaction(request);
        for engine in self.shared.engines.get().into_iter().flatten() {
            engine.send(order, request, self);
        }
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
            if self.is_idle() {
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
                () = self.shared.wake.notified(), if !self.is_idle() => {}
                // The pool lives as long as we do, so its slots do not end.
                Ok(()) = new_slot => {}
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.state().machine.is_idle()
    }

    /// One look at all orders in flight: what is due is done, and what answers ask for besides.
    pub async fn step(&self) -> Vec<OrderEvent> {
        let mut events = Vec::new();
        let mut todo = std::mem::take(&mut self.state().waiting);
        self.give(Input::Timer, &mut todo);
        // An answer asks for a closer look, and that for none: this ends after a few rounds.
        while !todo.is_empty() {
            let asks = self.carry_out(todo, &mut events);
            todo = self.ask(asks).await;
        }
        events
    }

    fn give(&self, input: Input<'_>, todo: &mut Vec<Output>) {
        let now = self.now();
        self.state().machine.step(now, input, todo);
    }

    /// Sends and tells at once; what must be asked is left.
    fn carry_out(&self, todo: Vec<Output>, events: &mut Vec<OrderEvent>) -> Asks {
        let mut asks = Asks::default();
        for output in todo {
            match output {
                Output::Send { order, .. } => {
                    if let Some(request) = self.state().bytes.get(&order) {
                        self.send(order, request);
                    }
                }
                Output::Tell(event) => self.tell(event, events),
                Output::AskStatus { signature, history: false } => asks.recent.push(signature),
                Output::AskStatus { signature, history: true } => asks.history.push(signature),
                Output::AskHeight(commitment) => asks.heights.push(commitment),
                Output::Read { signature } => asks.reads.push(signature),
                Output::AskWords { signature } => asks.words.push(signature),
                // These come of an approval, which answers them itself.
                Output::Build(_) | Output::Simulate { .. } | Output::Journal { .. } => {}
            }
        }
        asks
    }

    fn tell(&self, event: OrderEvent, events: &mut Vec<OrderEvent>) {
        let order = event.order();
        if let OrderEvent::Finalized { .. } | OrderEvent::Expired { .. } = event {
            self.state().bytes.remove(&order);
        }
        match event {
            OrderEvent::Finalized { order } => self.state().finals.push(order),
            event => events.push(event),
        }
    }

    /// Asks all at once, and gives the machine what comes; an error is no answer.
    async fn ask(&self, asks: Asks) -> Vec<Output> {
        let Shared { pool, owner, .. } = &*self.shared;
        let recent = async {
            if asks.recent.is_empty() {
                None
            } else {
                Some(pool.signature_statuses(&asks.recent, false).await)
            }
        };
        let history = async {
            if asks.history.is_empty() {
                None
            } else {
                Some(pool.statuses_seen_by_any(&asks.history).await)
            }
        };
        let reads = join_all(asks.reads.iter().map(|signature| async move {
            // Its status and its contents need not come from the same node.
            (*signature, pool.transaction(signature, owner, Commitment::Confirmed).await)
        }));
        let heights = join_all(asks.heights.iter().map(|commitment| async move {
            // Not one node's word: bytes that still could land would no longer be sent.
            (*commitment, pool.height_reached(asked(*commitment)).await)
        }));
        let words = async {
            if asks.words.is_empty() {
                return (0, Vec::new());
            }
            let landing = |landed| landing_of(landed, &self.state().mints);
            gather(pool, owner, &asks.words, landing).await
        };
        let (recent, history, reads, heights, (of, words)) =
            tokio::join!(recent, history, reads, heights, words);

        let mut todo = Vec::new();
        for (signatures, answer) in [(&asks.recent, recent), (&asks.history, history)] {
            match answer {
                Some(Ok(statuses)) => {
                    for (signature, status) in signatures.iter().zip(statuses.value) {
                        let status = status.as_ref().map(status_of);
                        self.give(Input::Status { signature: *signature, status }, &mut todo);
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "order statuses not read"),
                None => {}
            }
        }
        for (signature, answer) in reads {
            match answer {
                Ok(landed) => {
                    let landing = landed.map(|landed| landing_of(landed, &self.state().mints));
                    self.give(Input::Read { signature, landing }, &mut todo);
                }
                Err(error) => tracing::warn!(%error, "landed order not read, asking again"),
            }
        }
        for (commitment, answer) in heights {
            match answer {
                Ok((reached, of)) => {
                    let (height, said) = (BlockHeight::new(reached.height), reached.said);
                    self.give(Input::Height { commitment, height, said, of }, &mut todo);
                }
                Err(error) => tracing::warn!(%error, "block height not read"),
            }
        }
        for (signature, words) in asks.words.iter().zip(&words) {
            self.give(Input::Words { signature: *signature, of, words }, &mut todo);
        }
        todo
    }
}

/// A span of time in the core's unit.
fn span(time: Duration) -> Timestamp {
    Timestamp::new(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
