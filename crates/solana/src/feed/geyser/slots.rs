//! What a stream tells of accounts, kept until the slot that it is of has ended.
//!
//! # Design
//! A stream tells every write of every slot at once, on whatever branch of the chain. A WebSocket tells what an account
//! holds when a slot has ended. Between two writes of one slot a pool's accounts do not fit together, though they are all
//! of that slot; and a write's version is a counter of one validator, which nobody else counts alike. So versions order
//! the writes of one slot of one stream and nothing else: of each account the last write of a slot is told, once the slot
//! has ended. What goes on to the router is then exactly what a WebSocket tells, a slot and what it left behind.
//!
//! A WebSocket tells of an account again when the branch that changed it is given up. A stream does not. So blocks are
//! remembered with their parents and with what was told of them; when a slot builds on another block than the one
//! before it, whatever was told of only one of the two branches has to be read again. What ends late, below the highest
//! slot, is not told: it is of a branch that the chain may never come back to, and if it does, this is a change of branch.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use sniper_core::ids::Address;

/// Writes that may wait, and what their data may take: far more than what we follow changes in a slot.
const WRITES_MAX: usize = 65_536;
const BYTES_MAX: usize = 32 << 20;
/// Blocks remembered. A block is final 32 votes later, after which it is forgotten.
const BLOCKS_MAX: usize = 512;
/// Slots within which the ends of final ones may come in another order.
const LATE: u64 = 64;

/// What a write left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) address: Address,
    /// Order within one slot of one stream.
    pub(super) version: u64,
    pub(super) owner: Address,
    pub(super) lamports: u64,
    pub(super) data: Vec<u8>,
    pub(super) of: Of,
}

/// By which of our filters a write was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Of {
    /// As an account that is followed for itself.
    pub(super) account: bool,
    /// As one of programs, by the numbers of their filters.
    pub(super) programs: Vec<u64>,
}

/// What was told of a slot, so far as it can be read again: accounts one by one, programs as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) accounts: BTreeSet<Address>,
    pub(super) programs: BTreeSet<u64>,
}

impl Told {
    fn add(&mut self, write: &Write) {
        if write.of.account {
            self.accounts.insert(write.address);
        }
        self.programs.extend(&write.of.programs);
    }

    fn add_all(&mut self, other: &Self) {
        self.accounts.extend(&other.accounts);
        self.programs.extend(&other.programs);
    }
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It waits for the end of its slot.
    Waits,
    /// That very write waits already.
    Duplicate,
    /// A later one of its slot waits already.
    Older,
    /// Its slot has ended: what it is about is to be read.
    TooLate(Told),
    /// There is no room: the stream is not what it should be.
    Full,
}

/// What is to be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    These(Told),
    /// The branch cannot be followed back far enough.
    All,
}

/// What the end of a slot comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// It is the highest so far.
    pub(super) advances: bool,
    /// In the order in which they were written.
    pub(super) tell: Vec<Write>,
    pub(super) again: Again,
}

#[derive(Debug)]
struct Block {
    slot: u64,
    parent: Option<u64>,
    told: Told,
}

#[derive(Debug)]
pub(super) struct Slots {
    /// What is told may be undone.
    branches: bool,
    open: BTreeMap<u64, HashMap<Address, Write>>,
    ended: VecDeque<Block>,
    /// Everything below is final.
    floor: u64,
    tip: Option<u64>,
    writes: usize,
    bytes: usize,
}

impl Slots {
    /// Of a stream of which nothing was told yet; `branches` where what is told may be undone.
    pub(super) const fn new(branches: bool) -> Self {
        Self {
            branches,
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            floor: 0,
            tip: None,
            writes: 0,
            bytes: 0,
        }
    }

    /// The highest slot that has ended.
    pub(super) const fn tip(&self) -> Option<u64> {
        self.tip
    }

