//! Which mints the exchange takes into its pools, and how its administrator admits another.
//!
//! raydium-io/raydium-cp-swap `59cfb316` (`utils/token.rs`) and `bc85208f`
//! (`instructions/admin/create_support_mint_associated.rs`). The real administrator's key is not ours: here it is one
//! that everybody can derive, of a chain on which money is free anyway.

use std::sync::LazyLock;

use solana_address::{Address, address};
use solana_instruction::error::InstructionError;
use solana_keypair::Keypair;
use solana_program_runtime::invoke_context::InvokeContext;
use solana_sdk_ids::system_program;
use solana_signer::Signer;
use spl_token_2022_interface::extension::account_len::try_calculate_account_len_from_mint_data;
use spl_token_2022_interface::extension::{
    BaseStateWithExtensions, ExtensionType, StateWithExtensions,
};
use spl_token_2022_interface::state::Mint;

use super::math::code;
use super::token::mint_decimals;
use super::{PROGRAM_ID, support_address};
use crate::anchor::{CONSTRAINT_SEEDS, Given, INVALID_PROGRAM_ID, NOT_INITIALIZED, New, custom};

/// First eight bytes of an admission.
const DISCRIMINATOR: [u8; 8] = [0x86, 0x28, 0xb7, 0x4f, 0x0c, 0x70, 0xa2, 0x35];
/// Bytes of one: what it is, its bump, the mint, and room for what may come.
const LEN: usize = 105;

/// Mints under Token-2022 that may have any extension.
const LISTED: [Address; 4] = [
    address!("HVbpJAQGNpkgBaYBZQBR1t7yFdvaYVp2vCQQfKKEN4tM"),
    address!("Crn4x1Y2HUKko7ox2EZMT6N2t2ZyH7eKtwkBGVnhEq1g"),
    address!("FrBfWJ4qE5sCzKm3k3JaAtqZcXUh4LvJygDeketsrsH4"),
    address!("2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo"),
];

/// Extensions that any mint may have.
const HARMLESS: [ExtensionType; 5] = [
    ExtensionType::TransferFeeConfig,
    ExtensionType::MetadataPointer,
    ExtensionType::TokenMetadata,
    ExtensionType::InterestBearingConfig,
    ExtensionType::ScaledUiAmount,
];

/// What the exchange finds out about a mint before it takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) decimals: u8,
    /// It needs nobody's consent.
    pub(super) open: bool,
    /// Bytes of an account that holds it.
    pub(super) account_len: usize,
}

impl Admission {
    /// Reads a mint; none if the bytes are not one of the program that owns them.
    pub(super) fn read(mint: &Address, owner: &Address, data: &[u8]) -> Option<Self> {
        const PLAIN: usize = 165;
        let decimals = mint_decimals(data)?;
        if *owner == spl_token_interface::ID {
            return Some(Self { decimals, open: true, account_len: PLAIN });
        }
        let state = StateWithExtensions::<Mint>::unpack(data).ok()?;
        let extensions = state.get_extension_types().ok()?;
        let account_len = try_calculate_account_len_from_mint_data(data, &[]).ok()?;
        let open = LISTED.contains(mint) || extensions.iter().all(|one| HARMLESS.contains(one));
        Some(Self { decimals, open, account_len })
    }
}

/// Whether this account says that the exchange admits `mint`.
pub(super) fn admits(mint: &Address, key: &Address, owner: &Address, data: &[u8]) -> bool {
    *owner == PROGRAM_ID
        && *key == support_address(mint).0
        && data.starts_with(&DISCRIMINATOR)
        && data.get(9..41) == Some(mint.as_array().as_slice())
}

/// Who admits mints on a local chain.
#[must_use]
pub fn administrator() -> Keypair {
    Keypair::new_from_array(*blake3::hash(b"sniper-localnet cpmm administrator").as_bytes())
}

static ADMINISTRATOR: LazyLock<Address> = LazyLock::new(|| administrator().pubkey());

/// `create_support_mint_associated`.
pub(super) fn execute(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    const OWNER: u16 = 0;
    const MINT: u16 = 1;
    const SUPPORT: u16 = 2;
    const SYSTEM: u16 = 3;
    const ACCOUNTS: u16 = 4;
    let given = Given(context);
    given.check_count(ACCOUNTS)?;
    given.check_signer(OWNER)?;
    let newer = |owner: &Address| *owner == spl_token_2022_interface::ID;
    given
        .any(MINT, |owner, _| newer(owner))
        .and_then(|newer| if newer { Ok(()) } else { Err(custom(code::NOT_APPROVED)) })?;
    given.owned(MINT, newer, mint_decimals)?.ok_or(custom(NOT_INITIALIZED))?;
    given.check_key(SYSTEM, &system_program::ID, INVALID_PROGRAM_ID)?;
    given.check_writable(OWNER)?;
    given.check_key(OWNER, &ADMINISTRATOR, code::NOT_APPROVED)?;
    given.check_writable(SUPPORT)?;
    let (payer, mint) = (given.key(OWNER)?, given.key(MINT)?);
    let (address, bump) = support_address(&mint);
    given.check_key(SUPPORT, &address, CONSTRAINT_SEEDS)?;
    let held = given.lamports(SUPPORT)?;
    let seeds: [&[u8]; 3] = [b"support_mint", mint.as_ref(), &[bump]];
    New { payer, address, space: LEN, owner: PROGRAM_ID, seeds: &seeds }.init(context, held)?;
    let instruction = context.transaction_context.get_current_instruction_context()?;
    let mut account = instruction.try_borrow_instruction_account(SUPPORT)?;
    let written = [DISCRIMINATOR.as_slice(), &[bump], mint.as_array()].concat();
    let data = account.get_data_mut()?;
    data.get_mut(..written.len())
        .ok_or(InstructionError::InvalidAccountData)?
        .copy_from_slice(&written);
    Ok(())
}
