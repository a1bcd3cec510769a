//! A process: the real engine and the real machine, with a shell around them that journals and carries out.

use std::collections::{BTreeMap, VecDeque};

use super::bugs::Bug;
use super::env::{Ask, Died, Env, Height, write_bytes};
use super::plan::Fault;
use crate::digest::Digest;
use crate::engine::MultiStrategyEngine;
use crate::event::{Alert, Command, Effect, Event, OrderEvent, RejectReason, Stamped, StopCause};
use crate::execution::{Commitment, Holding, Input, Machine, Output, last_valid_of};
use crate::ids::{MintId, OrderId, Signature};
use crate::journal::{Borrowed, HEAD, seal};
use crate::order::{LegAmount, Order};
use crate::risk::Mode;
use crate::standing::{Spec, Ticket, Trigger, Turn};
use crate::units::{Atoms, BlockHeight, Lamports, Seq, Slot, Timestamp};

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The fates of old orders are being learnt.
    Resolving,
    /// The ledger is being compared with the chain.
    Comparing,
    /// It trades, as far as its mode allows.
    Trading,
}

/// The record of an order's bytes.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    pub(super) signature: Signature,
    pub(super) last_valid: BlockHeight,
    pub(super) bytes: Vec<u8>,
}

/// A recent blockhash: the last height it is good for, as the process believes, and as it is.
#[derive(Clone, Copy, Debug)]
struct Hash {
    believed: BlockHeight,
    truth: u64,
    at: i64,
}

/// A process.
pub(super) struct Process {
    pub(super) engine: MultiStrategyEngine,
    pub(super) machine: Machine,
    pub(super) digest: Digest,
    effects: Vec<Effect>,
    /// Frames that were not handed to the system yet.
    pending: Vec<u8>,
    /// Number of the next record, and how many are durable.
    next: u64,
    durable: u64,
    pub(super) seq: u64,
    at: Timestamp,
    pub(super) wires: BTreeMap<OrderId, Wire>,
    orders: BTreeMap<OrderId, Order>,
    out: Vec<Output>,
    todo: VecDeque<Output>,
    hash: Option<Hash>,
    pub(super) phase: Phase,
    pub(super) mismatched: bool,
    /// A final state that is being compared: its slot, the newest event by then, and what it holds.
    pub(super) known: Option<(Slot, Seq, Vec<Holding>)>,
    /// When another is asked for, and the slot of the last that was compared.
    pub(super) compare_at: i64,
    pub(super) compared: u64,
    /// Its journal was begun by it: there is nothing that could differ.
    pub(super) is_first: bool,
    /// When each order was sent first, and how often, for bugs that care.
    sent: BTreeMap<OrderId, (i64, u32)>,
    taken: u64,
}

impl Process {
    pub(super) fn new(engine: MultiStrategyEngine, machine: Machine, next: u64) -> Self {
        let (seq, at) = engine.last().unwrap_or_default();
        Self {
            engine,
            machine,
            digest: Digest::default(),
            effects: Vec::new(),
            pending: Vec::new(),
            next,
            durable: next,
            seq: seq.get(),
            at,
            wires: BTreeMap::new(),
            orders: BTreeMap::new(),
            out: Vec::new(),
            todo: VecDeque::new(),
            hash: None,
            phase: Phase::Resolving,
            mismatched: false,
            known: None,
            compare_at: 0,
            compared: 0,
            is_first: false,
            sent: BTreeMap::new(),
            taken: 0,
        }
    }

    pub(super) fn append(&mut self, record: &Borrowed<'_>) -> Result<(), Died> {
        let start = self.pending.len();
        self.pending.resize(start + HEAD, 0);
        let frames = std::mem::take(&mut self.pending);
        self.pending = postcard::to_extend(record, frames).map_err(|_| Died::Unwritable)?;
        let sealed = seal(&mut self.pending[start..], self.next, self.durable);
        sealed.ok_or(Died::Unwritable)?;
        self.next += 1;
        Ok(())
    }

