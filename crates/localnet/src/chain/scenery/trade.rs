//! One swap on one pool, by the arithmetic of its exchange.

use litesvm::LiteSVM;
use solana_account::ReadableAccount;
use solana_address::Address;

use super::{
    Prop, Traded, Venue, amm_v4, amount_of, clmm, dlmm, log_price, log_ratio, moved, pump,
};
use crate::chain::epoch;
use crate::cpmm;
use crate::cpmm::math::{Direction, Quote, TransferFee};
use crate::cpmm::state::{AmmConfig, PoolState};
use crate::cpmm::token::TokenAccount;
use crate::market::rng::Rng;
use crate::whirlpool::math::Way;
use crate::whirlpool::state::Whirlpool;
use crate::whirlpool::swap::{Request, sequence, swap};
use crate::whirlpool::tick_array::{TickArray, starts_for};
use crate::whirlpool::tick_array_address;

/// A swap that somebody wants.
struct Wanted<'a> {
    prop: &'a Prop,
    balances: [u64; 2],
    state: Vec<u8>,
    /// The first token goes in.
    forward: bool,
    /// Of what the pool has on that side.
    share: f64,
    slot: u64,
    now: u64,
    data: &'a dyn Fn(&Address) -> Option<Vec<u8>>,
}

/// Lets somebody trade; none where the exchange would refuse.
pub(super) fn trade(
    rng: &mut Rng,
    svm: &LiteSVM,
    prop: &Prop,
    (slot, now): (u64, u64),
) -> Option<Traded> {
    let data = |address: &Address| {
        svm.accounts_db().get_account_ref(address).map(|account| account.data().to_vec())
    };
    let mut balances = [0; 2];
    for (balance, vault) in balances.iter_mut().zip(prop.token_accounts()) {
        *balance = TokenAccount::decode(&data(&vault)?)?.amount;
    }
    let state = data(&prop.address)?;
    let gap = price_now(prop.venue, &state, balances)? - prop.home;
    // A price above home is rather sold, and the more, the further it is away.
    let forward = rng.unit() < 0.5 + (gap * 150.0).clamp(-0.45, 0.45);
    let towards = if forward == (gap > 0.0) { gap.abs() * 0.4 } else { 0.0 };
    let share = (rng.exponential(0.0005) + towards).min(0.02);
    let wanted = Wanted { prop, balances, state, forward, share, slot, now, data: &data };
    match prop.venue {
        Venue::Cpmm => wanted.on_cpmm(),
        Venue::AmmV4 => wanted.on_amm_v4(),
        Venue::Whirlpool => wanted.on_whirlpool(),
        Venue::Clmm => wanted.on_clmm(),
        Venue::Dlmm => wanted.on_dlmm(),
        Venue::PumpSwap => wanted.on_pump_swap(),
        Venue::PumpCurve => wanted.on_curve(),
    }
}

/// Logarithm of the price of the first token in the second.
fn price_now(venue: Venue, state: &[u8], balances: [u64; 2]) -> Option<f64> {
    Some(match venue {
        Venue::Whirlpool => log_price(Whirlpool::decode(state)?.sqrt_price),
        Venue::Clmm => log_price(clmm::sqrt_price(state)?),
        Venue::Dlmm => log_price(dlmm::price(state)?.isqrt() << 32),
        Venue::PumpSwap => log_ratio(pump::pool_reserves(state, balances)?),
        Venue::PumpCurve => log_ratio(pump::curve_reserves(state)?),
        Venue::Cpmm | Venue::AmmV4 => log_ratio(balances),
    })
}

/// What the liquidity at the price would hold, were it all over the range.
fn standing_for(liquidity: u128, sqrt_price: u128) -> [u64; 2] {
    let first = liquidity.checked_mul(1 << 32).and_then(|wide| wide.checked_div(sqrt_price >> 32));
    let second = (liquidity >> 32).checked_mul(sqrt_price >> 32);
    [first, second].map(|side| side.and_then(|side| u64::try_from(side).ok()).unwrap_or(u64::MAX))
}

