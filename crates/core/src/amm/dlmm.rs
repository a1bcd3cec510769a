//! Meteora DLMM: liquidity lies in bins, each at one price; a swap empties bin after bin.
//!
//! Price is mint Y (1) per mint X (0). `forward` gives X for Y and walks down the bins. Bins come in arrays of 70; a
//! bitmap in the pool's state says which arrays hold anything, and arrays without a set bit are passed over, whatever
//! they hold. The fee has a part that grows with the distance walked since the last quiet moment. Newer pools also
//! hold limit orders in their bins: they fill after the bin's own liquidity, at the bin's price.
//!
//! What the program does was measured on its published binary by the reference vectors; the shape of the formulas is
//! that of Meteora's own SDK, <https://github.com/MeteoraAg/dlmm-sdk>.

mod alone;
mod bitmap;
mod derived;
mod held;
mod instruction;
mod ladder;
mod layout;
mod math;
mod walk;

use serde::{Deserialize, Serialize};

use super::transfer_fee::EpochFees;
use super::{Clock, Detail, Quote, QuoteError};
use crate::ids::Address;
use crate::units::{Atoms, Price};

pub use bitmap::Extension;
pub use derived::{bin_array_address, bitmap_extension_address, oracle_address};
pub use derived::{pair_address, reserve_address};
pub(super) use held::{Held, decode_part};
pub use instruction::{plain_swap_instruction, swap_instruction};
pub use ladder::{Bin, BinArray};
pub use layout::{
    ARRAY_DISCRIMINATOR, ARRAY_LEN, BinAccount, BinArrayAccount, DecodedKeys,
    EXTENSION_DISCRIMINATOR, EXTENSION_LEN, PAIR_DISCRIMINATOR, PAIR_LEN, PairAccount, Reward,
    decode_bin_array, decode_bin_array_account, decode_extension, decode_extension_account,
    decode_pair_account, decode_pool,
};
pub use math::price_of;

use ladder::Array;
use walk::Terms;

/// The program.
pub const PROGRAM_ID: Address =
    Address::from_str_const("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo");

/// Signs the program's events: its address for the seed [`EVENT_AUTHORITY_SEED`].
pub const EVENT_AUTHORITY: Address =
    Address::from_str_const("D1ZN9Wj1fRSUQfCjhvnu1hqDMT7hzjzBBpi12nVniYD6");

/// Seed of [`EVENT_AUTHORITY`].
pub const EVENT_AUTHORITY_SEED: &[u8] = b"__event_authority";

/// Bins in one array.
pub const BINS_PER_ARRAY: i32 = 70;

/// Fee rates are counted in parts of this.
pub const RATE_WHOLE: u64 = 1_000_000_000;

/// No swap pays a higher rate than this, a tenth.
pub const RATE_MAX: u64 = 100_000_000;

/// What a swap instruction needs to know of a pool, besides its address, its mints and its bin arrays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Its token accounts, in the order of its mints.
    pub vaults: [Address; 2],
    /// The programs of its mints.
    pub token_programs: [Address; 2],
    /// Its price history, written by every swap.
    pub oracle: Address,
    /// The account that goes on where the bitmap in its state ends, if the pool has one.
    pub bitmap_extension: Option<Address>,
}

/// What a pool's fee is reckoned with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// With the bin step, the fixed part of the fee.
    pub base_factor: u16,
    /// Powers of ten on top of the fixed part.
    pub base_fee_power: u8,
    /// Seconds after a swap during which the distance is still counted from where it was.
    pub filter_period: u16,
    /// Seconds after a swap until its volatility is forgotten.
    pub decay_period: u16,
    /// What is kept of the volatility between the two, in hundredths of a percent.
    pub reduction_factor: u16,
    /// How much of the volatility the fee follows.
    pub variable_fee_control: u32,
    /// The volatility counts up to this.
    pub max_volatility: u32,
    /// Of the fee on a bin's own liquidity, the protocol's, in hundredths of a percent.
    pub protocol_share: u16,
    /// What the pool is for: 0 not settled, 1 liquidity mining, 2 limit orders.
    pub function: u8,
    /// Where the fee is taken: 0 from what goes in, 1 always in mint Y.
    pub collect_fee_in: u8,
}

/// What a pool remembers of its last swaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volatility {
    /// Ten thousand for each bin between the reference and the last swap, and what was kept from before.
    pub accumulator: u32,
    /// What was kept from before.
    pub reference: u32,
    /// The bin from which the distance is counted.
    pub index: i32,
    /// When a swap last moved the active bin, in seconds since the Unix epoch.
    pub updated: i64,
}

