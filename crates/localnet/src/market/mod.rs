//! The market: what tokens are worth and who trades them.

mod agents;
pub(crate) mod fair;
mod place;
pub(crate) mod rng;
pub(crate) mod tape;

use litesvm::LiteSVM;
use solana_address::Address;
use solana_hash::Hash;
use solana_transaction::versioned::VersionedTransaction;

use crate::chain::genesis::{Genesis, TOKENS};
use agents::Trader;
use fair::Fair;
use rng::Rng;
use tape::Tape;

/// Fair values and the traders that follow, ignore or miss them.
pub(crate) struct Market {
    fair: Vec<Fair>,
    tape: Option<Tape>,
    traders: Vec<Trader>,
    active: bool,
}

impl Market {
    pub(crate) fn new(seed: u64, genesis: &Genesis, mut tape: Option<Tape>, active: bool) -> Self {
        let mut rng = Rng::new(seed.rotate_left(17));
        let mut fair: Vec<Fair> = TOKENS
            .iter()
            .map(|token| Fair::new(token.price, token.temper, Rng::new(rng.next())))
            .collect();
        if let (Some(tape), Some(sol)) = (&mut tape, fair.first_mut()) {
            sol.set(tape.advance(0.0));
        }
        let traders = agents::traders(genesis, &mut rng);
        Self { fair, tape, traders, active }
    }

    /// Lets `seconds` pass and collects the transactions the traders sign.
    pub(crate) fn step(
        &mut self,
        svm: &LiteSVM,
        blockhash: Hash,
        seconds: f64,
    ) -> Vec<VersionedTransaction> {
        for fair in &mut self.fair {
            fair.advance(seconds);
        }
        if let (Some(tape), Some(sol)) = (&mut self.tape, self.fair.first_mut()) {
            sol.set(tape.advance(seconds));
        }
        if !self.active {
            return Vec::new();
        }
        let value = |mint: &Address| -> f64 {
            let of_mint = TOKENS.iter().zip(&self.fair).find(|(token, _)| token.mint == *mint);
            of_mint.map_or(1.0, |(_, fair)| fair.price())
        };
        let mut sent = Vec::new();
        for trader in &mut self.traders {
            sent.extend(trader.act(svm, blockhash, seconds, &value));
        }
        sent
    }

    /// Fair value of every token, in dollars.
    pub(crate) fn prices(&self) -> Vec<(Address, f64)> {
        TOKENS.iter().zip(&self.fair).map(|(token, fair)| (token.mint, fair.price())).collect()
    }
}
