//! The ends of our transactions as subscriptions tell them, besides asking for them.
//!
//! A signature is followed from the moment that its bytes are on their way, and nothing waits for that: whichever says first
//! how far it has come, a notice or an answer, is what the machine of `core::execution` is told. It decides as ever.

use sniper_core::ids::Signature;
use sniper_core::units::Slot;
use sniper_solana::feed::{Subscription, WatchId};
use sniper_solana::rpc::{Commitment, SignatureStatus, TxError};

use super::{Orders, Session};

impl Session {
    /// Has nodes tell how a transaction ends. Where none can, asking has to do.
    pub(super) fn listen(&mut self, signature: Signature) {
        match self.manager.subscribe(&[Subscription::Signature(signature)]) {
            Ok(watches) => {
                self.listened.extend(watches.into_iter().map(|watch| (watch, signature)));
            }
            Err(error) => tracing::debug!(%error, "nobody tells of a transaction: it is asked for"),
        }
    }

    /// A node has told. The watch is gone with this.
    pub(super) fn take_notice(&mut self, watch: WatchId, slot: Slot, succeeded: bool) {
        let Some(at) = self.listened.iter().position(|(known, _)| *known == watch) else { return };
        let (_, signature) = self.listened.swap_remove(at);
        let Orders::Chain(venue) = &self.orders else { return };
        let failed = || TxError { custom: None, text: "told by a subscription".to_owned() };
        let status = SignatureStatus {
            slot,
            commitment: Commitment::Confirmed,
            err: (!succeeded).then(failed),
        };
        venue.tracker().observe(signature, &status);
    }

    /// A node does not tell of it. Gives whether it was one of these.
    pub(super) fn is_not_told(&mut self, watch: WatchId) -> bool {
        let before = self.listened.len();
        self.listened.retain(|(known, _)| *known != watch);
        self.listened.len() < before
    }

    /// Lets go what nobody needs to be told of any more.
    pub(super) fn stop_listening(&mut self) {
        if self.listened.is_empty() {
            return;
        }
        let wires = &self.wires;
        let is_over =
            |signature: &Signature| wires.iter().all(|wire| wire.signature() != *signature);
        let over = self.listened.iter().filter(|(_, signature)| is_over(signature));
        let over: Vec<WatchId> = over.map(|(watch, _)| *watch).collect();
        if !over.is_empty() {
            self.manager.unfollow(&over);
            self.listened.retain(|(watch, _)| !over.contains(watch));
        }
    }
}
