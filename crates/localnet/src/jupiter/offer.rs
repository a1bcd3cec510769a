//! The best of this chain's pools for a swap, and the instruction that swaps there.

use solana_account::ReadableAccount;
use solana_address::Address;
use solana_instruction::Instruction;

use super::instruction::{RouteAccounts, RouteArgs, Step, Swap, WHOLE, route};
use crate::chain::Chain;
use crate::chain::genesis::{Token, holding_address};
use crate::chain::ledger::Ledger;
use crate::cpmm::math::Direction;
use crate::market::place::{Place, Seen, State};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) mint_in: Address,
    pub(crate) mint_out: Address,
    pub(crate) amount: u64,
    pub(crate) slippage_bps: u16,
}

/// A pool, as it is, and what it gives.
pub(crate) struct Found<'a> {
    place: &'a Place,
    seen: Seen,
    direction: Direction,
    pub(crate) out: u64,
    wanted: Wanted,
}

/// The chain as of one slot.
struct View<'a> {
    ledger: &'a Ledger,
    slot: u64,
}

impl State for View<'_> {
    fn data(&self, address: &Address) -> Option<&[u8]> {
        self.ledger.account(address, self.slot).map(ReadableAccount::data)
    }
}

/// The pool that gives the most, as of `slot`; none if none gives anything.
pub(crate) fn best<'a>(
    chain: &'a Chain,
    ledger: &Ledger,
    slot: u64,
    wanted: Wanted,
) -> Option<Found<'a>> {
    let view = View { ledger, slot };
    let quote = |place: &'a Place| {
        let [zero, one] = place.tokens();
        let direction = match (zero.mint, one.mint) {
            pair if pair == (wanted.mint_in, wanted.mint_out) => Direction::ZeroForOne,
            pair if pair == (wanted.mint_out, wanted.mint_in) => Direction::OneForZero,
            _ => return None,
        };
        let mut seen = place.read(&view)?;
        place.read_ahead(&view, &mut seen, direction);
        let out = seen.quote(direction, wanted.amount).filter(|out| *out > 0)?;
        Some(Found { place, seen, direction, out, wanted })
    };
    chain.places.iter().filter_map(quote).max_by_key(|found| found.out)
}

impl Found<'_> {
    fn tokens(&self) -> (&Token, &Token) {
        let [zero, one] = self.place.tokens();
        if self.direction == Direction::ZeroForOne { (zero, one) } else { (one, zero) }
    }

    /// The least that comes at the slippage asked for.
    pub(crate) fn least(&self) -> u64 {
        self.args().least()
    }

    /// What the pool is called, and where it is.
    pub(crate) fn pool(&self) -> (&'static str, Address) {
        match self.place {
            Place::Constant(pool) => ("Raydium CP", pool.addresses.pool),
            Place::Concentrated(pool) => ("Whirlpool", pool.address),
        }
    }

    fn args(&self) -> RouteArgs {
        let a_to_b = self.direction == Direction::ZeroForOne;
        let swap = match self.place {
            Place::Constant(_) => Swap::RaydiumCp,
            Place::Concentrated(_) => Swap::Whirlpool { a_to_b },
        };
        RouteArgs {
            in_amount: self.wanted.amount,
            quoted_out_amount: self.out,
            slippage_bps: self.wanted.slippage_bps,
            platform_fee_bps: 0,
            positive_slippage_bps: 0,
            steps: vec![Step { swap, bps: WHOLE, input: 0, output: 1 }],
        }
    }

    /// The swap for `taker`.
    pub(crate) fn instruction(&self, taker: Address) -> Option<Instruction> {
        let (input, output) = self.tokens();
        let accounts = RouteAccounts {
            owner: taker,
            source: holding_address(&taker, input),
            destination: holding_address(&taker, output),
            mints: [input.mint, output.mint],
            programs: [input.program, output.program],
        };
        let amounts = (self.wanted.amount, 0);
        let step = self.place.swap_v2(&self.seen, taker, self.direction, amounts)?;
        Some(route(&accounts, &self.args(), &step))
    }

    /// The accounts that the swap needs, each with its token.
    pub(crate) fn needs(&self, taker: &Address) -> [(Address, &Token); 2] {
        let (input, output) = self.tokens();
        [(holding_address(taker, input), input), (holding_address(taker, output), output)]
    }
}
