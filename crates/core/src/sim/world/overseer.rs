//! The third checker: knows what the operator asked for, and holds what is ordered in its name against that. It reckons
//! prices and sums itself, and asks the process for nothing but the marks of trails.

use std::collections::{BTreeMap, BTreeSet};

use super::audit::Auditor;
use super::setting::USDC;
use crate::engine::MultiStrategyEngine;
use crate::event::{Command, Event, OrderEvent};
use crate::execution::Landing;
use crate::ids::{MintId, OrderId};
use crate::journal::{Record, Scanner};
use crate::order::Order;
use crate::standing::{Amount, Link, Pace, Side, Spec, StandingId, State, Ticket, Trigger};
use crate::units::{Price, Seq};

/// What it has seen.
#[derive(Debug, Default)]
pub(super) struct Overseer {
    tickets: BTreeMap<Seq, Ticket>,
    /// How many tickets the operator wanted.
    requests: usize,
    cancelled: BTreeSet<StandingId>,
    /// What the operator was told is placed.
    acknowledged: BTreeMap<Seq, Ticket>,
    fired: BTreeMap<OrderId, StandingId>,
    open: BTreeSet<OrderId>,
    /// Told to have failed once: it may be tried again and land after all.
    reverted: BTreeSet<OrderId>,
    /// Tickets of which a landing was taken back: their exits may have sold what another fork brought.
    taken_back: BTreeSet<Seq>,
    /// Marks of trails as they rose: after which event, of which whole; none while an exit waits for its entry.
    marks: BTreeMap<StandingId, Vec<(Seq, u64, Option<Price>)>>,
    /// How often each kind was ordered.
    pub(super) kinds: BTreeMap<&'static str, u64>,
}

impl Overseer {
    /// The process places something: it is named by the event.
    pub(super) fn asked(&mut self, audit: &mut Auditor, seq: Seq, command: &Command) {
        let Command::Place(ticket) = command else { return };
        self.tickets.insert(seq, (**ticket).clone());
        let (placed, wanted) = (self.tickets.len(), self.requests);
        audit.must(placed <= wanted, || {
            format!("{placed} tickets are placed, {wanted} were wanted")
        });
    }

    /// The operator wants a ticket placed.
    pub(super) const fn requested(&mut self) {
        self.requests += 1;
    }

    pub(super) fn all_acknowledged(&self) -> Vec<Ticket> {
        self.acknowledged.values().cloned().collect()
    }

    /// The operator is told that it is placed.
    pub(super) fn acknowledged(&mut self, seq: Seq, ticket: Ticket) {
        self.acknowledged.insert(seq, ticket);
    }

    /// The operator wants it cancelled, whatever the process makes of that.
    pub(super) fn wants_cancelled(&mut self, ticket: Seq, leg: Option<u8>) {
        let legs = (0..4).filter(|nth| leg.is_none_or(|leg| leg == *nth));
        self.cancelled.extend(legs.map(|leg| StandingId { ticket, leg }));
    }

    pub(super) fn new_journal(&mut self) {
        let kinds = std::mem::take(&mut self.kinds);
        *self = Self { kinds, ..Self::default() };
    }

    /// A process has replayed these bytes.
    pub(super) fn started(
        &mut self,
        audit: &mut Auditor,
        bytes: &[u8],
        engine: &MultiStrategyEngine,
    ) {
        self.tickets.clear();
        let mut last = Seq::ZERO;
        let mut scanner = Scanner::new(bytes, u64::MAX);
        while let Ok(Some(payload)) = scanner.next() {
            let Some(Record::Event(stamped)) = Record::decode(payload) else { continue };
            last = stamped.seq;
            if let Event::Command(Command::Place(ticket)) = stamped.event {
                self.tickets.insert(stamped.seq, *ticket);
            }
        }
        for (seq, ticket) in &self.acknowledged {
            let is_there = self.tickets.get(seq) == Some(ticket);
            audit.must(is_there, || format!("ticket {seq} was acknowledged and is lost"));
        }
        let open = self.fired.keys().filter(|order| engine.orders().get(**order).is_some());
        self.open = open.copied().collect();
        // What a crash took from the journal has raised nothing.
        for known in self.marks.values_mut() {
            known.retain(|(seq, ..)| *seq <= last);
        }
        self.look(audit, engine);
    }

