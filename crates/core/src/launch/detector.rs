//! Every launch once, from whichever source it comes first.

use std::collections::{BTreeSet, VecDeque};

use serde::Serialize;

use crate::amm::DecodeError;
use crate::ids::Address;
use crate::launch::{Detected, Stage, read_account, scan};

/// It is known that there is a pool, and nothing of it.
const RUMOUR: u8 = 0;

/// How much is known of a pool: a later stage is news, an earlier one is not.
const fn rank(stage: Stage) -> u8 {
    match stage {
        Stage::Seen | Stage::Created => 1,
        Stage::Complete => 2,
        Stage::Migrated => 3,
    }
}

/// Lets each launch through once. Remembers a bounded number of pools and forgets the oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct Detector {
    known: BTreeSet<(Address, u8)>,
    order: VecDeque<(Address, u8)>,
    capacity: usize,
    #[serde(skip)]
    scratch: Vec<Detected>,
}

impl Detector {
    /// One that remembers up to `capacity` pools, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (known, order) = (BTreeSet::new(), VecDeque::new());
        Self { known, order, capacity: capacity.max(1), scratch: Vec::new() }
    }

    /// A pool is known and no news: all that exist when listening to accounts begins should be named here, as an
    /// account that changes looks like one that appears.
    pub fn remember(&mut self, pool: Address) {
        self.is_news(pool, rank(Stage::Seen));
    }

    /// Adds what the lines of a transaction tell that is news; see [`scan`].
    pub fn logs<L: AsRef<str>>(&mut self, logs: &[L], succeeded: bool, found: &mut Vec<Detected>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scan(logs, succeeded, &mut scratch);
        found.extend(scratch.drain(..).filter(|detected| self.lets_through(detected)));
        self.scratch = scratch;
    }

    /// What an account tells that is news; see [`read_account`].
    ///
    /// # Errors
    ///
    /// When it begins like a pool's account and is none.
    pub fn account(
        &mut self,
        owner: &Address,
        address: Address,
        data: &[u8],
    ) -> Result<Option<Detected>, DecodeError> {
        let detected = read_account(owner, address, data)?;
        Ok(detected.filter(|detected| self.lets_through(detected)))
    }

    fn lets_through(&mut self, detected: &Detected) -> bool {
        match detected {
            Detected::Launch(launch) => self.is_news(launch.pool, rank(launch.stage)),
            Detected::Fetch(fetch) => fetch.pool.is_none_or(|pool| self.is_news(pool, RUMOUR)),
        }
    }

    fn is_news(&mut self, pool: Address, rank: u8) -> bool {
        let key = (pool, rank);
        if self.known.range(key..=(pool, u8::MAX)).next().is_some() {
            return false;
        }
        self.known.insert(key);
        self.order.push_back(key);
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        true
    }
}
