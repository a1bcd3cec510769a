//! The pools, in arrays.

use crate::ids::Address;
use crate::scan::figures::{self, Flow, Side, Volatility};
use crate::scan::index::{ID_MAX, Index, hash_address, hash_words};
use crate::scan::pairs::{NONE, Pairs};
use crate::scan::row::{Anchor, Flags, NewPool, PLAIN, Packed, Terms, turn};
use crate::scan::types::{Applied, Figures, Inserted, Place, Row, RowId, TableError};
use crate::units::{Atoms, Slot};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Motion {
    flow: Flow,
    volatility: Volatility,
    slot: u32,
    since: u32,
    pub(super) pair: u32,
}

/// All pools. See the [module](super) for how it is laid out.
#[derive(Clone, Debug)]
pub struct PoolTable {
    keys: Vec<Address>,
    /// Base and quote.
    pub(super) reserves: Vec<[u64; 2]>,
    pub(super) terms: Vec<Packed>,
    pub(super) motion: Vec<Motion>,
    /// The next pool of the pair, or the next free row.
    pub(super) next: Vec<u32>,
    /// A bit per row: its depth reaches its anchor's least, as of the last pass.
    pub(super) deep: Vec<u64>,
    /// A bit per row: its reserves changed since [`PoolTable::take_change`] was last asked.
    changed: Vec<u64>,
    index: Index,
    pub(super) pairs: Pairs,
    anchors: Vec<Atoms>,
    free: u32,
    live: usize,
}

impl PoolTable {
    /// A table with room for so many pools; it grows when need be.
    ///
    /// # Errors
    ///
    /// [`TableError::Anchors`] for more than 254 anchors, or one named twice.
    pub fn new(anchors: &[Anchor], pools: usize) -> Result<Self, TableError> {
        let mut pairs = Pairs::with_capacity(pools);
        for anchor in anchors {
            pairs.add_mint(&anchor.mint).ok_or(TableError::Full)?;
        }
        if anchors.len() > 254 || pairs.counts()[0] != anchors.len() {
            return Err(TableError::Anchors(anchors.len()));
        }
        Ok(Self {
            keys: Vec::with_capacity(pools),
            reserves: Vec::with_capacity(pools),
            terms: Vec::with_capacity(pools),
            motion: Vec::with_capacity(pools),
            next: Vec::with_capacity(pools),
            deep: Vec::with_capacity(pools.div_ceil(64)),
            changed: Vec::with_capacity(pools.div_ceil(64)),
            index: Index::with_capacity(pools),
            pairs,
            anchors: anchors.iter().map(|anchor| anchor.depth_min).collect(),
            free: NONE,
            live: 0,
        })
    }

