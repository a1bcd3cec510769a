//! Pools and what is kept of each beside the table: vaults, what is owed out of them, and the slots of its accounts.

use std::collections::{BTreeMap, BTreeSet};

use sniper_core::amm::{pump_curve, pump_swap};
use sniper_core::ids::Address;
use sniper_core::scan::{
    Anchor, Applied, Flags, NewPool, Place, PoolTable, RowId, TableError, Terms,
    figures::RATE_WHOLE,
};
use sniper_core::units::{Atoms, Slot};

use super::decode::{Decoded, Rates};
use super::error::ScanError;
use super::fees::{Share, SharedFees};
use super::program::Program;
use super::torn::{From, STATE, Torn, put};
use super::vaults::{Vaults, VaultsId};
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Extra {
    /// See [`Beside`].
    number: u32,
    /// Which shared fee account, by number.
    config: u16,
    /// What of it.
    share: Share,
    /// Slots of the vaults and the state account: how far each lies behind the row's, held at 255.
    pub(super) behind: [u8; 3],
    which: Which,
}

// One for each pool of a hundred thousand.
const _: () = assert!(size_of::<Extra>() == 12);

#[derive(Clone, Copy, Debug)]
enum Which {
    Nothing,
    Vaults,
    Bin,
}

/// What a pool has that others have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// Its state account tells all.
    Nothing,
    /// Vaults, which tell its reserves.
    Vaults(VaultsId),
    /// The bin that it trades in.
    Bin(i32),
}

impl Extra {
    pub(super) fn beside(&self) -> Beside {
        match self.which {
            Which::Nothing => Beside::Nothing,
            Which::Vaults => Beside::Vaults(VaultsId::new(self.number)),
            Which::Bin => Beside::Bin(self.number.cast_signed()),
        }
    }

    fn set_beside(&mut self, beside: Beside) {
        (self.which, self.number) = match beside {
            Beside::Nothing => (Which::Nothing, 0),
            Beside::Vaults(id) => (Which::Vaults, id.get()),
            Beside::Bin(bin) => (Which::Bin, bin.cast_unsigned()),
        };
    }
}

/// No shared fee account.
const OWN: u16 = u16::MAX;

/// Most bonding curves that are kept. There are many millions, and nearly all of them are still.
const CURVES_MAX: usize = 1_000_000;

/// All pools.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) table: PoolTable,
    pub(super) extras: Vec<Extra>,
    vaults: Vaults,
    configs: Vec<(Address, Option<SharedFees>)>,
    /// Only pools of this mint.
    only: Option<Address>,
    /// Its bonding curve, which does not name it.
    curve: Option<Address>,
    curves: usize,
    /// Curves that were one too many.
    pub(super) left_out: usize,
    pub(super) torn: BTreeMap<RowId, Torn>,
    /// Pools that open later, by second and by slot.
    opening: BTreeSet<(u64, RowId)>,
    opening_at: BTreeSet<(u64, RowId)>,
    /// Rows whose vaults are to be read.
    pub(super) to_read: Vec<RowId>,
    /// Rows whose state was told and whose vaults nobody tells of.
    pub(super) asked: BTreeSet<RowId>,
    room: Vec<u8>,
}

