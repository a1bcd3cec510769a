//! How the parts are set up: what makes them faster or smaller and changes nothing of what they do.

use std::time::Duration;

use sniper_solana::feed::FeedSettings;
use sniper_solana::rpc::{EndpointConfig, PoolSettings};
use sniper_store::journal::Bounds;
use sniper_store::tables::StoreOptions;
use solana_hash::Hash;

use super::check::{Check, Checked};
use super::raw::RawConfig;

/// What `sniperforge tune` may change, besides the order of endpoints, which is theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Share of a method's answers, in hundredths, after which a second endpoint is asked.
    pub hedge_percentile: u8,
    /// Endpoints that tell the same notices, at most.
    pub feed_replicas: usize,
    /// Most rows in one transaction of the tables.
    pub table_batch: usize,
    /// Answers of each kind that the page keeps of the tables.
    pub cached_answers: usize,
    /// Steps in which space is made ready for the journal, in bytes.
    pub journal_reserve: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            hedge_percentile: 95,
            feed_replicas: 2,
            table_batch: 512,
            cached_answers: 8,
            journal_reserve: 4 << 20,
        }
    }
}

impl Tuning {
    /// The pool of endpoints on this chain.
    #[must_use]
    pub fn pool(&self, genesis: Option<Hash>) -> PoolSettings {
        PoolSettings { genesis, hedge_percentile: self.hedge_percentile, ..PoolSettings::default() }
    }

    /// The feed.
    #[must_use]
    pub fn feed(&self) -> FeedSettings {
        FeedSettings { replicas: self.feed_replicas, ..FeedSettings::default() }
    }

    /// The tables, with so many lines of the log.
    #[must_use]
    pub const fn tables(&self, log_lines: u64) -> StoreOptions {
        StoreOptions { capacity: 8_192, log_lines, batch: self.table_batch }
    }

    /// The journal, whose finished segments are kept so long.
    #[must_use]
    pub fn journal(&self, keep: Option<Duration>) -> Bounds {
        Bounds { keep, reserve_bytes: self.journal_reserve, ..Bounds::default() }
    }
}

impl Check<'_> {
    pub(super) fn tuning(&self, raw: &RawConfig) -> Checked<Tuning> {
        let (node, store) = (&raw.node, &raw.store);
        let reserve: u64 =
            self.unsigned("store.journal_reserve_kb", store.journal_reserve_kb, 64, 65_536)?;
        Ok(Tuning {
            hedge_percentile: self.unsigned(
                "node.hedge_percentile",
                node.hedge_percentile,
                1,
                99,
            )?,
            feed_replicas: self.unsigned("node.feed_replicas", node.feed_replicas, 1, 8)?,
            table_batch: self.unsigned("store.table_batch", store.table_batch, 1, 8_192)?,
            cached_answers: self.unsigned(
                "store.cached_answers",
                store.cached_answers,
                1,
                1_024,
            )?,
            journal_reserve: reserve.saturating_mul(1 << 10),
        })
    }
}

/// The endpoint, as a reserve if it is named among them.
pub(super) fn placed(endpoint: EndpointConfig, reserves: &[String]) -> EndpointConfig {
    let is_reserve = reserves.iter().any(|name| **name == **endpoint.name());
    endpoint.as_reserve(is_reserve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn where_nothing_is_written_the_parts_are_set_up_as_they_are_by_themselves() {
        let tuning = Config::load(&Sources::default()).unwrap().tuning;
        assert_eq!(tuning, Tuning::default());
        assert_eq!(tuning.journal(None), Bounds::default());
        assert_eq!(tuning.tables(StoreOptions::default().log_lines), StoreOptions::default());
        assert_eq!(tuning.feed().replicas, FeedSettings::default().replicas);
        let pool = PoolSettings::default();
        assert_eq!(tuning.pool(None).hedge_percentile, pool.hedge_percentile);
    }
}
