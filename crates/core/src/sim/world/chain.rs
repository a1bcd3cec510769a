//! The chain as it really is: slots, forks, a queue of transactions, and what each of them did to us.

use std::collections::{BTreeMap, VecDeque};

use super::dice::Dice;
use super::plan::{Fault, Plan};
use super::setting::{MINTS, POOLS, RENT, hops};
use crate::event::Deltas;
use crate::execution::{Commitment, Landing, Status};
use crate::ids::{MintId, OrderId, Signature};
use crate::order::Order;
use crate::sim::pool::Accounts;
use crate::sim::venue::network_fee;
use crate::units::{Atoms, Lamports, Slot};

/// What is ours, and the pools we trade on, after a block.
#[derive(Clone, Debug)]
pub(super) struct Holdings {
    pub(super) lamports: u64,
    /// Locked in token accounts of ours.
    pub(super) rent: u64,
    pub(super) tokens: [u64; MINTS],
    /// Our account of the mint is there.
    pub(super) has: [bool; MINTS],
    /// Somebody else may empty it.
    pub(super) delegated: [bool; MINTS],
    /// What others have taken of ours, and given to us.
    pub(super) stolen: [u64; MINTS],
    pub(super) given: [u64; MINTS],
    pub(super) pools: [Accounts; POOLS],
}

#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) slot: u64,
    pub(super) height: u64,
    after: Holdings,
    landed: Vec<(Signature, Landing)>,
}

/// Bytes that were sent at least once.
#[derive(Clone, Debug)]
struct Sent {
    order: Order,
    last_valid: u64,
}

/// No node is more blocks behind.
pub(super) const MOST_BEHIND: usize = 12;

/// The chain.
#[derive(Debug)]
pub(super) struct Chain {
    /// The tip's slot, blocks or not.
    pub(super) slot: u64,
    /// Those that are not final, and before them a few final ones, which nodes that lag still look at.
    blocks: VecDeque<Block>,
    /// Slot of the last final one.
    root: u64,
    finalized: BTreeMap<Signature, Landing>,
    /// What an abandoned fork did.
    ghosts: BTreeMap<Signature, Landing>,
    sent: BTreeMap<Signature, Sent>,
    queue: Vec<(u64, Signature)>,
    dice: Dice,
    /// Luck with those who need no order of ours to change what we hold.
    others: Dice,
    congested_until: u64,
    dear_until: u64,
    stalled_until: u64,
}

impl Chain {
    pub(super) fn new(seed: u64, holdings: Holdings) -> Self {
        let block = Block { slot: 1_000, height: 900, after: holdings, landed: Vec::new() };
        Self {
            slot: block.slot,
            root: block.slot,
            blocks: VecDeque::from([block]),
            finalized: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            sent: BTreeMap::new(),
            queue: Vec::new(),
            dice: Dice::new(seed, 2),
            others: Dice::new(seed, 8),
            congested_until: 0,
            dear_until: 0,
            stalled_until: 0,
        }
    }

    /// The block that a node which is `lag` blocks behind holds for the newest of a commitment.
    pub(super) fn view(&self, commitment: Commitment, lag: usize) -> &Block {
        let root = self.root_index();
        let newest = self.blocks.len() - 1;
        let at = match commitment {
            Commitment::Processed => newest,
            Commitment::Confirmed => newest.saturating_sub(1).max(root),
            Commitment::Finalized => root,
        };
        &self.blocks[at.saturating_sub(lag)]
    }

    fn root_index(&self) -> usize {
        self.blocks.partition_point(|block| block.slot < self.root)
    }

    pub(super) fn holdings(&self, commitment: Commitment, lag: usize) -> &Holdings {
        &self.view(commitment, lag).after
    }

    /// What a node that is `lag` blocks behind knows of bytes.
    pub(super) fn landing(
        &self,
        signature: &Signature,
        lag: usize,
        on_fork: bool,
    ) -> Option<(Status, Landing)> {
        let of = |landing: &Landing, commitment| {
            let status = Status { commitment, slot: landing.slot(), failed: landing.failed() };
            (status, landing.clone())
        };
        let rooted = self.view(Commitment::Finalized, lag).slot;
        // An abandoned fork is believed in until the chain is final beyond it.
        if on_fork
            && let Some(ghost) = self.ghosts.get(signature)
            && ghost.slot().get() > rooted
        {
            return Some(of(ghost, Commitment::Confirmed));
        }
        let tip = self.view(Commitment::Processed, lag).slot;
        let confirmed = self.view(Commitment::Confirmed, lag).slot;
        let recent = self.blocks.iter().flat_map(|block| &block.landed);
        let recent = recent.into_iter().find(|(name, _)| name == signature);
        let landing =
            recent.map(|(_, landing)| landing).or_else(|| self.finalized.get(signature))?;
        let slot = landing.slot().get();
        match slot {
            _ if slot <= rooted => Some(of(landing, Commitment::Finalized)),
            _ if slot <= confirmed => Some(of(landing, Commitment::Confirmed)),
            _ if slot <= tip => Some(of(landing, Commitment::Processed)),
            _ => None,
        }
    }

