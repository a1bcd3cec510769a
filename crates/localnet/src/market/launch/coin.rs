//! A coin whose pool is open, and those who trade it.

use litesvm::LiteSVM;
use solana_account::ReadableAccount;
use solana_address::Address;
use solana_hash::Hash;
use solana_instruction::Instruction;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

use super::plan::Plan;
use super::steps::{config, sign};
use super::worth::Worth;
use crate::chain::genesis::LaunchKeys;
use crate::cpmm::instruction::{SwapAccounts, SwapArgs, swap};
use crate::cpmm::math::{Direction, Quote};
use crate::cpmm::state::{AmmConfig, PoolState};
use crate::cpmm::token::TokenAccount;
use crate::cpmm::withdraw::{WithdrawArgs, withdraw};
use crate::cpmm::{PoolAddresses, authority};
use crate::market::place::as_f64;
use crate::market::rng::Rng;

/// Compute units a trade asks for.
const UNITS: u32 = 150_000;
/// How often, per block of [`BLOCK_SECONDS`], somebody looks whether the price is right, and which part of the gap
/// is closed then.
const ATTENTION: f64 = 0.6;
const CLOSES: f64 = 0.6;
/// How often somebody trades for no reason.
const NOISE: f64 = 0.35;
const BLOCK_SECONDS: f64 = 0.4;
/// Most of the input reserve that one trade gives.
const PART_MAX: f64 = 0.25;

/// A new coin on its pool.
pub(super) struct Coin {
    pub(super) plan: Plan,
    pub(super) worth: Worth,
    /// The crowd trades it.
    pub(super) traded: bool,
    /// Seconds since its pool opened.
    pub(super) age: f64,
    pool: PoolAddresses,
    /// The crowd's accounts of the coin and of what it is paid with.
    holdings: Vec<[Address; 2]>,
    pulled: bool,
    rng: Rng,
}

/// The pool as a trader sees it.
struct Seen {
    pool: PoolState,
    config: AmmConfig,
    vaults: [u64; 2],
}

/// What somebody wants to do.
#[derive(Clone, Copy)]
struct Wish {
    buys: bool,
    /// Part of the input reserve.
    part: f64,
}

impl Coin {
    pub(super) fn new(plan: Plan, keys: &LaunchKeys) -> Self {
        let mut rng = Rng::new(plan.seed);
        let worth = Worth::new(plan.first_price(), plan.life, Rng::new(rng.next()));
        let holdings = keys
            .crowd
            .iter()
            .map(|key| [plan.holding(&key.pubkey()), plan.quote_holding(&key.pubkey())])
            .collect();
        let pool = plan.pool(&config());
        Self { plan, worth, traded: true, age: 0.0, pool, holdings, pulled: false, rng }
    }

    pub(super) const fn addresses(&self) -> &PoolAddresses {
        &self.pool
    }

    /// Lets the crowd act in the coming block, which is not before `now`.
    pub(super) fn act(
        &mut self,
        svm: &LiteSVM,
        keys: &LaunchKeys,
        (now, seconds): (u64, f64),
        blockhash: Hash,
    ) -> Vec<VersionedTransaction> {
        let Some(seen) = self.read(svm).filter(|seen| seen.pool.open_time <= now) else {
            return Vec::new();
        };
        let mut sent = Vec::new();
        if !self.pulled && self.plan.life.is_pulled(self.age) {
            self.pulled = true;
            sent.extend(self.pull(svm, blockhash));
            return sent;
        }
        let blocks = seconds / BLOCK_SECONDS;
        if self.rng.chance((ATTENTION * blocks).min(1.0))
            && let Some(wish) = self.toward_worth(&seen)
        {
            sent.extend(self.trade(svm, keys, &seen, wish, blockhash));
        }
        if self.rng.chance((NOISE * blocks).min(1.0)) {
            let buys = self.rng.chance(0.5);
            let wish = Wish { buys, part: self.rng.exponential(0.002).min(0.01) };
            sent.extend(self.trade(svm, keys, &seen, wish, blockhash));
        }
        sent
    }

    /// Atoms in a token account; none if there is none.
    pub(super) fn held(&self, svm: &LiteSVM, account: &Address) -> Option<u64> {
        Some(TokenAccount::decode(data(svm, account)?)?.amount)
    }

    /// All of `amount` sold at any price.
    pub(super) fn sale(&self, svm: &LiteSVM, seller: Address, amount: u64) -> Option<Instruction> {
        self.swap(&self.read(svm)?, seller, false, amount, 1.0)
    }

    /// All liquidity that the creator can take out, taken out.
    pub(super) fn withdrawal(&self, svm: &LiteSVM) -> Option<Instruction> {
        let pool = self.read(svm)?.pool;
        let creator = self.plan.creator.pubkey();
        let spl = spl_token_interface::ID;
        let lp = get_associated_token_address_with_program_id(&creator, &pool.lp_mint, &spl);
        let (coin, quote) = (self.plan.holding(&creator), self.plan.quote_holding(&creator));
        let receivers = if self.coin_is_zero() { [coin, quote] } else { [quote, coin] };
        let lp_amount = self.held(svm, &lp)?;
        let args = WithdrawArgs { lp_amount, minimum_0: 0, minimum_1: 0 };
        Some(withdraw((self.pool.pool, &pool), creator, lp, receivers, args))
    }

