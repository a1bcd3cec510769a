//! Addresses that follow from a pool's own.

use crate::amm::dlmm::PROGRAM_ID;
use crate::ids::Address;

fn find(seeds: &[&[u8]]) -> Address {
    Address::find_program_address(seeds, &PROGRAM_ID).0
}

/// The array of bins with a given index.
#[must_use]
pub fn bin_array_address(pool: &Address, index: i32) -> Address {
    find(&[b"bin_array", pool.as_ref(), &i64::from(index).to_le_bytes()])
}

/// The account that goes on where the bitmap in a pool's state ends. Few pools have one.
#[must_use]
pub fn bitmap_extension_address(pool: &Address) -> Address {
    find(&[b"bitmap", pool.as_ref()])
}

/// A pool's price history.
#[must_use]
pub fn oracle_address(pool: &Address) -> Address {
    find(&[b"oracle", pool.as_ref()])
}

/// A pool's vault of one of its mints.
#[must_use]
pub fn reserve_address(pool: &Address, mint: &Address) -> Address {
    find(&[pool.as_ref(), mint.as_ref()])
}

/// The pool of two mints, in any order, that anyone may make with a listed step and base factor. Pools of other kinds
/// lie elsewhere.
#[must_use]
pub fn pair_address(mints: [Address; 2], bin_step: u16, base_factor: u16) -> Address {
    let [low, high] = if mints[0] <= mints[1] { mints } else { [mints[1], mints[0]] };
    find(&[low.as_ref(), high.as_ref(), &bin_step.to_le_bytes(), &base_factor.to_le_bytes()])
}