    /// An order is made for a standing order.
    pub(super) fn fired(&mut self, audit: &mut Auditor, id: StandingId, order: OrderId) {
        let under_way = self
            .open
            .iter()
            .find(|open| self.fired.get(*open).is_some_and(|of| of.ticket == id.ticket));
        audit.must(under_way.is_none(), || {
            format!("{id} fired order {order} while {under_way:?} of its ticket was in flight")
        });
        let is_cancelled = self.cancelled.contains(&id);
        audit.must(!is_cancelled, || format!("{id} fired order {order} after it was cancelled"));
        self.fired.insert(order, id);
        self.reverted.remove(&order);
        self.open.insert(order);
    }

    /// What an order says must be what its ticket does.
    pub(super) fn submitted(&mut self, audit: &mut Auditor, order: &Order) {
        let Some(id) = self.fired.get(&order.id()).copied() else { return };
        // What the operator was told counts, before what the process took it for.
        let ticket = self.acknowledged.get(&id.ticket).or_else(|| self.tickets.get(&id.ticket));
        let Some(spec) = ticket.and_then(|ticket| ticket.legs.get(usize::from(id.leg))) else {
            return audit.must(false, || format!("{id} fired and was never asked for"));
        };
        *self.kinds.entry(spec.name()).or_default() += 1;
        let (given, taken) = match spec.side {
            Side::Buy => (USDC, spec.mint),
            Side::Sell => (spec.mint, USDC),
        };
        let is_its = order.mint_in() == given && order.mint_out() == taken;
        audit.must(is_its, || format!("order {} of {id} trades other mints", order.id()));
        let (paid, least) = (order.amount_in().get(), order.min_out().get());
        let most = each(spec);
        audit.must(most.is_none_or(|most| u128::from(paid) <= most), || {
            format!("order {} of {id} gives {paid}, more than {most:?}", order.id())
        });
        if let Some(price) = least_price(spec) {
            let floor = worst(spec.side, paid, price);
            audit.must(u128::from(least) >= floor, || {
                format!(
                    "order {} of {id} may bring {least}, its price asks for {floor}",
                    order.id()
                )
            });
        }
        let room =
            u128::from(order.expected_out().get()) * u128::from(10_000 - spec.slippage.get());
        audit.must(u128::from(least) * 10_000 >= room, || {
            format!("order {} of {id} gives more room than its slippage", order.id())
        });
    }

    pub(super) fn told(&mut self, event: &OrderEvent) {
        let order = event.order();
        let Some(id) = self.fired.get(&order) else { return };
        match event {
            OrderEvent::Signed { .. } | OrderEvent::Finalized { .. } => {}
            OrderEvent::RolledBack { .. } => {
                self.taken_back.insert(id.ticket);
                self.open.insert(order);
            }
            OrderEvent::Reverted { .. } => {
                self.reverted.insert(order);
                self.open.remove(&order);
            }
            _ => drop(self.open.remove(&order)),
        }
    }

    /// A trail's mark never falls, whoever was killed in between.
    pub(super) fn look(&mut self, audit: &mut Auditor, engine: &MultiStrategyEngine) {
        let seq = engine.last().unwrap_or_default().0;
        for standing in engine.standing().all() {
            let Trigger::Trail(_) = standing.spec().trigger else { continue };
            let (id, whole) = (standing.id(), standing.whole().map_or(0, |whole| whole.get()));
            let marks = self.marks.entry(id).or_default();
            let last = marks.last();
            let known = last.filter(|(_, of, _)| *of == whole).and_then(|(.., mark)| *mark);
            // One whose entry was taken back begins anew with what the next one brings.
            let mark = standing.mark().filter(|_| standing.state() != State::Waiting);
            let is_anew = standing.state() == State::Waiting;
            audit.must(is_anew || mark >= known, || {
                format!("the mark of {id} fell from {known:?} to {mark:?}")
            });
            if mark != last.and_then(|(.., mark)| *mark) || mark != known {
                marks.push((seq, whole, mark));
            }
        }
    }

