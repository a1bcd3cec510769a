//! Orders in flight, as a state machine without IO: submitted, signed, and one of four ends.

use serde::{Deserialize, Serialize};

use crate::event::{Closed, OrderEvent};
use crate::ids::{MintId, OrderId, Signature, StrategyId};
use crate::order::{Order, Outcome};
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

/// All orders in flight. Bounded by the limit on open orders; looked through in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenOrders {
    orders: Vec<OpenOrder>,
}

impl Default for OpenOrders {
    fn default() -> Self {
        Self { orders: Vec::with_capacity(64) }
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

    /// Takes an event about an order.
    ///
    /// `Ok(None)` when it goes on, `Ok(Some(closed))` when this was its end; `Err(id)` when no such order is in
    /// flight, or the step is impossible from where it is: a signed order cannot have been "never sent".
    ///
    /// # Errors
    ///
    /// The order's id, unchanged state.
    pub fn apply(&mut self, event: &OrderEvent, at: Timestamp) -> Result<Option<Closed>, OrderId> {
        let id = event.order();
        let index = self.orders.iter().position(|o| o.order.id() == id).ok_or(id)?;
        let open = self.orders.get_mut(index).ok_or(id)?;
        let outcome = match (event, open.state) {
            (OrderEvent::Signed { signature, last_valid, .. }, State::Submitted) => {
                open.state = State::Signed { signature: *signature, last_valid: *last_valid };
                return Ok(None);
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
        let signature = match open.state {
            State::Submitted => None,
            State::Signed { signature, .. } => Some(signature),
        };
        Ok(Some(Closed { order: open.order, outcome, at, signature }))
    }
}