    /// What is final, as the checkers see it.
    pub(super) fn final_landings(&self) -> &BTreeMap<Signature, Landing> {
        &self.finalized
    }

    /// The order that bytes carry out.
    pub(super) fn order_of(&self, signature: &Signature) -> Option<OrderId> {
        self.sent.get(signature).map(|sent| sent.order.id())
    }

    /// Bytes reach a leader by `slot`.
    pub(super) fn queue(
        &mut self,
        signature: Signature,
        order: &Order,
        last_valid: u64,
        slot: u64,
    ) {
        self.sent.entry(signature).or_insert_with(|| Sent { order: order.clone(), last_valid });
        self.queue.push((slot, signature));
    }

    /// One slot passes. Gives the faults that struck.
    pub(super) fn pass(&mut self, plan: &Plan, unix: i64) -> Vec<Fault> {
        let mut faults = Vec::new();
        self.slot += 1;
        let mut strikes = |dice: &mut Dice, fault| {
            let struck = dice.chance(plan.rate(fault));
            if struck {
                faults.push(fault);
            }
            struck
        };
        if strikes(&mut self.dice, Fault::Congestion) {
            self.congested_until = self.slot + 5 + self.dice.below(60);
        }
        if strikes(&mut self.dice, Fault::FeeMarket) {
            self.dear_until = self.slot + 5 + self.dice.below(100);
        }
        if strikes(&mut self.dice, Fault::ChainStall) {
            self.stalled_until = self.slot + 3 + self.dice.below(20);
        }
        if strikes(&mut self.dice, Fault::Fork) {
            self.abandon();
        }
        if self.slot < self.stalled_until || strikes(&mut self.dice, Fault::SkippedSlot) {
            return faults;
        }
        self.produce(unix);
        faults.extend(self.meddle(plan));
        let unrooted = usize::try_from(plan.unrooted).unwrap_or(0);
        if let Some(at) = (self.blocks.len() - 1).checked_sub(unrooted) {
            self.root = self.root.max(self.blocks[at].slot);
        }
        while self.root_index() > MOST_BEHIND {
            if let Some(old) = self.blocks.pop_front() {
                self.finalized.extend(old.landed);
            }
        }
        faults
    }

    /// In the newest block others change what we hold.
    fn meddle(&mut self, plan: &Plan) -> Option<Fault> {
        let dice = &mut self.others;
        let all = [Fault::Gift, Fault::Theft, Fault::AccountClosed, Fault::Delegated];
        // All are drawn for: what strikes changes no other's luck.
        let struck = all.map(|fault| dice.chance(plan.rate(fault)));
        let (nth, part) = (dice.below(MINTS as u64), 1 + dice.below(1_000));
        let fault =
            all.into_iter().zip(struck).find_map(|(fault, struck)| struck.then_some(fault))?;
        let mint = usize::try_from(nth).unwrap_or(0);
        let after = &mut self.blocks.back_mut()?.after;
        match fault {
            Fault::Gift => {
                // Of coins that strategies trade it would look like more at stake than allowed.
                let mint = mint % 2;
                let held = if mint == 0 { &mut after.lamports } else { &mut after.tokens[mint] };
                *held += part * 1_000;
                after.given[mint] += part * 1_000;
            }
            Fault::Theft => {
                let held = if mint == 0 { &mut after.lamports } else { &mut after.tokens[mint] };
                let taken = *held / 2_000 * part;
                *held -= taken;
                after.stolen[mint] += taken;
                if taken == 0 {
                    return None;
                }
            }
            Fault::AccountClosed => {
                let is_empty = mint > 1 && after.has[mint] && after.tokens[mint] == 0;
                if !is_empty || after.rent < RENT {
                    return None;
                }
                after.has[mint] = false;
                // Whoever might have emptied it has nothing to empty; one made anew is in nobody else's hands.
                after.delegated[mint] = false;
                after.rent -= RENT;
                after.lamports += RENT;
            }
            _ if mint > 0 && after.has[mint] => after.delegated[mint] = true,
            _ => return None,
        }
        Some(fault)
    }

