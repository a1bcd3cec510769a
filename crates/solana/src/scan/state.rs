//! Pools and what is kept of each beside the table: vaults, what is owed out of them, and the slots of its accounts.

use std::collections::{BTreeMap, BTreeSet};

use sniper_core::amm::cpmm;
use sniper_core::ids::Address;
use sniper_core::scan::{
    Anchor, Applied, Flags, Hash, ID_MAX, Index, NewPool, Place, PoolTable, RowId, TableError,
    Terms, figures::RATE_WHOLE, hash_address, hash_words,
};
use sniper_core::units::{Atoms, Slot};

use super::error::ScanError;
use super::program::{Decoded, Program, Rates};

use super::torn::{From, STATE, Torn, put};
use crate::rpc::TokenAccount;

/// An account as it was at a slot.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Its address.
    pub address: Address,
    /// The program that may write it, in base58.
    pub owner: &'a str,
    /// Of the state that it was read from.
    pub slot: u64,
    /// All its bytes.
    pub data: &'a [u8],
}

/// What a notice changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pool that was not known; its vaults are still to be read.
    New(RowId),
    /// Of a known pool, and its accounts agree: its row is up to date.
    Settled(RowId),
    /// Of a known pool whose other accounts are of other slots: the row waits.
    Torn(RowId),
    /// A pool whose account is gone; the row may become another's.
    Gone(RowId),
    /// A fee account that many pools share.
    Fees,
    /// Older than what is known, or of nothing that is scanned.
    Nothing,
}

/// Beside each row of the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra {
    pub(super) vaults: [Address; 2],
    pub(super) owed: [u64; 2],
    /// Which shared fee account, by number.
    config: u16,
    creator_pays: bool,
    /// Slots of the vaults and the state account: how far each lies behind the row's, held at 255.
    pub(super) behind: [u8; 3],
}

/// No shared fee account.
const OWN: u16 = u16::MAX;

/// All pools.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) table: PoolTable,
    pub(super) extras: Vec<Extra>,
    /// Vaults by address: twice the row, and one more for mint 1's.
    vaults: Index,
    configs: Vec<(Address, Option<cpmm::Config>)>,
    pub(super) torn: BTreeMap<RowId, Torn>,
    /// Pools that open later, by second.
    opening: BTreeSet<(u64, RowId)>,
    /// Rows whose vaults are to be read.
    pub(super) to_read: Vec<RowId>,
    room: Vec<u8>,
}

