//! What a start owes to the orders that an earlier process left behind.
//!
//! Crash and start share one path: replay the journal, ask the chain about each order that was signed and has no final
//! end, compare the ledger with the chain, and only then trade.

use super::input::Landing;
use super::open::{OpenOrders, Provisional, State};
use crate::event::{Command, RejectReason};
use crate::ids::{MintId, OrderId, Signature};
use crate::ledger::Ledger;
use crate::order::Outcome;
use crate::risk::Mode;
use crate::units::{Atoms, BlockHeight};

/// What is to be done about one order before anything new is approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Its record is in the journal: the chain is asked, and the same bytes go out again while they can land.
    Follow {
        /// Which.
        order: OrderId,
        /// Name of its bytes.
        signature: Signature,
        /// After this height they can no longer land.
        last_valid: BlockHeight,
        /// The books do not know that it was signed.
        untold: bool,
        /// What the books hold of it already, where that was not final yet.
        landing: Option<Landing>,
    },
    /// There is no record of its bytes, so they were never sent and never will be.
    Reject {
        /// Which.
        order: OrderId,
        /// Why.
        reason: RejectReason,
    },
    /// The books know that it was signed, and its record is gone: it cannot be followed, and nothing may be traded.
    Lost {
        /// Which.
        order: OrderId,
    },
}

/// What is owed to every order that the books hold open or not final. `record` gives what the journal holds of an order's
/// bytes: the name of the newest.
pub fn owed(
    orders: &OpenOrders,
    record: impl Fn(OrderId) -> Option<(Signature, BlockHeight)>,
) -> Vec<Recovery> {
    let open = orders.all().iter().map(|open| {
        let order = open.order.id();
        match (record(order), open.state) {
            (Some((signature, last_valid)), state) => Recovery::Follow {
                order,
                signature,
                last_valid,
                untold: state == State::Submitted,
                landing: None,
            },
            (None, State::Submitted) => {
                Recovery::Reject { order, reason: RejectReason::NeverSigned }
            }
            (None, State::Signed { .. }) => Recovery::Lost { order },
        }
    });
    let provisional = orders.provisional().iter().map(|landed| Recovery::Follow {
        order: landed.order.id(),
        signature: landed.signature,
        last_valid: landed.last_valid,
        untold: false,
        landing: landing(landed),
    });
    open.chain(provisional).collect()
}

fn landing(landed: &Provisional) -> Option<Landing> {
    match &landed.outcome {
        Outcome::Filled { slot, deltas, fee, rent } => {
            // As the chain tells it, which knows of no tips.
            let tip = landed.order.tip();
            let (fee, rent) = (fee.saturating_sub(tip), rent.saturating_add(tip));
            Some(Landing::Filled { slot: *slot, deltas: deltas.clone(), fee, rent })
        }
        Outcome::Reverted { slot, fee, code } => {
            Some(Landing::Reverted { slot: *slot, fee: *fee, code: *code })
        }
        Outcome::Expired | Outcome::Rejected(_) => None,
    }
}

/// Whether trading may go on once the ledger was compared with the chain: a person has started the engine, so whatever
/// halt the last run ended with is over, unless its cause still holds. KILL is a latch that no start opens.
#[must_use]
pub const fn may_release(mode: Mode, mismatched: bool) -> bool {
    !mismatched && matches!(mode, Mode::ReduceOnly | Mode::Halt)
}

/// Whether the opening is booked: SOL comes last.
#[must_use]
pub fn is_funded(ledger: &Ledger) -> bool {
    ledger.held(MintId::SOL) > 0
}

/// What books all that was found at the first start. SOL comes last, and nothing can be bought without it: a process that
/// dies in between leaves an opening that is not funded, and the next one books what is missing.
#[must_use]
pub fn opening(ledger: &Ledger, found: &[(MintId, Atoms)]) -> Vec<Command> {
    let missing = |(mint, amount): &(MintId, Atoms)| {
        let missing = i128::from(amount.get()).saturating_sub(ledger.held(*mint));
        let amount = u64::try_from(missing).ok().filter(|missing| *missing > 0)?;
        Some(Command::Deposit { mint: *mint, amount: Atoms::new(amount) })
    };
    let (last, first): (Vec<_>, Vec<_>) = found.iter().partition(|(mint, _)| *mint == MintId::SOL);
    first.into_iter().chain(last).filter_map(missing).collect()
}
