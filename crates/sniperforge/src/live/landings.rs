//! Where our transactions land, and what their bids have learnt from it.

use sniper_core::event::OrderEvent;
use sniper_core::units::Slot;
use sniper_solana::clock::ChainClock;
use sniper_solana::fees::{FeeEstimator, Landing};
use sniper_solana::rpc::RpcConnectionPool;

/// What an order that was sent has bid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bid {
    /// Millionths of a lamport per compute unit.
    price: u64,
    /// The chain's slot at that moment.
    sent: Slot,
}

/// The chain's clock, and the estimator that learns from how our own fared.
pub(super) struct Landings {
    pub(super) rpc: RpcConnectionPool,
    pub(super) clock: ChainClock,
    /// Without it orders bid what they carry.
    pub(super) fees: Option<FeeEstimator>,
}

impl Landings {
    /// A bid that is sent now.
    pub(super) fn bid(&self, price: u64) -> Bid {
        let sent = self.clock.slot().unwrap_or_else(|_| self.rpc.highest_slot());
        Bid { price, sent }
    }

    /// Notes how an order has ended, if it was sent at all.
    pub(super) fn note(&self, bid: Option<Bid>, end: &OrderEvent) {
        let landed = match end {
            OrderEvent::Filled { slot, .. } | OrderEvent::Reverted { slot, .. } => Some(*slot),
            OrderEvent::Expired { .. } => None,
            OrderEvent::Signed { .. }
            | OrderEvent::Rejected { .. }
            | OrderEvent::Finalized { .. }
            | OrderEvent::RolledBack { .. } => return,
        };
        let Some(Bid { price, sent }) = bid else { return };
        let leader = landed.and_then(|slot| self.clock.leader_at(slot).ok());
        let slots = landed.map(|landed| landed.get().saturating_sub(sent.get()));
        tracing::debug!(order = %end.order(), price, ?slots, ?leader, "a bid has ended");
        if let Some(fees) = &self.fees {
            fees.note(Landing { price, sent, landed });
        }
    }
}
