//! The first checker: watches everything that leaves the process, and believes nothing that it says of itself.

use std::collections::{BTreeMap, BTreeSet};

use super::setting::USDC;
use crate::event::{Event, OrderEvent};
use crate::execution::Landing;
use crate::ids::{MintId, OrderId, Signature};
use crate::journal::{FILE_HEAD, HEAD, Head, Record};
use crate::order::Order;
use crate::risk::{Limits, Mode};
use crate::units::{Timestamp, Usd};

#[derive(Clone, Debug)]
struct Followed {
    order: Order,
    signature: Option<Signature>,
    over: bool,
}

/// What it has seen.
#[derive(Debug)]
pub(super) struct Auditor {
    limits: Limits,
    orders: BTreeMap<OrderId, Followed>,
    /// In the last minute.
    approved: Vec<(Timestamp, OrderId)>,
    /// All that was ever sent: of which journal, for which order.
    sent: BTreeMap<Signature, (u32, Order)>,
    journal: u32,
    /// Records that were durable, as read from the disk's own bytes.
    records: BTreeMap<Signature, Vec<u8>>,
    read: usize,
    /// Signed by an earlier process and without an end, as the disk has it.
    unresolved: BTreeSet<OrderId>,
    mode: Mode,
    /// Sales that are told and not final.
    sales: BTreeSet<OrderId>,
    /// Purchases that are told to have reverted, which is not final, and their worth.
    reverts: BTreeMap<OrderId, Usd>,
    /// A landing was taken back once.
    taken_back: bool,
    pub(super) violation: Option<String>,
    pub(super) submitted: u64,
}

