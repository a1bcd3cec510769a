//! New coins: every so often somebody makes one and a pool for it, in transactions like anybody's.
//!
//! # What a launch is
//!
//! | step | who signs | what happens |
//! |---|---|---|
//! | fund | the treasury | a fresh creator gets SOL and what the coin will be paid with |
//! | coin | creator and mint | the mint with its extensions, its metadata, all of its supply, authorities given up or kept |
//! | spread | creator | a crowd of wallets gets its part, in several transactions |
//! | admit | the exchange's administrator | only a coin that the exchange would refuse otherwise |
//! | open | creator | `initialize` of the exchange, and the liquidity tokens burnt or kept |
//!
//! Each step waits until the one before is on the chain. Which kind it is, keys, names, amounts, and how its price will
//! go, follow from the seed alone.
//!
//! # What makes a launch sound
//!
//! No authority over mint or accounts; metadata that nobody can change; no extension but a pointer to metadata in the
//! mint itself; all liquidity tokens burnt in the transaction that makes the pool, but the hundred that nobody ever gets;
//! two in a hundred with the creator; the rest, less than four in ten, spread over [`CROWD`] wallets. Each other kind is
//! sound but for its one defect.
//!
//! # Afterwards
//!
//! The crowd trades the coin toward what it is worth, which is a process of its own and knows no pool: it wanders, or is
//! pumped and sold off, or is pulled away by whoever can. Only so many coins are traded at once: the oldest is left
//! alone when another comes.

mod coin;
mod plan;
mod pull;
mod steps;
#[cfg(test)]
mod tests;
mod worth;

use litesvm::LiteSVM;
use serde::Serialize;
use solana_address::Address;
use solana_hash::Hash;
use solana_keypair::Keypair;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;

use crate::chain::genesis::{LaunchKeys, TOKENS};
use crate::market::rng::Rng;
use coin::Coin;
pub use plan::LaunchKind;
use plan::{Deck, Plan};
use steps::Step;
pub use worth::Life;

/// Wallets that hold and trade new coins.
pub(crate) const CROWD: usize = 24;
/// Most launches of a chain's life: every one stays in its accounts.
pub const LAUNCHES_MAX: usize = 2_000;
/// Launches under way at once; the next one waits.
const UNDER_WAY_MAX: usize = 8;
/// Blocks that a step may take. Its transaction is dead by then.
const PATIENCE_BLOCKS: u32 = 160;

/// How launches go about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Seconds from one to the next.
    pub(crate) every: f64,
    /// Most coins traded at once.
    pub(crate) traded: usize,
    /// Seconds until the price service knows a coin.
    pub(crate) price_delay: f64,
}

/// A coin that was launched, as told to clients: the truth that a verdict can be held against.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LaunchInfo {
    /// Counts launches from 0.
    pub number: u64,
    /// What is wrong with it, if anything.
    pub kind: LaunchKind,
    /// Nothing is.
    pub sound: bool,
    /// How its price will go.
    pub life: Life,
    /// The coin.
    pub mint: String,
    /// What it calls itself, unclean.
    pub name: String,
    /// Its ticker, unclean.
    pub symbol: String,
    /// Its decimals.
    pub decimals: u8,
    /// Its token program.
    pub program: String,
    /// What it is paid with.
    pub quote: String,
    /// Its pool.
    pub pool: String,
    /// Who made both.
    pub creator: String,
    /// The transaction that made the pool.
    pub signature: String,
    /// The slot that it is in.
    pub slot: u64,
}

/// Dollars of a new coin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoinPrice {
    pub(crate) mint: Address,
    pub(crate) decimals: u8,
    pub(crate) value: f64,
    pub(crate) first: f64,
}

/// A launch under way.
struct UnderWay {
    plan: Plan,
    step: Step,
    /// The transaction of this step, once it is signed, and the blocks since.
    sent: Option<(String, u32)>,
}

/// Makes coins, and lets a crowd trade them.
pub(crate) struct Launcher {
    pace: Pace,
    keys: LaunchKeys,
    rng: Rng,
    deck: Deck,
    count: u64,
    /// Seconds until the next one.
    due: f64,
    under_way: Vec<UnderWay>,
    coins: Vec<Coin>,
    opened: Vec<LaunchInfo>,
    /// Time of the newest block.
    now: u64,
}

impl Launcher {
    pub(crate) fn new(seed: u64, pace: Pace, keys: LaunchKeys) -> Self {
        Self {
            pace,
            keys,
            rng: Rng::new(seed.rotate_left(43)),
            deck: Deck::default(),
            count: 0,
            due: pace.every,
            under_way: Vec::new(),
            coins: Vec::new(),
            opened: Vec::new(),
            now: 0,
        }
    }

    /// Who trades, so that their history is kept no longer than that of other agents.
    pub(crate) fn crowd(&self) -> impl Iterator<Item = Address> {
        self.keys.crowd.iter().map(Keypair::pubkey)
    }

