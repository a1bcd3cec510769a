//! Mints by number, and pairs of mints with their pools.

use crate::ids::Address;
use crate::scan::index::{Hash, ID_MAX, Index, hash_address, hash_words};

/// No pool: the end of a pair's chain.
pub(super) const NONE: u32 = u32::MAX;

/// Two mints that pools trade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    /// What is priced, by number.
    pub(super) base: u32,
    /// What it is priced in: the mint that was known first.
    pub(super) quote: u32,
    /// The first of its pools.
    pub(super) first: u32,
}

/// All mints and pairs ever seen; they are not forgotten when their last pool is.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    mints: Vec<Address>,
    mint_index: Index,
    pairs: Vec<Pair>,
    pair_index: Index,
    /// Pairs that had two pools at some time since the last look; each once.
    pub(super) contested: Vec<u32>,
    listed: Vec<bool>,
}

fn hash_pair(base: u32, quote: u32) -> Hash {
    hash_words(u64::from(base), u64::from(quote))
}

fn hash_mint(mints: &[Address], id: u32) -> Hash {
    mints.get(at(id)).map_or(hash_words(0, 0), hash_address)
}

fn hash_known(pairs: &[Pair], id: u32) -> Hash {
    pairs.get(at(id)).map_or(hash_words(0, 0), |pair| hash_pair(pair.base, pair.quote))
}

impl Pairs {
    pub(super) fn with_capacity(mints: usize) -> Self {
        Self {
            mints: Vec::with_capacity(mints),
            mint_index: Index::with_capacity(mints),
            pairs: Vec::with_capacity(mints),
            pair_index: Index::with_capacity(mints),
            contested: Vec::new(),
            listed: Vec::with_capacity(mints),
        }
    }

    pub(super) fn mint(&self, id: u32) -> Option<&Address> {
        self.mints.get(usize::try_from(id).ok()?)
    }

    /// The number of a mint, a new one if need be; none when all numbers are taken.
    pub(super) fn add_mint(&mut self, address: &Address) -> Option<u32> {
        let Self { mints, mint_index, .. } = self;
        let new = u32::try_from(mints.len()).unwrap_or(u32::MAX);
        let is = |id| mints.get(at(id)) == Some(address);
        let hash_of = |id| hash_mint(mints, id);
        if let Some(id) = mint_index.find_or_insert(hash_address(address), new, is, hash_of) {
            return Some(id);
        }
        if new > ID_MAX {
            return None;
        }
        mints.push(*address);
        Some(new)
    }

    pub(super) fn get(&self, id: u32) -> Option<&Pair> {
        self.pairs.get(at(id))
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Pair> {
        self.pairs.get_mut(at(id))
    }

    /// The number of a pair, a new one if need be; none when all numbers are taken.
    pub(super) fn add(&mut self, base: u32, quote: u32) -> Option<u32> {
        let Self { pairs, pair_index, .. } = self;
        let new = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        let is =
            |id| pairs.get(at(id)).is_some_and(|pair| pair.base == base && pair.quote == quote);
        let hash_of = |id| hash_known(pairs, id);
        if let Some(id) = pair_index.find_or_insert(hash_pair(base, quote), new, is, hash_of) {
            return Some(id);
        }
        if new > ID_MAX {
            return None;
        }
        pairs.push(Pair { base, quote, first: NONE });
        self.listed.push(false);
        Some(new)
    }

    /// Puts a pair with two pools on the list, once.
    pub(super) fn list(&mut self, id: u32) {
        if let Some(listed) = self.listed.get_mut(at(id))
            && !*listed
        {
            *listed = true;
            self.contested.push(id);
        }
    }

    /// Takes pairs off the list for which `stays` does not hold.
    pub(super) fn unlist(&mut self, stays: impl Fn(&Pair) -> bool) {
        let (pairs, listed) = (&self.pairs, &mut self.listed);
        self.contested.retain(|id| {
            let kept = pairs.get(at(*id)).is_some_and(&stays);
            if !kept && let Some(listed) = listed.get_mut(at(*id)) {
                *listed = false;
            }
            kept
        });
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.mints.shrink_to_fit();
        self.pairs.shrink_to_fit();
        self.contested.shrink_to_fit();
        self.listed.shrink_to_fit();
        let (mints, pairs) = (&self.mints, &self.pairs);
        self.mint_index.shrink_to_fit(|id| hash_mint(mints, id));
        self.pair_index.shrink_to_fit(|id| hash_known(pairs, id));
    }

    pub(super) const fn counts(&self) -> [usize; 2] {
        [self.mints.len(), self.pairs.len()]
    }

    pub(super) const fn bytes(&self) -> usize {
        let mints = self.mints.capacity().saturating_mul(size_of::<Address>());
        let pairs = self.pairs.capacity().saturating_mul(size_of::<Pair>());
        let contested = self.contested.capacity().saturating_mul(size_of::<u32>());
        mints
            .saturating_add(pairs)
            .saturating_add(contested)
            .saturating_add(self.listed.capacity())
            .saturating_add(self.mint_index.bytes())
            .saturating_add(self.pair_index.bytes())
    }
}

fn at(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}
