//! Pools that somebody else trades on: a few of them change in every block.
//!
//! No program runs for it. What a swap would have changed is written over the accounts: both vaults and the pool's
//! state, of one block, by the arithmetic of their exchange. Who is on the other side has no account.

pub(crate) mod amm_v4;
pub(crate) mod clmm;
pub(crate) mod dlmm;
pub(crate) mod pump;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use litesvm::LiteSVM;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;

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

/// Of so many pools, one changes in a block.
const CALM: usize = 200;
/// Where a vault keeps its balance.
const AMOUNT: std::ops::Range<usize> = 64..72;

/// Whose pool it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Venue {
    Cpmm,
    AmmV4,
    Whirlpool,
    Clmm,
    Dlmm,
    PumpSwap,
    PumpCurve,
}

/// A pool of the scenery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prop {
    pub(crate) venue: Venue,
    pub(crate) address: Address,
    /// What holds its tokens; a curve holds its lamports itself.
    pub(crate) vaults: [Address; 2],
    mints: [Address; 2],
    /// The ticks or bins between which it trades.
    range: [i32; 2],
    /// Logarithm of the price at the start, which later ones tend back to as far as the tokens are worth the same.
    home: f64,
}

impl Prop {
    pub(crate) fn new(
        venue: Venue,
        address: Address,
        vaults: [Address; 2],
        sides: [(Address, u64); 2],
    ) -> Self {
        let mints = sides.map(|(mint, _)| mint);
        let home = log_ratio(sides.map(|(_, amount)| amount));
        Self { venue, address, vaults, mints, range: [0; 2], home }
    }

    /// With the ticks or bins between which its liquidity lies.
    pub(crate) fn within(self, range: [i32; 2]) -> Self {
        Self { range, ..self }
    }

    /// Its token accounts.
    pub(crate) fn token_accounts(&self) -> impl Iterator<Item = Address> {
        self.vaults.into_iter().filter(|vault| *vault != self.address)
    }
}

#[allow(clippy::cast_precision_loss, reason = "only leans a coin")]
fn log_ratio([first, second]: [u64; 2]) -> f64 {
    (second.max(1) as f64).ln() - (first.max(1) as f64).ln()
}

/// What a swap leaves behind.
struct Traded {
    /// Of each vault that is a token account.
    vaults: [u64; 2],
    /// Lamports that came into the pool's account, or left it.
    lamports: i128,
    state: Vec<u8>,
    arrays: Vec<(Address, Vec<u8>)>,
}

impl Traded {
    fn of(vaults: [u64; 2], state: Vec<u8>) -> Self {
        Self { vaults, lamports: 0, state, arrays: Vec::new() }
    }
}

/// All pools of the scenery and who moves them.
pub(crate) struct Scenery {
    props: Vec<Prop>,
    rng: Rng,
}

impl Scenery {
    pub(crate) fn new(props: Vec<Prop>, seed: u64) -> Self {
        Self { props, rng: Rng::new(seed.rotate_left(43)) }
    }

    /// Lets somebody trade on a few pools. What has changed is added to `changed`.
    pub(crate) fn step(
        &mut self,
        svm: &mut LiteSVM,
        (slot, now): (u64, u64),
        drift: &dyn Fn(&Address) -> f64,
        changed: &mut HashMap<Address, AccountSharedData>,
    ) {
        if self.props.is_empty() {
            return;
        }
        for _ in 0..self.props.len().div_ceil(CALM) {
            let count = u64::try_from(self.props.len()).unwrap_or(u64::MAX);
            let at = usize::try_from(self.rng.below(count)).unwrap_or(usize::MAX);
            let Some(prop) = self.props.get(at).copied() else { continue };
            // What has become of its tokens' worth moves the price that its own tends to.
            let [first, second] = &prop.mints;
            let prop = Prop { home: prop.home + drift(first) - drift(second), ..prop };
            // One swap of a pool in a block is enough; a refused one changes nothing, as on a real chain.
            if !changed.contains_key(&prop.address)
                && let Some(traded) = trade(&mut self.rng, svm, &prop, (slot, now))
                && apply(svm, &prop, traded, changed).is_none()
            {
                tracing::warn!(pool = %prop.address, "a pool of the scenery could not be written");
            }
        }
    }
}

