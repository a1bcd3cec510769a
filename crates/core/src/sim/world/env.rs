//! All that is outside a process: disk, chain, nodes, clock, and those who watch.

use super::audit::Auditor;
use super::bugs::Bug;
use super::chain::Chain;
use super::dice::Dice;
use super::disk::Disk;
use super::node::Nodes;
use super::overseer::Overseer;
use super::plan::{Fault, Plan};
use super::setting::MINTS;
use super::story::Story;
use crate::execution::Commitment;
use crate::ids::{OrderId, Signature};
use crate::order::Order;
use crate::units::Timestamp;

/// Why a process is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Died {
    /// It was killed.
    Crashed,
    /// Its journal could not be written.
    Unwritable,
    /// Its journal is damaged: it refuses to start.
    Damaged,
    /// What it was owed is not in its journal: it refuses to start.
    Lost,
    /// The kill latch is engaged: it refuses to start.
    Killed,
}

/// What a process has asked of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    Status { signature: Signature, history: bool },
    Height(Height),
    Read(Signature),
    Words(Signature),
    Balances,
}

/// A commitment, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Height {
    Confirmed,
    Finalized,
}

impl Height {
    pub(super) const fn commitment(self) -> Commitment {
        match self {
            Self::Confirmed => Commitment::Confirmed,
            Self::Finalized => Commitment::Finalized,
        }
    }
}

/// The world around a process.
#[derive(Debug)]
pub(super) struct Env {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    /// The plan before all was healed: strategies are what they were.
    pub(super) troubled: Plan,
    pub(super) bug: Option<Bug>,
    pub(super) disk: Disk,
    pub(super) chain: Chain,
    pub(super) nodes: Nodes,
    pub(super) story: Story,
    pub(super) audit: Auditor,
    pub(super) overseer: Overseer,
    /// Luck of what is between process and nodes.
    pub(super) dice: Dice,
    pub(super) now: i64,
    /// How far the process's clock is from the truth.
    pub(super) skew: i64,
    /// On a disk of its own.
    pub(super) latch: bool,
    /// Steps until the process dies.
    pub(super) die_in: Option<u64>,
    pub(super) asks: Vec<Ask>,
    pub(super) counts: Vec<u64>,
    /// Which set of limits an operator has set.
    pub(super) strictness: u64,
    /// The slot in which the journal was begun.
    pub(super) first_slot: u64,
    /// What was there then: no strategy's.
    pub(super) found: [u64; MINTS],
    /// What had been taken by then, and given.
    pub(super) before: [[u64; MINTS]; 2],
    /// A process has said that some of it is missing.
    pub(super) missing: [bool; MINTS],
}

/// Where a world's time begins.
const EPOCH: i64 = 1_700_000_000_000_000;

impl Env {
    pub(super) fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn struck(&mut self, fault: Fault) {
        self.counts[fault as usize] += 1;
        self.story.say("fault", [fault as u64, 0, 0], || format!("[{}]", fault.name()));
    }

    pub(super) fn has_struck(&self, fault: Fault) -> bool {
        self.counts[fault as usize] > 0
    }

    pub(super) fn strikes(&mut self, fault: Fault) -> bool {
        let struck = self.dice.chance(self.plan.rate(fault));
        if struck {
            self.struck(fault);
        }
        struck
    }

    /// The clock on the wall, as the process reads it.
    pub(super) const fn wall(&self) -> Timestamp {
        Timestamp::new(EPOCH + self.now + self.skew)
    }

    pub(super) const fn unix(&self) -> i64 {
        (EPOCH + self.now) / 1_000_000
    }

    /// Between any two things that a process does it may die.
    pub(super) fn moment(&mut self) -> Result<(), Died> {
        match &mut self.die_in {
            Some(0) => {
                self.die_in = None;
                Err(Died::Crashed)
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Bytes go to every node; each may lose them or keep them for a while. Says whether any took them.
    pub(super) fn send(&mut self, order: OrderId, signature: Signature, bytes: &[u8]) -> bool {
        let durable = self.disk.durable();
        self.audit.sent(order, signature, bytes, durable);
        self.story.say("send", [order.cause.get(), u64::from(signature.0[0]), 0], || {
            format!("order {order} goes out")
        });
        let Some((order, last_valid)) = read_bytes(bytes) else { return false };
        if self.strikes(Fault::DroppedTransaction) {
            return false;
        }
        let late = if self.strikes(Fault::DelayedTransaction) { self.dice.below(60) } else { 0 };
        self.chain.queue(signature, &order, last_valid, self.chain.slot + 1 + late);
        true
    }
}

/// Signed bytes: what a leader would run, and how long it can.
pub(super) fn write_bytes(signature: Signature, order: &Order, last_valid: u64) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&signature.0);
    postcard::to_extend(&(order, last_valid), bytes).unwrap_or_default()
}

fn read_bytes(bytes: &[u8]) -> Option<(Order, u64)> {
    postcard::from_bytes(bytes.get(65..)?).ok()
}
