//! The state account of Raydium AMM v4, and its constant product. The program itself is not on this chain.

use solana_address::{Address, address};

/// The program's address.
pub(crate) const PROGRAM_ID: Address = address!("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8");
/// Owns every vault.
pub(crate) const AUTHORITY: Address = address!("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1");
/// The order book's program.
const MARKET_PROGRAM: Address = address!("srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX");

/// Bytes of a pool account; it has no discriminator.
pub(crate) const POOL_LEN: usize = 752;

/// Bump of the authority, which each pool repeats.
const NONCE: u64 = 254;
/// Swaps and liquidity, no orders.
const SWAP_ONLY: u64 = 6;
/// Fee of a swap, as the program sets it for every pool.
const FEE: [u64; 2] = [25, 10_000];

/// A pool that has just opened.
pub(crate) struct Opening {
    pub(crate) decimals: [u8; 2],
    pub(crate) vaults: [Address; 2],
    pub(crate) mints: [Address; 2],
    /// Liquidity mint, open orders, market, target orders, and the liquidity vault.
    pub(crate) others: [Address; 5],
    pub(crate) owner: Address,
    pub(crate) open_time: u64,
    pub(crate) lp_supply: u64,
}

impl Opening {
    /// The account's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let [first, second] = self.decimals.map(u64::from);
        let mut bytes = Vec::with_capacity(POOL_LEN);
        let words = [
            SWAP_ONLY,
            NONCE,
            7,
            3,
            first,
            second,
            1,
            0, // status to reset flag
            1,
            0,
            5_000_000,
            1,
            1,
            1,
            1_000_000_000,
            1_000_000_000, // sizes and prices of orders
            5,
            10_000,
            25,
            10_000,
            12,
            100,
            FEE[0],
            FEE[1], // separation, trade fee, profit, swap fee
            0,
            0,
            0,
            0,
            self.open_time,
            0,
            0,
            0, // owed, profits, opening, counters
        ];
        for word in words {
            bytes.extend(word.to_le_bytes());
        }
        // What swaps moved and paid.
        bytes.resize(336, 0);
        let [lp_mint, open_orders, market, target_orders, lp_vault] = &self.others;
        let keys = self.vaults.iter().chain(&self.mints).chain([
            lp_mint,
            open_orders,
            market,
            &MARKET_PROGRAM,
            target_orders,
            &AUTHORITY,
            lp_vault,
            &self.owner,
        ]);
        for key in keys {
            bytes.extend(key.as_array());
        }
        bytes.extend(self.lp_supply.to_le_bytes());
        bytes.resize(POOL_LEN, 0);
        bytes
    }
}

/// What comes out for `paid`: of what goes in the fee, rounded up, is left out; what comes out rounds down.
pub(crate) fn swap(state: &[u8], [coin, pc]: [u64; 2], forward: bool, paid: u64) -> Option<u64> {
    let word = |at: usize| -> Option<u64> {
        Some(u64::from_le_bytes(*state.get(at..)?.first_chunk::<8>()?))
    };
    let reserves = [coin.checked_sub(word(192)?)?, pc.checked_sub(word(200)?)?];
    let [input, output] = if forward { reserves } else { [reserves[1], reserves[0]] };
    let fee = (u128::from(paid) * u128::from(word(176)?)).div_ceil(u128::from(word(184)?.max(1)));
    let counted = u128::from(paid).checked_sub(fee)?;
    let out = (u128::from(output) * counted).checked_div(u128::from(input) + counted)?;
    u64::try_from(out).ok().filter(|out| *out > 0 && *out < output)
}
