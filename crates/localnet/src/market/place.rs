//! The pools traders trade on, of both kinds, seen as two reserves and a swap.

use litesvm::LiteSVM;
use solana_account::ReadableAccount;
use solana_address::Address;
use solana_instruction::Instruction;

use crate::chain::genesis::{Concentrated, Pool, Token, holding_address};
use crate::cpmm::instruction::{SwapAccounts, SwapArgs};
use crate::cpmm::math::{Direction, Quote, TransferFee};
use crate::cpmm::state::{AmmConfig, PoolState};
use crate::cpmm::token::TokenAccount;
use crate::whirlpool::instruction::{self as whirl, Side, Version};
use crate::whirlpool::math::Way;
use crate::whirlpool::state::Whirlpool;
use crate::whirlpool::swap::{Request, swap};
use crate::whirlpool::tick_array::{TickArray, starts_for};
use crate::whirlpool::{oracle_address, tick_array_address};
use crate::{cpmm, whirlpool};

/// A pool somebody trades on.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Constant(Pool),
    Concentrated(Concentrated),
}

/// What a trader reads from the chain before it acts.
pub(crate) enum Seen {
    Constant { pool: Box<PoolState>, config: AmmConfig, vault_0: u64, vault_1: u64 },
    Concentrated { pool: Box<Whirlpool>, arrays: Vec<TickArray> },
}

/// Where accounts are read.
pub(crate) trait State {
    /// The bytes of an account that is there.
    fn data(&self, address: &Address) -> Option<&[u8]>;
}

impl State for LiteSVM {
    fn data(&self, address: &Address) -> Option<&[u8]> {
        self.accounts_db().get_account_ref(address).map(ReadableAccount::data)
    }
}

impl Place {
    /// Token 0 and token 1.
    pub(crate) fn tokens(&self) -> &[Token; 2] {
        match self {
            Self::Constant(pool) => &pool.tokens,
            Self::Concentrated(pool) => &pool.tokens,
        }
    }

    /// The pool's fee, as a part.
    pub(super) fn fee(&self) -> f64 {
        match self {
            Self::Constant(pool) => as_f64(pool.fee_rate) / 1e6,
            Self::Concentrated(pool) => f64::from(pool.fee_rate) / 1e6,
        }
    }

    /// The pool as it is; what lies ahead of a swap is read by [`Place::read_ahead`].
    pub(crate) fn read(&self, state: &impl State) -> Option<Seen> {
        match self {
            Self::Constant(pool) => {
                let vault = |address| Some(TokenAccount::decode(state.data(address)?)?.amount);
                Some(Seen::Constant {
                    pool: Box::new(PoolState::decode(state.data(&pool.addresses.pool)?)?),
                    config: AmmConfig::decode(state.data(&pool.config)?)?,
                    vault_0: vault(&pool.addresses.vault_0)?,
                    vault_1: vault(&pool.addresses.vault_1)?,
                })
            }
            Self::Concentrated(place) => {
                let pool = Whirlpool::decode(state.data(&place.address)?)?;
                Some(Seen::Concentrated { pool: Box::new(pool), arrays: Vec::new() })
            }
        }
    }

    /// Adds the tick arrays that a swap in this direction needs.
    pub(crate) fn read_ahead(&self, state: &impl State, seen: &mut Seen, direction: Direction) {
        let (Self::Concentrated(place), Seen::Concentrated { pool, arrays }) = (self, seen) else {
            return;
        };
        let falls = direction == Direction::ZeroForOne;
        let starts = starts_for(pool.tick, pool.tick_spacing, falls).into_iter();
        let read = |start| {
            let made = state.data(&tick_array_address(&place.address, start));
            let made = made.and_then(TickArray::decode);
            made.unwrap_or_else(|| TickArray::empty(place.address, start))
        };
        *arrays = starts.map(read).collect();
    }

    /// A swap of `amount_in` by `payer` that accepts `minimum_out`.
    pub(super) fn swap(
        &self,
        seen: &Seen,
        payer: Address,
        direction: Direction,
        (amount_in, minimum_out): (u64, u64),
    ) -> Option<Instruction> {
        match (self, seen) {
            (Self::Constant(pool), Seen::Constant { .. }) => {
                let args = SwapArgs::BaseInput { amount_in, minimum_amount_out: minimum_out };
                Some(cpmm::instruction::swap(&constant_accounts(pool, payer, direction), args))
            }
            (Self::Concentrated(place), Seen::Concentrated { .. }) => {
                // SPL Token alone can be traded by either instruction; both are to be seen on chain.
                let plain = place.tokens.iter().all(|t| t.program == spl_token_interface::ID);
                let version =
                    if plain && amount_in % 2 == 0 { Version::One } else { Version::Two(None) };
                let amounts = (amount_in, minimum_out);
                concentrated_swap(place, seen, payer, direction, amounts, version)
            }
            _ => None,
        }
    }

