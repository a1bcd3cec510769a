//! The program itself.

use litesvm::LiteSVM;
use solana_address::Address;
use solana_instruction::error::InstructionError;
use solana_program_runtime::invoke_context::InvokeContext;
use solana_program_runtime::solana_sbpf::program::BuiltinFunctionDefinition;
use solana_program_runtime::stable_log;
use solana_system_interface::instruction as system;

use super::{
    ACCOUNT_LEN, CREATE, Data, NAME_MAX, PROGRAM_ID, SYMBOL_MAX, URI_MAX, metadata_address,
};
use crate::anchor::{Given, New, custom};
use crate::cpmm::token::{is_token_program, mint_decimals};

/// Compute units of one call besides those of the transfer and of making the account.
pub const COMPUTE_UNITS: u64 = 25_000;

/// What of rent the fee is counted by, in bytes, and what is added: ten million lamports together.
const FEE_SPACE: usize = 1_308;
const FEE_MORE: u64 = 5_440;

/// First byte of an account.
const KEY: u8 = 4;
/// A token that can be divided, and one that cannot.
const FUNGIBLE: u8 = 2;
const FUNGIBLE_ASSET: u8 = 1;

// The program's error numbers.
const UNPACK: u32 = 0;
const INVALID_KEY: u32 = 5;
const NOT_MINT_AUTHORITY: u32 = 9;
const INVALID_MINT_AUTHORITY: u32 = 10;
const NAME_TOO_LONG: u32 = 11;
const SYMBOL_TOO_LONG: u32 = 12;
const URI_TOO_LONG: u32 = 13;

// Positions in the instruction's account list.
const METADATA: u16 = 0;
const MINT: u16 = 1;
const MINT_AUTHORITY: u16 = 2;
const PAYER: u16 = 3;
const UPDATE_AUTHORITY: u16 = 4;
const ACCOUNTS: u16 = 6;

mod entrypoint {
    #![allow(missing_docs, reason = "the macro's type takes no doc comment")]
    #![allow(unreachable_pub, reason = "the macro makes its type public")]

    solana_program_runtime::declare_process_instruction!(
        Entrypoint,
        super::COMPUTE_UNITS,
        |invoke_context| { super::process(invoke_context) }
    );
}

/// Mounts the program in `svm`.
pub fn mount(svm: &mut LiteSVM) {
    svm.add_builtin(PROGRAM_ID, entrypoint::Entrypoint::register);
}

fn process(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    let data = {
        let instruction = context.transaction_context.get_current_instruction_context()?;
        let (first, rest) =
            instruction.get_instruction_data().split_first().ok_or(custom(UNPACK))?;
        if *first != CREATE {
            return Err(custom(UNPACK));
        }
        decode(rest).ok_or(custom(UNPACK))?
    };
    let log = context.get_log_collector();
    stable_log::program_log(&log, "IX: Create Metadata Accounts v3");
    let given = Given(context);
    if given.len()? < ACCOUNTS {
        return Err(InstructionError::MissingAccount);
    }
    let (payer, mint, metadata) = (given.key(PAYER)?, given.key(MINT)?, given.key(METADATA)?);
    levy(context, &payer, &metadata)?;
    let decimals = check(&Given(context))?;
    let (expected, bump) = metadata_address(&mint);
    if metadata != expected {
        return Err(custom(INVALID_KEY));
    }
    let seeds: [&[u8]; 4] = [b"metadata", PROGRAM_ID.as_ref(), mint.as_ref(), &[bump]];
    let held = Given(context).lamports(METADATA)?;
    New { payer, address: metadata, space: ACCOUNT_LEN, owner: PROGRAM_ID, seeds: &seeds }
        .init(context, held)?;
    for (text, most, number) in [
        (&data.name, NAME_MAX, NAME_TOO_LONG),
        (&data.symbol, SYMBOL_MAX, SYMBOL_TOO_LONG),
        (&data.uri, URI_MAX, URI_TOO_LONG),
    ] {
        if text.len() > most {
            return Err(custom(number));
        }
    }
    let authority = Given(context).key(UPDATE_AUTHORITY)?;
    let bytes = account(&data, &authority, &mint, decimals);
    let instruction = context.transaction_context.get_current_instruction_context()?;
    let mut account = instruction.try_borrow_instruction_account(METADATA)?;
    let space = account.get_data_mut()?;
    let invalid = InstructionError::InvalidAccountData;
    space.get_mut(..bytes.len()).ok_or(invalid.clone())?.copy_from_slice(&bytes);
    // The last byte says that a fee lies here.
    *space.last_mut().ok_or(invalid)? = 1;
    Ok(())
}