    /// The newest blocks never were; what they took waits again, or is lost.
    fn abandon(&mut self) {
        let most = (self.blocks.len() - 1 - self.root_index()) as u64;
        let count = 1 + self.dice.below(most.clamp(1, 8));
        for _ in 0..count.min(most) {
            let Some(block) = self.blocks.pop_back() else { return };
            for (signature, landing) in block.landed {
                self.ghosts.insert(signature, landing);
                if self.dice.chance(400) {
                    self.queue.push((self.slot, signature));
                }
            }
        }
    }

    fn produce(&mut self, unix: i64) {
        let Some(parent) = self.blocks.back() else { return };
        let mut block = Block {
            slot: self.slot,
            height: parent.height + 1,
            after: parent.after.clone(),
            landed: Vec::new(),
        };
        for pool in &mut block.after.pools {
            let [first, second] = pool.vaults().map(|vault| u128::from(vault.get()));
            // Somebody trades: a little of one vault against the other, at the curve.
            let share = self.dice.between(-20, 20);
            let moved = first.saturating_add_signed(i128::from(share) * first as i128 / 10_000);
            let other = first * second / moved.max(1);
            let vaults = [moved, other].map(|v| Atoms::new(u64::try_from(v).unwrap_or(u64::MAX)));
            pool.set_vaults(vaults);
        }
        let (is_dear, is_congested) =
            (self.slot < self.dear_until, self.slot < self.congested_until);
        let mut queue = std::mem::take(&mut self.queue);
        queue.retain(|(due, signature)| {
            if *due > block.slot {
                return true;
            }
            let Some(sent) = self.sent.get(signature) else { return false };
            let is_there = self.finalized.contains_key(signature)
                || self.blocks.iter().any(|b| b.landed.iter().any(|(name, _)| name == signature))
                || block.landed.iter().any(|(name, _)| name == signature);
            if is_there || block.height > sent.last_valid {
                return false;
            }
            if is_dear || is_congested && self.dice.chance(900) {
                // It may wait, or be thrown out of the queue.
                return self.dice.chance(700);
            }
            if let Some((after, landing)) = execute(&block.after, &sent.order, block.slot, unix) {
                block.after = after;
                block.landed.push((*signature, landing));
            }
            false
        });
        self.queue = queue;
        self.blocks.push_back(block);
    }
}

/// Runs a transaction; `None` when no leader would take it.
fn execute(before: &Holdings, order: &Order, slot: u64, unix: i64) -> Option<(Holdings, Landing)> {
    let fee = network_fee(order);
    let paid = before.lamports.checked_sub(fee.get())?;
    let slot = Slot::new(slot);
    let mut after = Holdings { lamports: paid, ..before.clone() };
    match swap(&mut after, order, unix) {
        Ok((deltas, rent)) => {
            let rent = Lamports::new(rent);
            Some((after, Landing::Filled { slot, deltas, fee, rent }))
        }
        Err(code) => {
            let after = Holdings { lamports: paid, ..before.clone() };
            Some((after, Landing::Reverted { slot, fee, code: Some(code) }))
        }
    }
}

fn swap(after: &mut Holdings, order: &Order, unix: i64) -> Result<(Deltas, u64), u32> {
    let mut rent = 0;
    for (mint, _) in order.opens() {
        if !std::mem::replace(&mut after.has[mint.index()], true) {
            after.lamports = after.lamports.checked_sub(RENT).ok_or(1_u32)?;
            rent += RENT;
        }
    }
    after.rent += rent;
    let mut moved = [0_i64; MINTS];
    for leg in order.legs() {
        let pool = leg.hop.pool.index();
        let forward = hops()[pool][0] == leg.hop.mint_in;
        let done = after.pools[pool].swap(leg, forward, unix).map_err(|f| f.code().unwrap_or(1))?;
        let (given, taken) = (leg.hop.mint_in.index(), leg.hop.mint_out.index());
        if !after.has[given] || !after.has[taken] {
            return Err(3_012);
        }
        let (paid, received) = (done.swap.paid.get(), done.swap.received.get());
        after.tokens[given] = after.tokens[given].checked_sub(paid).ok_or(1_u32)?;
        after.tokens[taken] += received;
        after.pools[pool] = done.after;
        moved[given] -= i64::try_from(paid).map_err(|_| 1_u32)?;
        moved[taken] += i64::try_from(received).map_err(|_| 1_u32)?;
    }
    let changed = (0_u16..).map(MintId).zip(moved).filter(|(_, change)| *change != 0);
    Ok((changed.collect(), rent))
}
