//! Addresses that follow from others, and the instructions that name them.

use serde::{Deserialize, Serialize};
use solana_instruction::{AccountMeta, Instruction};

use crate::amm::SwapAccounts;
use crate::amm::pump_curve::{
    DecodedKeys, EVENT_AUTHORITY, FEE_CONFIG, GLOBAL, GLOBAL_VOLUME, PROGRAM_ID,
};
use crate::amm::pump_fees::{
    ASSOCIATED_TOKEN_PROGRAM, FEE_PROGRAM_ID, Recipients, SYSTEM_PROGRAM, Schedule,
    associated_token,
};
use crate::ids::Address;
use crate::order::LegAmount;

/// First bytes of a purchase that fixes its output.
const BUY_V2: [u8; 8] = [0xb8, 0x17, 0xee, 0x61, 0x67, 0xc5, 0xd3, 0x3d];
/// First bytes of a purchase that fixes its input.
const BUY_EXACT_QUOTE_IN_V2: [u8; 8] = [0xc2, 0xab, 0x1c, 0x46, 0x68, 0x4d, 0x5b, 0x2f];
/// First bytes of a sale, which always fixes its input.
const SELL_V2: [u8; 8] = [0x5d, 0xf6, 0x82, 0x3c, 0xe7, 0xe9, 0x40, 0xb2];
/// The same of the older instructions, for curves quoted in SOL.
const BUY: [u8; 8] = [0x66, 0x06, 0x3d, 0x12, 0x01, 0xda, 0xeb, 0xea];
const BUY_EXACT_SOL_IN: [u8; 8] = [0x38, 0xfc, 0x74, 0x08, 0x9e, 0xdf, 0xcd, 0x5f];
const SELL: [u8; 8] = [0x33, 0xe6, 0x85, 0xa4, 0x01, 0x7f, 0x83, 0xad];
/// Ends an older purchase: count it in the trader's volume.
const TRACK_VOLUME: u8 = 1;

/// What a swap instruction needs to know of a curve, besides its address and mints. Derived once: finding an address
/// takes longer than anything else on the way to a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its token accounts, the coin's first.
    pub vaults: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
    /// Which fee schedule it pays.
    pub schedule: Schedule,
    /// Who takes the protocol's fees.
    pub recipients: Recipients,
    /// Their token accounts for the quote mint: protocol, buyback.
    pub recipient_accounts: [Address; 2],
    /// Takes the creator's fee in SOL.
    pub creator_vault: Address,
    /// Takes the creator's fee in another quote mint.
    pub creator_account: Address,
    /// How the creator's fee is shared, if it is.
    pub sharing_config: Address,
    /// The account beside the curve that the older instructions name.
    pub curve_v2: Address,
    /// The creator's fee goes back to the trader.
    pub cashback: bool,
}

impl Keys {
    /// Derives what follows from a curve's account, the coin's mint, the mints' programs and the recipients to use.
    #[must_use]
    pub fn new(
        curve: &DecodedKeys,
        mint: &Address,
        token_programs: [Address; 2],
        recipients: Recipients,
    ) -> Self {
        let [program, quote_program] = token_programs;
        let quote = curve.quote();
        let account = |owner: &Address| associated_token(owner, &quote, &quote_program);
        let address = bonding_curve(mint);
        let creator_vault = creator_vault(&curve.creator);
        Self {
            vaults: [associated_token(&address, mint, &program), account(&address)],
            token_programs,
            schedule: Schedule::of_coin(&curve.quote_mint),
            recipients,
            recipient_accounts: [account(&recipients.protocol), account(&recipients.buyback)],
            creator_vault,
            creator_account: account(&creator_vault),
            sharing_config: sharing_config(mint),
            curve_v2: bonding_curve_v2(mint),
            cashback: curve.cashback,
        }
    }
}

fn find(seeds: &[&[u8]]) -> Address {
    Address::find_program_address(seeds, &PROGRAM_ID).0
}

/// The curve of a coin.
#[must_use]
pub fn bonding_curve(mint: &Address) -> Address {
    find(&[b"bonding-curve", mint.as_ref()])
}

/// The account beside a coin's curve.
#[must_use]
pub fn bonding_curve_v2(mint: &Address) -> Address {
    find(&[b"bonding-curve-v2", mint.as_ref()])
}

/// Takes a creator's fees in SOL, and owns the accounts that take the others.
#[must_use]
pub fn creator_vault(creator: &Address) -> Address {
    find(&[b"creator-vault", creator.as_ref()])
}

/// Counts a trader's volume and holds their cashback.
#[must_use]
pub fn user_volume(user: &Address) -> Address {
    find(&[b"user_volume_accumulator", user.as_ref()])
}

/// How a coin's creator fees are shared, if they are.
#[must_use]
pub fn sharing_config(mint: &Address) -> Address {
    let seeds: [&[u8]; 2] = [b"sharing-config", mint.as_ref()];
    Address::find_program_address(&seeds, &FEE_PROGRAM_ID).0
}