impl Auditor {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            orders: BTreeMap::new(),
            approved: Vec::new(),
            sent: BTreeMap::new(),
            journal: 0,
            records: BTreeMap::new(),
            read: FILE_HEAD,
            unresolved: BTreeSet::new(),
            mode: Mode::Run,
            sales: BTreeSet::new(),
            reverts: BTreeMap::new(),
            taken_back: false,
            violation: None,
            submitted: 0,
        }
    }

    /// The first breach counts.
    pub(super) fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    /// A new journal: what the old one held is over, and its numbers may come again.
    pub(super) fn new_journal(&mut self, limits: Limits) {
        self.limits = limits;
        self.journal += 1;
        self.orders.clear();
        self.sales.clear();
        self.reverts.clear();
        self.read = FILE_HEAD;
        self.unresolved.clear();
        self.approved.clear();
    }

    /// A process has replayed the disk, which holds these bytes: what a crash took from its memory is no order any more,
    /// unless it was sent.
    pub(super) fn started(&mut self, bytes: &[u8], is_known: impl Fn(OrderId) -> bool) {
        self.orders.retain(|order, followed| followed.signature.is_some() || is_known(*order));
        self.approved.retain(|(_, order)| self.orders.contains_key(order));
        for followed in self.orders.values_mut() {
            followed.over = false;
        }
        let mut read = FILE_HEAD;
        while let Some((record, next)) = record_at(bytes, read) {
            if let Record::Event(stamped) = record
                && let Event::Order(event) = &stamped.event
                && let Some(over) = ends(event)
                && let Some(followed) = self.orders.get_mut(&event.order())
            {
                followed.over = over;
            }
            read = next;
        }
        let open = self.orders.iter().filter(|(_, o)| !o.over && o.signature.is_some());
        self.unresolved = open.map(|(order, _)| *order).collect();
        // Whoever starts an engine wants it to trade.
        self.mode = Mode::Run;
    }

    /// An operator wants this from here on.
    pub(super) const fn wanted(&mut self, mode: Mode) {
        self.mode = mode;
    }

    pub(super) fn submitted(&mut self, order: &Order, at: Timestamp) {
        self.submitted += 1;
        let (id, sells) = (order.id(), order.mint_out() == USDC);
        let (mode, limits) = (self.mode, self.limits.clone());
        self.must(mode == Mode::Run || mode == Mode::ReduceOnly && sells, || {
            format!("order {id} was approved although an operator had said {}", mode.name())
        });
        if let Some(old) = self.unresolved.first().copied() {
            self.must(false, || {
                format!("order {id} was approved before the fate of {old} was known")
            });
        }
        let open: Vec<Order> =
            self.orders.values().filter(|o| !o.over).map(|o| o.order.clone()).collect();
        let most = usize::from(limits.open_orders_max);
        self.must(open.len() < most, || format!("order {id} is one more in flight than {most}"));
        let minute = Timestamp::from_millis(60_000);
        self.approved.retain(|(then, _)| at.saturating_sub(*then) < minute);
        self.approved.push((at, id));
        let (count, most) = (self.approved.len(), usize::from(limits.orders_per_minute_max));
        self.must(count <= most, || format!("order {id} is number {count} in a minute"));
        if !sells {
            let (value, most) = (order.value(), limits.order_value_max);
            self.must(value <= most, || format!("order {id} is worth {value}"));
            let buys = |mint: Option<MintId>| {
                let same = open.iter().filter(|o| {
                    o.mint_out() != USDC && mint.is_none_or(|mint| o.mint_out() == mint)
                });
                same.fold(value, |sum, o| sum.saturating_add(o.value()))
            };
            let (at_stake, most) = (buys(None), limits.exposure_max);
            self.must(at_stake <= most, || format!("with order {id} {at_stake} are in flight"));
            let (of_mint, most) = (buys(Some(order.mint_out())), limits.position_value_max);
            self.must(of_mint <= most, || {
                format!("with order {id} {of_mint} of one mint are in flight")
            });
        }
        let new = Followed { order: order.clone(), signature: None, over: false };
        let is_new = self.orders.insert(id, new).is_none();
        self.must(is_new, || format!("order {id} was approved twice"));
    }

    /// What is held on the chain is worth that much, of one mint at most that. What is approved counts as it is worth then;
    /// prices move afterwards, though never by a quarter in the life of a world. A sale that is taken back, by a fork or
    /// because one node had made it up, is a position again beside what was bought in its place: no limit foresees that. Nor a
    /// purchase that reverts in one fork and lands in the other, beside what was bought since.
    pub(super) fn exposed(&mut self, all: Usd, of_one: Usd) {
        if self.taken_back || !self.sales.is_empty() {
            return;
        }
        let beside = self.reverts.values().fold(Usd::ZERO, |sum, worth| sum.saturating_add(*worth));
        let most = |limit: Usd| Usd::new(limit.saturating_add(beside).get() / 4 * 5);
        let limit = most(self.limits.exposure_max);
        self.must(all <= limit, || format!("{all} are at stake, more than {limit}"));
        let limit = most(self.limits.position_value_max);
        self.must(of_one <= limit, || format!("{of_one} of one mint are held, more than {limit}"));
    }

    pub(super) fn signed(&mut self, order: OrderId, is_killed: bool) {
        self.must(!is_killed, || format!("order {order} was signed after KILL"));
    }

    /// Bytes go out.
    pub(super) fn sent(
        &mut self,
        order: OrderId,
        signature: Signature,
        bytes: &[u8],
        durable: &[u8],
    ) {
        self.read_records(durable);
        let is_durable = self.records.get(&signature).is_some_and(|record| record == bytes);
        self.must(is_durable, || format!("order {order} was sent before its record was durable"));
        let Some(followed) = self.orders.get_mut(&order) else {
            self.must(false, || format!("order {order} was sent and never approved"));
            return;
        };
        let first = *followed.signature.get_or_insert(signature);
        self.sent.insert(signature, (self.journal, followed.order.clone()));
        let is_over = followed.over;
        self.must(first == signature, || format!("order {order} was sent with a second signature"));
        self.must(!is_over, || format!("order {order} was sent after its end"));
    }

    /// The engine was told of an order.
    pub(super) fn told(&mut self, event: &OrderEvent) {
        let order = event.order();
        match event {
            OrderEvent::Filled { .. }
                if self.orders.get(&order).is_some_and(|o| o.order.mint_out() == USDC) =>
            {
                self.sales.insert(order);
            }
            OrderEvent::Reverted { .. } => {
                if let Some(o) = self.orders.get(&order)
                    && o.order.mint_out() != USDC
                {
                    self.reverts.insert(order, o.order.value());
                }
            }
            OrderEvent::Finalized { .. } => {
                self.sales.remove(&order);
                self.reverts.remove(&order);
            }
            OrderEvent::RolledBack { .. } => self.taken_back = true,
            _ => {}
        }
        let Some(over) = ends(event) else { return };
        if let Some(followed) = self.orders.get_mut(&order) {
            followed.over = over;
            if let OrderEvent::Rejected { .. } = event {
                let was_sent = followed.signature.is_some();
                self.must(!was_sent, || format!("order {order} was sent and called rejected"));
            }
        }
        if over {
            self.unresolved.remove(&order);
        }
    }

    /// What is final on the chain, at the end.
    pub(super) fn landed(&mut self, landings: &BTreeMap<Signature, Landing>) {
        let (mut seen, sent) = (BTreeSet::new(), std::mem::take(&mut self.sent));
        for (signature, landing) in landings {
            let Some((journal, order)) = sent.get(signature) else {
                self.must(false, || "what was never sent has landed".to_owned());
                continue;
            };
            let id = order.id();
            let is_first = seen.insert((*journal, id));
            self.must(is_first, || format!("order {id} landed twice"));
            if let Landing::Filled { deltas, .. } = landing {
                let change =
                    |mint: MintId| deltas.iter().find(|(m, _)| *m == mint).map_or(0, |d| d.1);
                let paid = change(order.mint_in()).min(0).unsigned_abs();
                let got = change(order.mint_out()).max(0).unsigned_abs();
                let (most, least) = (order.amount_in().get(), order.min_out().get());
                let kept = paid <= most && got >= least;
                self.must(kept, || {
                    format!("order {id} gave {paid} of {most} and got {got}, at least {least} were asked for")
                });
            }
        }
    }

    /// Reads what is new among the durable bytes.
    fn read_records(&mut self, durable: &[u8]) {
        while let Some((record, next)) = record_at(durable, self.read) {
            if let Record::Wire { signature, bytes, .. } = record {
                self.records.insert(signature, bytes);
            }
            self.read = next;
        }
    }
}

/// The record that begins at a place, and where the next one does.
fn record_at(bytes: &[u8], at: usize) -> Option<(Record, usize)> {
    let head = Head::read(bytes.get(at..)?)?;
    let end = at + head.whole();
    let frame = bytes.get(at..end).filter(|frame| head.holds(frame))?;
    Some((Record::decode(&frame[HEAD..])?, end))
}

/// Whether an order is over, or no longer over, by what was told of it.
const fn ends(event: &OrderEvent) -> Option<bool> {
    match event {
        OrderEvent::Signed { .. } | OrderEvent::Finalized { .. } => None,
        OrderEvent::RolledBack { .. } => Some(false),
        OrderEvent::Filled { .. }
        | OrderEvent::Reverted { .. }
        | OrderEvent::Expired { .. }
        | OrderEvent::Rejected { .. } => Some(true),
    }
}