fn trade(rng: &mut Rng, svm: &LiteSVM, prop: &Prop, (slot, now): (u64, u64)) -> Option<Traded> {
    let data = |address: &Address| {
        svm.accounts_db().get_account_ref(address).map(|account| account.data().to_vec())
    };
    let mut balances = [0; 2];
    for (balance, vault) in balances.iter_mut().zip(prop.token_accounts()) {
        *balance = TokenAccount::decode(&data(&vault)?)?.amount;
    }
    let mut state = data(&prop.address)?;
    let log_price_now = match prop.venue {
        Venue::Whirlpool => log_price(Whirlpool::decode(&state)?.sqrt_price),
        Venue::Clmm => log_price(clmm::sqrt_price(&state)?),
        Venue::Dlmm => log_price(dlmm::price(&state)?.isqrt() << 32),
        Venue::PumpSwap => log_ratio(pump::pool_reserves(&state, balances)?),
        Venue::PumpCurve => log_ratio(pump::curve_reserves(&state)?),
        Venue::Cpmm | Venue::AmmV4 => log_ratio(balances),
    };
    let gap = log_price_now - prop.home;
    // A price above home is rather sold, and the more, the further it is away.
    let forward = rng.unit() < 0.5 + (gap * 150.0).clamp(-0.45, 0.45);
    let towards = if forward == (gap > 0.0) { gap.abs() * 0.4 } else { 0.0 };
    let share = (rng.exponential(0.0005) + towards).min(0.02);
    let of = |amount: u64| amount_of(amount, share).max(1);
    match prop.venue {
        Venue::Cpmm => {
            let mut pool = PoolState::decode(&state)?;
            let config = AmmConfig::decode(&data(&pool.amm_config)?)?;
            let direction = if forward { Direction::ZeroForOne } else { Direction::OneForZero };
            let [vault_0, vault_1] = balances;
            let done = Quote {
                pool: &pool,
                config: &config,
                vault_0,
                vault_1,
                direction,
                fee_in: TransferFee::default(),
                fee_out: TransferFee::default(),
                now,
            }
            .base_input(of(if forward { vault_0 } else { vault_1 }))
            .ok()?;
            cpmm::program::book(&mut pool, &done, forward, super::epoch(slot)).ok()?;
            let mut state = state;
            pool.write(&mut state)?;
            let vaults = moved(balances, forward, [done.user_pays, done.pool_pays])?;
            Some(Traded::of(vaults, state))
        }
        Venue::AmmV4 => {
            let [coin, pc] = balances;
            let paid = of(if forward { coin } else { pc });
            let received = amm_v4::swap(&state, balances, forward, paid)?;
            let vaults = moved(balances, forward, [paid, received])?;
            // The program writes nothing into a pool that is open, but a node tells of it all the same.
            Some(Traded::of(vaults, state))
        }
        Venue::Clmm => {
            let side = balances[usize::from(!forward)];
            let [zero, one] = clmm_depth(&state)?;
            let amount = of(side.min(if forward { zero } else { one }));
            let done = clmm::swap(&mut state, prop.range, forward, amount)?;
            Some(Traded::of(moved(balances, forward, done)?, state))
        }
        Venue::Dlmm => {
            let mut arrays = dlmm_arrays(prop, &data)?;
            let amount = of(balances[usize::from(!forward)]);
            let bins = &mut arrays
                .iter()
                .map(|(index, _, bytes)| (*index, bytes.clone()))
                .collect::<Vec<_>>();
            let done = dlmm::swap(&mut state, bins, (forward, amount), now)?;
            for ((_, _, bytes), (_, after)) in arrays.iter_mut().zip(bins.drain(..)) {
                *bytes = after;
            }
            let arrays = arrays.into_iter().map(|(_, at, bytes)| (at, bytes)).collect();
            let vaults = moved(balances, forward, done)?;
            Some(Traded { arrays, ..Traded::of(vaults, state) })
        }
        Venue::PumpSwap => {
            let amount = of(balances[usize::from(!forward)]);
            let vaults = pump::pool_swap(&state, balances, forward, amount)?;
            Some(Traded::of(vaults, state))
        }
        Venue::PumpCurve => {
            let amount = of(pump::curve_reserves(&state)?[usize::from(!forward)]);
            let [tokens, lamports] = pump::curve_swap(&mut state, forward, amount)?;
            let held = i128::from(balances[0]).checked_add(tokens)?;
            let vaults = [u64::try_from(held).ok()?, 0];
            Some(Traded { lamports, ..Traded::of(vaults, state) })
        }
        Venue::Whirlpool => {
            let pool = Whirlpool::decode(&state)?;
            let a_to_b = forward;
            let (arrays, known): (Vec<_>, Vec<_>) =
                starts_for(pool.tick, pool.tick_spacing, a_to_b)
                    .into_iter()
                    .filter_map(|start| {
                        let at = tick_array_address(&prop.address, start);
                        let bytes = data(&at)?;
                        Some((TickArray::decode(&bytes)?, (start, at, bytes)))
                    })
                    .unzip();
            let arrays = sequence(&pool, a_to_b, &arrays).ok()?;
            let [a, b] = balances;
            let amount = of(if a_to_b { a } else { b }.min(of_liquidity(&pool, a_to_b)));
            let way = Way { a_to_b, exact_in: true };
            let request = Request { amount, sqrt_price_limit: 0, way };
            let done = swap(&pool, &arrays, &request, now.max(pool.rewards_updated)).ok()?;
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
            let vaults = moved(balances, a_to_b, [done.amount_in, done.amount_out])?;
            Some(Traded { arrays: written, ..Traded::of(vaults, done.pool.encode()) })
        }
    }
}