    /// Lets `seconds` pass and collects what creators and, if they trade at all, the crowd sign.
    pub(crate) fn step(
        &mut self,
        svm: &LiteSVM,
        blockhash: Hash,
        seconds: f64,
        trades: bool,
        value: &dyn Fn(&Address) -> f64,
    ) -> Vec<VersionedTransaction> {
        self.due -= seconds;
        if self.due <= 0.0
            && self.under_way.len() < UNDER_WAY_MAX
            && self.coins.len() + self.under_way.len() < LAUNCHES_MAX
        {
            // The pace is kept, but what a full house held up is not caught up with.
            self.due = (self.due + self.pace.every).max(0.0);
            self.begin(value);
        }
        let mut sent = Vec::new();
        for launch in self.under_way.iter_mut().filter(|launch| launch.sent.is_none()) {
            let transaction = launch.step.transaction(&launch.plan, &self.keys, svm, blockhash);
            let name = transaction.as_ref().and_then(|one| one.signatures.first());
            let waited = if name.is_some() { 0 } else { PATIENCE_BLOCKS };
            launch.sent = Some((name.map(ToString::to_string).unwrap_or_default(), waited));
            sent.extend(transaction);
        }
        for coin in &mut self.coins {
            coin.age += seconds;
            if coin.traded {
                coin.worth.advance(seconds);
            }
            if coin.traded && trades {
                sent.extend(coin.act(svm, &self.keys, (self.now, seconds), blockhash));
            }
        }
        sent
    }

    fn begin(&mut self, value: &dyn Fn(&Address) -> f64) {
        let kind = self.deck.draw(&mut self.rng);
        let [sol, usdc, ..] = TOKENS;
        let quote = if self.rng.chance(0.3) { sol } else { usdc };
        let worth = value(&quote.mint);
        let plan = Plan::draw(self.count, kind, quote, worth, CROWD, &mut self.rng);
        self.count += 1;
        self.under_way.push(UnderWay { plan, step: Step::Fund, sent: None });
    }

    /// Looks at what the newest block did.
    pub(crate) fn settle(&mut self, svm: &LiteSVM, slot: u64, now: u64) {
        self.now = now;
        for mut launch in std::mem::take(&mut self.under_way) {
            let Some((signature, blocks)) = &mut launch.sent else {
                self.under_way.push(launch);
                continue;
            };
            if !launch.step.is_done(&launch.plan, &self.keys, svm) {
                *blocks += 1;
                if *blocks <= PATIENCE_BLOCKS {
                    self.under_way.push(launch);
                } else {
                    let number = launch.plan.number;
                    tracing::warn!(number, step = ?launch.step, "a launch did not get through");
                }
                continue;
            }
            let signature = std::mem::take(signature);
            match launch.step.next(&launch.plan) {
                Some(step) => self.under_way.push(UnderWay { step, sent: None, ..launch }),
                None => self.open(launch.plan, signature, slot),
            }
        }
    }

    fn open(&mut self, plan: Plan, signature: String, slot: u64) {
        let coin = Coin::new(plan, &self.keys);
        let plan = &coin.plan;
        self.opened.push(LaunchInfo {
            number: plan.number,
            kind: plan.kind,
            sound: plan.kind.is_sound(),
            life: plan.life,
            mint: plan.mint.pubkey().to_string(),
            name: plan.data.name.clone(),
            symbol: plan.data.symbol.clone(),
            decimals: plan.decimals,
            program: plan.program.to_string(),
            quote: plan.quote.mint.to_string(),
            pool: coin.addresses().pool.to_string(),
            creator: plan.creator.pubkey().to_string(),
            signature,
            slot,
        });
        self.coins.push(coin);
        let traded = self.coins.iter().filter(|coin| coin.traded).count();
        let surplus = traded.saturating_sub(self.pace.traded);
        for oldest in self.coins.iter_mut().filter(|coin| coin.traded).take(surplus) {
            oldest.traded = false;
        }
    }

    /// Those that have opened since this was asked last.
    pub(crate) fn take_opened(&mut self) -> Vec<LaunchInfo> {
        std::mem::take(&mut self.opened)
    }

    /// Dollars of every coin that the price service knows by now. One that is traded no more keeps its price in what
    /// it is paid with.
    pub(crate) fn prices(&self, value: &dyn Fn(&Address) -> f64) -> Vec<CoinPrice> {
        let known = |coin: &&Coin| coin.age >= self.pace.price_delay;
        let price = |coin: &Coin| {
            let quote = value(&coin.plan.quote.mint);
            CoinPrice {
                mint: coin.plan.mint.pubkey(),
                decimals: coin.plan.decimals,
                value: coin.worth.price() * quote,
                first: coin.worth.first() * quote,
            }
        };
        self.coins.iter().filter(known).map(price).collect()
    }
}