/// Which instruction fits, of purchase by input, purchase by output and sale, with its two amounts.
fn data_of(kinds: [[u8; 8]; 3], forward: bool, amount: LegAmount) -> Option<Vec<u8>> {
    let [buy_for, buy, sell] = kinds;
    let (discriminator, first, second) = match amount {
        LegAmount::ExactIn { amount_in, min_out } if forward => (sell, amount_in, min_out),
        LegAmount::ExactIn { amount_in, min_out } => (buy_for, amount_in, min_out),
        LegAmount::ExactOut { amount_out, max_in } if !forward => (buy, amount_out, max_in),
        LegAmount::ExactOut { .. } => return None,
    };
    let mut data = Vec::with_capacity(25);
    data.extend_from_slice(&discriminator);
    data.extend_from_slice(&first.get().to_le_bytes());
    data.extend_from_slice(&second.get().to_le_bytes());
    Some(data)
}

const fn read(key: Address) -> AccountMeta {
    AccountMeta { pubkey: key, is_signer: false, is_writable: false }
}

const fn write(key: Address) -> AccountMeta {
    AccountMeta { pubkey: key, is_signer: false, is_writable: true }
}

/// The swap instruction, whatever the curve is quoted in; `forward` gives tokens for quote. `None` for a sale by its
/// output, which the program does not have.
///
/// On a curve quoted in SOL the trader's account for wrapped SOL is named, but lamports of the owner move. It derives
/// two accounts of the trader at the program.
#[must_use]
pub fn swap_instruction(
    curve: Address,
    keys: &Keys,
    mints: [Address; 2],
    forward: bool,
    amount: LegAmount,
    accounts: SwapAccounts,
) -> Option<Instruction> {
    let data = data_of([BUY_EXACT_QUOTE_IN_V2, BUY_V2, SELL_V2], forward, amount)?;
    let SwapAccounts { owner, source, destination } = accounts;
    let (user_token, user_quote) =
        if forward { (source, destination) } else { (destination, source) };
    let [mint, quote_mint] = mints;
    let [program, quote_program] = keys.token_programs;
    let [token_vault, quote_vault] = keys.vaults;
    let [protocol_account, buyback_account] = keys.recipient_accounts;
    let volume = user_volume(&owner);
    let mut metas = Vec::with_capacity(27);
    metas.extend([
        read(GLOBAL),
        read(mint),
        read(quote_mint),
        read(program),
        read(quote_program),
        read(ASSOCIATED_TOKEN_PROGRAM),
        write(keys.recipients.protocol),
        write(protocol_account),
        write(keys.recipients.buyback),
        write(buyback_account),
        write(curve),
        write(token_vault),
        write(quote_vault),
        AccountMeta::new(owner, true),
        write(user_token),
        write(user_quote),
        write(keys.creator_vault),
        write(keys.creator_account),
        read(keys.sharing_config),
    ]);
    if !forward {
        metas.push(read(GLOBAL_VOLUME));
    }
    metas.extend([
        write(volume),
        write(associated_token(&volume, &quote_mint, &quote_program)),
        read(FEE_CONFIG),
        read(FEE_PROGRAM_ID),
        read(SYSTEM_PROGRAM),
        read(EVENT_AUTHORITY),
        read(PROGRAM_ID),
    ]);
    Some(Instruction { program_id: PROGRAM_ID, accounts: metas, data })
}

/// The older, shorter swap instruction for curves quoted in SOL, which moves lamports of the owner; otherwise as
/// [`swap_instruction`], of whose accounts it takes the one for the coin.
#[must_use]
pub fn legacy_swap_instruction(
    curve: Address,
    keys: &Keys,
    mint: Address,
    forward: bool,
    amount: LegAmount,
    accounts: SwapAccounts,
) -> Option<Instruction> {
    let mut data = data_of([BUY_EXACT_SOL_IN, BUY, SELL], forward, amount)?;
    let SwapAccounts { owner, source, destination } = accounts;
    let [program, _] = keys.token_programs;
    let [token_vault, _] = keys.vaults;
    let (vault, program) = (write(keys.creator_vault), read(program));
    let turned = if forward { [vault, program] } else { [program, vault] };
    let volume = (!forward || keys.cashback).then(|| write(user_volume(&owner)));
    let mut metas = Vec::with_capacity(18);
    metas.extend([
        read(GLOBAL),
        write(keys.recipients.protocol),
        read(mint),
        write(curve),
        write(token_vault),
        write(if forward { source } else { destination }),
        AccountMeta::new(owner, true),
        read(SYSTEM_PROGRAM),
    ]);
    metas.extend(turned);
    metas.extend([read(EVENT_AUTHORITY), read(PROGRAM_ID)]);
    if !forward {
        data.push(TRACK_VOLUME);
        metas.push(read(GLOBAL_VOLUME));
        metas.extend(volume.clone());
    }
    metas.extend([read(FEE_CONFIG), read(FEE_PROGRAM_ID)]);
    if forward {
        metas.extend(volume);
    }
    metas.extend([read(keys.curve_v2), write(keys.recipients.buyback)]);
    Some(Instruction { program_id: PROGRAM_ID, accounts: metas, data })
}
