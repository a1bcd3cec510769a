//! What the machine is told, and what it wants done.

use super::words::Word;
use crate::event::{Deltas, OrderEvent, RejectReason};
use crate::ids::{OrderId, Signature};
use crate::units::{BlockHeight, Lamports, Slot, Timestamp};

/// How sure the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commitment {
    /// One node has executed it; a fork may still undo it.
    Processed,
    /// Two thirds of the stake voted for it.
    Confirmed,
    /// It cannot be undone.
    Finalized,
}

/// How far a transaction has come, by one node's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// How sure that is.
    pub commitment: Commitment,
    /// Where it was executed.
    pub slot: Slot,
    /// It failed: nothing moved but the fee.
    pub failed: bool,
}

/// What a transaction of ours did, as it stands in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// It did what it should.
    Filled {
        /// Where.
        slot: Slot,
        /// What it changed in our token accounts, in the order of mints.
        deltas: Deltas,
        /// What the chain took.
        fee: Lamports,
        /// What our key gave besides.
        rent: Lamports,
    },
    /// It failed: nothing moved but the fee.
    Reverted {
        /// Where.
        slot: Slot,
        /// What the chain took.
        fee: Lamports,
        /// The program's error number.
        code: Option<u32>,
    },
}

impl Landing {
    /// Where it is.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        match self {
            Self::Filled { slot, .. } | Self::Reverted { slot, .. } => *slot,
        }
    }

    /// It failed.
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(self, Self::Reverted { .. })
    }

    /// As the engine is told of it.
    #[must_use]
    pub fn event(&self, order: OrderId) -> OrderEvent {
        match self {
            Self::Filled { slot, deltas, fee, rent } => OrderEvent::Filled {
                order,
                slot: *slot,
                deltas: deltas.clone(),
                fee: *fee,
                rent: *rent,
            },
            Self::Reverted { slot, fee, code } => {
                OrderEvent::Reverted { order, slot: *slot, fee: *fee, code: *code }
            }
        }
    }
}

/// What can happen to orders. Each is taken at a time; times may leap and fall.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// An order was approved and its cash reserved.
    Approved {
        /// Which. Ids rise: one that is not above all before it was given before, and is ignored.
        order: OrderId,
        /// From when on it must no longer be signed.
        expires: Timestamp,
    },
    /// It could not be built, or the signer said no.
    Unsigned {
        /// Which.
        order: OrderId,
        /// Why.
        reason: RejectReason,
    },
    /// It is built and signed. Its signature is the name of its bytes from here on.
    Signed {
        /// Which.
        order: OrderId,
        /// Name of the bytes.
        signature: Signature,
        /// After this height they can no longer land.
        last_valid: BlockHeight,
    },
    /// What a node thinks that the bytes would do; asked for by [`Output::Simulate`] alone.
    Simulated {
        /// Which bytes.
        signature: Signature,
        /// They would do what they should.
        good: bool,
    },
    /// Their record is on the disk, and will be found after any crash.
    Durable {
        /// Which bytes.
        signature: Signature,
    },
    /// Their record could not be written. What of it is on the disk is unknown, so they are never sent, and nothing is
    /// approved any more.
    NotDurable {
        /// Which bytes.
        signature: Signature,
    },
    /// They were thrown away before anything of them was written or sent: the order may be signed anew.
    Dropped {
        /// Which.
        order: OrderId,
    },
    /// A signed order from the journal of an earlier process.
    Recovered {
        /// Which.
        order: OrderId,
        /// Name of its bytes.
        signature: Signature,
        /// After this height they can no longer land.
        last_valid: BlockHeight,
        /// What the books hold of it already, where that was not final yet.
        landing: Option<Landing>,
    },
    /// The height that a number of endpoints has reached.
    Height {
        /// At which commitment.
        commitment: Commitment,
        /// The height.
        height: BlockHeight,
        /// How many have reached it.
        said: u32,
        /// Of how many.
        of: u32,
    },
    /// How far bytes have come: the answer of a node that was asked, or a notice of a subscription. `None` when it does
    /// not know them.
    Status {
        /// Which bytes.
        signature: Signature,
        /// How far.
        status: Option<Status>,
    },
    /// What bytes did, read at [`Commitment::Confirmed`] or better; `None` when the node has no such block yet.
    Read {
        /// Which bytes.
        signature: Signature,
        /// What they did.
        landing: Option<Landing>,
    },
    /// What endpoints swear to, each asked for itself: see [`Word`].
    Words {
        /// Which bytes.
        signature: Signature,
        /// How many endpoints there are, those that did not answer included.
        of: u32,
        /// Their words.
        words: &'a [Word],
    },
    /// Whether the kill latch is engaged: while it is, nothing is built or signed.
    Kill {
        /// It is.
        engaged: bool,
    },
    /// Time passed.
    Timer,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Build and sign the order; answer [`Input::Signed`] or [`Input::Unsigned`].
    Build(OrderId),
    /// Ask a node what the bytes would do; answer [`Input::Simulated`].
    Simulate {
        /// Of which order.
        order: OrderId,
        /// Which bytes.
        signature: Signature,
    },
    /// Put the record of the bytes on the disk; answer [`Input::Durable`] once it is there, or
    /// [`Input::NotDurable`].
    Journal {
        /// Of which order.
        order: OrderId,
        /// Which bytes.
        signature: Signature,
    },
    /// Put these very bytes on the wire. Whatever comes of it is no answer.
    Send {
        /// Of which order.
        order: OrderId,
        /// Which bytes.
        signature: Signature,
    },
    /// Ask a node how far the bytes have come; answer [`Input::Status`], or nothing.
    AskStatus {
        /// Which bytes.
        signature: Signature,
        /// Every endpoint, with all its history: they may have landed long ago.
        history: bool,
    },
    /// Ask all endpoints for their height; answer [`Input::Height`], or nothing.
    AskHeight(Commitment),
    /// Read what the bytes did; answer [`Input::Read`], or nothing.
    Read {
        /// Which bytes.
        signature: Signature,
    },
    /// Have every endpoint swear; answer [`Input::Words`], or nothing.
    AskWords {
        /// Which bytes.
        signature: Signature,
    },
    /// Tell the engine.
    Tell(OrderEvent),
}
