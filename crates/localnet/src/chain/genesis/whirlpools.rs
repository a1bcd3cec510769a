//! The pools of the concentrated exchange: their plans and their first accounts.

use serde::Serialize;
use solana_address::Address;

use super::writer::Writer;
use super::{Genesis, JUP, PYUSD, SOL, Token, USDC, to_atoms};
use crate::error::LocalnetError;
use crate::whirlpool::math::{Amount, amount_a, amount_b};
use crate::whirlpool::state::{REWARDS, Reward, Whirlpool};
use crate::whirlpool::tick_array::{TICKS_I32, Tick, TickArray, start_of};
use crate::whirlpool::tick_math::{MAX_TICK, MIN_TICK, sqrt_price_at, tick_at};
use crate::whirlpool::{CONFIG, PROGRAM_ID, oracle_address, pool_address, tick_array_address};

/// A pool of the concentrated exchange.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhirlpoolInfo {
    /// The pool account.
    pub address: String,
    /// Program that owns it.
    pub program: String,
    /// Mint of token A.
    pub mint_a: String,
    /// Mint of token B.
    pub mint_b: String,
    /// Token account of token A.
    pub vault_a: String,
    /// Token account of token B.
    pub vault_b: String,
    /// Address of its oracle, which does not exist: its fee does not adapt.
    pub oracle: String,
    /// Ticks between two that liquidity can start or end at.
    pub tick_spacing: u16,
    /// Pool fee, parts of a million.
    pub trade_fee_rate: u16,
    /// First ticks of its tick array accounts, in order.
    pub tick_arrays: Vec<i32>,
}

/// A pool as the agents know it.
#[derive(Debug, Clone)]
pub(crate) struct Concentrated {
    pub(crate) address: Address,
    /// Token A and token B.
    pub(crate) tokens: [Token; 2],
    pub(crate) vaults: [Address; 2],
    pub(crate) tick_spacing: u16,
    pub(crate) fee_rate: u16,
    starts: Vec<i32>,
}

/// Two tokens, a fee tier, and positions around the first price.
struct Plan {
    tokens: [Address; 2],
    tick_spacing: u16,
    fee_rate: u16,
    /// How many ticks each position reaches to either side, and its dollars on each side.
    positions: &'static [(i32, f64)],
}

/// Reach of a position over the whole range of prices.
const FULL: i32 = MAX_TICK;

/// How many pools there are.
pub(super) const COUNT: usize = 3;

/// Pairs that the constant-product exchange has too, so that the two can part.
const PLANS: [Plan; COUNT] = [
    Plan {
        tokens: [SOL, USDC],
        tick_spacing: 4,
        fee_rate: 400,
        positions: &[
            (160, 600.0),
            (400, 3_000.0),
            (880, 10_000.0),
            (1_760, 25_000.0),
            (3_600, 50_000.0),
            (FULL, 300_000.0),
        ],
    },
    Plan {
        tokens: [JUP, USDC],
        tick_spacing: 64,
        fee_rate: 3_000,
        positions: &[
            (640, 3_000.0),
            (2_560, 15_000.0),
            (8_000, 30_000.0),
            (16_000, 40_000.0),
            (FULL, 100_000.0),
        ],
    },
    Plan {
        tokens: [PYUSD, USDC],
        tick_spacing: 1,
        fee_rate: 100,
        positions: &[
            (30, 500.0),
            (100, 2_000.0),
            (300, 6_000.0),
            (600, 10_000.0),
            (FULL, 300_000.0),
        ],
    },
];

/// Protocol's part of the pool fee, parts of ten thousand.
const PROTOCOL_FEE_RATE: u16 = 1_300;

impl Genesis {
    /// The pools of the concentrated exchange, as told to clients.
    pub(crate) fn whirlpool_infos(&self) -> Vec<WhirlpoolInfo> {
        self.whirlpools
            .iter()
            .map(|pool| {
                let [a, b] = &pool.tokens;
                let [vault_a, vault_b] = &pool.vaults;
                WhirlpoolInfo {
                    address: pool.address.to_string(),
                    program: PROGRAM_ID.to_string(),
                    mint_a: a.mint.to_string(),
                    mint_b: b.mint.to_string(),
                    vault_a: vault_a.to_string(),
                    vault_b: vault_b.to_string(),
                    oracle: oracle_address(&pool.address).to_string(),
                    tick_spacing: pool.tick_spacing,
                    trade_fee_rate: pool.fee_rate,
                    tick_arrays: pool.starts.clone(),
                }
            })
            .collect()
    }
}

