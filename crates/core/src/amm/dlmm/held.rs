//! What is kept of a pool's accounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{BINS_PER_ARRAY, Curve, PoolState, decode_bin_array, decode_extension, decode_pool};
use crate::amm::live::{Hold, keeps, quotes_by_curve, unknown};
use crate::amm::transfer_fee::EpochFees;
use crate::amm::{AccountUpdate, Arrays, DecodeError, Part, QuoteError};
use crate::units::Slot;

/// A pool's accounts as last seen, and their curve.
///
/// A swap writes the pool and the arrays that it walks through. The pool and the array of its active bin are to agree;
/// what came since they last did waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::amm) struct Held {
    pool: Option<PoolState>,
    /// When each array was last seen.
    #[serde(skip)]
    seen: BTreeMap<i32, Slot>,
    #[serde(skip)]
    waiting: Vec<AccountUpdate>,
    #[serde(skip, default = "unknown")]
    curve: Result<Curve, QuoteError>,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            pool: None,
            seen: BTreeMap::new(),
            waiting: Vec::new(),
            curve: Err(QuoteError::Unknown),
        }
    }
}

impl Held {
    fn curve(&self) -> Result<&Curve, QuoteError> {
        self.curve.as_ref().map_err(|error| *error)
    }

    /// The number of the array that holds the active bin.
    fn active_array(&self) -> Option<i32> {
        Some(self.pool.as_ref()?.active.div_euclid(BINS_PER_ARRAY))
    }
}

impl Hold for Held {
    keeps!(seen, waiting, curve);

    fn place(&self, update: &AccountUpdate) -> Option<usize> {
        match update {
            AccountUpdate::DlmmPool(_) => Some(0),
            AccountUpdate::DlmmBins(array) => (array.index == self.active_array()?).then_some(1),
            _ => None,
        }
    }

    fn moving(&self) -> usize {
        2
    }

    fn take(&mut self, update: &AccountUpdate) {
        if let AccountUpdate::DlmmPool(pool) = update {
            self.pool = Some(**pool);
        }
        let ours = matches!(
            update,
            AccountUpdate::DlmmPool(_) | AccountUpdate::DlmmBins(_) | AccountUpdate::DlmmBitmap(_)
        );
        if !ours {
            return;
        }
        // One of each account at most: a pool that stays torn, or is never seen, must not fill the memory.
        let same = |known: &&mut AccountUpdate| match (&**known, update) {
            (AccountUpdate::DlmmPool(_), AccountUpdate::DlmmPool(_))
            | (AccountUpdate::DlmmBitmap(_), AccountUpdate::DlmmBitmap(_)) => true,
            (AccountUpdate::DlmmBins(one), AccountUpdate::DlmmBins(two)) => one.index == two.index,
            _ => false,
        };
        match self.waiting.iter_mut().find(same) {
            Some(known) => known.clone_from(update),
            None => self.waiting.push(update.clone()),
        }
    }

    /// A swap out of an array ends in another, and writes that, too: the pool agrees with the array that it ended in.
    fn taken(&mut self, update: &AccountUpdate, slot: Slot) -> Option<(usize, Option<Slot>)> {
        if let AccountUpdate::DlmmBins(array) = update {
            self.seen.insert(array.index, slot);
        }
        Some((1, self.seen.get(&self.active_array()?).copied()))
    }

    fn build(&mut self) {
        let Some(pool) = &self.pool else { return };
        if self.curve.is_err() {
            self.curve = Ok(Curve::new(pool, [EpochFees::NONE; 2]));
        }
        let Ok(curve) = &mut self.curve else { return };
        for update in self.waiting.drain(..) {
            match update {
                AccountUpdate::DlmmPool(pool) => curve.set_pool(&pool),
                AccountUpdate::DlmmBins(array) => curve.set_array(*array),
                AccountUpdate::DlmmBitmap(extension) => curve.set_extension(&extension),
                _ => {}
            }
        }
    }

    fn arrays(&self, forward: bool) -> Arrays {
        let count = Arrays::new().capacity();
        let ahead = self.curve().map(|curve| curve.arrays_ahead(forward, count).collect());
        ahead.unwrap_or_default()
    }

    fn around(&self, each_way: usize) -> Vec<i32> {
        self.curve().map(|curve| curve.arrays_around(each_way)).unwrap_or_default()
    }

    fn known_arrays(&self) -> Vec<i32> {
        self.seen.keys().copied().collect()
    }

    fn forget(&mut self, array: i32) {
        self.seen.remove(&array);
        self.waiting.retain(
            |update| !matches!(update, AccountUpdate::DlmmBins(bins) if bins.index == array),
        );
        if let Ok(curve) = &mut self.curve {
            curve.remove_array(array);
        }
    }

    quotes_by_curve!();
}

/// Reads an account of a pool in its part.
///
/// # Errors
///
/// When it is not what it should be.
pub(in crate::amm) fn decode_part(part: Part, data: &[u8]) -> Result<AccountUpdate, DecodeError> {
    match part {
        Part::State => Ok(AccountUpdate::DlmmPool(Box::new(decode_pool(data)?.0))),
        Part::Bitmap => Ok(AccountUpdate::DlmmBitmap(Box::new(decode_extension(data)?))),
        Part::Array(index) => {
            let (array, _) = decode_bin_array(data)?;
            if array.index != index {
                return Err(DecodeError::Field { account: "DLMM bin array", field: "index" });
            }
            Ok(AccountUpdate::DlmmBins(Box::new(array)))
        }
        _ => Err(DecodeError::Part { kind: "Meteora DLMM" }),
    }
}