/// The part of a pool's state account that a quote depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// What its fee is reckoned with.
    pub parameters: Parameters,
    /// What it remembers of its last swaps.
    pub volatility: Volatility,
    /// The bin in which it trades.
    pub active: i32,
    /// Between the prices of two bins, in hundredths of a percent.
    pub bin_step: u16,
    /// 0 open, 1 closed.
    pub status: u8,
    /// Who made it and how: 0 anyone, 1 with permission, 2 anyone with settings of their own, 3 anyone, newer.
    pub pair_type: u8,
    /// What [`Self::activation_point`] counts: 0 slots, 1 seconds since the Unix epoch.
    pub activation_type: u8,
    /// From when on kinds 1 and 2 swap.
    pub activation_point: u64,
    /// Some reward is paid on its liquidity.
    pub rewarded: bool,
    /// Of each vault's balance, the protocol's.
    pub protocol_fees: [Atoms; 2],
    /// Which of the arrays from -512 to 511 hold something, the lowest first.
    pub bitmap: [u64; 16],
}

/// A pool ready to quote.
///
/// Its accounts come one by one: the pool's state changes with every swap, its arrays with the swaps in them. A new
/// state leaves the arrays as they are, a new array leaves the others as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    pool: PoolState,
    fees: [EpochFees; 2],
    /// What the vaults hold; without limit where it is not known.
    vaults: [u64; 2],
    /// Sorted by index.
    arrays: Vec<Array>,
    extension: Option<Box<Extension>>,
    /// Where backward and forward walks begin, or why they cannot.
    starts: [Result<(usize, usize), QuoteError>; 2],
    /// What follows from the state, or why it does not.
    terms: Result<Terms, QuoteError>,
}

/// A swap worked out in full: what the program moves and books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swap {
    /// Leaves the trader.
    pub paid: Atoms,
    /// Reaches the vault: `paid` less the mint's transfer fee.
    pub vault_in: Atoms,
    /// Leaves the other vault.
    pub vault_out: Atoms,
    /// Reaches the trader: `vault_out` less the mint's transfer fee.
    pub received: Atoms,
    /// Stays in the pool, the protocol's part included.
    pub fee: Atoms,
    /// The fee is in the mint that goes in, else in the one that comes out.
    pub fee_on_input: bool,
    /// Of the fee, the protocol's; and, where the fee is on what comes out, what an exact output rounds away.
    pub protocol_fee: Atoms,
    /// The active bin afterwards.
    pub active: i32,
    /// What the pool remembers afterwards.
    pub volatility: Volatility,
    /// The price of the bin in which the swap ends.
    pub price_after: Price,
    /// How many arrays it walks through, the first and last included.
    pub arrays: u8,
}

impl Swap {
    /// The short form; see [`Curve::quote_exact_in`] for which mint its fee is in.
    #[must_use]
    pub fn quote(&self) -> Quote {
        Quote { amount_in: self.paid, amount_out: self.received, fee: self.fee }
    }
}

impl Curve {
    /// A pool of which no bin is known yet; `fees` are its mints' transfer fees, in the pool's own order.
    #[must_use]
    pub fn new(pool: &PoolState, fees: [EpochFees; 2]) -> Self {
        let mut curve = Self {
            pool: *pool,
            fees,
            vaults: [u64::MAX; 2],
            arrays: Vec::new(),
            extension: None,
            starts: [Err(QuoteError::MissingArray); 2],
            terms: Terms::of(pool),
        };
        curve.find_starts();
        curve
    }

    fn find_starts(&mut self) {
        self.starts = [self.start(false), self.start(true)];
    }

    /// Takes a new state of the pool. The arrays stay, except in the rare case that the pool starts or stops to fill
    /// limit orders.
    pub fn set_pool(&mut self, pool: &PoolState) {
        let before = self.ladder_terms();
        let price = (pool.active, pool.bin_step) == (self.pool.active, self.pool.bin_step);
        self.terms = match (&self.terms, price) {
            (Ok(terms), true) => Terms::with_price(pool, terms.price),
            _ => Terms::of(pool),
        };
        self.pool = *pool;
        let now = self.ladder_terms();
        if before != now {
            for array in &mut self.arrays {
                array.build(now.0, now.1);
            }
        }
        self.find_starts();
    }

    /// Takes a new state of an array.
    pub fn set_array(&mut self, array: BinArray) {
        let (step, orders) = self.ladder_terms();
        let index = array.index;
        let mut array = Array::new(array);
        array.build(step, orders);
        match self.arrays.binary_search_by_key(&index, Array::index) {
            Ok(at) => {
                if let Some(known) = self.arrays.get_mut(at) {
                    *known = array;
                }
            }
            Err(at) => self.arrays.insert(at, array),
        }
        self.find_starts();
    }

    /// Forgets an array: no swap walks through it until it is taken anew.
    pub fn remove_array(&mut self, index: i32) {
        self.arrays.retain(|known| known.index() != index);
        self.find_starts();
    }

    /// Takes a new state of the account that goes on where the bitmap in the pool's state ends.
    pub fn set_extension(&mut self, extension: &Extension) {
        self.extension = Some(Box::new(*extension));
        self.find_starts();
    }

