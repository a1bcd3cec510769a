//! Traders with keys of their own, who sign real transactions and wait for a block like anyone else.
//!
//! Every pool has one that pulls its price toward fair value, slowly and not always, and one that
//! trades for no reason, now and then so much that the price of the pool leaves all others.

use litesvm::LiteSVM;
use solana_account::ReadableAccount;
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_keypair::Keypair;
use solana_message::{VersionedMessage, v0};
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;

use super::rng::Rng;
use crate::chain::genesis::{Pool, holding_address};
use crate::cpmm::instruction::{SwapAccounts, SwapArgs, swap};
use crate::cpmm::math::{Direction, Quote, TransferFee};
use crate::cpmm::state::{AmmConfig, PoolState};
use crate::cpmm::token::TokenAccount;
use crate::cpmm::{self};

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
    pool: Pool,
    temperament: Temperament,
    rng: Rng,
}

/// Two traders for each pool.
pub(super) fn traders(pools: &[Pool], keys: Vec<Keypair>, rng: &mut Rng) -> Vec<Trader> {
    // The second pool of a pair is slower than the first: that is what arbitrage lives on.
    const HABITS: [(f64, f64); 6] =
        [(0.75, 0.5), (0.35, 0.35), (0.7, 0.5), (0.7, 0.45), (0.4, 0.4), (0.5, 0.5)];
    let mut keys = keys.into_iter();
    let mut out = Vec::new();
    for (pool, (attention, closes)) in pools.iter().zip(HABITS) {
        for temperament in [Temperament::Informed { attention, closes }, Temperament::Noise] {
            let Some(key) = keys.next() else { return out };
            out.push(Trader { key, pool: pool.clone(), temperament, rng: Rng::new(rng.next()) });
        }
    }
    out
}

/// What a trader reads from the chain before it acts.
struct Seen {
    pool: PoolState,
    config: AmmConfig,
    vault_0: u64,
    vault_1: u64,
}

impl Seen {
    fn read(svm: &LiteSVM, pool: &Pool) -> Option<Self> {
        let data = |address: &Address| svm.accounts_db().get_account_ref(address);
        let vault = |address| Some(TokenAccount::decode(data(address)?.data())?.amount);
        Some(Self {
            pool: PoolState::decode(data(&pool.addresses.pool)?.data())?,
            config: AmmConfig::decode(data(&pool.config)?.data())?,
            vault_0: vault(&pool.addresses.vault_0)?,
            vault_1: vault(&pool.addresses.vault_1)?,
        })
    }
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
        let (direction, part) = match self.temperament {
            Temperament::Informed { attention, closes } => {
                if !self.rng.chance((attention * blocks).min(1.0)) {
                    return None;
                }
                self.toward_fair(&Seen::read(svm, &self.pool)?, closes, value)?
            }
            Temperament::Noise => self.at_random(blocks)?,
        };
        let seen = Seen::read(svm, &self.pool)?;
        self.sign(&seen, direction, part, blockhash)
    }

    /// Direction and part of the input reserve that closes `closes` of the gap to fair value.
    fn toward_fair(
        &self,
        seen: &Seen,
        closes: f64,
        value: &dyn Fn(&Address) -> f64,
    ) -> Option<(Direction, f64)> {
        let (zero, one) = seen.pool.net_reserves(seen.vault_0, seen.vault_1)?;
        let [token_0, token_1] = &self.pool.tokens;
        let whole = |atoms: u64, decimals: u8| as_f64(atoms) / 10f64.powi(decimals.into());
        let pool_price = whole(one, token_1.decimals) / whole(zero, token_0.decimals);
        let gap = (value(&token_0.mint) / value(&token_1.mint) / pool_price).ln();
        let fee = as_f64(self.pool.fee_rate) / 1e6;
        if !gap.is_finite() || gap.abs() <= fee + 0.000_2 {
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
        let (zero, one) = seen.pool.net_reserves(seen.vault_0, seen.vault_1)?;
        let reserve = if direction == Direction::ZeroForOne { zero } else { one };
        let amount_in = (as_f64(reserve) * part) as u64;
        let quote = Quote {
            pool: &seen.pool,
            config: &seen.config,
            vault_0: seen.vault_0,
            vault_1: seen.vault_1,
            direction,
            fee_in: TransferFee::default(),
            fee_out: TransferFee::default(),
            now: u64::MAX,
        };
        let expected = quote.base_input(amount_in).ok()?.user_receives;
        let slippage = self.rng.between(0.003, 0.02);
        let minimum_amount_out = ((as_f64(expected) * (1.0 - slippage)) as u64).max(1);
        let args = SwapArgs::BaseInput { amount_in, minimum_amount_out };
        let price = self.rng.below(UNIT_PRICE_MAX);
        let message = v0::Message::try_compile(
            &self.key.pubkey(),
            &[
                ComputeBudgetInstruction::set_compute_unit_limit(UNIT_LIMIT),
                ComputeBudgetInstruction::set_compute_unit_price(price),
                swap(&self.accounts(direction), args),
            ],
            &[],
            blockhash,
        );
        VersionedTransaction::try_new(VersionedMessage::V0(message.ok()?), &[&self.key]).ok()
    }

    fn accounts(&self, direction: Direction) -> SwapAccounts {
        let payer = self.key.pubkey();
        let addresses = &self.pool.addresses;
        let [zero, one] = &self.pool.tokens;
        let (input, output, input_vault, output_vault) = match direction {
            Direction::ZeroForOne => (zero, one, addresses.vault_0, addresses.vault_1),
            Direction::OneForZero => (one, zero, addresses.vault_1, addresses.vault_0),
        };
        SwapAccounts {
            payer,
            authority: cpmm::authority().0,
            amm_config: self.pool.config,
            pool: addresses.pool,
            user_input: holding_address(&payer, input),
            user_output: holding_address(&payer, output),
            input_vault,
            output_vault,
            input_token_program: input.program,
            output_token_program: output.program,
            input_mint: input.mint,
            output_mint: output.mint,
            observation: addresses.observation,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "the agents' sizes need no more than 53 bits")]
fn as_f64(value: u64) -> f64 {
    value as f64
}
