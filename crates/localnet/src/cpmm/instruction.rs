//! Instructions of the exchange: what callers send and what the program reads.

use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

use super::PROGRAM_ID;

const BASE_INPUT: [u8; 8] = [0x8f, 0xbe, 0x5a, 0xda, 0xc4, 0x1e, 0x33, 0xde];
const BASE_OUTPUT: [u8; 8] = [0x37, 0xd9, 0x62, 0x56, 0xa3, 0x4a, 0xb4, 0xad];

/// A swap as its instruction data says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapArgs {
    /// Pay exactly `amount_in`, receive at least `minimum_amount_out`.
    BaseInput {
        /// Atoms paid.
        amount_in: u64,
        /// Fewest atoms accepted.
        minimum_amount_out: u64,
    },
    /// Pay at most `max_amount_in`, receive exactly `amount_out`.
    BaseOutput {
        /// Most atoms paid.
        max_amount_in: u64,
        /// Atoms received.
        amount_out: u64,
    },
}

/// Instruction data that is not a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The first eight bytes name no instruction known here.
    UnknownInstruction,
    /// The arguments are cut short.
    BadArguments,
}

impl SwapArgs {
    /// Reads instruction data.
    ///
    /// # Errors
    /// [`DecodeError`] tells an unknown instruction from damaged arguments.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let (tag, rest) = data.split_first_chunk::<8>().ok_or(DecodeError::UnknownInstruction)?;
        let numbers = || {
            let (first, rest) = rest.split_first_chunk::<8>()?;
            let (second, _) = rest.split_first_chunk::<8>()?;
            Some((u64::from_le_bytes(*first), u64::from_le_bytes(*second)))
        };
        match *tag {
            BASE_INPUT => numbers().map(|(amount_in, minimum_amount_out)| Self::BaseInput {
                amount_in,
                minimum_amount_out,
            }),
            BASE_OUTPUT => numbers()
                .map(|(max_amount_in, amount_out)| Self::BaseOutput { max_amount_in, amount_out }),
            _ => return Err(DecodeError::UnknownInstruction),
        }
        .ok_or(DecodeError::BadArguments)
    }

    /// Writes instruction data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, first, second) = match *self {
            Self::BaseInput { amount_in, minimum_amount_out } => {
                (BASE_INPUT, amount_in, minimum_amount_out)
            }
            Self::BaseOutput { max_amount_in, amount_out } => {
                (BASE_OUTPUT, max_amount_in, amount_out)
            }
        };
        [tag, first.to_le_bytes(), second.to_le_bytes()].concat()
    }
}

/// The accounts of a swap, in the program's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapAccounts {
    /// Who signs and owns the user's token accounts.
    pub payer: Address,
    /// Owner of the vaults.
    pub authority: Address,
    /// Fee schedule.
    pub amm_config: Address,
    /// The pool.
    pub pool: Address,
    /// User's account of the token paid.
    pub user_input: Address,
    /// User's account of the token received.
    pub user_output: Address,
    /// Pool's account of the token paid.
    pub input_vault: Address,
    /// Pool's account of the token received.
    pub output_vault: Address,
    /// Program of the token paid.
    pub input_token_program: Address,
    /// Program of the token received.
    pub output_token_program: Address,
    /// Mint of the token paid.
    pub input_mint: Address,
    /// Mint of the token received.
    pub output_mint: Address,
    /// Price observations of the pool.
    pub observation: Address,
}

/// Builds a swap instruction.
#[must_use]
pub fn swap(accounts: &SwapAccounts, args: SwapArgs) -> Instruction {
    let read = |address| AccountMeta::new_readonly(address, false);
    let write = |address| AccountMeta::new(address, false);
    Instruction {
        program_id: PROGRAM_ID,
        accounts: vec![
            AccountMeta::new_readonly(accounts.payer, true),
            read(accounts.authority),
            read(accounts.amm_config),
            write(accounts.pool),
            write(accounts.user_input),
            write(accounts.user_output),
            write(accounts.input_vault),
            write(accounts.output_vault),
            read(accounts.input_token_program),
            read(accounts.output_token_program),
            read(accounts.input_mint),
            read(accounts.output_mint),
            write(accounts.observation),
        ],
        data: args.encode(),
    }
}
