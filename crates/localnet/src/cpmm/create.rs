//! The instructions that make a pool, as callers send them and the program reads them.

use solana_address::{Address, address};
use solana_instruction::{AccountMeta, Instruction};
use solana_sdk_ids::{system_program, sysvar};

use super::{PROGRAM_ID, PoolAddresses, authority, support_address};

/// First bytes of `initialize`.
pub const INITIALIZE: [u8; 8] = [0xaf, 0xaf, 0x6d, 0x1f, 0x0d, 0x98, 0x9b, 0xed];
/// First bytes of `create_support_mint_associated`.
pub const SUPPORT_MINT: [u8; 8] = [0x11, 0xfb, 0x41, 0x5c, 0x88, 0xf2, 0x0e, 0xa9];

/// The wrapped-SOL account that is paid for a new pool.
pub const FEE_RECEIVER: Address = address!("DNXgeM9EiiaAbaWvwjHj9fQQLAX5ZsfHyvmYUNRAdNC8");

/// What a new pool starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitializeArgs {
    /// Atoms of token 0 that the creator brings.
    pub amount_0: u64,
    /// Atoms of token 1 that the creator brings.
    pub amount_1: u64,
    /// Unix second from which swaps are allowed; what has passed becomes the next second.
    pub open_time: u64,
}

impl InitializeArgs {
    /// Reads what follows the first eight bytes; none if it is cut short.
    #[must_use]
    pub fn decode(rest: &[u8]) -> Option<Self> {
        let (amount_0, rest) = rest.split_first_chunk()?;
        let (amount_1, rest) = rest.split_first_chunk()?;
        let (open_time, _) = rest.split_first_chunk()?;
        let [amount_0, amount_1, open_time] =
            [amount_0, amount_1, open_time].map(|bytes| u64::from_le_bytes(*bytes));
        Some(Self { amount_0, amount_1, open_time })
    }
}

/// Who makes a pool of what; everything else follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// Pays, signs and brings both tokens.
    pub creator: Address,
    /// Fee schedule.
    pub amm_config: Address,
    /// The two mints, the lower first.
    pub mints: [Address; 2],
    /// Their token programs.
    pub programs: [Address; 2],
    /// The creator's accounts of the two.
    pub holdings: [Address; 2],
}

impl Creation {
    /// The addresses of the pool that it makes.
    #[must_use]
    pub fn addresses(&self) -> PoolAddresses {
        let [mint_0, mint_1] = &self.mints;
        PoolAddresses::derive(&self.amm_config, [mint_0, mint_1])
    }

    /// The creator's account of liquidity tokens.
    #[must_use]
    pub fn creator_lp(&self) -> Address {
        spl_associated_token_account_interface::address::get_associated_token_address_with_program_id(
            &self.creator,
            &self.addresses().lp_mint,
            &spl_token_interface::ID,
        )
    }

    /// Builds `initialize`. `supported` are mints whose admission by the exchange is to be looked up.
    #[must_use]
    pub fn instruction(&self, args: InitializeArgs, supported: &[Address]) -> Instruction {
        let read = |address| AccountMeta::new_readonly(address, false);
        let write = |address| AccountMeta::new(address, false);
        let pool = self.addresses();
        let mut accounts = vec![
            AccountMeta::new(self.creator, true),
            read(self.amm_config),
            read(authority().0),
            write(pool.pool),
            read(self.mints[0]),
            read(self.mints[1]),
            write(pool.lp_mint),
            write(self.holdings[0]),
            write(self.holdings[1]),
            write(self.creator_lp()),
            write(pool.vault_0),
            write(pool.vault_1),
            write(FEE_RECEIVER),
            write(pool.observation),
            read(spl_token_interface::ID),
            read(self.programs[0]),
            read(self.programs[1]),
            read(spl_associated_token_account_interface::program::ID),
            read(system_program::ID),
            read(sysvar::rent::ID),
        ];
        accounts.extend(supported.iter().map(|mint| read(support_address(mint).0)));
        let numbers = [args.amount_0, args.amount_1, args.open_time].map(u64::to_le_bytes);
        let data = [INITIALIZE.as_slice(), numbers.as_flattened()].concat();
        Instruction { program_id: PROGRAM_ID, accounts, data }
    }
}

/// Builds the instruction by which the exchange's administrator admits a mint that it would refuse.
#[must_use]
pub fn support_mint(administrator: Address, mint: Address) -> Instruction {
    Instruction {
        program_id: PROGRAM_ID,
        accounts: vec![
            AccountMeta::new(administrator, true),
            AccountMeta::new_readonly(mint, false),
            AccountMeta::new(support_address(&mint).0, false),
            AccountMeta::new_readonly(system_program::ID, false),
        ],
        data: SUPPORT_MINT.to_vec(),
    }
}
