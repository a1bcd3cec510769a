//! The swap instructions.

use solana_instruction::{AccountMeta, Instruction};

use crate::amm::SwapAccounts;
use crate::amm::dlmm::{EVENT_AUTHORITY, Keys, PROGRAM_ID};
use crate::ids::Address;
use crate::order::LegAmount;

/// Takes the memo that some Token-2022 accounts demand with a transfer.
const MEMO_PROGRAM: Address =
    Address::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

const SWAP: [u8; 8] = [0xf8, 0xc6, 0x9e, 0x91, 0xe1, 0x75, 0x87, 0xc8];
const SWAP2: [u8; 8] = [0x41, 0x4b, 0x3f, 0x4c, 0xeb, 0x5b, 0x5b, 0x88];
const SWAP_EXACT_OUT: [u8; 8] = [0xfa, 0x49, 0x65, 0x21, 0x26, 0xcf, 0x4b, 0xb8];
const SWAP_EXACT_OUT2: [u8; 8] = [0x2b, 0xd7, 0xf7, 0x84, 0x89, 0x3c, 0xf3, 0x51];

/// The swap instruction. All accounts come in the pool's own order; which of its mints goes in, the program sees from
/// the account that gives. `arrays` are the bin arrays it may walk through, nearest first.
///
/// Mints with a transfer hook are refused when their accounts are decoded, so the list of accounts for hooks, with
/// which the data ends, is always empty.
#[must_use]
pub fn swap_instruction(
    pool: Address,
    keys: &Keys,
    mints: [Address; 2],
    amount: LegAmount,
    accounts: SwapAccounts,
    arrays: &[Address],
) -> Instruction {
    let leg = Leg { pool, mints, amount, accounts };
    leg.build(keys, [SWAP2, SWAP_EXACT_OUT2], true, arrays)
}

/// The older form of [`swap_instruction`], for two mints of SPL Token: one account and four bytes less.
#[must_use]
pub fn plain_swap_instruction(
    pool: Address,
    keys: &Keys,
    mints: [Address; 2],
    amount: LegAmount,
    accounts: SwapAccounts,
    arrays: &[Address],
) -> Instruction {
    let leg = Leg { pool, mints, amount, accounts };
    leg.build(keys, [SWAP, SWAP_EXACT_OUT], false, arrays)
}

struct Leg {
    pool: Address,
    mints: [Address; 2],
    amount: LegAmount,
    accounts: SwapAccounts,
}

impl Leg {
    fn build(
        &self,
        keys: &Keys,
        [exact_in, exact_out]: [[u8; 8]; 2],
        newer: bool,
        arrays: &[Address],
    ) -> Instruction {
        let (discriminator, first, second) = match self.amount {
            LegAmount::ExactIn { amount_in, min_out } => (exact_in, amount_in, min_out),
            LegAmount::ExactOut { amount_out, max_in } => (exact_out, max_in, amount_out),
        };
        let mut data = Vec::with_capacity(28);
        data.extend_from_slice(&discriminator);
        data.extend_from_slice(&first.get().to_le_bytes());
        data.extend_from_slice(&second.get().to_le_bytes());
        if newer {
            data.extend_from_slice(&0_u32.to_le_bytes());
        }
        // The program's own address stands for an account that is left out.
        let absent = AccountMeta::new_readonly(PROGRAM_ID, false);
        let extension = keys.bitmap_extension.map(|address| AccountMeta::new(address, false));
        let mut accounts = Vec::with_capacity(arrays.len().saturating_add(16));
        accounts.extend([
            AccountMeta::new(self.pool, false),
            extension.unwrap_or_else(|| absent.clone()),
            AccountMeta::new(keys.vaults[0], false),
            AccountMeta::new(keys.vaults[1], false),
            AccountMeta::new(self.accounts.source, false),
            AccountMeta::new(self.accounts.destination, false),
            AccountMeta::new_readonly(self.mints[0], false),
            AccountMeta::new_readonly(self.mints[1], false),
            AccountMeta::new(keys.oracle, false),
            // Who would share in the protocol's fee.
            absent,
            AccountMeta::new_readonly(self.accounts.owner, true),
            AccountMeta::new_readonly(keys.token_programs[0], false),
            AccountMeta::new_readonly(keys.token_programs[1], false),
        ]);
        if newer {
            accounts.push(AccountMeta::new_readonly(MEMO_PROGRAM, false));
        }
        accounts.push(AccountMeta::new_readonly(EVENT_AUTHORITY, false));
        accounts.push(AccountMeta::new_readonly(PROGRAM_ID, false));
        accounts.extend(arrays.iter().map(|array| AccountMeta::new(*array, false)));
        Instruction { program_id: PROGRAM_ID, accounts, data }
    }
}
