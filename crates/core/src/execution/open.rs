//! Orders in flight as the engine's books know them: submitted, signed, and one of four ends, which may be taken back
//! until it is final.

use serde::{Deserialize, Serialize};

use crate::event::{Closed, OrderEvent};
use crate::ids::{MintId, OrderId, Signature, StrategyId};
use crate::order::{Order, Outcome};
use crate::portfolio::Undo;
use crate::units::{BlockHeight, Timestamp};

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

/// All orders in flight, and those whose landing is not final. The first are bounded by the limit on open orders, the
/// others by that on orders in a minute and by how long the chain takes; both are looked through in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenOrders {
    orders: Vec<OpenOrder>,
    provisional: Vec<Provisional>,
    may_fork: bool,
}

impl Default for OpenOrders {
    fn default() -> Self {
        Self { orders: Vec::with_capacity(64), provisional: Vec::new(), may_fork: false }
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
    }

    /// Remembers what must be taken back if what landed never becomes final.
    pub(crate) fn landed(&mut self, closed: &Closed, last_valid: BlockHeight, undo: Undo) {
        if let Some(signature) = closed.signature
            && self.may_fork
        {
            let (order, outcome) = (closed.order.clone(), closed.outcome.clone());
            self.provisional.push(Provisional { order, signature, last_valid, outcome, undo });
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
        if mint == MintId::SOL {
            return !self.orders.is_empty();
        }
        self.orders
            .iter()
            .any(|o| o.order.legs().iter().any(|l| l.hop.mint_in == mint || l.hop.mint_out == mint))
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
                // What goes beyond is no rent that was meant: left unbooked, the comparison with the chain finds it.
                let rent = (*rent).min(open.order.rent_cap());
                Outcome::Filled { slot: *slot, deltas: deltas.clone(), fee: *fee, rent }
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
