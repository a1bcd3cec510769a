//! The market: what tokens are worth and who trades them.

mod agents;
pub(crate) mod fair;
pub(crate) mod launch;
pub(crate) mod place;
pub(crate) mod rng;
pub(crate) mod tape;

use litesvm::LiteSVM;
use solana_address::Address;
use solana_hash::Hash;
use solana_transaction::versioned::VersionedTransaction;

use crate::chain::genesis::{Genesis, TOKENS};
use agents::Trader;
use fair::Fair;
use launch::{CoinPrice, LaunchInfo, Launcher};
use rng::Rng;
use tape::Tape;

/// Fair values and the traders that follow, ignore or miss them.
pub(crate) struct Market {
    fair: Vec<Fair>,
    tape: Option<Tape>,
    traders: Vec<Trader>,
    active: bool,
    launcher: Option<Launcher>,
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
        Self { fair, tape, traders, active, launcher: None }
    }

    /// The same market, in which somebody launches coins.
    pub(crate) fn with_launcher(self, launcher: Option<Launcher>) -> Self {
        Self { launcher, ..self }
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
        let value = value_of(&self.fair);
        let mut sent = Vec::new();
        if self.active {
            for trader in &mut self.traders {
                sent.extend(trader.act(svm, blockhash, seconds, &value));
            }
        }
        if let Some(launcher) = &mut self.launcher {
            sent.extend(launcher.step(svm, blockhash, seconds, self.active, &value));
        }
        sent
    }

    /// Looks at what the block of `slot` did, made at Unix second `now`; the coins whose pools have opened in it.
    pub(crate) fn settle(&mut self, svm: &LiteSVM, slot: u64, now: u64) -> Vec<LaunchInfo> {
        let Some(launcher) = &mut self.launcher else { return Vec::new() };
        launcher.settle(svm, slot, now);
        launcher.take_opened()
    }

    /// Prices of new coins, as far as the price service knows them.
    pub(crate) fn coin_prices(&self) -> Vec<CoinPrice> {
        let value = value_of(&self.fair);
        self.launcher.as_ref().map_or_else(Vec::new, |launcher| launcher.prices(&value))
    }

    /// Fair value of every token, in dollars.
    pub(crate) fn prices(&self) -> Vec<(Address, f64)> {
        TOKENS.iter().zip(&self.fair).map(|(token, fair)| (token.mint, fair.price())).collect()
    }
}

/// Looks up what a token is worth in dollars.
fn value_of(fair: &[Fair]) -> impl Fn(&Address) -> f64 {
    move |mint| {
        let of_mint = TOKENS.iter().zip(fair).find(|(token, _)| token.mint == *mint);
        of_mint.map_or(1.0, |(_, fair)| fair.price())
    }
}