    /// Takes a write.
    pub(super) fn write(&mut self, slot: u64, write: Write) -> Kept {
        if self.has_ended(slot) {
            let mut told = Told::default();
            told.add(&write);
            return Kept::TooLate(told);
        }
        let bytes = self.bytes.saturating_add(write.data.len());
        if self.writes >= WRITES_MAX || bytes > BYTES_MAX {
            return Kept::Full;
        }
        let of_slot = self.open.entry(slot).or_default();
        match of_slot.get_mut(&write.address) {
            Some(kept) if kept.version == write.version => return Kept::Duplicate,
            Some(kept) if kept.version > write.version => return Kept::Older,
            Some(kept) => {
                self.bytes = bytes.saturating_sub(kept.data.len());
                *kept = write;
            }
            None => {
                self.bytes = bytes;
                self.writes = self.writes.saturating_add(1);
                of_slot.insert(write.address, write);
            }
        }
        Kept::Waits
    }

    /// A slot has ended, and is built on `parent`, where that is told.
    pub(super) fn end(&mut self, slot: u64, parent: Option<u64>) -> Ended {
        let nothing = || Again::These(Told::default());
        if self.has_ended(slot) {
            return Ended { advances: false, tell: Vec::new(), again: nothing() }; // said twice
        }
        let mut tell = self.take(slot);
        tell.sort_unstable_by_key(|write| write.version);
        let mut told = Told::default();
        tell.iter().for_each(|write| told.add(write));
        let before = self.tip;
        let advances = before.is_none_or(|tip| slot > tip);
        let again = match before {
            // Nothing is undone here: it is only told late, perhaps after something newer.
            Some(_) if !advances && !self.branches => Again::These(told.clone()),
            Some(tip) if advances && self.branches && parent != Some(tip) => {
                parent.map_or(Again::All, |parent| self.between(tip, parent))
            }
            _ => nothing(),
        };
        self.ended.push_back(Block { slot, parent, told });
        if self.ended.len() > BLOCKS_MAX {
            self.ended.pop_front();
        }
        if advances {
            self.tip = Some(slot);
        } else {
            tell.clear();
        }
        Ended { advances, tell, again }
    }

    /// A slot is dead: nothing of it ever holds. The same number may come again, with another block.
    pub(super) fn give_up(&mut self, slot: u64) {
        self.take(slot);
    }

    /// A slot can no longer be undone, nor can what it is built on. Gives what was told of slots before it that never
    /// ended, of which nothing more is kept.
    pub(super) fn settle(&mut self, slot: u64) -> Told {
        let mut told = Told::default();
        // Where nothing is undone, this very word ends slots, and may end those before it a little later.
        self.floor = self.floor.max(if self.branches { slot } else { slot.saturating_sub(LATE) });
        let floor = self.floor;
        self.ended.retain(|block| block.slot >= floor);
        while let Some((open, _)) = self.open.first_key_value()
            && *open < floor
        {
            let open = *open;
            self.take(open).iter().for_each(|write| told.add(write));
        }
        told
    }

    fn has_ended(&self, slot: u64) -> bool {
        slot < self.floor || self.ended.iter().any(|block| block.slot == slot)
    }

    fn take(&mut self, slot: u64) -> Vec<Write> {
        let Some(of_slot) = self.open.remove(&slot) else { return Vec::new() };
        let bytes: usize = of_slot.values().map(|write| write.data.len()).sum();
        self.writes = self.writes.saturating_sub(of_slot.len());
        self.bytes = self.bytes.saturating_sub(bytes);
        of_slot.into_values().collect()
    }

    /// What was told of only one of the two branches that end with these blocks.
    fn between(&self, one: u64, other: u64) -> Again {
        let (mut one, mut other) = (one, other);
        let mut told = Told::default();
        while one != other {
            let higher = one.max(other);
            let Some(block) = self.ended.iter().find(|block| block.slot == higher) else {
                return Again::All;
            };
            let Some(parent) = block.parent.filter(|parent| *parent < higher) else {
                return Again::All;
            };
            told.add_all(&block.told);
            *(if one == higher { &mut one } else { &mut other }) = parent;
        }
        Again::These(told)
    }
}

#[cfg(test)]
mod tests;
