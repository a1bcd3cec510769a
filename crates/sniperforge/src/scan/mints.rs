//! Names and decimals of the mints that are shown.

use std::collections::{BTreeMap, BTreeSet};

use sniper_core::ids::Address;
use sniper_solana::rpc::{Commitment, RpcConnectionPool};

use super::watch::Watching;
use crate::telemetry::safe_text;

/// Where a mint keeps its decimals.
const DECIMALS_AT: usize = 44;
/// Mints of one request.
const ASKED_MAX: usize = 100;
/// Longest name shown.
const LABEL_MAX: usize = 10;

/// What is known of mints, learnt as they come into view.
pub(super) struct Mints {
    labels: BTreeMap<Address, String>,
    decimals: BTreeMap<Address, Option<u8>>,
}

impl Mints {
    pub(super) fn new(labels: BTreeMap<Address, String>) -> Self {
        let clean = labels.into_iter().map(|(mint, label)| (mint, safe_text(&label, LABEL_MAX)));
        Self { labels: clean.collect(), decimals: BTreeMap::new() }
    }

    /// Reads the mints of the rows in view that are not known yet.
    pub(super) async fn learn(&mut self, rpc: &RpcConnectionPool, of: &Watching, top: usize) {
        let shown =
            of.top(top).into_iter().flat_map(|shown| [shown.figures.base, shown.figures.quote]);
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

    pub(super) fn decimals(&self, mint: &Address) -> Option<u8> {
        self.decimals.get(mint).copied().flatten()
    }

    /// The operator's name of a mint, or the start of its address: a token cannot choose that at will.
    pub(super) fn label(&self, mint: &Address) -> String {
        self.labels.get(mint).cloned().unwrap_or_else(|| mint.to_string().chars().take(6).collect())
    }
}