impl Pools {
    pub(super) fn new(anchors: &[Anchor], pools: usize) -> Result<Self, TableError> {
        Ok(Self {
            table: PoolTable::new(anchors, pools)?,
            extras: Vec::with_capacity(pools),
            vaults: Index::with_capacity(pools.saturating_mul(2)),
            configs: Vec::new(),
            torn: BTreeMap::new(),
            opening: BTreeSet::new(),
            to_read: Vec::new(),
            room: Vec::new(),
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.bytes()
            + self.extras.capacity() * size_of::<Extra>()
            + self.vaults.bytes()
            + self.to_read.capacity() * size_of::<RowId>()
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.table.shrink_to_fit();
        self.extras.shrink_to_fit();
        self.to_read.shrink_to_fit();
        let extras = &self.extras;
        self.vaults.shrink_to_fit(|id| hash_of(extras, id));
    }

    pub(super) fn extra(&self, row: RowId) -> Option<&Extra> {
        self.extras.get(at(row))
    }

    /// Any account. `now` in seconds since the Unix epoch.
    pub(super) fn take_notice(
        &mut self,
        notice: &Notice<'_>,
        now: u64,
    ) -> Result<Change, ScanError> {
        let Notice { address, owner, slot, data } = *notice;
        if let Some(program) = Program::of(owner) {
            if program == Program::Cpmm && data.len() == cpmm::CONFIG_LEN {
                return self.take_config(address, data);
            }
            if data.len() == program.pool_len() {
                return self.take_state(program, address, (data, From::Notice), slot, now);
            }
        } else if data.is_empty() {
            return Ok(self.forget(&address));
        }
        let Some((row, second)) = self.vault(&address) else { return Ok(Change::Nothing) };
        match TokenAccount::decode(data) {
            Some(token) => self.take_vault(row, second, token.amount.get(), slot),
            None => Ok(Change::Nothing),
        }
    }

    /// A pool's state account, whole or the slice that was asked for; `now` in seconds since the Unix epoch.
    pub(super) fn take_state(
        &mut self,
        program: Program,
        address: Address,
        (data, from): (&[u8], From),
        slot: u64,
        now: u64,
    ) -> Result<Change, ScanError> {
        let decoded = program.decode(data, &mut self.room);
        let decoded = decoded.map_err(|source| ScanError::Account { address, source })?;
        let (config, creator_pays) = match decoded.rates {
            Rates::Own(_) | Rates::Unknown => (OWN, false),
            Rates::Shared(config, creator_pays) => (self.config(config), creator_pays),
        };
        let Some(Place::Constant(row)) = self.table.find(&address) else {
            return self.take_new(program, address, &decoded, (config, creator_pays), slot, now);
        };
        if let Some(reserves) = decoded.reserves {
            if self.table.update(row, reserves.map(Atoms::new), Slot::new(slot))? == Applied::Stale
            {
                return Ok(Change::Nothing);
            }
            let terms = self.terms_of(&decoded, (config, creator_pays), Flags::NONE, now);
            self.table.set_terms(row, terms)?;
            return Ok(Change::Settled(row));
        }
        let change = match from {
            From::Notice => self.take(row, STATE, slot, |torn| torn.owed = decoded.owed)?,
            From::List => self.take_listed(row, slot, decoded.owed)?,
        };
        if change != Change::Nothing {
            let kept = self.table.terms(row).map_or(Flags::UNREAD, |terms| terms.flags);
            let unread = if kept.has(Flags::UNREAD) { Flags::UNREAD } else { Flags::NONE };
            let terms = self.terms_of(&decoded, (config, creator_pays), unread, now);
            self.table.set_terms(row, terms)?;
            self.note_opening(row, &decoded, now);
            if let Some(extra) = self.extras.get_mut(at(row)) {
                (extra.config, extra.creator_pays) = (config, creator_pays);
            }
        }
        Ok(change)
    }

    fn take_new(
        &mut self,
        program: Program,
        address: Address,
        decoded: &Decoded,
        fees: (u16, bool),
        slot: u64,
        now: u64,
    ) -> Result<Change, ScanError> {
        let unread = if decoded.reserves.is_some() { Flags::NONE } else { Flags::UNREAD };
        let new = NewPool {
            address,
            kind: program.kind(),
            mints: decoded.mints,
            reserves: decoded.reserves.unwrap_or_default().map(Atoms::new),
            terms: self.terms_of(decoded, fees, unread, now),
        };
        let row = self.table.insert(&new, Slot::new(slot))?.row;
        self.note_opening(row, decoded, now);
        let (config, creator_pays) = fees;
        let (vaults, owed) = (decoded.vaults, decoded.owed);
        let extra = Extra { vaults, owed, config, creator_pays, behind: [0; 3] };
        match self.extras.get_mut(at(row)) {
            Some(place) => *place = extra,
            // Rows are given out one after the other.
            None => self.extras.push(extra),
        }
        if decoded.reserves.is_some() {
            return Ok(Change::New(row));
        }
        let number = row.get().checked_mul(2).filter(|id| *id < ID_MAX).ok_or(TableError::Full)?;
        for (id, vault) in (number..).zip(&vaults) {
            let extras = &self.extras;
            self.vaults.insert(hash_address(vault), id, |id| hash_of(extras, id));
        }
        self.to_read.push(row);
        Ok(Change::New(row))
    }

    fn note_opening(&mut self, row: RowId, decoded: &Decoded, now: u64) {
        if decoded.opens > now {
            self.opening.insert((decoded.opens, row));
        }
    }

    /// The number of a shared fee account; all but the last of so many are told apart.
    fn config(&mut self, address: Address) -> u16 {
        let known = self.configs.iter().position(|(known, _)| *known == address);
        let number = known.unwrap_or_else(|| {
            self.configs.push((address, None));
            self.configs.len() - 1
        });
        u16::try_from(number).unwrap_or(OWN - 1)
    }

    fn terms_of(
        &self,
        decoded: &Decoded,
        (config, creator_pays): (u16, bool),
        flags: Flags,
        now: u64,
    ) -> Terms {
        let mut flags = flags;
        for (set, flag) in [
            (decoded.swaps_off, Flags::SWAPS_OFF),
            (decoded.token_2022, Flags::TRANSFER_FEE),
            (decoded.opens > now, Flags::NOT_OPEN),
            (decoded.coarse, Flags::COARSE),
            (decoded.rates == Rates::Unknown, Flags::FEE_UNKNOWN),
        ] {
            if set {
                flags = flags.with(flag);
            }
        }
        match decoded.rates {
            Rates::Own(rate) => Terms { rates: [rate; 2], flags },
            Rates::Unknown => Terms { rates: [RATE_WHOLE; 2], flags },
            Rates::Shared(..) => self.shared_terms(config, creator_pays, flags),
        }
    }

    /// The creator's fee comes out of what goes in or what comes out; as the sum, it is never told too low.
    fn shared_terms(&self, config: u16, creator_pays: bool, flags: Flags) -> Terms {
        let Some((_, Some(config))) = self.configs.get(usize::from(config)) else {
            return Terms { rates: [RATE_WHOLE; 2], flags: flags.with(Flags::FEE_UNKNOWN) };
        };
        let creator = if creator_pays { config.creator_fee_rate } else { 0 };
        let rate = config.trade_fee_rate.saturating_add(creator);
        let rate = u32::try_from(rate).unwrap_or(RATE_WHOLE);
        Terms { rates: [rate; 2], flags: flags.without(Flags::FEE_UNKNOWN) }
    }

    /// A shared fee account: all its pools get its rates.
    pub(super) fn take_config(
        &mut self,
        address: Address,
        data: &[u8],
    ) -> Result<Change, ScanError> {
        let config = cpmm::decode_config(data);
        let config = config.map_err(|source| ScanError::Account { address, source })?;
        let number = self.config(address);
        if let Some((known, place)) = self.configs.get_mut(usize::from(number))
            && *known == address
            && *place != Some(config)
        {
            *place = Some(config);
            for (row, extra) in (0..).map(RowId::new).zip(&self.extras) {
                if extra.config == number
                    && let Some(terms) = self.table.terms(row)
                {
                    let terms = self.shared_terms(number, extra.creator_pays, terms.flags);
                    self.table.set_terms(row, terms)?;
                }
            }
        }
        Ok(Change::Fees)
    }

    /// Whose vault an account is, and of which mint.
    pub(super) fn vault(&self, address: &Address) -> Option<(RowId, bool)> {
        let is = |id| vault_of(&self.extras, id) == Some(address);
        let id = self.vaults.find(hash_address(address), is)?;
        Some((RowId::new(id / 2), id % 2 == 1))
    }

    /// The balance of a vault.
    pub(super) fn take_vault(
        &mut self,
        row: RowId,
        second: bool,
        balance: u64,
        slot: u64,
    ) -> Result<Change, ScanError> {
        let place = usize::from(second);
        self.take(row, place, slot, |torn| put(&mut torn.balances, place, balance))
    }

    /// Pools whose opening time has come.
    pub(super) fn open_due(&mut self, now: u64) -> Result<(), ScanError> {
        while let Some((opens, row)) =
            self.opening.first().copied().filter(|(opens, _)| *opens <= now)
        {
            self.opening.remove(&(opens, row));
            if let Some(terms) = self.table.terms(row) {
                let flags = terms.flags.without(Flags::NOT_OPEN);
                self.table.set_terms(row, Terms { flags, ..terms })?;
            }
        }
        Ok(())
    }

    /// The pool's account is gone.
    pub(super) fn forget(&mut self, address: &Address) -> Change {
        let Some(row) = self.table.remove(address) else { return Change::Nothing };
        let extras = &self.extras;
        if let Some(extra) = extras.get(at(row)) {
            for vault in &extra.vaults {
                let is = |id| vault_of(extras, id) == Some(vault) && id / 2 == row.get();
                self.vaults.remove(hash_address(vault), is, |id| hash_of(extras, id));
            }
        }
        self.torn.remove(&row);
        self.to_read.retain(|waits| *waits != row);
        self.opening.retain(|(_, opening)| *opening != row);
        Change::Gone(row)
    }
}

pub(super) fn at(row: RowId) -> usize {
    usize::try_from(row.get()).unwrap_or(usize::MAX)
}

fn vault_of(extras: &[Extra], id: u32) -> Option<&Address> {
    let [first, second] = &extras.get(at(RowId::new(id / 2)))?.vaults;
    Some(if id % 2 == 1 { second } else { first })
}

fn hash_of(extras: &[Extra], id: u32) -> Hash {
    vault_of(extras, id).map_or(hash_words(0, 0), hash_address)
}
