//! Prices at hand: written in the background, read while a transaction is built.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sniper_core::ids::Address;

use super::bid::Urgency;

/// No price is known.
const UNKNOWN: u64 = u64::MAX;
/// Nothing is estimated: orders bid their own price.
const FIXED: u8 = u8::MAX;

/// Accounts that a swap writes, and what to bid for that. Reading takes no lock.
#[derive(Debug)]
pub struct AccountSet {
    accounts: Vec<Address>,
    prices: [AtomicU64; 4],
}

impl AccountSet {
    fn new(accounts: Vec<Address>) -> Self {
        Self { accounts, prices: [const { AtomicU64::new(UNKNOWN) }; 4] }
    }

    /// What is written.
    #[must_use]
    pub fn accounts(&self) -> &[Address] {
        &self.accounts
    }

    /// Millionths of a lamport per compute unit; none while none is known.
    #[must_use]
    pub fn price(&self, urgency: Urgency) -> Option<u64> {
        let price = self.prices.get(urgency.index()).map(|price| price.load(Ordering::Relaxed));
        price.filter(|price| *price != UNKNOWN)
    }

    pub(super) fn write(&self, price: impl Fn(Urgency) -> Option<u64>) {
        for (urgency, place) in Urgency::ALL.into_iter().zip(&self.prices) {
            // The largest number stands for none, and is no price that anybody could pay.
            place.store(price(urgency).unwrap_or(UNKNOWN), Ordering::Relaxed);
        }
    }
}

/// The prices of all account sets; cheap to clone, all clones share them.
#[derive(Clone, Debug)]
pub struct FeeBoard(Arc<Board>);

#[derive(Debug)]
struct Board {
    sets: Mutex<Vec<Arc<AccountSet>>>,
    urgency: AtomicU8,
}

impl Default for FeeBoard {
    fn default() -> Self {
        Self(Arc::new(Board { sets: Mutex::default(), urgency: AtomicU8::new(FIXED) }))
    }
}

impl FeeBoard {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<AccountSet>>> {
        // Every change is one push.
        self.0.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The set of these accounts, in this order.
    #[must_use]
    pub fn set(&self, accounts: Vec<Address>) -> Arc<AccountSet> {
        let mut sets = self.lock();
        if let Some(known) = sets.iter().find(|set| set.accounts == accounts) {
            return Arc::clone(known);
        }
        let set = Arc::new(AccountSet::new(accounts));
        sets.push(Arc::clone(&set));
        set
    }

    /// All sets, in the order in which they were first asked for.
    #[must_use]
    pub fn sets(&self) -> Vec<Arc<AccountSet>> {
        self.lock().clone()
    }

    /// How urgent an ordinary order is; none while nothing is estimated.
    #[must_use]
    pub fn urgency(&self) -> Option<Urgency> {
        Urgency::ALL.get(usize::from(self.0.urgency.load(Ordering::Relaxed))).copied()
    }

    pub(super) fn set_urgency(&self, urgency: Urgency) {
        let index = u8::try_from(urgency.index()).unwrap_or(FIXED);
        self.0.urgency.store(index, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_one_for_all_who_ask_for_it_and_knows_nothing_at_first() {
        let board = FeeBoard::default();
        assert_eq!(board.urgency(), None);
        board.set_urgency(Urgency::High);
        assert_eq!(board.clone().urgency(), Some(Urgency::High));
        let accounts = vec![Address::new_from_array([1; 32])];
        let (one, other) = (board.set(accounts.clone()), board.clone().set(accounts));
        assert!(Arc::ptr_eq(&one, &other) && board.sets().len() == 1);
        assert_eq!(one.price(Urgency::Low), None);
        one.write(|urgency| (urgency > Urgency::Low).then_some(7));
        assert_eq!((other.price(Urgency::Low), other.price(Urgency::Urgent)), (None, Some(7)));
    }
}