/// Brings rent and the program's fee to the account that will be.
fn levy(
    context: &mut InvokeContext<'_, '_>,
    payer: &Address,
    metadata: &Address,
) -> Result<(), InstructionError> {
    let rent = context.environment_config.sysvar_cache().get_rent()?;
    let fee = rent
        .minimum_balance(FEE_SPACE)
        .saturating_add(FEE_MORE)
        .saturating_add(rent.minimum_balance(ACCOUNT_LEN));
    context.native_invoke_signed(system::transfer(payer, metadata, fee), &[])
}

/// Whether the mint's authority consents; tells the mint's decimals.
fn check(given: &Given<'_, '_, '_>) -> Result<u8, InstructionError> {
    let read = |owner: &Address, data: &[u8]| {
        let authority = data.get(4..36).filter(|_| data.first() == Some(&1));
        let authority = authority.and_then(|bytes| Address::try_from(bytes).ok());
        is_token_program(owner).then(|| (mint_decimals(data), authority))
    };
    let (decimals, authority) = given.any(MINT, read)?.ok_or(InstructionError::IllegalOwner)?;
    if authority != Some(given.key(MINT_AUTHORITY)?) {
        return Err(custom(INVALID_MINT_AUTHORITY));
    }
    given.check_signer(MINT_AUTHORITY).map_err(|_| custom(NOT_MINT_AUTHORITY))?;
    decimals.ok_or(InstructionError::InvalidAccountData)
}

/// Reads what follows the first byte; none if it is cut short, or has more than is known here.
fn decode(mut rest: &[u8]) -> Option<Data> {
    let mut text = || {
        let (length, tail) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, tail) = tail.split_at_checked(length)?;
        rest = tail;
        String::from_utf8(text.to_vec()).ok()
    };
    let (name, symbol, uri) = (text()?, text()?, text()?);
    match rest {
        // A royalty, and neither creators, nor a collection, nor uses, nor a size.
        [_, _, 0, 0, 0, mutable @ (0 | 1), 0] => {
            Some(Data { name, symbol, uri, mutable: *mutable == 1 })
        }
        _ => None,
    }
}

/// The account's bytes up to where only zeros follow.
fn account(data: &Data, authority: &Address, mint: &Address, decimals: u8) -> Vec<u8> {
    let mut bytes = vec![KEY];
    bytes.extend(authority.as_array());
    bytes.extend(mint.as_array());
    // Texts are padded to their greatest length, which is the length told.
    for (text, most) in [(&data.name, NAME_MAX), (&data.symbol, SYMBOL_MAX), (&data.uri, URI_MAX)] {
        bytes.extend(u32::try_from(most).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(text.bytes().chain(std::iter::repeat(0)).take(most));
    }
    // No royalty and no creators, never sold.
    bytes.extend([0, 0, 0, 0]);
    bytes.push(u8::from(data.mutable));
    let edition: [&[u8]; 4] = [b"metadata", PROGRAM_ID.as_ref(), mint.as_ref(), b"edition"];
    let (_, bump) = Address::find_program_address(&edition, &PROGRAM_ID);
    bytes.extend([1, bump]);
    bytes.extend([1, if decimals == 0 { FUNGIBLE_ASSET } else { FUNGIBLE }]);
    bytes
}
