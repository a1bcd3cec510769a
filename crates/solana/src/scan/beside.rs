//! Accounts that a node tells of while everything is read.
//!
//! Reading all pools of mainnet takes minutes, and thousands of accounts change in each second of them. None of them
//! waits until the reading is done: each is taken as it comes, and an account never goes back to an older slot,
//! whichever of the two had it first.

use std::pin::pin;

use futures_util::stream::{Stream, StreamExt as _};
use sniper_core::scan::RowId;

use super::follow::Account as Followed;
use super::state::{Change, Pools};

/// What is told, and when everything began to be read.
pub(super) struct Beside<'a> {
    told: &'a mut (dyn Stream<Item = Followed> + Send + Unpin),
    /// Seconds since the Unix epoch.
    pub(super) now: u64,
    /// Pools that were closed. Requests for a row's vaults may be under way, so no row becomes another's before the end.
    closed: Vec<Followed>,
    pub(super) taken: usize,
    pub(super) changes: usize,
    pub(super) refused: usize,
}

impl<'a> Beside<'a> {
    pub(super) fn new(
        told: &'a mut (dyn Stream<Item = Followed> + Send + Unpin),
        now: u64,
    ) -> Self {
        Self { told, now, closed: Vec::new(), taken: 0, changes: 0, refused: 0 }
    }

    /// Takes what is told until the work is done.
    pub(super) async fn until<T>(&mut self, pools: &mut Pools, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            // By lot: neither keeps the other waiting.
            tokio::select! {
                done = &mut work => return done,
                Some(account) = self.told.next() => self.take(pools, account),
            }
        }
    }

    fn take(&mut self, pools: &mut Pools, account: Followed) {
        self.taken += 1;
        if account.data.is_empty() {
            self.closed.push(account);
            return;
        }
        match pools.take_notice(&account.notice(), self.now) {
            Ok(Change::Settled(row)) => self.count(pools, row),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "account left out");
                self.refused += 1;
            }
        }
    }

    fn count(&mut self, pools: &mut Pools, row: RowId) {
        self.changes += usize::from(pools.table.take_change(row));
    }

    /// No request is under way any more. A pool that was made again since it was closed is left.
    pub(super) fn end(&mut self, pools: &mut Pools) {
        for account in self.closed.drain(..) {
            if pools.slot_of(&account.address).is_none_or(|known| known <= account.slot) {
                // Nothing is decoded of an account without data, so nothing can be wrong with it.
                pools.take_notice(&account.notice(), self.now).ok();
            }
        }
    }
}