    /// The same by each exchange's newest instruction.
    pub(crate) fn swap_v2(
        &self,
        seen: &Seen,
        payer: Address,
        direction: Direction,
        amounts: (u64, u64),
    ) -> Option<Instruction> {
        match self {
            Self::Constant(_) => self.swap(seen, payer, direction, amounts),
            Self::Concentrated(place) => {
                concentrated_swap(place, seen, payer, direction, amounts, Version::Two(None))
            }
        }
    }
}

impl Seen {
    /// Atoms of both tokens that set the price: those in the pool, or, on a concentrated one, those
    /// that its liquidity would stand for over the whole range of prices.
    pub(super) fn reserves(&self) -> Option<(f64, f64)> {
        match self {
            Self::Constant { pool, vault_0, vault_1, .. } => {
                let (zero, one) = pool.net_reserves(*vault_0, *vault_1)?;
                Some((as_f64(zero), as_f64(one)))
            }
            Self::Concentrated { pool, .. } => {
                let (liquidity, root) =
                    (wide_f64(pool.liquidity), wide_f64(pool.sqrt_price) / 2f64.powi(64));
                Some((liquidity / root, liquidity * root))
            }
        }
    }

    /// What a swap of `amount_in` pays out now.
    pub(crate) fn quote(&self, direction: Direction, amount_in: u64) -> Option<u64> {
        match self {
            Self::Constant { pool, config, vault_0, vault_1 } => {
                let quote = Quote {
                    pool,
                    config,
                    vault_0: *vault_0,
                    vault_1: *vault_1,
                    direction,
                    fee_in: TransferFee::default(),
                    fee_out: TransferFee::default(),
                    now: u64::MAX,
                };
                Some(quote.base_input(amount_in).ok()?.user_receives)
            }
            Self::Concentrated { pool, arrays } => {
                let request = request(direction, amount_in);
                Some(swap(pool, arrays, &request, u64::MAX).ok()?.amount_out)
            }
        }
    }
}

fn concentrated_swap(
    place: &Concentrated,
    seen: &Seen,
    payer: Address,
    direction: Direction,
    (amount_in, minimum_out): (u64, u64),
    version: Version,
) -> Option<Instruction> {
    let Seen::Concentrated { arrays, .. } = seen else { return None };
    let request = request(direction, amount_in);
    let accounts = concentrated_accounts(place, payer, arrays)?;
    let args = whirl::SwapArgs { request, other_amount_threshold: minimum_out, version };
    Some(whirlpool::instruction::swap(&accounts, &args))
}

fn request(direction: Direction, amount: u64) -> Request {
    let way = Way { a_to_b: direction == Direction::ZeroForOne, exact_in: true };
    Request { amount, sqrt_price_limit: 0, way }
}

fn constant_accounts(pool: &Pool, payer: Address, direction: Direction) -> SwapAccounts {
    let addresses = &pool.addresses;
    let [zero, one] = &pool.tokens;
    let (input, output, input_vault, output_vault) = match direction {
        Direction::ZeroForOne => (zero, one, addresses.vault_0, addresses.vault_1),
        Direction::OneForZero => (one, zero, addresses.vault_1, addresses.vault_0),
    };
    SwapAccounts {
        payer,
        authority: cpmm::authority().0,
        amm_config: pool.config,
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

fn concentrated_accounts(
    place: &Concentrated,
    payer: Address,
    arrays: &[TickArray],
) -> Option<whirl::SwapAccounts> {
    let [token_a, token_b] = &place.tokens;
    let [vault_a, vault_b] = place.vaults;
    let side = |token: &Token, vault| Side {
        mint: token.mint,
        program: token.program,
        user: holding_address(&payer, token),
        vault,
    };
    let last = arrays.last()?.start;
    let at = |nth: usize| {
        let start = arrays.get(nth).map_or(last, |array| array.start);
        tick_array_address(&place.address, start)
    };
    Some(whirl::SwapAccounts {
        authority: payer,
        pool: place.address,
        a: side(token_a, vault_a),
        b: side(token_b, vault_b),
        tick_arrays: [at(0), at(1), at(2)],
        oracle: oracle_address(&place.address),
        supplemental: Vec::new(),
    })
}

#[allow(clippy::cast_precision_loss, reason = "the agents' sizes need no more than 53 bits")]
pub(super) fn as_f64(value: u64) -> f64 {
    value as f64
}

#[allow(clippy::cast_precision_loss, reason = "the agents' sizes need no more than 53 bits")]
fn wide_f64(value: u128) -> f64 {
    value as f64
}
