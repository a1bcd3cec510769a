//! Instructions of the chain's own programs.

use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Lamports};
use solana_instruction::{AccountMeta, Instruction};

/// Native transfers and account creation.
pub const SYSTEM_PROGRAM: Address = Address::new_from_array([0; 32]);
/// Limits and prices of compute units.
pub const COMPUTE_BUDGET: Address =
    Address::from_str_const("ComputeBudget111111111111111111111111111111");
/// SPL Token.
pub const TOKEN_PROGRAM: Address =
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// Token-2022.
pub const TOKEN_2022_PROGRAM: Address =
    Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb");
/// Associated token accounts.
pub const ATA_PROGRAM: Address =
    Address::from_str_const("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
/// The mint of wrapped SOL.
pub const WRAPPED_SOL: Address =
    Address::from_str_const("So11111111111111111111111111111111111111112");

fn instruction(program_id: Address, accounts: Vec<AccountMeta>, data: Vec<u8>) -> Instruction {
    Instruction { program_id, accounts, data }
}

fn tagged<const N: usize>(tag: &[u8], value: [u8; N]) -> Vec<u8> {
    [tag, &value].concat()
}

/// At most this many compute units.
#[must_use]
pub fn compute_unit_limit(units: u32) -> Instruction {
    instruction(COMPUTE_BUDGET, vec![], tagged(&[2], units.to_le_bytes()))
}

/// Millionths of a lamport per compute unit.
#[must_use]
pub fn compute_unit_price(micro_lamports: u64) -> Instruction {
    instruction(COMPUTE_BUDGET, vec![], tagged(&[3], micro_lamports.to_le_bytes()))
}

/// Moves lamports.
#[must_use]
pub fn transfer(from: Address, to: Address, lamports: Lamports) -> Instruction {
    let accounts = vec![AccountMeta::new(from, true), AccountMeta::new(to, false)];
    instruction(SYSTEM_PROGRAM, accounts, tagged(&[2, 0, 0, 0], lamports.get().to_le_bytes()))
}

/// Where `owner` holds `mint`. Costs some ten microseconds: derive once.
#[must_use]
pub fn associated_token_address(
    owner: &Address,
    mint: &Address,
    token_program: &Address,
) -> Address {
    let seeds: [&[u8]; 3] = [owner.as_array(), token_program.as_array(), mint.as_array()];
    Address::find_program_address(&seeds, &ATA_PROGRAM).0
}

/// Makes `owner`'s token account of `mint` unless it is there.
#[must_use]
pub fn create_associated_token_account(
    payer: Address,
    owner: Address,
    mint: Address,
    token_program: Address,
) -> Instruction {
    let account = associated_token_address(&owner, &mint, &token_program);
    create_token_account(payer, account, owner, mint, token_program)
}

/// The same where the address is known, which spares its search.
#[must_use]
pub(crate) fn create_token_account(
    payer: Address,
    account: Address,
    owner: Address,
    mint: Address,
    token_program: Address,
) -> Instruction {
    let accounts = vec![
        AccountMeta::new(payer, true),
        AccountMeta::new(account, false),
        AccountMeta::new_readonly(owner, false),
        AccountMeta::new_readonly(mint, false),
        AccountMeta::new_readonly(SYSTEM_PROGRAM, false),
        AccountMeta::new_readonly(token_program, false),
    ];
    instruction(ATA_PROGRAM, accounts, vec![1])
}

/// Makes a wrapped-SOL account's amount follow its lamports.
#[must_use]
pub fn sync_native(account: Address) -> Instruction {
    instruction(TOKEN_PROGRAM, vec![AccountMeta::new(account, false)], vec![17])
}

/// Closes an empty (or wrapped-SOL) token account; its lamports go to `destination`.
#[must_use]
pub fn close_account(
    account: Address,
    destination: Address,
    owner: Address,
    token_program: Address,
) -> Instruction {
    let accounts = vec![
        AccountMeta::new(account, false),
        AccountMeta::new(destination, false),
        AccountMeta::new_readonly(owner, true),
    ];
    instruction(token_program, accounts, vec![9])
}

/// Moves tokens, naming mint and decimals so that a mix-up fails.
#[must_use]
pub fn transfer_checked(
    token_program: Address,
    mint: (Address, u8),
    source: Address,
    destination: Address,
    owner: Address,
    amount: Atoms,
) -> Instruction {
    let (mint, decimals) = mint;
    let accounts = vec![
        AccountMeta::new(source, false),
        AccountMeta::new_readonly(mint, false),
        AccountMeta::new(destination, false),
        AccountMeta::new_readonly(owner, true),
    ];
    let mut data = tagged(&[12], amount.get().to_le_bytes());
    data.push(decimals);
    instruction(token_program, accounts, data)
}
