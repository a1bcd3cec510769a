//! Two-phase, double-entry accounts to the atom.
//!
//! Every posting moves an amount of one mint from one account to another, so each mint's accounts always sum to
//! zero: nothing is lost and nothing appears. An order first *reserves* what it may spend; a fill *posts* what
//! it really moved, every other end *voids* the reservation. Fees are posted whatever the end.

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::event::Deltas;
use crate::ids::{MintId, OrderId};
use crate::units::{Atoms, Lamports};

/// Where atoms can be. `Cash` and `Reserved` are ours and on the chain in our accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// Free to spend.
    Cash,
    /// Set aside for orders in flight; still on the chain in our account.
    Reserved,
    /// The world: pools, counterparties, whoever funded us.
    External,
    /// Taken by the chain for transactions.
    Fees,
    /// Locked in token accounts of ours; comes back when they are closed.
    Rent,
}

const ACCOUNTS: usize = 5;

impl Account {
    const fn index(self) -> usize {
        match self {
            Self::Cash => 0,
            Self::Reserved => 1,
            Self::External => 2,
            Self::Fees => 3,
            Self::Rent => 4,
        }
    }
}

/// What an order has set aside.
pub type Lines = ArrayVec<(MintId, Atoms), 2>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reservation {
    order: OrderId,
    lines: Lines,
}

/// Too little cash.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[error("{wanted} atoms of mint {} wanted, {available} free", mint.0)]
pub struct Shortfall {
    /// Of which mint.
    pub mint: MintId,
    /// Wanted.
    pub wanted: Atoms,
    /// Free.
    pub available: Atoms,
}

/// The order has no reservation: it never had one, or it has been settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("order {0} has nothing reserved")]
pub struct NotReserved(pub OrderId);