    /// Takes the balances of the vaults. They limit what can come out only where a pool promises more than it holds.
    pub fn set_vaults(&mut self, vaults: [Atoms; 2]) {
        self.vaults = vaults.map(Atoms::get);
    }

    /// The state it quotes from.
    #[must_use]
    pub fn pool(&self) -> &PoolState {
        &self.pool
    }

    /// The marginal price without fees: atoms of mint 1 per atom of mint 0. It is that of the active bin.
    #[must_use]
    pub fn spot_price(&self) -> Option<Price> {
        Some(Price::from_raw(self.terms.as_ref().ok()?.price?))
    }

    /// The fee rate that a swap in the active bin would pay now, in billionths.
    ///
    /// # Errors
    ///
    /// When the pool gives no quotes.
    pub fn fee_rate(&self, clock: &Clock) -> Result<u64, QuoteError> {
        let terms = self.terms.as_ref().map_err(|error| *error)?;
        let volatility = self.references(clock.now)?;
        terms.rate(self.accumulator(&volatility, self.pool.active))
    }

    /// What comes out for `amount`. The quote's fee is in the mint that goes in, except for a forward swap of a pool
    /// that takes its fee in mint Y: there it is in mint Y, which comes out.
    ///
    /// # Errors
    ///
    /// When the program would refuse, or an array that the swap would cross is not known.
    #[inline]
    pub fn quote_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.run::<true, false>(forward, amount.get(), clock).map(|swap| swap.quote())
    }

    /// What must go in so that the trader gets `amount`; as [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_in`]; also where the program's own estimate of the input falls short of the output.
    #[inline]
    pub fn quote_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Quote, QuoteError> {
        self.run::<false, false>(forward, amount.get(), clock).map(|swap| swap.quote())
    }

    /// What giving `amount` does, in full; see [`Self::quote_exact_in`].
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_in`].
    pub fn swap_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.run::<true, true>(forward, amount.get(), clock)
    }

    /// What getting `amount` takes, in full; see [`Self::quote_exact_out`].
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_out`].
    pub fn swap_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Swap, QuoteError> {
        self.run::<false, true>(forward, amount.get(), clock)
    }

    /// [`Self::quote_exact_in`] with what it does to the price.
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_in`].
    pub fn detail_exact_in(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.run::<true, false>(forward, amount.get(), clock).and_then(|swap| self.detail(&swap))
    }

    /// [`Self::quote_exact_out`] with what it does to the price.
    ///
    /// # Errors
    ///
    /// As [`Self::quote_exact_out`].
    pub fn detail_exact_out(
        &self,
        forward: bool,
        amount: Atoms,
        clock: &Clock,
    ) -> Result<Detail, QuoteError> {
        self.run::<false, false>(forward, amount.get(), clock).and_then(|swap| self.detail(&swap))
    }

    fn detail(&self, swap: &Swap) -> Result<Detail, QuoteError> {
        Ok(Detail {
            quote: swap.quote(),
            price_before: self.spot_price().ok_or(QuoteError::Overflow)?,
            price_after: swap.price_after,
            arrays: swap.arrays,
        })
    }

    /// The nearest arrays that hold something when walking from the active bin, nearest first, at most `count`: what
    /// a swap instruction names and what must be known for a quote.
    pub fn arrays_ahead(&self, forward: bool, count: usize) -> impl Iterator<Item = i32> + '_ {
        let mut from = Some(array_of(self.pool.active));
        let next = move || {
            let found = self.next_array(forward, from?)?;
            from = if forward { found.checked_sub(1) } else { found.checked_add(1) };
            Some(found)
        };
        std::iter::from_fn(next).take(count)
    }

    /// The arrays that hold something and lie nearest to the active bin, at most `each_way` of them each way, ascending.
    #[must_use]
    pub fn arrays_around(&self, each_way: usize) -> Vec<i32> {
        let arrays = [true, false].map(|forward| self.arrays_ahead(forward, each_way));
        let mut arrays: Vec<i32> = arrays.into_iter().flatten().collect();
        arrays.sort_unstable();
        arrays.dedup();
        arrays
    }

    /// What the ladders depend on: the bin step, and whether limit orders fill.
    fn ladder_terms(&self) -> (u16, bool) {
        (self.pool.bin_step, self.pool.fills_orders())
    }
}

impl PoolState {
    /// Whether swaps fill limit orders.
    #[must_use]
    pub fn fills_orders(&self) -> bool {
        match self.parameters.function {
            0 => !self.rewarded,
            function => function == 2,
        }
    }

    /// Whether the fee is in the mint that goes in.
    #[must_use]
    pub fn fee_on_input(&self, forward: bool) -> bool {
        !(forward && self.parameters.collect_fee_in == 1)
    }
}

/// The array that a bin lies in.
#[must_use]
pub fn array_of(bin: i32) -> i32 {
    bin.div_euclid(BINS_PER_ARRAY)
}
