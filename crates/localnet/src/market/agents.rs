//! Traders with keys of their own, who sign real transactions and wait for a block like anyone else.
//!
//! Every pool has one that pulls its price toward fair value, slowly and not always, and one that
//! trades for no reason, now and then so much that the price of the pool leaves all others.

use litesvm::LiteSVM;
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_keypair::Keypair;
use solana_message::{VersionedMessage, v0};
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;

use super::place::{Place, Seen, as_f64};
use super::rng::Rng;
use crate::chain::genesis::Genesis;
use crate::cpmm::math::Direction;

/// Compute units a trader asks for.
const UNIT_LIMIT: u32 = 120_000;
/// Highest price a trader pays for them, micro-lamports each.
const UNIT_PRICE_MAX: u64 = 20_000;
/// Rates below are per block of this many seconds.
const BLOCK_SECONDS: f64 = 0.4;

enum Temperament {
    /// Closes part of the gap to fair value when it looks.
    Informed { attention: f64, closes: f64 },
    /// Trades a random amount in a random direction.
    Noise,
}

pub(super) struct Trader {
    key: Keypair,
    place: Place,
    temperament: Temperament,
    rng: Rng,
}

/// Two traders for each pool.
pub(super) fn traders(genesis: &Genesis, rng: &mut Rng) -> Vec<Trader> {
    // The second pool of a pair is slower than the first: that is what arbitrage lives on.
    const CONSTANT: [(f64, f64); 6] =
        [(0.75, 0.5), (0.35, 0.35), (0.7, 0.5), (0.7, 0.45), (0.4, 0.4), (0.5, 0.5)];
    const CONCENTRATED: [(f64, f64); 3] = [(0.45, 0.45), (0.4, 0.4), (0.7, 0.5)];
    let constant = genesis.pools.iter().cloned().map(Place::Constant).zip(CONSTANT);
    let concentrated =
        genesis.whirlpools.iter().cloned().map(Place::Concentrated).zip(CONCENTRATED);
    let mut keys = genesis.agents.iter().map(Keypair::insecure_clone);
    let mut out = Vec::new();
    for (place, (attention, closes)) in constant.chain(concentrated) {
        for temperament in [Temperament::Informed { attention, closes }, Temperament::Noise] {
            let Some(key) = keys.next() else { return out };
            out.push(Trader { key, place: place.clone(), temperament, rng: Rng::new(rng.next()) });
        }
    }
    out
}

impl Trader {
    /// Looks at the pool and perhaps signs a swap.
    pub(super) fn act(
        &mut self,
        svm: &LiteSVM,
        blockhash: Hash,
        seconds: f64,
        value: &dyn Fn(&Address) -> f64,
    ) -> Option<VersionedTransaction> {
        let blocks = seconds / BLOCK_SECONDS;
        let (mut seen, (direction, part)) = match self.temperament {
            Temperament::Informed { attention, closes } => {
                if !self.rng.chance((attention * blocks).min(1.0)) {
                    return None;
                }
                let seen = self.place.read(svm)?;
                let wish = self.toward_fair(&seen, closes, value)?;
                (seen, wish)
            }
            Temperament::Noise => {
                let wish = self.at_random(blocks)?;
                (self.place.read(svm)?, wish)
            }
        };
        self.place.read_ahead(svm, &mut seen, direction);
        self.sign(&seen, direction, part, blockhash)
    }

    /// Direction and part of the input reserve that closes `closes` of the gap to fair value.
    fn toward_fair(
        &self,
        seen: &Seen,
        closes: f64,
        value: &dyn Fn(&Address) -> f64,
    ) -> Option<(Direction, f64)> {
        let (zero, one) = seen.reserves()?;
        let [token_0, token_1] = self.place.tokens();
        let whole = |atoms: f64, decimals: u8| atoms / 10f64.powi(decimals.into());
        let pool_price = whole(one, token_1.decimals) / whole(zero, token_0.decimals);
        let gap = (value(&token_0.mint) / value(&token_1.mint) / pool_price).ln();
        if !gap.is_finite() || gap.abs() <= self.place.fee() + 0.000_2 {
            return None;
        }
        let direction = if gap > 0.0 { Direction::OneForZero } else { Direction::ZeroForOne };
        // A swap of part s of the input reserve moves the price by (1 + s)^2.
        Some((direction, ((closes * gap.abs()).min(0.2) / 2.0).exp_m1()))
    }

    fn at_random(&mut self, blocks: f64) -> Option<(Direction, f64)> {
        let direction =
            if self.rng.chance(0.5) { Direction::ZeroForOne } else { Direction::OneForZero };
        if self.rng.chance(0.010 * blocks) {
            return Some((direction, self.rng.between(0.002, 0.006)));
        }
        if self.rng.chance((0.30 * blocks).min(1.0)) {
            return Some((direction, self.rng.exponential(0.000_35).min(0.003)));
        }
        None
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a reserve, positive and below 2^63"
    )]
    fn sign(
        &mut self,
        seen: &Seen,
        direction: Direction,
        part: f64,
        blockhash: Hash,
    ) -> Option<VersionedTransaction> {
        let (zero, one) = seen.reserves()?;
        let reserve = if direction == Direction::ZeroForOne { zero } else { one };
        let amount_in = (reserve * part) as u64;
        let expected = seen.quote(direction, amount_in)?;
        let slippage = self.rng.between(0.003, 0.02);
        let minimum_amount_out = ((as_f64(expected) * (1.0 - slippage)) as u64).max(1);
        let price = self.rng.below(UNIT_PRICE_MAX);
        let payer = self.key.pubkey();
        let swap = self.place.swap(seen, payer, direction, (amount_in, minimum_amount_out))?;
        let message = v0::Message::try_compile(
            &payer,
            &[
                ComputeBudgetInstruction::set_compute_unit_limit(UNIT_LIMIT),
                ComputeBudgetInstruction::set_compute_unit_price(price),
                swap,
            ],
            &[],
            blockhash,
        );
        VersionedTransaction::try_new(VersionedMessage::V0(message.ok()?), &[&self.key]).ok()
    }
}