/// Logarithm of a price from its root, Q64.64.
#[allow(clippy::cast_precision_loss, reason = "only leans a coin")]
fn log_price(sqrt_price: u128) -> f64 {
    2.0 * ((sqrt_price as f64).ln() - 64.0 * std::f64::consts::LN_2)
}

/// What the liquidity at the price would hold on the side that goes in, were it all over the range.
fn of_liquidity(pool: &Whirlpool, a_to_b: bool) -> u64 {
    standing_for(pool.liquidity, pool.sqrt_price)[usize::from(!a_to_b)]
}

fn standing_for(liquidity: u128, sqrt_price: u128) -> [u64; 2] {
    let first = liquidity.checked_mul(1 << 32).and_then(|wide| wide.checked_div(sqrt_price >> 32));
    let second = (liquidity >> 32).checked_mul(sqrt_price >> 32);
    [first, second].map(|side| side.and_then(|side| u64::try_from(side).ok()).unwrap_or(u64::MAX))
}

fn clmm_depth(state: &[u8]) -> Option<[u64; 2]> {
    Some(standing_for(clmm::liquidity(state)?, clmm::sqrt_price(state)?))
}

/// The arrays that hold a pool's bins: index, address and bytes.
fn dlmm_arrays(
    prop: &Prop,
    data: &dyn Fn(&Address) -> Option<Vec<u8>>,
) -> Option<Vec<(i32, Address, Vec<u8>)>> {
    let [first, last] = prop.range.map(|bin| bin.div_euclid(dlmm::ARRAY_BINS));
    let array = |index| {
        let at = dlmm::array_address(&prop.address, index);
        Some((index, at, data(&at)?))
    };
    (first..=last).map(array).collect()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a random size, positive and below the balance"
)]
fn amount_of(balance: u64, share: f64) -> u64 {
    (balance as f64 * share) as u64
}

/// Balances after a swap that paid and received so much.
fn moved([first, second]: [u64; 2], forward: bool, [paid, received]: [u64; 2]) -> Option<[u64; 2]> {
    Some(if forward {
        [first.checked_add(paid)?, second.checked_sub(received)?]
    } else {
        [first.checked_sub(received)?, second.checked_add(paid)?]
    })
}

fn apply(
    svm: &mut LiteSVM,
    prop: &Prop,
    traded: Traded,
    changed: &mut HashMap<Address, AccountSharedData>,
) -> Option<()> {
    let held = svm.accounts_db().get_account_ref(&prop.address)?.lamports();
    let held = u64::try_from(i128::from(held).checked_add(traded.lamports)?).ok()?;
    let mut written = vec![(prop.address, traded.state, Some(held))];
    for (vault, balance) in prop.token_accounts().zip(traded.vaults) {
        let account = svm.accounts_db().get_account_ref(&vault)?;
        let token = TokenAccount::decode(account.data())?;
        let mut data = account.data().to_vec();
        data.get_mut(AMOUNT)?.copy_from_slice(&balance.to_le_bytes());
        // Wrapped SOL lies in the account itself.
        let rest = account.lamports().checked_sub(token.amount);
        let lamports = rest.filter(|_| token.mint == super::genesis::SOL);
        written.push((vault, data, lamports.and_then(|rest| rest.checked_add(balance))));
    }
    written.extend(traded.arrays.into_iter().map(|(at, data)| (at, data, None)));
    for (address, data, lamports) in written {
        let old = svm.accounts_db().get_account_ref(&address)?;
        let account = solana_account::Account {
            lamports: lamports.unwrap_or_else(|| old.lamports()),
            data,
            owner: *old.owner(),
            executable: false,
            rent_epoch: old.rent_epoch(),
        };
        svm.set_account(address, account).ok()?;
        let account = svm.accounts_db().get_account_ref(&address)?;
        changed.insert(address, account.clone());
    }
    Some(())
}
