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
mod trade;

use std::collections::HashMap;

use litesvm::LiteSVM;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;

use crate::cpmm::token::TokenAccount;
use crate::market::rng::Rng;
use trade::trade;

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

/// Logarithm of a price from its root, Q64.64.
#[allow(clippy::cast_precision_loss, reason = "only leans a coin")]
fn log_price(sqrt_price: u128) -> f64 {
    2.0 * ((sqrt_price as f64).ln() - 64.0 * std::f64::consts::LN_2)
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
