//! Pools whose accounts are of different slots.

use sniper_core::scan::{Flags, RowId, TableError, Terms};
use sniper_core::units::{Atoms, Slot};

use super::error::ScanError;
use super::state::{Change, Pools, at};

/// Place of the state account among a pool's three; before it its vaults.
pub(super) const STATE: usize = 2;

/// Slots after which accounts that still disagree really were changed apart, as in the core's market.
const PATIENCE: u64 = 2;

/// Where a state account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// From a list of all pools; vaults are read next.
    List,
    /// By itself; vaults are told of by themselves.
    Notice,
}

/// What a pool's accounts hold, each at its slot; 0 for one that was never read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Torn {
    pub(super) balances: [u64; 2],
    pub(super) owed: [i64; 2],
    slots: [u64; 3],
}

impl Pools {
    /// Both vaults as one answer had them. Its slot is not the state account's, as a rule, and the row is taken for
    /// settled all the same: [`super::Scanner::confirm`] reads again what a verdict rests on.
    pub(super) fn take_vaults(
        &mut self,
        row: RowId,
        balances: [u64; 2],
        slot: u64,
    ) -> Result<(), ScanError> {
        let mut torn = self.held(row)?;
        for (place, balance) in balances.into_iter().enumerate() {
            if torn.slots.get(place).is_some_and(|known| *known <= slot) {
                put(&mut torn.slots, place, slot);
                put(&mut torn.balances, place, balance);
            }
        }
        self.torn.remove(&row);
        self.settle_row(row, &torn)
    }

    /// What is known of a pool's three accounts.
    fn held(&self, row: RowId) -> Result<Torn, ScanError> {
        if let Some(torn) = self.torn.get(&row) {
            return Ok(*torn);
        }
        let unknown = TableError::Unknown(row.get());
        let extra = self.extra(row).ok_or(unknown)?;
        let owed = self.owed(extra);
        let (reserves, slot, flags) = self.table.state(row).ok_or(unknown)?;
        if flags.has(Flags::UNREAD) {
            let slots = [0, 0, slot.get()];
            return Ok(Torn { balances: [0; 2], owed, slots });
        }
        let [first, second] = reserves.map(Atoms::get);
        let [owed_first, owed_second] = owed;
        Ok(Torn {
            balances: [
                first.saturating_add_signed(owed_first),
                second.saturating_add_signed(owed_second),
            ],
            owed,
            slots: extra.behind.map(|behind| slot.get().saturating_sub(u64::from(behind))),
        })
    }

    /// A known pool's state account out of a list, whose vaults are read next: its row does not wait for them.
    pub(super) fn take_listed(
        &mut self,
        row: RowId,
        slot: u64,
        owed: [i64; 2],
    ) -> Result<Change, ScanError> {
        let mut torn = self.held(row)?;
        self.to_read.push(row);
        if torn.slots[STATE] > slot {
            return Ok(Change::Nothing);
        }
        (torn.slots[STATE], torn.owed) = (slot, owed);
        self.torn.remove(&row);
        if torn.slots.contains(&0) {
            self.table.update(row, [Atoms::ZERO; 2], Slot::new(slot))?;
            self.set_owed(row, owed);
            return Ok(Change::Torn(row));
        }
        self.settle_row(row, &torn)?;
        Ok(Change::Settled(row))
    }

    /// Takes what one account holds. An account never goes back: older states are dropped.
    pub(super) fn take(
        &mut self,
        row: RowId,
        place: usize,
        slot: u64,
        change: impl FnOnce(&mut Torn),
    ) -> Result<Change, ScanError> {
        let mut torn = self.held(row)?;
        if torn.slots.get(place).is_none_or(|known| *known > slot) {
            return Ok(Change::Nothing);
        }
        put(&mut torn.slots, place, slot);
        change(&mut torn);
        if torn.slots.iter().all(|each| *each == slot) {
            self.torn.remove(&row);
            self.asked.remove(&row);
            self.settle_row(row, &torn)?;
            return Ok(Change::Settled(row));
        }
        self.torn.insert(row, torn);
        Ok(Change::Torn(row))
    }

    fn settle_row(&mut self, row: RowId, torn: &Torn) -> Result<(), ScanError> {
        let newest = torn.slots.into_iter().max().unwrap_or(0);
        // A vault that holds less than is owed has nothing for swaps.
        let ([first, second], [owed_first, owed_second]) = (torn.balances, torn.owed);
        let net =
            [first.saturating_sub_signed(owed_first), second.saturating_sub_signed(owed_second)];
        self.table.update(row, net.map(Atoms::new), Slot::new(newest))?;
        self.set_owed(row, torn.owed);
        if let Some(extra) = self.extras.get_mut(at(row)) {
            extra.behind = torn.slots.map(|slot| u8::try_from(newest - slot).unwrap_or(u8::MAX));
        }
        if let Some(terms) = self.table.terms(row)
            && terms.flags.has(Flags::UNREAD)
        {
            let flags = terms.flags.without(Flags::UNREAD);
            self.table.set_terms(row, Terms { flags, ..terms })?;
        }
        Ok(())
    }

    /// The chain has reached `slot`: pools whose accounts still disagree were really changed apart.
    pub(super) fn settle(&mut self, slot: u64, changed: &mut Vec<RowId>) -> Result<(), ScanError> {
        let due = |torn: &Torn| {
            let newest = torn.slots.into_iter().max().unwrap_or(0);
            // One that was never read is no disagreement.
            !torn.slots.contains(&0) && newest.saturating_add(PATIENCE) <= slot
        };
        let rows: Vec<_> =
            self.torn.iter().filter(|(_, torn)| due(torn)).map(|(r, t)| (*r, *t)).collect();
        for (row, torn) in rows {
            self.torn.remove(&row);
            self.settle_row(row, &torn)?;
            changed.push(row);
        }
        Ok(())
    }
}

pub(super) fn put(list: &mut [u64], place: usize, value: u64) {
    if let Some(held) = list.get_mut(place) {
        *held = value;
    }
}
