//! Addresses that follow from others, and the instructions that name them.

use serde::{Deserialize, Serialize};
use solana_instruction::{AccountMeta, Instruction};

use crate::amm::SwapAccounts;
use crate::amm::pump_curve;
use crate::amm::pump_fees::{
    ASSOCIATED_TOKEN_PROGRAM, FEE_PROGRAM_ID, Recipients, SYSTEM_PROGRAM, Schedule,
    associated_token,
};
use crate::amm::pump_swap::{
    DecodedKeys, EVENT_AUTHORITY, FEE_CONFIG, GLOBAL_CONFIG, GLOBAL_VOLUME, PROGRAM_ID,
};
use crate::ids::Address;
use crate::order::LegAmount;

/// First bytes of a purchase that fixes its output.
const BUY: [u8; 8] = [0x66, 0x06, 0x3d, 0x12, 0x01, 0xda, 0xeb, 0xea];
/// First bytes of a purchase that fixes its input.
const BUY_EXACT_QUOTE_IN: [u8; 8] = [0xc6, 0x2e, 0x15, 0x52, 0xb4, 0xd9, 0xe8, 0x70];
/// First bytes of a sale, which always fixes its input.
const SELL: [u8; 8] = [0x33, 0xe6, 0x85, 0xa4, 0x01, 0x7f, 0x83, 0xad];
/// Ends a purchase: count it in the trader's volume.
const TRACK_VOLUME: u8 = 1;

/// What a swap instruction needs to know of a pool, besides its address and mints. Derived once: finding an address
/// takes longer than anything else on the way to a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its token accounts, base first.
    pub vaults: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
    /// Which fee schedule it pays.
    pub schedule: Schedule,
    /// Who takes the protocol's fees.
    pub recipients: Recipients,
    /// Their token accounts for the quote mint: protocol, buyback.
    pub recipient_accounts: [Address; 2],
    /// Owns the coin creator's vault.
    pub creator_authority: Address,
    /// The coin creator's vault.
    pub creator_vault: Address,
    /// Named by every swap of a pool that has a coin creator.
    pub pool_v2: Option<Address>,
    /// The creator's fee goes back to the trader.
    pub cashback: bool,
}

impl Keys {
    /// Derives what follows from a pool's account, its mints' programs and the recipients to use.
    #[must_use]
    pub fn new(pool: &DecodedKeys, token_programs: [Address; 2], recipients: Recipients) -> Self {
        let [base, quote] = pool.mints;
        let [_, quote_program] = token_programs;
        let account = |owner: &Address| associated_token(owner, &quote, &quote_program);
        let creator_authority = creator_vault_authority(&pool.coin_creator);
        let of_coin = is_pool_authority(&pool.creator, &base);
        Self {
            vaults: pool.vaults,
            token_programs,
            schedule: if of_coin { Schedule::of_coin(&quote) } else { Schedule::Flat },
            recipients,
            recipient_accounts: [account(&recipients.protocol), account(&recipients.buyback)],
            creator_authority,
            creator_vault: account(&creator_authority),
            pool_v2: (pool.coin_creator != SYSTEM_PROGRAM).then(|| pool_v2(&base)),
            cashback: pool.cashback,
        }
    }
}

fn find(seeds: &[&[u8]]) -> Address {
    Address::find_program_address(seeds, &PROGRAM_ID).0
}

/// Makes the pool of a coin that leaves the bonding curve.
#[must_use]
pub fn pool_authority(base_mint: &Address) -> Address {
    Address::find_program_address(&authority_seeds(base_mint), &pump_curve::PROGRAM_ID).0
}

/// Whether that is the [`pool_authority`] of a mint; most often without finding it, for which points of the curve are sought.
///
/// A program's address is a hash that is no point of the curve, the first such for bumps from 255 down. One that is the
/// hash for a bump can only be meant as such, and one that is a point of the curve is a person's key.
#[must_use]
pub fn is_pool_authority(address: &Address, base_mint: &Address) -> bool {
    /// Nine in ten need no more.
    const BUMPS: std::ops::RangeInclusive<u8> = 252..=255;
    let seeds = authority_seeds(base_mint);
    let derived = |bump| Address::derive_address(&seeds, Some(bump), &pump_curve::PROGRAM_ID);
    BUMPS.rev().any(|bump| derived(bump) == *address)
        || (!address.is_on_curve() && pool_authority(base_mint) == *address)
}

const fn authority_seeds(base_mint: &Address) -> [&[u8]; 2] {
    [b"pool-authority", base_mint.as_array()]
}

/// The pool that a coin moves to from the bonding curve; `mints` base first.
#[must_use]
pub fn canonical_pool(mints: [Address; 2]) -> Address {
    let [base, quote] = mints;
    let maker = pool_authority(&base);
    find(&[b"pool", &0_u16.to_le_bytes(), maker.as_ref(), base.as_ref(), quote.as_ref()])
}