impl Pools {
    pub(super) fn new(
        anchors: &[Anchor],
        pools: usize,
        only: Option<Address>,
    ) -> Result<Self, TableError> {
        Ok(Self {
            table: PoolTable::new(anchors, pools)?,
            extras: Vec::with_capacity(pools),
            vaults: Vaults::default(),
            configs: Vec::new(),
            curve: only.as_ref().map(pump_curve::bonding_curve),
            only,
            curves: 0,
            left_out: 0,
            torn: BTreeMap::new(),
            opening: BTreeSet::new(),
            opening_at: BTreeSet::new(),
            to_read: Vec::new(),
            asked: BTreeSet::new(),
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
        self.vaults.shrink_to_fit();
    }

    /// Adds the vaults of these pools, of those whose reserves they tell, in order. Some of them are read from a file, as
    /// many at once as lie behind one another.
    pub(super) fn vaults_of_all(
        &self,
        rows: &[RowId],
        all: &mut Vec<Address>,
    ) -> Result<(), ScanError> {
        let of = |row: &RowId| match self.extra(*row).map(Extra::beside) {
            Some(Beside::Vaults(id)) => Some(id),
            _ => None,
        };
        let ids: Vec<VaultsId> = rows.iter().filter_map(of).collect();
        self.vaults.addresses_of(&ids, all)
    }

    /// The vaults of a pool whose reserves they tell.
    pub(super) fn vaults_of(&self, row: RowId) -> Result<Option<[Address; 2]>, ScanError> {
        match self.extra(row).map(Extra::beside) {
            Some(Beside::Vaults(id)) => self.vaults.addresses(id).map(Some),
            _ => Ok(None),
        }
    }

    /// Of each vault's balance, what is not the pool's.
    pub(super) fn owed(&self, extra: &Extra) -> [i64; 2] {
        match extra.beside() {
            Beside::Vaults(id) => self.vaults.owed(id),
            _ => [0; 2],
        }
    }

    pub(super) fn set_owed(&mut self, row: RowId, owed: [i64; 2]) {
        if let Some(Beside::Vaults(id)) = self.extra(row).map(Extra::beside) {
            self.vaults.set_owed(id, owed);
        }
    }

    fn row_of(&self, address: &Address) -> Option<RowId> {
        match self.table.find(address) {
            Some(Place::Constant(row)) => Some(row),
            _ => None,
        }
    }

    pub(super) fn extra(&self, row: RowId) -> Option<&Extra> {
        self.extras.get(at(row))
    }

    /// The newest slot that is known of a pool.
    pub(super) fn slot_of(&self, address: &Address) -> Option<u64> {
        self.table.state(self.row_of(address)?).map(|(_, slot, _)| slot.get())
    }

    /// Any account. `now` in seconds since the Unix epoch.
    pub(super) fn take_notice(
        &mut self,
        notice: &Notice<'_>,
        now: u64,
    ) -> Result<Change, ScanError> {
        let Notice { address, owner, slot, data } = *notice;
        if let Some(program) = Program::of(owner) {
            if program.is_config(data) {
                return self.take_config(address, data);
            }
            if program.is_pool(data) {
                return self.take_state(program, address, (data, From::Notice), slot, now);
            }
        } else if data.is_empty() {
            return Ok(self.forget(&address));
        }
        let Some((row, second)) = self.vaults.find(&address) else { return Ok(Change::Nothing) };
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
        let decoded = program.decode(&address, data, &mut self.room);
        let mut decoded = decoded.map_err(|source| ScanError::Account { address, source })?;
        if let Some(coin) = self.only.filter(|_| self.curve == Some(address)) {
            decoded.mints[0] = coin;
        }
        let known = self.row_of(&address);
        let fees = self.fees_of(&decoded.rates, known);
        let Some(row) = known else {
            return self.take_new(program, address, &decoded, fees, (slot, now));
        };
        let change = if let Some(reserves) = decoded.reserves {
            match self.table.update(row, reserves.map(Atoms::new), Slot::new(slot))? {
                Applied::Stale => Change::Nothing,
                _ => Change::Settled(row),
            }
        } else if from == From::List {
            self.take_listed(row, slot, decoded.owed)?
        } else {
            self.take(row, STATE, slot, |torn| torn.owed = decoded.owed)?
        };
        if change == Change::Nothing {
            return Ok(change);
        }
        let kept = self.table.terms(row).map_or(Flags::UNREAD, |terms| terms.flags);
        let unread = if kept.has(Flags::UNREAD) { Flags::UNREAD } else { Flags::NONE };
        let terms = self.terms_of(&decoded, fees, unread, (slot, now));
        self.table.set_terms(row, terms)?;
        self.note_opening(row, &decoded, (slot, now));
        if let Some(extra) = self.extras.get_mut(at(row)) {
            (extra.config, extra.share) = fees;
            if let Some(bin) = decoded.bin {
                extra.set_beside(Beside::Bin(bin));
            }
        }
        if from == From::Notice && program.vaults_are_asked_for() && change == Change::Torn(row) {
            self.asked.insert(row);
        }
        Ok(change)
    }

    /// Which shared account a pool pays by, and what of it.
    fn fees_of(&mut self, rates: &Rates, known: Option<RowId>) -> (u16, Share) {
        match rates {
            Rates::Own(_) | Rates::Unknown => (OWN, Share::PLAIN),
            Rates::Shared(account, share) => (self.config(*account), *share),
            Rates::ByMaker(maker, creator) => {
                // Who made a pool never changes, and what follows from it takes long to find.
                let share = match known.and_then(|row| self.extra(row)) {
                    Some(extra) => extra.share.with_creator(*creator),
                    None => Share::pump(maker.schedule(), *creator),
                };
                (self.config(pump_swap::FEE_CONFIG), share)
            }
        }
    }

    fn take_new(
        &mut self,
        program: Program,
        address: Address,
        decoded: &Decoded,
        fees: (u16, Share),
        (slot, now): (u64, u64),
    ) -> Result<Change, ScanError> {
        if self.only.is_some_and(|mint| !decoded.mints.contains(&mint)) {
            return Ok(Change::Nothing);
        }
        if program == Program::PumpCurve {
            if self.curves >= CURVES_MAX {
                self.left_out += 1;
                return Ok(Change::Nothing);
            }
            self.curves += 1;
        }
        let unread = if decoded.reserves.is_some() { Flags::NONE } else { Flags::UNREAD };
        let new = NewPool {
            address,
            kind: program.kind(),
            mints: decoded.mints,
            reserves: decoded.reserves.unwrap_or_default().map(Atoms::new),
            terms: self.terms_of(decoded, fees, unread, (slot, now)),
        };
        let row = self.table.insert_new(&new, Slot::new(slot))?;
        self.note_opening(row, decoded, (slot, now));
        let (config, share) = fees;
        let beside = match (decoded.reserves, decoded.bin) {
            (None, _) => match self.vaults.add(row, decoded.vaults, decoded.owed) {
                Ok(id) => Beside::Vaults(id),
                Err(error) => {
                    self.table.remove(&address);
                    return Err(error);
                }
            },
            (Some(_), Some(bin)) => Beside::Bin(bin),
            (Some(_), None) => Beside::Nothing,
        };
        let mut extra = Extra { number: 0, config, share, behind: [0; 3], which: Which::Nothing };
        extra.set_beside(beside);
        match self.extras.get_mut(at(row)) {
            Some(place) => *place = extra,
            // Rows are given out one after the other.
            None => self.extras.push(extra),
        }
        if decoded.reserves.is_none() {
            self.to_read.push(row);
        }
        Ok(Change::New(row))
    }

    fn note_opening(&mut self, row: RowId, decoded: &Decoded, (slot, now): (u64, u64)) {
        if decoded.opens > now {
            self.opening.insert((decoded.opens, row));
        }
        if decoded.opens_at > slot {
            self.opening_at.insert((decoded.opens_at, row));
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
        fees: (u16, Share),
        flags: Flags,
        (slot, now): (u64, u64),
    ) -> Terms {
        let mut flags = flags;
        for (set, flag) in [
            (decoded.swaps_off, Flags::SWAPS_OFF),
            (decoded.token_2022, Flags::TRANSFER_FEE),
            (decoded.opens > now || decoded.opens_at > slot, Flags::NOT_OPEN),
            (decoded.price_alone, Flags::PRICE_ALONE),
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
            Rates::Shared(..) | Rates::ByMaker(..) => self.shared_terms(fees, flags),
        }
    }

    fn shared_terms(&self, (config, share): (u16, Share), flags: Flags) -> Terms {
        match self.configs.get(usize::from(config)) {
            Some((_, Some(fees))) => {
                Terms { rates: fees.rates(share), flags: flags.without(Flags::FEE_UNKNOWN) }
            }
            _ => Terms { rates: [RATE_WHOLE; 2], flags: flags.with(Flags::FEE_UNKNOWN) },
        }
    }

    /// A shared fee account: all its pools get its rates.
    pub(super) fn take_config(
        &mut self,
        address: Address,
        data: &[u8],
    ) -> Result<Change, ScanError> {
        let config = SharedFees::read(data);
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
                    let terms = self.shared_terms((number, extra.share), terms.flags);
                    self.table.set_terms(row, terms)?;
                }
            }
        }
        Ok(Change::Fees)
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
    pub(super) fn open_due(&mut self, slot: u64, now: u64) -> Result<(), ScanError> {
        let mut due = Vec::new();
        for (waiting, reached) in [(&mut self.opening, now), (&mut self.opening_at, slot)] {
            while let Some(first) = waiting.first().copied().filter(|(opens, _)| *opens <= reached)
            {
                waiting.remove(&first);
                due.push(first.1);
            }
        }
        for row in due {
            if let Some(terms) = self.table.terms(row) {
                let flags = terms.flags.without(Flags::NOT_OPEN);
                self.table.set_terms(row, Terms { flags, ..terms })?;
            }
        }
        Ok(())
    }

    /// The pool's account is gone.
    pub(super) fn forget(&mut self, address: &Address) -> Change {
        let known = self.row_of(address).and_then(|row| self.table.get(row));
        let Some(row) = self.table.remove(address) else { return Change::Nothing };
        if known.is_some_and(|pool| pool.kind == Program::PumpCurve.kind()) {
            self.curves = self.curves.saturating_sub(1);
        }
        if let Some(extra) = self.extras.get_mut(at(row))
            && let Beside::Vaults(id) = extra.beside()
        {
            extra.set_beside(Beside::Nothing);
            self.vaults.remove(id);
        }
        self.torn.remove(&row);
        self.to_read.retain(|waits| *waits != row);
        self.asked.remove(&row);
        for opening in [&mut self.opening, &mut self.opening_at] {
            opening.retain(|(_, opening)| *opening != row);
        }
        Change::Gone(row)
    }
}

pub(super) fn at(row: RowId) -> usize {
    usize::try_from(row.get()).unwrap_or(usize::MAX)
}
