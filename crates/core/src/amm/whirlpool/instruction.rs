//! The swap instructions.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};
use solana_instruction::{AccountMeta, Instruction};

use super::derived::{array_starts, tick_array_address, ticks_in_array};
use super::{Keys, MEMO_PROGRAM, PROGRAM_ID, PoolState, TOKEN_PROGRAM};
use crate::amm::SwapAccounts;
use crate::ids::Address;
use crate::order::LegAmount;
use crate::units::Atoms;

/// First bytes of the swap that knows SPL Token only.
pub const SWAP: [u8; 8] = [0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8];
/// First bytes of the swap that also knows Token-2022 and further tick arrays.
pub const SWAP_V2: [u8; 8] = [0x2b, 0x04, 0xed, 0x0b, 0x1a, 0xc9, 0x1e, 0x62];

/// How the data announces further tick arrays among the remaining accounts.
const SUPPLEMENTAL_TICK_ARRAYS: u8 = 6;
/// The program takes at most this many of them.
pub const MAX_SUPPLEMENTAL: usize = 3;

/// The tick arrays that a swap is given. The program puts them into order itself and ignores those it has no use
/// for, so more of them make a swap land that finds the price elsewhere than its quote did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapArrays {
    /// Always there; one may stand in for another.
    pub fixed: [Address; 3],
    /// Further ones.
    pub supplemental: [Option<Address>; MAX_SUPPLEMENTAL],
}

impl SwapArrays {
    /// Given ones, at least one and at most three.
    #[must_use]
    pub fn of(arrays: &[Address]) -> Option<Self> {
        let last = arrays.last()?;
        let at = |nth: usize| arrays.get(nth).unwrap_or(last);
        let fixed = [*at(0), *at(1), *at(2)];
        Some(Self { fixed, supplemental: [None; MAX_SUPPLEMENTAL] })
    }

    /// Those that a swap from this state may cross, and the one behind. Derives four addresses, some microseconds
    /// each: keep the answer for as long as the price stays within its tick array.
    #[must_use]
    pub fn around(pool: &Address, state: &PoolState, forward: bool) -> Self {
        let starts = array_starts(state, forward);
        let mut found: ArrayVec<Address, 3> =
            starts.iter().map(|start| tick_array_address(pool, *start)).collect();
        let last = found.last().copied().unwrap_or_default();
        while found.try_push(last).is_ok() {}
        let mut supplemental = [None; MAX_SUPPLEMENTAL];
        if let Some(first) = starts.first() {
            let span = ticks_in_array(state.tick_spacing);
            let behind =
                if forward { first.saturating_add(span) } else { first.saturating_sub(span) };
            let within = PoolState { tick: behind, ..*state };
            if array_starts(&within, true).first() == Some(&behind) {
                supplemental[0] = Some(tick_array_address(pool, behind));
            }
        }
        Self { fixed: found.into_inner().unwrap_or_default(), supplemental }
    }
}

/// What a swap asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapOrder {
    /// Gives mint 0 for mint 1.
    pub forward: bool,
    /// How much.
    pub amount: LegAmount,
    /// The square-root price, Q64.64, at which it stops short; 0 for none, when an exact output is all or nothing.
    pub sqrt_price_limit: u128,
}

impl SwapOrder {
    fn data(&self, discriminator: [u8; 8]) -> Vec<u8> {
        let (amount, threshold, exact_in): (Atoms, Atoms, bool) = match self.amount {
            LegAmount::ExactIn { amount_in, min_out } => (amount_in, min_out, true),
            LegAmount::ExactOut { amount_out, max_in } => (amount_out, max_in, false),
        };
        let mut data = Vec::with_capacity(50);
        data.extend_from_slice(&discriminator);
        data.extend_from_slice(&amount.get().to_le_bytes());
        data.extend_from_slice(&threshold.get().to_le_bytes());
        data.extend_from_slice(&self.sqrt_price_limit.to_le_bytes());
        data.extend_from_slice(&[u8::from(exact_in), u8::from(self.forward)]);
        data
    }
}

/// The swap instruction that takes any pool: Token-2022, adaptive fees, further tick arrays.
#[must_use]
pub fn swap_instruction(
    pool: Address,
    keys: &Keys,
    mints: [Address; 2],
    order: SwapOrder,
    accounts: SwapAccounts,
    arrays: &SwapArrays,
) -> Instruction {
    let owned = owned(order.forward, accounts);
    let mut data = order.data(SWAP_V2);
    match arrays.supplemental.iter().flatten().fold(0_u8, |count, _| count.saturating_add(1)) {
        0 => data.push(0),
        // A list with one entry: the kind of the accounts and their number.
        count => data.extend_from_slice(&[1, 1, 0, 0, 0, SUPPLEMENTAL_TICK_ARRAYS, count]),
    }
    let mut metas = Vec::with_capacity(18);
    metas.extend([
        AccountMeta::new_readonly(keys.token_programs[0], false),
        AccountMeta::new_readonly(keys.token_programs[1], false),
        AccountMeta::new_readonly(MEMO_PROGRAM, false),
        AccountMeta::new_readonly(accounts.owner, true),
        AccountMeta::new(pool, false),
        AccountMeta::new_readonly(mints[0], false),
        AccountMeta::new_readonly(mints[1], false),
        AccountMeta::new(owned[0], false),
        AccountMeta::new(keys.vaults[0], false),
        AccountMeta::new(owned[1], false),
        AccountMeta::new(keys.vaults[1], false),
    ]);
    metas.extend(arrays.fixed.iter().map(|array| AccountMeta::new(*array, false)));
    metas.push(AccountMeta::new(keys.oracle, false));
    metas.extend(arrays.supplemental.iter().flatten().map(|array| AccountMeta::new(*array, false)));
    Instruction { program_id: PROGRAM_ID, accounts: metas, data }
}

/// The shorter swap instruction: for pools of two SPL Token mints without adaptive fees. It leaves out further tick
/// arrays.
#[must_use]
pub fn swap_v1_instruction(
    pool: Address,
    keys: &Keys,
    order: SwapOrder,
    accounts: SwapAccounts,
    arrays: &SwapArrays,
) -> Instruction {
    let owned = owned(order.forward, accounts);
    let mut metas = Vec::with_capacity(11);
    metas.extend([
        AccountMeta::new_readonly(TOKEN_PROGRAM, false),
        AccountMeta::new_readonly(accounts.owner, true),
        AccountMeta::new(pool, false),
        AccountMeta::new(owned[0], false),
        AccountMeta::new(keys.vaults[0], false),
        AccountMeta::new(owned[1], false),
        AccountMeta::new(keys.vaults[1], false),
    ]);
    metas.extend(arrays.fixed.iter().map(|array| AccountMeta::new(*array, false)));
    metas.push(AccountMeta::new_readonly(keys.oracle, false));
    Instruction { program_id: PROGRAM_ID, accounts: metas, data: order.data(SWAP) }
}

/// The trader's token accounts, in the order of the pool's mints.
fn owned(forward: bool, accounts: SwapAccounts) -> [Address; 2] {
    if forward {
        [accounts.source, accounts.destination]
    } else {
        [accounts.destination, accounts.source]
    }
}