    /// How many pools are known.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live
    }

    /// Whether none is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Rows, free ones included: all row numbers are below this.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.keys.len()
    }

    /// How many mints and pairs were ever seen.
    #[must_use]
    pub const fn mints_and_pairs(&self) -> [usize; 2] {
        self.pairs.counts()
    }

    /// Bytes set aside for everything in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let row = [32, 16, 8, size_of::<Motion>(), 4];
        let row = row.into_iter().fold(0_usize, usize::saturating_add);
        row.saturating_mul(self.keys.capacity())
            .saturating_add(self.deep.capacity().saturating_mul(8))
            .saturating_add(self.changed.capacity().saturating_mul(8))
            .saturating_add(self.index.bytes())
            .saturating_add(self.pairs.bytes())
    }

    /// Gives back room that was set aside while growing.
    pub fn shrink_to_fit(&mut self) {
        self.keys.shrink_to_fit();
        self.reserves.shrink_to_fit();
        self.terms.shrink_to_fit();
        self.motion.shrink_to_fit();
        self.next.shrink_to_fit();
        self.deep.shrink_to_fit();
        self.changed.shrink_to_fit();
        self.pairs.shrink_to_fit();
        let keys = &self.keys;
        let hash_of = |id: u32| keys.get(RowId(id).at()).map_or(hash_words(0, 0), hash_address);
        self.index.shrink_to_fit(hash_of);
    }

    /// Where a pool is, by its address.
    #[must_use]
    pub fn find(&self, address: &Address) -> Option<Place> {
        self.row_of(address).map(Place::Constant)
    }

    #[inline]
    fn row_of(&self, address: &Address) -> Option<RowId> {
        let is = |id| self.keys.get(RowId(id).at()) == Some(address);
        self.index.find(hash_address(address), is).map(RowId)
    }

    /// Takes a pool, new or known; of a known one, reserves and terms unless they are older.
    ///
    /// # Errors
    ///
    /// When the table is full, or the pool contradicts itself or what is known of it.
    pub fn insert(&mut self, pool: &NewPool, slot: Slot) -> Result<Inserted, TableError> {
        if let Some(row) = self.row_of(&pool.address) {
            let known = self.get(row).ok_or(TableError::Unknown(row.0))?;
            if known.mints != pool.mints || known.kind != pool.kind {
                return Err(TableError::Different(pool.address));
            }
            if self.update(row, pool.reserves, slot)? != Applied::Stale {
                self.set_terms(row, pool.terms)?;
            }
            return Ok(Inserted { row, new: false });
        }
        self.insert_new(pool, slot).map(|row| Inserted { row, new: true })
    }

    /// As [`Self::insert`], of a pool that [`Self::find`] has just not found: it is not looked for again.
    ///
    /// # Errors
    ///
    /// As [`Self::insert`].
    pub fn insert_new(&mut self, pool: &NewPool, slot: Slot) -> Result<RowId, TableError> {
        debug_assert!(self.row_of(&pool.address).is_none(), "a pool is in the table once");
        let since = short(slot)?;
        let [first, second] = pool.mints;
        if first == second {
            return Err(TableError::SameMint(pool.address));
        }
        if self.free == NONE && self.keys.len() > RowId(ID_MAX).at() {
            return Err(TableError::Full);
        }
        let first = self.pairs.add_mint(&first).ok_or(TableError::Full)?;
        let second = self.pairs.add_mint(&second).ok_or(TableError::Full)?;
        // The quote is the mint known first.
        let turned = first < second;
        let [base, quote] = turn([first, second], turned);
        let pair = self.pairs.add(base, quote).ok_or(TableError::Full)?;
        let row = self.take_row()?;
        let at = row.at();
        let anchor = self.anchor_of(quote, pool.terms.flags);
        set(&mut self.keys, at, pool.address);
        let reserves = turn(pool.reserves.map(Atoms::get), turned);
        set(&mut self.reserves, at, reserves);
        self.note_change(row, reserves != [0; 2]);
        let packed = Packed::new(pool.kind, turned, anchor, pool.terms);
        set(&mut self.terms, at, packed);
        set(&mut self.motion, at, Motion { slot: since, since, pair, ..Motion::default() });
        let first = self.pairs.get_mut(pair).map(|pair| std::mem::replace(&mut pair.first, row.0));
        let first = first.unwrap_or(NONE);
        set(&mut self.next, at, first);
        if first != NONE {
            self.pairs.list(pair);
        }
        let keys = &self.keys;
        let hash_of = |id: u32| keys.get(RowId(id).at()).map_or(hash_words(0, 0), hash_address);
        self.index.insert(hash_address(&pool.address), row.0, hash_of);
        self.live = self.live.saturating_add(1);
        Ok(row)
    }

    /// The anchor that a pool's depth is held against; none for one without a depth.
    fn anchor_of(&self, quote: u32, flags: Flags) -> u8 {
        let anchor = u8::try_from(quote).ok().filter(|id| usize::from(*id) < self.anchors.len());
        anchor.filter(|_| !flags.has(Flags::PRICE_ALONE)).unwrap_or(PLAIN)
    }

    fn take_row(&mut self) -> Result<RowId, TableError> {
        if self.free != NONE {
            let row = RowId(self.free);
            self.free = self.next.get(row.at()).copied().unwrap_or(NONE);
            return Ok(row);
        }
        let number = u32::try_from(self.keys.len()).map_err(|_| TableError::Full)?;
        self.keys.push(Address::default());
        self.reserves.push([0; 2]);
        self.terms.push(Packed::VACANT);
        self.motion.push(Motion::default());
        self.next.push(NONE);
        if number.is_multiple_of(64) {
            self.deep.push(0);
            self.changed.push(0);
        }
        Ok(RowId(number))
    }

    /// Takes reserves as they were at a slot, in the pool's own order.
    ///
    /// # Errors
    ///
    /// When there is no such pool, or the slot cannot be kept.
    #[inline]
    pub fn update(
        &mut self,
        row: RowId,
        reserves: [Atoms; 2],
        slot: Slot,
    ) -> Result<Applied, TableError> {
        let (at, unknown) = (row.at(), TableError::Unknown(row.0));
        let slot = short(slot)?;
        let terms = self.terms.get_mut(at).ok_or(unknown)?;
        let flags = terms.flags();
        if flags.has(Flags::VACANT) {
            return Err(unknown);
        }
        let after = turn(reserves.map(Atoms::get), terms.turned());
        let motion = self.motion.get_mut(at).ok_or(unknown)?;
        let held = self.reserves.get_mut(at).ok_or(unknown)?;
        if slot < motion.slot {
            return Ok(Applied::Stale);
        }
        motion.slot = slot;
        let before = std::mem::replace(held, after);
        if before == after {
            return Ok(Applied::Same);
        }
        if let Some(moved) = figures::moved(before, after) {
            motion.volatility = motion.volatility.next(moved);
            if !flags.has(Flags::PRICE_ALONE) {
                motion.flow = motion.flow.next(before[1], after[1]);
            }
        }
        self.note_change(row, true);
        Ok(Applied::Changed)
    }

    #[inline]
    fn note_change(&mut self, row: RowId, changed: bool) {
        if let Some(word) = self.changed.get_mut(row.at() >> 6) {
            let bit = 1_u64.wrapping_shl(row.0);
            *word = if changed { *word | bit } else { *word & !bit };
        }
    }

    /// Whether a pool's reserves changed since this was last asked of it; those it was found with are a change, unless
    /// they are nothing.
    pub fn take_change(&mut self, row: RowId) -> bool {
        let word = self.changed.get(row.at() >> 6).copied().unwrap_or(0);
        let changed = word.wrapping_shr(row.0) & 1 == 1;
        self.note_change(row, false);
        changed
    }

    /// Takes what a pool keeps back, in its own order, and what speaks against it.
    ///
    /// # Errors
    ///
    /// When there is no such pool.
    pub fn set_terms(&mut self, row: RowId, terms: Terms) -> Result<(), TableError> {
        let unknown = TableError::Unknown(row.0);
        let flags = terms.flags.without(Flags::VACANT);
        let pair = self.motion.get(row.at()).and_then(|motion| self.pairs.get(motion.pair));
        let anchor = self.anchor_of(pair.ok_or(unknown)?.quote, flags);
        let packed = self.terms.get_mut(row.at()).filter(|t| !t.flags().has(Flags::VACANT));
        let packed = packed.ok_or(unknown)?;
        *packed = Packed::new(packed.kind(), packed.turned(), anchor, Terms { flags, ..terms });
        Ok(())
    }

    /// Forgets a pool; its row may become another's. Takes as long as its pair has pools.
    pub fn remove(&mut self, address: &Address) -> Option<RowId> {
        let keys = &self.keys;
        let is = |id: u32| keys.get(RowId(id).at()) == Some(address);
        let hash_of = |id: u32| keys.get(RowId(id).at()).map_or(hash_words(0, 0), hash_address);
        let row = self.index.remove(hash_address(address), is, hash_of).map(RowId)?;
        let at = row.at();
        let after = self.next.get(at).copied().unwrap_or(NONE);
        if let Some(pair) = self.motion.get(at).and_then(|motion| self.pairs.get_mut(motion.pair)) {
            if pair.first == row.0 {
                pair.first = after;
            } else {
                let mut before = pair.first;
                while let Some(link) = self.next.get_mut(RowId(before).at()) {
                    if *link == row.0 {
                        *link = after;
                        break;
                    }
                    before = *link;
                }
            }
        }
        self.note_change(row, false);
        set(&mut self.terms, at, Packed::VACANT);
        set(&mut self.reserves, at, [0; 2]);
        set(&mut self.next, at, self.free);
        self.free = row.0;
        self.live = self.live.saturating_sub(1);
        Some(row)
    }

    /// A pool as it was given.
    #[must_use]
    pub fn get(&self, row: RowId) -> Option<Row> {
        let at = row.at();
        let terms = self.terms.get(at).filter(|terms| !terms.flags().has(Flags::VACANT))?;
        let motion = self.motion.get(at)?;
        let pair = self.pairs.get(motion.pair)?;
        let mints = [*self.pairs.mint(pair.base)?, *self.pairs.mint(pair.quote)?];
        let reserves = self.reserves.get(at)?.map(Atoms::new);
        Some(Row {
            address: *self.keys.get(at)?,
            kind: terms.kind(),
            mints: turn(mints, terms.turned()),
            reserves: turn(reserves, terms.turned()),
            terms: terms.terms(),
            slot: Slot::new(u64::from(motion.slot)),
            since: Slot::new(u64::from(motion.since)),
        })
    }

    /// What a pool keeps back, in its own order, and what speaks against it.
    #[must_use]
    pub fn terms(&self, row: RowId) -> Option<Terms> {
        let packed = self.terms.get(row.at()).filter(|t| !t.flags().has(Flags::VACANT))?;
        Some(packed.terms())
    }

    /// A pool's reserves in its own order, their slot, and what speaks against it.
    #[must_use]
    pub fn state(&self, row: RowId) -> Option<([Atoms; 2], Slot, Flags)> {
        let packed = self.terms.get(row.at()).filter(|t| !t.flags().has(Flags::VACANT))?;
        let reserves = turn(self.reserves.get(row.at())?.map(Atoms::new), packed.turned());
        let slot = u64::from(self.motion.get(row.at())?.slot);
        Some((reserves, Slot::new(slot), packed.flags()))
    }

    /// All that can be said of a pool now. The verdict takes as long as its pair has pools.
    #[must_use]
    pub fn figures(&self, row: RowId, now: Slot) -> Option<Figures> {
        let at = row.at();
        let terms = self.terms.get(at).filter(|terms| !terms.flags().has(Flags::VACANT))?;
        let motion = self.motion.get(at)?;
        let pair = self.pairs.get(motion.pair)?;
        let side = self.side(row.0)?;
        let measured = !terms.flags().has(Flags::PRICE_ALONE);
        let depth = figures::depth(side.reserves[1], side.rates[1]).filter(|_| measured);
        Some(Figures {
            base: *self.pairs.mint(pair.base)?,
            quote: *self.pairs.mint(pair.quote)?,
            price: figures::price(side.reserves),
            depth,
            volatility: motion.volatility.get(),
            flow: measured.then(|| motion.flow.get()),
            age: now.get().saturating_sub(u64::from(motion.since)),
            deep: self.is_deep(*terms, depth),
            verdict: self.verdict(row),
        })
    }

    /// How much the price of a pool moves per update, in millionths, and whether it has one: of all that [`Self::figures`]
    /// says what takes no time, for who sorts very many.
    #[must_use]
    pub fn moves(&self, row: RowId) -> Option<(u32, bool)> {
        let at = row.at();
        self.terms.get(at).filter(|terms| !terms.flags().has(Flags::VACANT))?;
        let [base, _] = *self.reserves.get(at)?;
        Some((self.motion.get(at)?.volatility.get(), base > 0))
    }

    /// The least depth of pools priced in an anchor.
    pub(super) fn depth_min(&self, anchor: u8) -> Option<Atoms> {
        self.anchors.get(usize::from(anchor)).copied()
    }

    /// A pool that is priced in no anchor is never deep: its amounts mean nothing to us. Nor is one without a depth.
    pub(super) fn is_deep(&self, terms: Packed, depth: Option<Atoms>) -> bool {
        let least = self.depth_min(terms.anchor());
        depth.zip(least).is_some_and(|(depth, least)| depth >= least)
    }

    pub(super) fn side(&self, row: u32) -> Option<Side> {
        let at = RowId(row).at();
        Some(Side { reserves: *self.reserves.get(at)?, rates: self.terms.get(at)?.rates() })
    }
}

fn short(slot: Slot) -> Result<u32, TableError> {
    u32::try_from(slot.get()).map_err(|_| TableError::Slot(slot))
}

#[inline]
fn set<T>(list: &mut [T], at: usize, value: T) {
    if let Some(place) = list.get_mut(at) {
        *place = value;
    }
}