/// The books.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ledger {
    mints: Vec<[i128; ACCOUNTS]>,
    reservations: Vec<Reservation>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { mints: Vec::with_capacity(8), reservations: Vec::with_capacity(64) }
    }
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for a mint, so that later postings to it do not allocate.
    pub fn open(&mut self, mint: MintId) {
        let wanted = mint.index().saturating_add(1);
        if self.mints.len() < wanted {
            self.mints.resize(wanted, [0; ACCOUNTS]);
        }
    }

    /// Balance of one account; negative for where atoms came from.
    #[must_use]
    pub fn balance(&self, mint: MintId, account: Account) -> i128 {
        self.mints.get(mint.index()).and_then(|a| a.get(account.index())).copied().unwrap_or(0)
    }

    /// What can be reserved of a mint; zero while the cash is overdrawn.
    #[must_use]
    pub fn available(&self, mint: MintId) -> Atoms {
        Atoms::new(u64::try_from(self.balance(mint, Account::Cash).max(0)).unwrap_or(u64::MAX))
    }

    /// What the chain must show in our account: cash and reservations. Negative only after an unexpected fill.
    #[must_use]
    pub fn held(&self, mint: MintId) -> i128 {
        self.balance(mint, Account::Cash)
            .checked_add(self.balance(mint, Account::Reserved))
            .expect("Invariant: sums of u64 amounts stay within 128 bits")
    }

    /// What is [held](Self::held) of each mint, in order.
    pub(crate) fn holdings(&self) -> impl ExactSizeIterator<Item = i128> {
        self.mints.iter().map(|[cash, reserved, ..]| {
            cash.checked_add(*reserved)
                .expect("Invariant: sums of u64 amounts stay within 128 bits")
        })
    }

    /// Moves `amount` of `mint` from one account to another.
    pub fn transfer(&mut self, mint: MintId, from: Account, to: Account, amount: Atoms) {
        self.open(mint);
        let amount = i128::from(amount.get());
        if let Some(accounts) = self.mints.get_mut(mint.index()) {
            // 2^63 postings of 2^64 atoms would be needed to leave the range.
            if let Some(balance) = accounts.get_mut(from.index()) {
                *balance = balance.checked_sub(amount).expect("Invariant: balances fit 128 bits");
            }
            if let Some(balance) = accounts.get_mut(to.index()) {
                *balance = balance.checked_add(amount).expect("Invariant: balances fit 128 bits");
            }
        }
    }

    /// Sets cash aside for an order: all lines or none.
    ///
    /// # Errors
    ///
    /// [`Shortfall`] names the first line that the cash does not cover; nothing has changed then.
    pub fn reserve(&mut self, order: OrderId, lines: Lines) -> Result<(), Shortfall> {
        assert!(!self.is_reserved(order), "Invariant: an order reserves once");
        for (at, (mint, amount)) in lines.iter().enumerate() {
            // Two lines of one mint must be covered together.
            let wanted = lines
                .iter()
                .take(at)
                .filter(|(other, _)| other == mint)
                .fold(*amount, |sum, (_, more)| sum.saturating_add(*more));
            let available = self.available(*mint);
            if wanted > available {
                return Err(Shortfall { mint: *mint, wanted, available });
            }
        }
        for (mint, amount) in &lines {
            self.transfer(*mint, Account::Cash, Account::Reserved, *amount);
        }
        self.reservations.push(Reservation { order, lines });
        Ok(())
    }

    /// Whether an order has cash set aside.
    #[must_use]
    pub fn is_reserved(&self, order: OrderId) -> bool {
        self.reservations.iter().any(|r| r.order == order)
    }

    /// Frees what an order had set aside and books the fee the chain took for it, if any.
    ///
    /// # Errors
    ///
    /// [`NotReserved`]; nothing has changed then.
    pub fn void(&mut self, order: OrderId, fee: Lamports) -> Result<(), NotReserved> {
        let at =
            self.reservations.iter().position(|r| r.order == order).ok_or(NotReserved(order))?;
        let reservation = self.reservations.swap_remove(at);
        for (mint, amount) in reservation.lines {
            self.transfer(mint, Account::Reserved, Account::Cash, amount);
        }
        self.transfer(MintId::SOL, Account::Cash, Account::Fees, Atoms::new(fee.get()));
        Ok(())
    }

    /// Books what an order really did: frees the reservation, moves `deltas` and the fee, locks the rent.
    ///
    /// The chain has the last word: a delta beyond what was reserved is booked too, and may leave cash negative
    /// until a person has looked.
    ///
    /// # Errors
    ///
    /// [`NotReserved`]; nothing has changed then.
    pub fn post(
        &mut self,
        order: OrderId,
        deltas: &Deltas,
        fee: Lamports,
        rent: Lamports,
    ) -> Result<(), NotReserved> {
        self.void(order, fee)?;
        self.transfer(MintId::SOL, Account::Cash, Account::Rent, Atoms::new(rent.get()));
        for (mint, delta) in deltas {
            let amount = Atoms::new(delta.unsigned_abs());
            if *delta < 0 {
                self.transfer(*mint, Account::Cash, Account::External, amount);
            } else {
                self.transfer(*mint, Account::External, Account::Cash, amount);
            }
        }
        Ok(())
    }

    /// Takes back what [`Self::post`], or [`Self::void`] with nothing else moved, booked for an order, and sets aside
    /// `lines` for it again, whether or not the cash is there: it may land once more. The chain has the last word.
    pub(crate) fn take_back(
        &mut self,
        order: OrderId,
        lines: Lines,
        deltas: &Deltas,
        fee: Lamports,
        rent: Lamports,
    ) {
        for (mint, delta) in deltas {
            let amount = Atoms::new(delta.unsigned_abs());
            if *delta < 0 {
                self.transfer(*mint, Account::External, Account::Cash, amount);
            } else {
                self.transfer(*mint, Account::Cash, Account::External, amount);
            }
        }
        self.transfer(MintId::SOL, Account::Rent, Account::Cash, Atoms::new(rent.get()));
        self.transfer(MintId::SOL, Account::Fees, Account::Cash, Atoms::new(fee.get()));
        for (mint, amount) in &lines {
            self.transfer(*mint, Account::Cash, Account::Reserved, *amount);
        }
        self.reservations.push(Reservation { order, lines });
    }

    /// Whether every mint's accounts sum to zero, and what is reserved is what reservations say.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let sums = self.mints.iter().all(|a| a.iter().copied().fold(0, i128::saturating_add) == 0);
        let reserved = self.mints.iter().enumerate().all(|(index, accounts)| {
            let said = self
                .reservations
                .iter()
                .flat_map(|r| &r.lines)
                .filter(|(mint, _)| mint.index() == index)
                .fold(0_i128, |sum, (_, amount)| sum.saturating_add(i128::from(amount.get())));
            accounts.get(Account::Reserved.index()) == Some(&said)
        });
        sums && reserved
    }

    /// Whether nothing was ever booked, or all of it has left again.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mints.iter().flatten().all(|balance| *balance == 0)
    }

    /// Number of mints with accounts.
    #[must_use]
    pub fn mints(&self) -> usize {
        self.mints.len()
    }
}