/// Owns a coin creator's vaults.
#[must_use]
pub fn creator_vault_authority(coin_creator: &Address) -> Address {
    find(&[b"creator_vault", coin_creator.as_ref()])
}

/// A coin creator's vault for fees in `quote_mint`, which belongs to `quote_program`.
#[must_use]
pub fn creator_vault(
    coin_creator: &Address,
    quote_mint: &Address,
    quote_program: &Address,
) -> Address {
    associated_token(&creator_vault_authority(coin_creator), quote_mint, quote_program)
}

/// Counts a trader's volume and holds their cashback.
#[must_use]
pub fn user_volume(user: &Address) -> Address {
    find(&[b"user_volume_accumulator", user.as_ref()])
}

/// The account beside the pools of a base mint that every swap of a pool with a coin creator names.
#[must_use]
pub fn pool_v2(base_mint: &Address) -> Address {
    find(&[b"pool-v2", base_mint.as_ref()])
}

/// The swap instruction; `forward` gives base for quote. `None` for a sale by its output, which the program does
/// not have.
///
/// It derives the trader's own accounts at the program: one for a purchase, two where there is cashback.
#[must_use]
pub fn swap_instruction(
    pool: Address,
    keys: &Keys,
    mints: [Address; 2],
    forward: bool,
    amount: LegAmount,
    accounts: SwapAccounts,
) -> Option<Instruction> {
    let (discriminator, first, second) = match amount {
        LegAmount::ExactIn { amount_in, min_out } if forward => (SELL, amount_in, min_out),
        LegAmount::ExactIn { amount_in, min_out } => (BUY_EXACT_QUOTE_IN, amount_in, min_out),
        LegAmount::ExactOut { amount_out, max_in } if !forward => (BUY, amount_out, max_in),
        LegAmount::ExactOut { .. } => return None,
    };
    let mut data = Vec::with_capacity(25);
    data.extend_from_slice(&discriminator);
    data.extend_from_slice(&first.get().to_le_bytes());
    data.extend_from_slice(&second.get().to_le_bytes());
    if !forward {
        data.push(TRACK_VOLUME);
    }
    let metas = swap_accounts(pool, keys, mints, forward, accounts);
    Some(Instruction { program_id: PROGRAM_ID, accounts: metas, data })
}

fn swap_accounts(
    pool: Address,
    keys: &Keys,
    mints: [Address; 2],
    forward: bool,
    accounts: SwapAccounts,
) -> Vec<AccountMeta> {
    let SwapAccounts { owner, source, destination } = accounts;
    let (user_base, user_quote) =
        if forward { (source, destination) } else { (destination, source) };
    let [base_mint, quote_mint] = mints;
    let [base_vault, quote_vault] = keys.vaults;
    let [base_program, quote_program] = keys.token_programs;
    let [protocol_account, buyback_account] = keys.recipient_accounts;
    let read = |key| AccountMeta::new_readonly(key, false);
    let write = |key| AccountMeta::new(key, false);
    let mut metas = Vec::with_capacity(27);
    metas.extend([
        write(pool),
        AccountMeta::new(owner, true),
        read(GLOBAL_CONFIG),
        read(base_mint),
        read(quote_mint),
        write(user_base),
        write(user_quote),
        write(base_vault),
        write(quote_vault),
        read(keys.recipients.protocol),
        write(protocol_account),
        read(base_program),
        read(quote_program),
        read(SYSTEM_PROGRAM),
        read(ASSOCIATED_TOKEN_PROGRAM),
        read(EVENT_AUTHORITY),
        read(PROGRAM_ID),
        write(keys.creator_vault),
        read(keys.creator_authority),
    ]);
    let volume = (!forward || keys.cashback).then(|| user_volume(&owner));
    if let (false, Some(volume)) = (forward, volume) {
        metas.extend([read(GLOBAL_VOLUME), write(volume)]);
    }
    metas.extend([read(FEE_CONFIG), read(FEE_PROGRAM_ID)]);
    if let (true, Some(volume)) = (keys.cashback, volume) {
        metas.push(write(associated_token(&volume, &quote_mint, &quote_program)));
        if forward {
            metas.push(write(volume));
        }
    }
    metas.extend(keys.pool_v2.map(read));
    metas.extend([read(keys.recipients.buyback), write(buyback_account)]);
    metas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn an_authority_is_known_without_being_found(mint: [u8; 32], other: [u8; 32]) {
            let [mint, other] = [mint, other].map(Address::new_from_array);
            let authority = pool_authority(&mint);
            prop_assert!(is_pool_authority(&authority, &mint));
            for stranger in [other, pool_authority(&other), canonical_pool([mint, other])] {
                prop_assert_eq!(is_pool_authority(&stranger, &mint), stranger == authority);
            }
        }
    }
}