    /// What has landed for each standing order, by the chain's own count. Where a node makes fills up, what is left of an
    /// amount and what an entry has brought are believed to be what it says until a majority corrects it.
    pub(super) fn landed<'a>(
        &self,
        audit: &mut Auditor,
        landings: impl Iterator<Item = (OrderId, &'a Landing)>,
        has_lies: bool,
    ) {
        let mut sums: BTreeMap<StandingId, (u128, u128)> = BTreeMap::new();
        let mut retried = BTreeSet::new();
        for (order, landing) in landings {
            let (Some(id), Landing::Filled { deltas, .. }) = (self.fired.get(&order), landing)
            else {
                continue;
            };
            let Some(spec) = self.spec(*id) else { continue };
            let change = |mint: MintId| deltas.iter().find(|(m, _)| *m == mint).map_or(0, |d| d.1);
            let [given, taken] = match spec.side {
                Side::Buy => [USDC, spec.mint],
                Side::Sell => [spec.mint, USDC],
            };
            let sum = sums.entry(*id).or_default();
            sum.0 += u128::from(change(given).min(0).unsigned_abs());
            sum.1 += u128::from(change(taken).max(0).unsigned_abs());
            if self.reverted.contains(&order) {
                retried.insert(id.ticket);
            }
        }
        for (id, (paid, _)) in &sums {
            let Some(spec) = self.spec(*id) else { continue };
            let whole = match (spec.pace, each(spec)) {
                (Pace::Repeat { times, .. }, Some(each)) => Some(each * u128::from(times)),
                (_, whole) => whole,
            };
            let is_exempt = retried.contains(&id.ticket) || has_lies && spec.pace != Pace::Whole;
            let fits = is_exempt || whole.is_none_or(|whole| *paid <= whole);
            audit.must(fits, || format!("{id} gave {paid}, more than its {whole:?}"));
        }
        for (seq, ticket) in self.tickets.iter().filter(|(seq, _)| !retried.contains(seq)) {
            // The operator's own words, where they were told.
            let ticket = self.acknowledged.get(seq).unwrap_or(ticket);
            let id = |leg: usize| StandingId { ticket: *seq, leg: u8::try_from(leg).unwrap_or(0) };
            let skip = usize::from(ticket.link == Link::Bracket);
            if ticket.link == Link::Alone {
                continue;
            }
            let of_group = || ticket.legs.iter().enumerate().skip(skip);
            let landed = of_group().filter(|(leg, _)| sums.contains_key(&id(*leg)));
            let whole = landed.filter(|(_, spec)| !matches!(spec.trigger, Trigger::Ladder(_)));
            let count = whole.count();
            audit.must(count <= 1, || {
                format!("{count} orders of ticket {seq} landed; one cancels the others")
            });
            let is_told = !has_lies && !self.taken_back.contains(seq);
            if ticket.link == Link::Bracket && is_told {
                let came = sums.get(&id(0)).map_or(0, |(_, got)| *got);
                let sold: u128 =
                    of_group().filter_map(|(leg, _)| sums.get(&id(leg))).map(|s| s.0).sum();
                audit.must(sold <= came, || {
                    format!("the exits of ticket {seq} sold {sold}, its entry brought {came}")
                });
            }
        }
    }

    fn spec(&self, id: StandingId) -> Option<&Spec> {
        self.tickets.get(&id.ticket)?.legs.get(usize::from(id.leg))
    }
}

/// What one of its orders gives at most.
fn each(spec: &Spec) -> Option<u128> {
    match spec.amount {
        Amount::Exactly(amount) => Some(u128::from(amount.get())),
        Amount::Position => None,
    }
}

/// The price that must not be passed.
fn least_price(spec: &Spec) -> Option<Price> {
    match &spec.trigger {
        Trigger::Limit(price) => Some(*price),
        Trigger::Ladder(rungs) => rungs.first().map(|rung| rung.price),
        _ => None,
    }
}

/// The least that must come out at a price, rounded up.
fn worst(side: Side, paid: u64, price: Price) -> u128 {
    let paid = u128::from(paid);
    match side {
        // Amounts of these worlds are far from the end of the range.
        Side::Sell => (paid * (price.raw() >> 24)) >> 40,
        Side::Buy => (paid << 64).div_ceil(price.raw()),
    }
}