    fn read(&self, svm: &LiteSVM) -> Option<Seen> {
        Some(Seen {
            pool: PoolState::decode(data(svm, &self.pool.pool)?)?,
            config: AmmConfig::decode(data(svm, &config())?)?,
            vaults: [self.held(svm, &self.pool.vault_0)?, self.held(svm, &self.pool.vault_1)?],
        })
    }

    fn coin_is_zero(&self) -> bool {
        self.plan.sides().2
    }

    /// Atoms of the coin and of the quote that set the price.
    fn reserves(&self, seen: &Seen) -> Option<(f64, f64)> {
        let [vault_0, vault_1] = seen.vaults;
        let (zero, one) = seen.pool.net_reserves(vault_0, vault_1)?;
        let (coin, quote) = if self.coin_is_zero() { (zero, one) } else { (one, zero) };
        (coin > 0 && quote > 0).then(|| (as_f64(coin), as_f64(quote)))
    }

    fn toward_worth(&self, seen: &Seen) -> Option<Wish> {
        let (coin, quote) = self.reserves(seen)?;
        let whole = |atoms: f64, decimals: u8| atoms / 10f64.powi(decimals.into());
        let price = whole(quote, self.plan.quote.decimals) / whole(coin, self.plan.decimals);
        let gap = (self.worth.price() / price).ln();
        let fee = as_f64(seen.config.trade_fee_rate) / 1e6;
        let cost = fee + f64::from(self.plan.transfer_fee().bps) / 1e4;
        if !gap.is_finite() || gap.abs() <= cost + 0.002 {
            return None;
        }
        let part = ((CLOSES * gap.abs()) / 2.0).exp_m1().min(PART_MAX);
        Some(Wish { buys: gap > 0.0, part })
    }

    /// A trade of the crowd: who has least buys, who has most sells, so that none of them becomes great.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a reserve, positive and below 2^63"
    )]
    fn trade(
        &mut self,
        svm: &LiteSVM,
        keys: &LaunchKeys,
        seen: &Seen,
        wish: Wish,
        blockhash: Hash,
    ) -> Option<VersionedTransaction> {
        let (coin, quote) = self.reserves(seen)?;
        let held = |address| self.held(svm, address);
        let crowd = keys.crowd.iter().zip(&self.holdings).enumerate();
        let (_, key, source_held) = if wish.buys {
            crowd
                .filter_map(|(nth, (key, [of_coin, of_quote]))| {
                    Some(((held(of_coin)?, nth), key, held(of_quote)?))
                })
                .min_by_key(|(order, ..)| *order)?
        } else {
            crowd
                .filter_map(|(nth, (key, [of_coin, _]))| {
                    let held = held(of_coin)?;
                    Some(((held, nth), key, held))
                })
                .max_by_key(|(order, ..)| *order)?
        };
        let reserve = if wish.buys { quote } else { coin };
        let amount = ((reserve * wish.part) as u64).min(source_held);
        let swap = self.swap(seen, key.pubkey(), wish.buys, amount, 0.03)?;
        sign(key, &[], &[swap], UNITS, blockhash)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "less than an amount that fits"
    )]
    fn swap(
        &self,
        seen: &Seen,
        payer: Address,
        buys: bool,
        amount_in: u64,
        slippage: f64,
    ) -> Option<Instruction> {
        let zero_in = self.coin_is_zero() != buys;
        let (none, fee) = (Default::default(), self.plan.transfer_fee());
        let quote = Quote {
            pool: &seen.pool,
            config: &seen.config,
            vault_0: seen.vaults[0],
            vault_1: seen.vaults[1],
            direction: if zero_in { Direction::ZeroForOne } else { Direction::OneForZero },
            fee_in: if buys { none } else { fee },
            fee_out: if buys { fee } else { none },
            now: u64::MAX,
        };
        let expected = quote.base_input(amount_in).ok()?.user_receives;
        let minimum_amount_out = ((as_f64(expected) * (1.0 - slippage)) as u64).max(1);
        let args = SwapArgs::BaseInput { amount_in, minimum_amount_out };
        Some(swap(&self.accounts(payer, buys), args))
    }

    fn accounts(&self, payer: Address, buys: bool) -> SwapAccounts {
        let plan = &self.plan;
        let coin = (plan.mint.pubkey(), plan.program, plan.holding(&payer));
        let quote = (plan.quote.mint, plan.quote.program, plan.quote_holding(&payer));
        let (coin_vault, quote_vault) = if self.coin_is_zero() {
            (self.pool.vault_0, self.pool.vault_1)
        } else {
            (self.pool.vault_1, self.pool.vault_0)
        };
        let (input, output) = if buys { (quote, coin) } else { (coin, quote) };
        let (input_vault, output_vault) =
            if buys { (quote_vault, coin_vault) } else { (coin_vault, quote_vault) };
        SwapAccounts {
            payer,
            authority: authority().0,
            amm_config: config(),
            pool: self.pool.pool,
            user_input: input.2,
            user_output: output.2,
            input_vault,
            output_vault,
            input_token_program: input.1,
            output_token_program: output.1,
            input_mint: input.0,
            output_mint: output.0,
            observation: self.pool.observation,
        }
    }
}

fn data<'a>(svm: &'a LiteSVM, address: &Address) -> Option<&'a [u8]> {
    svm.accounts_db().get_account_ref(address).map(ReadableAccount::data)
}