impl Wanted<'_> {
    /// The side that goes in.
    fn side(&self, [first, second]: [u64; 2]) -> u64 {
        if self.forward { first } else { second }
    }

    /// How much goes in, of a pool that has so much.
    fn amount(&self, sides: [u64; 2]) -> u64 {
        amount_of(self.side(sides), self.share).max(1)
    }

    /// The same, of a pool whose liquidity stands for more or less than it holds.
    fn amount_within(&self, depth: [u64; 2]) -> u64 {
        let held = self.side(self.balances).min(self.side(depth));
        amount_of(held, self.share).max(1)
    }

    fn on_cpmm(self) -> Option<Traded> {
        let amount = self.amount(self.balances);
        let mut pool = PoolState::decode(&self.state)?;
        let config = AmmConfig::decode(&(self.data)(&pool.amm_config)?)?;
        let direction = if self.forward { Direction::ZeroForOne } else { Direction::OneForZero };
        let [vault_0, vault_1] = self.balances;
        let quote = Quote {
            pool: &pool,
            config: &config,
            vault_0,
            vault_1,
            direction,
            fee_in: TransferFee::default(),
            fee_out: TransferFee::default(),
            now: self.now,
        };
        let done = quote.base_input(amount).ok()?;
        cpmm::program::book(&mut pool, &done, self.forward, epoch(self.slot)).ok()?;
        let mut state = self.state;
        pool.write(&mut state)?;
        let vaults = moved(self.balances, self.forward, [done.user_pays, done.pool_pays])?;
        Some(Traded::of(vaults, state))
    }

    fn on_amm_v4(self) -> Option<Traded> {
        let paid = self.amount(self.balances);
        let received = amm_v4::swap(&self.state, self.balances, self.forward, paid)?;
        let vaults = moved(self.balances, self.forward, [paid, received])?;
        // The program writes nothing into a pool that is open, but a node tells of it all the same.
        Some(Traded::of(vaults, self.state))
    }

    fn on_whirlpool(self) -> Option<Traded> {
        let pool = Whirlpool::decode(&self.state)?;
        let (prop, a_to_b) = (self.prop, self.forward);
        let (arrays, known): (Vec<_>, Vec<_>) = starts_for(pool.tick, pool.tick_spacing, a_to_b)
            .into_iter()
            .filter_map(|start| {
                let at = tick_array_address(&prop.address, start);
                let bytes = (self.data)(&at)?;
                Some((TickArray::decode(&bytes)?, (start, at, bytes)))
            })
            .unzip();
        let arrays = sequence(&pool, a_to_b, &arrays).ok()?;
        let amount = self.amount_within(standing_for(pool.liquidity, pool.sqrt_price));
        let way = Way { a_to_b, exact_in: true };
        let request = Request { amount, sqrt_price_limit: 0, way };
        let done = swap(&pool, &arrays, &request, self.now.max(pool.rewards_updated)).ok()?;
        let mut written: Vec<(Address, Vec<u8>)> = Vec::new();
        for crossed in &done.crossed {
            let start = arrays.get(crossed.array)?.start;
            let (_, at, bytes) = known.iter().find(|(known, ..)| *known == start)?;
            if !written.iter().any(|(known, _)| known == at) {
                written.push((*at, bytes.clone()));
            }
            let (_, bytes) = written.iter_mut().find(|(known, _)| known == at)?;
            TickArray::overwrite(bytes, crossed.place, &crossed.tick)?;
        }
        let vaults = moved(self.balances, a_to_b, [done.amount_in, done.amount_out])?;
        Some(Traded { arrays: written, ..Traded::of(vaults, done.pool.encode()) })
    }

    fn on_clmm(mut self) -> Option<Traded> {
        let depth = standing_for(clmm::liquidity(&self.state)?, clmm::sqrt_price(&self.state)?);
        let amount = self.amount_within(depth);
        let done = clmm::swap(&mut self.state, self.prop.range, self.forward, amount)?;
        Some(Traded::of(moved(self.balances, self.forward, done)?, self.state))
    }

    fn on_dlmm(mut self) -> Option<Traded> {
        let [first, last] = self.prop.range.map(|bin| bin.div_euclid(dlmm::ARRAY_BINS));
        let at = |index| dlmm::array_address(&self.prop.address, index);
        let read = |index| Some((index, (self.data)(&at(index))?));
        let mut arrays = (first..=last).map(read).collect::<Option<Vec<_>>>()?;
        let amount = self.amount(self.balances);
        let done = dlmm::swap(&mut self.state, &mut arrays, (self.forward, amount), self.now)?;
        let arrays = arrays.into_iter().map(|(index, bytes)| (at(index), bytes)).collect();
        let vaults = moved(self.balances, self.forward, done)?;
        Some(Traded { arrays, ..Traded::of(vaults, self.state) })
    }

    fn on_pump_swap(self) -> Option<Traded> {
        let amount = self.amount(self.balances);
        let vaults = pump::pool_swap(&self.state, self.balances, self.forward, amount)?;
        Some(Traded::of(vaults, self.state))
    }

    fn on_curve(mut self) -> Option<Traded> {
        let amount = self.amount(pump::curve_reserves(&self.state)?);
        let [tokens, lamports] = pump::curve_swap(&mut self.state, self.forward, amount)?;
        let [held, _] = self.balances;
        let held = i128::from(held).checked_add(tokens)?;
        let vaults = [u64::try_from(held).ok()?, 0];
        Some(Traded { lamports, ..Traded::of(vaults, self.state) })
    }
}
