//! Orders in flight as the engine's books know them: submitted, signed, and one of four ends, which may be taken back
//! until it is final.

use serde::{Deserialize, Serialize};

use crate::event::{Closed, Deltas, OrderEvent};
use crate::ids::{MintId, OrderId, Signature, StrategyId};
use crate::order::{Order, Outcome};
use crate::portfolio::Undo;
use crate::units::{BlockHeight, Lamports, Seq, Slot, Timestamp};

/// How far an order in flight has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Approved and handed to the shell; not signed as far as we know.
    Submitted,
    /// Signed and durable: it may land until `last_valid`.
    Signed {
        /// Name on the chain.
        signature: Signature,
        /// Last height at which it can land.
        last_valid: BlockHeight,
    },
}

/// An order in flight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// What was approved.
    pub order: Order,
    /// How far it is.
    pub state: State,
}

/// An order that landed in a block which is not final yet, and what the books must take back if it never becomes so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisional {
    /// What was approved.
    pub order: Order,
    /// Name on the chain.
    pub signature: Signature,
    /// Last height at which it can land.
    pub last_valid: BlockHeight,
    /// What was booked.
    pub outcome: Outcome,
    pub(crate) undo: Undo,
}

/// What an event about an order came to.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and a box would be allocated for every end"
)]
pub enum Step {
    /// It goes on.
    On,
    /// This was its end.
    Closed(Closed, BlockHeight),
    /// Its end was taken back: it is in flight again.
    RolledBack(Box<Provisional>),
}

/// What a landing moved, once it is final: a comparison with a state of the chain from before it leaves it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Final {
    slot: Slot,
    deltas: Deltas,
    /// Fee and rent.
    paid: u64,
}

impl Final {
    fn of(outcome: &Outcome) -> Option<Self> {
        let paid = |fee: Lamports, rent: Lamports| fee.get().saturating_add(rent.get());
        match outcome {
            Outcome::Filled { slot, deltas, fee, rent } => {
                Some(Self { slot: *slot, deltas: deltas.clone(), paid: paid(*fee, *rent) })
            }
            Outcome::Reverted { slot, fee, .. } => {
                let paid = paid(*fee, Lamports::ZERO);
                Some(Self { slot: *slot, deltas: Deltas::new(), paid })
            }
            Outcome::Expired | Outcome::Rejected(_) => None,
        }
    }

    fn change(&self, mint: MintId) -> i128 {
        if mint == MintId::SOL {
            return i128::from(self.paid).saturating_neg();
        }
        let change = self.deltas.iter().find(|(of, _)| *of == mint);
        change.map_or(0, |(_, change)| i128::from(*change))
    }
}

/// What is booked of a mint and is not in an older state of the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct After {
    /// What it comes to.
    pub(super) change: i128,
    /// Nothing of it can be taken back and turn out to be in that state: a fork, or one endpoint, may tell a landing of
    /// a later slot than the one it is final in.
    pub(super) is_sure: bool,
}

/// Final landings that are remembered.
const FINALS: usize = 64;

/// All orders in flight, and those whose landing is not final. The first are bounded by the limit on open orders, the
/// others by that on orders in a minute and by how long the chain takes; both are looked through in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenOrders {
    orders: Vec<OpenOrder>,
    provisional: Vec<Provisional>,
    may_fork: bool,
    /// The newest landings that are final, oldest first.
    finals: Vec<Final>,
    /// Everything that was booked and is neither above nor in flight was on the chain by then.
    settled: Slot,
}

impl Default for OpenOrders {
    fn default() -> Self {
        Self {
            orders: Vec::with_capacity(64),
            provisional: Vec::new(),
            may_fork: false,
            finals: Vec::new(),
            settled: Slot::ZERO,
        }
    }
}

impl OpenOrders {
    /// Adds an approved order.
    pub fn open(&mut self, order: Order) {
        self.orders.push(OpenOrder { order, state: State::Submitted });
    }

