//! Which arrays hold something.

use serde::{Deserialize, Serialize};

use crate::amm::dlmm::Curve;

/// The bitmap in a pool's state reaches from `-HALF` to `HALF - 1`.
const HALF: i32 = 512;

/// Which arrays hold something beyond the bitmap in the pool's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// From 512 upwards.
    pub positive: [[u64; 8]; 12],
    /// From -513 downwards.
    pub negative: [[u64; 8]; 12],
}

/// The first set bit from `from` upwards.
fn first_from(words: &[u64], from: usize) -> Option<usize> {
    let (start, bit) = (from / 64, from % 64);
    let mut mask = u64::MAX.checked_shl(u32::try_from(bit).ok()?)?;
    for (at, word) in words.iter().enumerate().skip(start) {
        let found = word & mask;
        if found != 0 {
            return position(at, found.trailing_zeros());
        }
        mask = u64::MAX;
    }
    None
}

/// The last set bit from `from` downwards.
fn last_from(words: &[u64], from: usize) -> Option<usize> {
    let (start, bit) = (from / 64, from % 64);
    let unused = 63_u32.checked_sub(u32::try_from(bit).ok()?)?;
    let mut mask = u64::MAX.checked_shr(unused)?;
    if start >= words.len() {
        mask = u64::MAX;
    }
    let reach = start.saturating_add(1).min(words.len());
    for (at, word) in words.get(..reach)?.iter().enumerate().rev() {
        let found = word & mask;
        if found != 0 {
            return position(at, 63_u32.saturating_sub(found.leading_zeros()));
        }
        mask = u64::MAX;
    }
    None
}

fn position(word: usize, bit: u32) -> Option<usize> {
    word.checked_mul(64)?.checked_add(usize::try_from(bit).ok()?)
}

fn bit(offset: i32) -> Option<usize> {
    usize::try_from(offset).ok()
}

fn index(bit: usize) -> Option<i32> {
    i32::try_from(bit).ok()
}

impl Curve {
    /// The nearest array that holds something, from `from` on; none where the bitmap ends and the account that goes
    /// on there is not known.
    #[inline]
    pub(super) fn next_array(&self, forward: bool, from: i32) -> Option<i32> {
        if forward { self.next_below(from) } else { self.next_above(from) }
    }

    #[inline]
    fn next_below(&self, from: i32) -> Option<i32> {
        let mut from = from;
        if from >= HALF {
            let words = self.extension.as_ref()?.positive.as_flattened();
            if let Some(found) = last_from(words, bit(from.checked_sub(HALF)?)?) {
                return index(found)?.checked_add(HALF);
            }
            from = HALF.checked_sub(1)?;
        }
        if from >= -HALF
            && let Some(found) = last_from(&self.pool.bitmap, bit(from.checked_add(HALF)?)?)
        {
            return index(found)?.checked_sub(HALF);
        }
        let from = from.min((-HALF).checked_sub(1)?);
        let words = self.extension.as_ref()?.negative.as_flattened();
        let found = first_from(words, bit((-HALF).checked_sub(1)?.checked_sub(from)?)?)?;
        (-HALF).checked_sub(1)?.checked_sub(index(found)?)
    }

    #[inline]
    fn next_above(&self, from: i32) -> Option<i32> {
        let mut from = from;
        if from < -HALF {
            let words = self.extension.as_ref()?.negative.as_flattened();
            let offset = bit((-HALF).checked_sub(1)?.checked_sub(from)?)?;
            if let Some(found) = last_from(words, offset) {
                return (-HALF).checked_sub(1)?.checked_sub(index(found)?);
            }
            from = -HALF;
        }
        if from < HALF
            && let Some(found) = first_from(&self.pool.bitmap, bit(from.checked_add(HALF)?)?)
        {
            return index(found)?.checked_sub(HALF);
        }
        let words = self.extension.as_ref()?.positive.as_flattened();
        let found = first_from(words, bit(from.max(HALF).checked_sub(HALF)?)?)?;
        index(found)?.checked_add(HALF)
    }
}
