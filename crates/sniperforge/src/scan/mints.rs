//! Names and decimals of the mints that are shown.

use std::collections::{BTreeMap, BTreeSet};

use sniper_core::amm::pump_curve::bonding_curve;
use sniper_core::ids::Address;
use sniper_solana::rpc::{Commitment, RpcConnectionPool};

use super::watch::{Shown, Watching};
use crate::telemetry::safe_text;

/// Where a mint keeps its decimals.
const DECIMALS_AT: usize = 44;
/// Mints of one request.
const ASKED_MAX: usize = 100;
/// Bonding curves whose coins are looked for at a time: two requests each at most.
const CURVES_ASKED_MAX: usize = 4;
/// Tokens of a curve that are looked at: anybody may send it some.
const TOKENS_MAX: usize = 64;
/// Programs that a coin may belong to.
const TOKEN_PROGRAMS: [Address; 2] = [
    Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"),
    Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"),
];
/// Longest name shown.
const LABEL_MAX: usize = 10;

/// What is known of mints, learnt as they come into view.
pub(super) struct Mints {
    labels: BTreeMap<Address, String>,
    decimals: BTreeMap<Address, Option<u8>>,
    /// Coins of bonding curves, which do not name them; none where it was looked for and not found.
    coins: BTreeMap<Address, Option<Address>>,
}

impl Mints {
    pub(super) fn new(labels: BTreeMap<Address, String>) -> Self {
        let clean = labels.into_iter().map(|(mint, label)| (mint, safe_text(&label, LABEL_MAX)));
        Self { labels: clean.collect(), decimals: BTreeMap::new(), coins: BTreeMap::new() }
    }

    /// Reads the mints of the rows in view that are not known yet.
    pub(super) async fn learn(&mut self, rpc: &RpcConnectionPool, of: &Watching, top: usize) {
        let shown = of.top(top);
        self.learn_decimals(rpc, &shown).await;
        // A few coins at a time, so that whatever ends this early has learnt something.
        while self.learn_coins(rpc, &shown).await {
            self.learn_decimals(rpc, &shown).await;
        }
    }

    async fn learn_decimals(&mut self, rpc: &RpcConnectionPool, shown: &[Shown]) {
        let shown = shown
            .iter()
            .flat_map(|shown| self.coin(shown).into_iter().chain([shown.figures.quote]));
        let new: BTreeSet<Address> =
            shown.filter(|mint| !self.decimals.contains_key(mint)).take(ASKED_MAX).collect();
        let new: Vec<Address> = new.into_iter().collect();
        if new.is_empty() {
            return;
        }
        match rpc.multiple_accounts(&new, Commitment::Confirmed, None).await {
            Ok(read) => {
                for (mint, account) in new.into_iter().zip(read.value) {
                    let decimals = account.and_then(|account| {
                        account.data.get(DECIMALS_AT).copied().filter(|decimals| *decimals <= 30)
                    });
                    self.decimals.insert(mint, decimals);
                }
            }
            // They are asked for again with the next screen.
            Err(error) => tracing::debug!(%error, "mints not read"),
        }
    }

    /// A curve holds its own coin: the account it holds it in names it. It derives from the coin, which proves it.
    /// Whether anything was learnt.
    async fn learn_coins(&mut self, rpc: &RpcConnectionPool, shown: &[Shown]) -> bool {
        let unknown = shown.iter().filter(|shown| {
            shown.figures.base == shown.address && !self.coins.contains_key(&shown.address)
        });
        let curves: Vec<Address> =
            unknown.map(|shown| shown.address).take(CURVES_ASKED_MAX).collect();
        let learnt = !curves.is_empty();
        for curve in curves {
            let mut coin = None;
            for program in &TOKEN_PROGRAMS {
                if coin.is_some() {
                    break;
                }
                let read =
                    rpc.token_accounts_by_owner(&curve, program, Commitment::Confirmed).await;
                match read {
                    Ok(read) => {
                        let mut mints = read.value.iter().map(|owned| owned.token.mint);
                        coin = mints.by_ref().take(TOKENS_MAX).find(|m| bonding_curve(m) == curve);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "the coin of a curve was not read");
                        return false;
                    }
                }
            }
            self.coins.insert(curve, coin);
        }
        learnt
    }

    /// What a pool trades; none for a curve whose coin is not known.
    pub(super) fn coin(&self, shown: &Shown) -> Option<Address> {
        if shown.figures.base != shown.address {
            return Some(shown.figures.base);
        }
        self.coins.get(&shown.address).copied().flatten()
    }

    pub(super) fn decimals(&self, mint: &Address) -> Option<u8> {
        self.decimals.get(mint).copied().flatten()
    }

    /// The operator's name of a mint, or the start of its address: a token cannot choose that at will.
    pub(super) fn label(&self, mint: &Address) -> String {
        self.labels.get(mint).cloned().unwrap_or_else(|| mint.to_string().chars().take(6).collect())
    }
}