    /// The order of that name, if it is in flight.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Option<&OpenOrder> {
        self.orders.iter().find(|o| o.order.id() == id)
    }

    /// All in flight.
    #[must_use]
    pub fn all(&self) -> &[OpenOrder] {
        &self.orders
    }

    /// Those whose landing is booked and not final yet, oldest first.
    #[must_use]
    pub fn provisional(&self) -> &[Provisional] {
        &self.provisional
    }

    /// Whether an order is in flight, or has landed in a block that is not final: its bytes may be needed again.
    #[must_use]
    pub fn is_followed(&self, id: OrderId) -> bool {
        self.get(id).is_some() || self.provisional.iter().any(|landed| landed.order.id() == id)
    }

    /// Whether what lands may be taken back until it is called final.
    #[must_use]
    pub const fn expects_forks(&self) -> bool {
        self.may_fork
    }

    /// From here on what lands may be taken back, until it is called final.
    pub(crate) fn expect_forks(&mut self) {
        self.may_fork = true;
        self.provisional.reserve(64);
        self.finals.reserve(FINALS);
    }

    /// What was booked besides orders is on the chain from `slot` on.
    pub(crate) fn opened(&mut self, slot: Slot) {
        self.settled = self.settled.max(slot);
    }

    fn finalized(&mut self, outcome: &Outcome) {
        let Some(landed) = Final::of(outcome) else { return };
        if self.finals.len() >= FINALS {
            let oldest = self.finals.remove(0);
            self.settled = self.settled.max(oldest.slot);
        }
        self.finals.push(landed);
    }

    /// What of all that is booked of `mint` is not in the final state of `at`. `None` while nobody knows: an order
    /// approved by `asked`, when that state was known at the latest, may have landed in it, or what is booked of one may
    /// yet be taken back.
    pub(super) fn booked_after(&self, mint: MintId, at: Slot, asked: Seq) -> Option<After> {
        let is_older = |order: &Order| order.id().cause <= asked && touches(order, mint);
        if at < self.settled || self.orders.iter().any(|o| is_older(&o.order)) {
            return None;
        }
        let mut after = After { change: 0, is_sure: true };
        for landed in &self.provisional {
            if is_older(&landed.order) {
                if landing_slot(&landed.outcome) <= at {
                    return None;
                }
                after.is_sure = false;
            }
            let change = Final::of(&landed.outcome).map_or(0, |landed| landed.change(mint));
            after.change = after.change.saturating_add(change);
        }
        for landed in self.finals.iter().filter(|landed| landed.slot > at) {
            after.change = after.change.saturating_add(landed.change(mint));
        }
        Some(after)
    }

    /// Remembers what must be taken back if what landed never becomes final.
    pub(crate) fn landed(&mut self, closed: &Closed, last_valid: BlockHeight, undo: Undo) {
        if let Some(signature) = closed.signature
            && self.may_fork
        {
            let (order, outcome) = (closed.order.clone(), closed.outcome.clone());
            self.provisional.push(Provisional { order, signature, last_valid, outcome, undo });
        } else {
            self.finalized(&closed.outcome);
        }
    }

    /// Whether a strategy has an order in flight that gives or gets `mint`.
    #[must_use]
    pub fn touches(&self, strategy: StrategyId, mint: MintId) -> bool {
        self.orders.iter().any(|o| {
            o.order.strategy() == strategy
                && (o.order.mint_in() == mint || o.order.mint_out() == mint)
        })
    }

    /// Whether any order in flight gives or gets `mint`, or may change it as a fee.
    #[must_use]
    pub fn any_touches(&self, mint: MintId) -> bool {
        self.orders.iter().any(|o| touches(&o.order, mint))
    }

    /// Takes an event about an order: what it came to, or `Err(id)` when no such order is followed, or the step is
    /// impossible from where it is: a signed order cannot have been "never sent".
    ///
    /// # Errors
    ///
    /// The order's id, unchanged state.
    pub(crate) fn apply(&mut self, event: &OrderEvent, at: Timestamp) -> Result<Step, OrderId> {
        let id = event.order();
        if let OrderEvent::Finalized { .. } | OrderEvent::RolledBack { .. } = event {
            let index = self.provisional.iter().position(|p| p.order.id() == id).ok_or(id)?;
            let landed = self.provisional.remove(index);
            if let OrderEvent::Finalized { .. } = event {
                self.finalized(&landed.outcome);
                return Ok(Step::On);
            }
            let (signature, last_valid) = (landed.signature, landed.last_valid);
            let state = State::Signed { signature, last_valid };
            self.orders.push(OpenOrder { order: landed.order.clone(), state });
            return Ok(Step::RolledBack(Box::new(landed)));
        }
        let index = self.orders.iter().position(|o| o.order.id() == id).ok_or(id)?;
        let open = self.orders.get_mut(index).ok_or(id)?;
        let outcome = match (event, open.state) {
            (OrderEvent::Signed { signature, last_valid, .. }, State::Submitted) => {
                open.state = State::Signed { signature: *signature, last_valid: *last_valid };
                return Ok(Step::On);
            }
            (OrderEvent::Filled { slot, deltas, fee, rent, .. }, State::Signed { .. }) => {
                // What our key gave besides is the tip first, which a fill always pays: a fee like any other.
                let tip = (*rent).min(open.order.tip());
                // What goes beyond is no rent that was meant: left unbooked, the comparison with the chain finds it.
                let rent = rent.saturating_sub(tip).min(open.order.rent_cap());
                let fee = fee.saturating_add(tip);
                Outcome::Filled { slot: *slot, deltas: deltas.clone(), fee, rent }
            }
            (OrderEvent::Reverted { slot, fee, code, .. }, State::Signed { .. }) => {
                Outcome::Reverted { slot: *slot, fee: *fee, code: *code }
            }
            (OrderEvent::Expired { .. }, State::Signed { .. }) => Outcome::Expired,
            (OrderEvent::Rejected { reason, .. }, State::Submitted) => Outcome::Rejected(*reason),
            _ => return Err(id),
        };
        let open = self.orders.remove(index);
        let (signature, last_valid) = match open.state {
            State::Submitted => (None, BlockHeight::ZERO),
            State::Signed { signature, last_valid } => (Some(signature), last_valid),
        };
        Ok(Step::Closed(Closed { order: open.order, outcome, at, signature }, last_valid))
    }
}

/// Whether an order gives or gets `mint`, or may change it as a fee.
fn touches(order: &Order, mint: MintId) -> bool {
    mint == MintId::SOL
        || order.legs().iter().any(|l| l.hop.mint_in == mint || l.hop.mint_out == mint)
}

const fn landing_slot(outcome: &Outcome) -> Slot {
    match outcome {
        Outcome::Filled { slot, .. } | Outcome::Reverted { slot, .. } => *slot,
        Outcome::Expired | Outcome::Rejected(_) => Slot::ZERO,
    }
}