    pub(super) fn flush(&mut self, env: &mut Env) -> Result<(), Died> {
        if self.pending.is_empty() {
            return Ok(());
        }
        env.disk.append(&self.pending).map_err(|_| Died::Unwritable)?;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn sync(&mut self, env: &mut Env) -> Result<(), Died> {
        self.flush(env)?;
        if env.disk.sync().is_err() && !env.is(Bug::IgnoreFailedSync) {
            return Err(Died::Unwritable);
        }
        self.durable = self.next;
        Ok(())
    }

    /// Stamps, journals and takes an event, and carries out what follows.
    pub(super) fn step(&mut self, env: &mut Env, event: Event) -> Result<(), Died> {
        env.moment()?;
        self.take(env, event)?;
        self.carry_out(env)
    }

    fn take(&mut self, env: &mut Env, event: Event) -> Result<(), Died> {
        self.seq += 1;
        self.taken += 1;
        // A clock may be set back; the journal's may not.
        let wall = env.wall();
        self.at = if env.is(Bug::ClockSetBack) { wall } else { wall.max(self.at) };
        let stamped = Stamped { seq: Seq::new(self.seq), at: self.at, event };
        let is_end = matches!(stamped.event, Event::Order(_));
        if !(is_end && env.is(Bug::EndsNotJournaled)) {
            self.append(&Borrowed::Event(&stamped))?;
        }
        match &stamped.event {
            Event::Order(event) => {
                env.audit.told(event);
                env.overseer.told(event);
            }
            Event::Command(command) => env.overseer.asked(&mut env.audit, stamped.seq, command),
            _ => {}
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.engine.step(&stamped, &mut effects);
        for effect in effects.drain(..) {
            self.digest.add(&effect);
            self.effect(env, effect);
        }
        self.effects = effects;
        if env.is(Bug::ForgetSibling) {
            self.engine.standing_mut().forget_siblings();
        }
        env.overseer.look(&mut env.audit, &self.engine);
        Ok(())
    }

    /// What the operator asks for is durable before it is told that it stands.
    pub(super) fn place(&mut self, env: &mut Env, ticket: Ticket) -> Result<(), Died> {
        if self.engine.may_place(&ticket, self.at).is_err() {
            return Ok(());
        }
        env.overseer.requested();
        let mut told = ticket.clone();
        if env.is(Bug::ForgetLimit)
            && let Some(leg) = told.legs.first_mut()
            && let Trigger::Limit(_) = leg.trigger
        {
            leg.trigger = Trigger::Now;
        }
        let seq = Seq::new(self.seq + 1);
        env.story.say("place", [seq.get(), ticket.legs.len() as u64, 0], || {
            let names: Vec<_> = ticket.legs.iter().map(Spec::name).collect();
            format!("the operator places ticket {seq}: {:?} {}", ticket.link, names.join(", "))
        });
        if env.is(Bug::ForgetLimit) {
            env.overseer.acknowledged(seq, ticket.clone());
        }
        self.command(env, Command::Place(Box::new(told)))?;
        if !env.is(Bug::AcknowledgeFirst) {
            self.sync(env)?;
        }
        env.moment()?;
        env.overseer.acknowledged(seq, ticket);
        Ok(())
    }

    /// Cancels one of the tickets that stand.
    pub(super) fn cancel(
        &mut self,
        env: &mut Env,
        which: u64,
        leg: Option<u8>,
    ) -> Result<(), Died> {
        let active = self.engine.standing().all().iter().filter(|s| s.is_active());
        let tickets: Vec<Seq> = active.map(|s| s.id().ticket).collect();
        let Some(nth) = which.checked_rem(tickets.len() as u64) else { return Ok(()) };
        let ticket = tickets[usize::try_from(nth).unwrap_or(0)];
        if !env.is(Bug::IgnoreCancel) {
            self.command(env, Command::Cancel { ticket, leg })?;
        }
        self.sync(env)?;
        env.overseer.wants_cancelled(ticket, leg);
        Ok(())
    }

    fn effect(&mut self, env: &mut Env, effect: Effect) {
        match effect {
            Effect::Submit(order) => {
                env.audit.submitted(&order, self.at);
                env.overseer.submitted(&mut env.audit, &order);
                let id = order.id();
                env.story.say("approved", [id.cause.get(), u64::from(id.nth), 0], || {
                    format!(
                        "order {id} approved: {} of mint {} for mint {}",
                        order.amount_in(),
                        order.mint_in().0,
                        order.mint_out().0
                    )
                });
                let expires = order.expires();
                self.orders.insert(id, *order);
                self.tell_machine(env, Input::Approved { order: id, expires });
            }
            Effect::Standing { id, turn } => {
                if let Turn::Fired(order) = turn {
                    env.overseer.fired(&mut env.audit, id, order);
                }
                env.story.say("standing", [id.ticket.get(), u64::from(id.leg), 0], || {
                    format!("standing order {id}: {turn:?}")
                });
            }
            Effect::Alert(Alert::Account { mint, state }) => {
                self.mismatched |= !state.is_safe();
                env.story.say("account", [u64::from(mint.0), 0, 0], || {
                    format!("our account of mint {} is {state:?}", mint.0)
                });
            }
            Effect::Alert(Alert::LedgerMismatch { mint, ledger, chain }) => {
                self.mismatched = true;
                env.missing[mint.index()] = true;
                env.story.say("mismatch", [u64::from(mint.0), ledger.get(), chain.get()], || {
                    format!("mint {}: the ledger holds {ledger}, the chain {chain}", mint.0)
                });
            }
            Effect::Mode { mode, cause } => {
                env.story.say("mode", [mode as u64, cause as u64, 0], || {
                    format!("mode {} ({cause:?})", mode.name())
                });
            }
            Effect::Alert(alert) => {
                if let Alert::StrategyStopped { cause: StopCause::Panicked, .. } = alert {
                    env.struck(Fault::StrategyPanics);
                }
                env.story.say("alert", [0; 3], || format!("alert: {alert:?}"));
            }
            _ => {}
        }
    }

    pub(super) fn tell_machine(&mut self, env: &Env, input: Input<'_>) {
        self.machine.step(env.wall(), input, &mut self.out);
        self.todo.extend(self.out.drain(..));
    }

    /// Gives the machine an input and carries out what it wants.
    pub(super) fn give(&mut self, env: &mut Env, input: Input<'_>) -> Result<(), Died> {
        self.tell_machine(env, input);
        self.carry_out(env)
    }

    fn carry_out(&mut self, env: &mut Env) -> Result<(), Died> {
        while let Some(output) = self.todo.pop_front() {
            env.moment()?;
            match output {
                Output::Build(order) => self.build(env, order),
                Output::Simulate { signature, .. } => {
                    self.tell_machine(env, Input::Simulated { signature, good: true });
                }
                Output::Journal { order, signature } => self.write_down(env, order, signature)?,
                Output::Send { order, signature } => self.send(env, order, signature)?,
                Output::AskStatus { signature, history } => {
                    env.asks.push(Ask::Status { signature, history });
                }
                Output::AskHeight(Commitment::Finalized) => {
                    env.asks.push(Ask::Height(Height::Finalized));
                }
                Output::AskHeight(_) => env.asks.push(Ask::Height(Height::Confirmed)),
                Output::Read { signature } => env.asks.push(Ask::Read(signature)),
                Output::AskWords { signature } => env.asks.push(Ask::Words(signature)),
                Output::Tell(event) => self.tell(env, event)?,
            }
        }
        Ok(())
    }

    /// Builds and signs.
    fn build(&mut self, env: &mut Env, order: OrderId) {
        let fresh = self.hash.filter(|hash| env.now - hash.at < 20_000_000);
        let (Some(hash), Some(approved)) = (fresh, self.orders.get(&order)) else {
            return self
                .tell_machine(env, Input::Unsigned { order, reason: RejectReason::Unbuildable });
        };
        if env.latch && !env.is(Bug::SignAfterKill) {
            let reason = RejectReason::SignerRefused;
            return self.tell_machine(env, Input::Unsigned { order, reason });
        }
        env.audit.signed(order, env.latch);
        let mut built = approved.clone();
        for leg in &mut built.legs {
            match &mut leg.amount {
                LegAmount::ExactIn { min_out, .. } if env.is(Bug::NoLeastOutput) => {
                    *min_out = Atoms::new(1);
                }
                LegAmount::ExactIn { amount_in, .. } if env.is(Bug::TwiceTheAmount) => {
                    *amount_in = Atoms::new(amount_in.get() * 2);
                }
                _ => {}
            }
        }
        // The same order on the same hash is the same bytes.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&postcard::to_extend(&built, Vec::new()).unwrap_or_default());
        hasher.update(&hash.truth.to_le_bytes());
        let mut name = [0; 64];
        hasher.finalize_xof().fill(&mut name);
        let (signature, last_valid) = (Signature(name), hash.believed);
        let bytes = write_bytes(signature, &built, hash.truth);
        self.wires.insert(order, Wire { signature, last_valid, bytes });
        self.tell_machine(env, Input::Signed { order, signature, last_valid });
    }

    /// The barrier.
    fn write_down(
        &mut self,
        env: &mut Env,
        order: OrderId,
        signature: Signature,
    ) -> Result<(), Died> {
        let Some(wire) = self.wires.get(&order).cloned() else { return Ok(()) };
        if env.is(Bug::SendFirst) {
            env.send(order, signature, &wire.bytes);
        }
        let mut named = wire.signature;
        if env.is(Bug::WrongRecord) {
            named.0[63] ^= 1;
        }
        env.moment()?;
        self.append(&Borrowed::Wire {
            order,
            signature: &named,
            last_valid: wire.last_valid,
            bytes: &wire.bytes,
        })?;
        env.moment()?;
        if env.is(Bug::SkipBarrier) {
            self.flush(env)?;
        } else if let Err(died) = self.sync(env) {
            self.tell_machine(env, Input::NotDurable { signature });
            return Err(died);
        }
        env.moment()?;
        self.tell_machine(env, Input::Durable { signature });
        Ok(())
    }

    fn send(&mut self, env: &mut Env, order: OrderId, signature: Signature) -> Result<(), Died> {
        let (first, times) =
            *self.sent.entry(order).and_modify(|(_, n)| *n += 1).or_insert((env.now, 1));
        if env.is(Bug::ResignOnTimeout)
            && times > 1
            && env.now - first > 4_000_000
            && let (Some(hash), Some(wire)) = (self.hash, self.wires.get(&order).cloned())
            && let Some(approved) = self.orders.get(&order)
        {
            let mut name = wire.signature;
            name.0[0] ^= 0x55;
            let bytes = write_bytes(name, approved, hash.truth);
            let (last_valid, signature) = (hash.believed, &name);
            self.append(&Borrowed::Wire { order, signature, last_valid, bytes: &bytes })?;
            self.sync(env)?;
            env.send(order, name, &bytes);
            return Ok(());
        }
        let Some(wire) = self.wires.get(&order).filter(|wire| wire.signature == signature) else {
            return Ok(());
        };
        let took = env.send(order, signature, &wire.bytes);
        if !took && env.is(Bug::SendErrorIsExpiry) {
            self.todo.push_back(Output::Tell(OrderEvent::Expired { order }));
        }
        Ok(())
    }

    /// The engine is told of an order; its end must outlive this process.
    fn tell(&mut self, env: &mut Env, event: OrderEvent) -> Result<(), Died> {
        let order = event.order();
        let is_over = matches!(event, OrderEvent::Expired { .. } | OrderEvent::Finalized { .. });
        let Some(event) = self.bend(env, event) else { return Ok(()) };
        env.story.say("told", [order.cause.get(), u64::from(order.nth), kind(&event)], || {
            format!("the engine is told: {event:?}")
        });
        env.moment()?;
        self.take(env, Event::Order(event))?;
        self.flush(env)?;
        if is_over {
            self.orders.remove(&order);
            let wire = self.wires.remove(&order);
            if let Some(wire) = wire.filter(|_| env.is(Bug::SendAfterEnd)) {
                env.send(order, wire.signature, &wire.bytes);
            }
        }
        Ok(())
    }

    /// What planted bugs make of what the engine is told.
    fn bend(&self, env: &Env, mut event: OrderEvent) -> Option<OrderEvent> {
        let approved = self.orders.get(&event.order());
        match &mut event {
            OrderEvent::Filled { deltas, fee, rent, .. } => {
                if env.is(Bug::ForgetRent) {
                    *rent = Lamports::ZERO;
                }
                if env.is(Bug::FeeTwice) {
                    *fee = fee.saturating_add(*fee);
                }
                if env.is(Bug::ForgetGain) {
                    deltas.retain(|(_, change)| *change < 0);
                }
                if env.is(Bug::ExpectedIsFilled)
                    && let Some(order) = approved
                {
                    let expected = i64::try_from(order.expected_out().get()).unwrap_or(0);
                    let out = deltas.iter_mut().find(|(mint, _)| *mint == order.mint_out());
                    if let Some((_, change)) = out {
                        *change = expected;
                    }
                }
            }
            OrderEvent::Reverted { order, slot, fee, .. } => {
                if env.is(Bug::FailedIsUnseen) {
                    return None;
                }
                if env.is(Bug::ForgetFailedFee) {
                    *fee = Lamports::ZERO;
                }
                if env.is(Bug::FailedIsFilled)
                    && let Some(approved) = approved
                {
                    let change = |mint: MintId, amount: Atoms, sign: i64| {
                        (mint, sign * i64::try_from(amount.get()).unwrap_or(0))
                    };
                    let paid = change(approved.mint_in(), approved.amount_in(), -1);
                    let got = change(approved.mint_out(), approved.expected_out(), 1);
                    let (order, slot, fee) = (*order, *slot, *fee);
                    let rent = Lamports::ZERO;
                    let deltas = [paid, got].into_iter().collect();
                    return Some(OrderEvent::Filled { order, slot, deltas, fee, rent });
                }
            }
            OrderEvent::RolledBack { .. } if env.is(Bug::IgnoreRollback) => return None,
            OrderEvent::Expired { .. } if env.is(Bug::LoseExpiry) => return None,
            OrderEvent::Signed { .. } if env.is(Bug::LoseSigned) => return None,
            _ => {}
        }
        Some(event)
    }

    /// Time passes.
    pub(super) fn tick(&mut self, env: &mut Env) -> Result<(), Died> {
        if env.latch && self.engine.mode() != Mode::Kill && !env.is(Bug::SignAfterKill) {
            self.command(env, Command::SetMode { mode: Mode::Kill, clear_kill: false })?;
        }
        let engaged = env.latch && !env.is(Bug::SignAfterKill);
        self.give(env, Input::Kill { engaged })?;
        self.step(env, Event::Timer)?;
        self.give(env, Input::Timer)?;
        if env.is(Bug::TimeoutIsExpiry) {
            let late = |(_, (at, _)): &(&OrderId, &(i64, u32))| env.now - at > 8_000_000;
            let late = self.sent.iter().filter(late).map(|(order, _)| *order).collect::<Vec<_>>();
            for order in late {
                self.sent.remove(&order);
                self.todo.push_back(Output::Tell(OrderEvent::Expired { order }));
            }
            self.carry_out(env)?;
        }
        self.flush(env)
    }

    pub(super) fn command(&mut self, env: &mut Env, command: Command) -> Result<(), Died> {
        self.step(env, Event::Command(command))
    }

    /// A blockhash comes, as one node tells it, and the heights that a majority has reached.
    pub(super) fn take_hash(&mut self, env: &mut Env) {
        let life = env.plan.life;
        let Some((told, truth)) = env.nodes.blockhash(&env.chain, life) else { return };
        let heights = env.nodes.heights(&env.chain, Commitment::Confirmed);
        let told = BlockHeight::new(told);
        let believed = if env.is(Bug::OneNodesLastHeight) {
            Some(told)
        } else {
            last_valid_of(told, &heights, env.nodes.count(), BlockHeight::new(life))
        };
        if let Some(believed) = believed
            && self
                .hash
                .is_none_or(|hash| believed > hash.believed || env.now - hash.at > 20_000_000)
        {
            self.hash = Some(Hash { believed, truth, at: env.now });
        }
    }

    /// Events it has taken.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Nothing is open, and nothing may still be taken back.
    pub(super) fn is_idle(&self) -> bool {
        let orders = self.engine.orders();
        orders.all().is_empty() && orders.provisional().is_empty() && self.machine.is_idle()
    }

    /// What is not over.
    pub(super) fn open(&self) -> (Phase, Vec<OrderId>, usize) {
        let orders = self.engine.orders();
        let open = orders.all().iter().map(|open| open.order.id()).collect();
        (self.phase, open, orders.provisional().len())
    }

    /// Some bytes that are followed.
    pub(super) fn any_bytes(&self) -> Option<Signature> {
        self.wires.values().next().map(|wire| wire.signature)
    }

    /// Orders of an earlier process, as the engine has them.
    pub(super) fn remember_orders(&mut self) {
        let open = self.engine.orders().all().iter().map(|open| &open.order);
        let landed = self.engine.orders().provisional().iter().map(|landed| &landed.order);
        let known: Vec<Order> = open.chain(landed).cloned().collect();
        self.orders.extend(known.into_iter().map(|order| (order.id(), order)));
    }
}

const fn kind(event: &OrderEvent) -> u64 {
    match event {
        OrderEvent::Signed { .. } => 1,
        OrderEvent::Filled { .. } => 2,
        OrderEvent::Reverted { .. } => 3,
        OrderEvent::Expired { .. } => 4,
        OrderEvent::Rejected { .. } => 5,
        OrderEvent::Finalized { .. } => 6,
        OrderEvent::RolledBack { .. } => 7,
    }
}