impl Writer<'_> {
    pub(super) fn whirlpools(
        &mut self,
        vaults: [[Address; 2]; COUNT],
        now: u64,
    ) -> Result<Vec<Concentrated>, LocalnetError> {
        let plans = PLANS.iter().zip(vaults);
        plans.map(|(plan, vaults)| self.whirlpool(plan, vaults, now)).collect()
    }

    fn whirlpool(
        &mut self,
        plan: &Plan,
        vaults: [Address; 2],
        now: u64,
    ) -> Result<Concentrated, LocalnetError> {
        let known = self.tokens;
        let mut tokens =
            plan.tokens.map(|mint| *known.iter().find(|t| t.mint == mint).unwrap_or(&known[0]));
        tokens.sort_by_key(|token| token.mint);
        let [a, b] = tokens;
        let (address, bump) = pool_address(&CONFIG, [&a.mint, &b.mint], plan.tick_spacing);
        let impossible = |reason: &str| LocalnetError::Genesis {
            address: address.to_string(),
            reason: reason.into(),
        };
        let sqrt_price = first_price(&a, &b);
        let mut book = Book::new(address, plan.tick_spacing, sqrt_price);
        for (reach, side_usd) in plan.positions {
            let atoms_b = to_atoms(side_usd / b.price, b.decimals);
            book.add(*reach, atoms_b).ok_or_else(|| impossible("a position does not fit"))?;
        }
        let [vault_a, vault_b] = vaults;
        self.token_account(vault_a, address, &a, book.amount_a)?;
        self.token_account(vault_b, address, &b, book.amount_b)?;
        let pool = Whirlpool {
            config: CONFIG,
            bump,
            tick_spacing: plan.tick_spacing,
            fee_tier: plan.tick_spacing,
            fee_rate: plan.fee_rate,
            protocol_fee_rate: PROTOCOL_FEE_RATE,
            liquidity: book.liquidity,
            sqrt_price,
            tick: book.tick,
            protocol_fees_a: 0,
            protocol_fees_b: 0,
            mint_a: a.mint,
            vault_a,
            fee_growth_a: 0,
            mint_b: b.mint,
            vault_b,
            fee_growth_b: 0,
            rewards_updated: now,
            rewards: [Reward::default(); REWARDS],
        };
        self.put(address, PROGRAM_ID, pool.encode())?;
        for array in &book.arrays {
            self.put(tick_array_address(&address, array.start), PROGRAM_ID, array.encode())?;
        }
        Ok(Concentrated {
            address,
            tokens,
            vaults,
            tick_spacing: plan.tick_spacing,
            fee_rate: plan.fee_rate,
            starts: book.arrays.iter().map(|array| array.start).collect(),
        })
    }
}

/// Root of the first price of A in B, in atoms, Q64.64.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a starting price, positive and far below 2^127"
)]
fn first_price(a: &Token, b: &Token) -> u128 {
    let atoms = a.price / b.price * 10f64.powi(i32::from(b.decimals) - i32::from(a.decimals));
    (atoms.sqrt() * 2f64.powi(64)) as u128
}

/// Liquidity by tick, and the tokens behind it.
pub(super) struct Book {
    pool: Address,
    spacing: u16,
    sqrt_price: u128,
    pub(super) tick: i32,
    pub(super) liquidity: u128,
    pub(super) amount_a: u64,
    pub(super) amount_b: u64,
    /// In order of their start.
    pub(super) arrays: Vec<TickArray>,
}

impl Book {
    pub(super) fn new(pool: Address, spacing: u16, sqrt_price: u128) -> Self {
        Self {
            pool,
            spacing,
            sqrt_price,
            tick: tick_at(sqrt_price),
            liquidity: 0,
            amount_a: 0,
            amount_b: 0,
            arrays: Vec::new(),
        }
    }

    /// Adds a position of `atoms_b` below the price and as much value above it; what goes in rounds up.
    pub(super) fn add(&mut self, reach: i32, atoms_b: u64) -> Option<()> {
        let spacing = i32::from(self.spacing);
        // The usable tick at or below, but not below the lowest usable one.
        let usable = |tick: i32| tick.max(MIN_TICK + spacing).div_euclid(spacing) * spacing;
        let lower = usable(self.tick.saturating_sub(reach).max(MIN_TICK));
        let upper = usable(self.tick.saturating_add(reach).min(MAX_TICK));
        let (low, high) = (sqrt_price_at(lower), sqrt_price_at(upper));
        let liquidity =
            (u128::from(atoms_b) << 64).checked_div(self.sqrt_price.checked_sub(low)?)?;
        let atoms = |amount| match amount {
            Amount::Atoms(atoms) => Some(atoms),
            Amount::TooMany(_) => None,
        };
        let a = atoms(amount_a(self.sqrt_price, high, liquidity, true).ok()?)?;
        let b = atoms(amount_b(low, self.sqrt_price, liquidity, true))?;
        self.amount_a = self.amount_a.checked_add(a)?;
        self.amount_b = self.amount_b.checked_add(b)?;
        self.liquidity = self.liquidity.checked_add(liquidity)?;
        let net = i128::try_from(liquidity).ok()?;
        self.put(lower, net)?;
        self.put(upper, -net)?;
        // Swaps within reach find their arrays there, as on pools that are long in use.
        if reach < FULL {
            let span = TICKS_I32 * spacing;
            let mut start = start_of(lower, self.spacing);
            while start <= upper {
                self.array(start)?;
                start += span;
            }
        }
        Some(())
    }

    /// The array that starts there, made if it is missing.
    fn array(&mut self, start: i32) -> Option<&mut TickArray> {
        let index = match self.arrays.binary_search_by_key(&start, |array| array.start) {
            Ok(index) => index,
            Err(index) => {
                self.arrays.insert(index, TickArray::empty(self.pool, start));
                index
            }
        };
        self.arrays.get_mut(index)
    }

    /// Lets liquidity start or end at `tick`.
    fn put(&mut self, tick: i32, net: i128) -> Option<()> {
        let spacing = self.spacing;
        let array = self.array(start_of(tick, spacing))?;
        let place = array.place(tick, spacing)?;
        let slot = array.ticks.get_mut(place)?.get_or_insert_with(Tick::default);
        slot.liquidity_net = slot.liquidity_net.checked_add(net)?;
        slot.liquidity_gross = slot.liquidity_gross.checked_add(net.unsigned_abs())?;
        Some(())
    }
}
