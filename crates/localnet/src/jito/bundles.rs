//! Bundles that wait, and what became of the others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use litesvm::LiteSVM;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;
use solana_transaction::versioned::VersionedTransaction;

use super::{TIP_ACCOUNTS, TIP_MIN};
use crate::chain::block::Record;
use crate::chain::execute::{Place, execute, resolve_keys};
use crate::chain::mempool::Pending;

/// Bundles that wait at most.
const WAITING_MAX: usize = 256;
/// Bundles whose fate is remembered.
const REMEMBERED: usize = 1_024;

/// Transactions that are in a block together or not at all.
pub(crate) struct Bundle {
    pub(crate) id: String,
    pub(crate) transactions: Vec<VersionedTransaction>,
}

/// What became of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Pending,
    Failed,
    Landed { slot: u64, signatures: Vec<String> },
}

/// The waiting room of bundles.
#[derive(Default)]
pub(crate) struct Bundles {
    waiting: Vec<Bundle>,
    fates: HashMap<String, Fate>,
    order: VecDeque<String>,
}

impl Bundles {
    /// Takes a bundle in; one that waits already, or one too many, is dropped.
    pub(crate) fn push(&mut self, bundle: Bundle) {
        let waits = self.waiting.iter().any(|waiting| waiting.id == bundle.id);
        let is_over = matches!(self.fates.get(&bundle.id), Some(Fate::Landed { .. }));
        if waits || is_over || self.waiting.len() >= WAITING_MAX {
            return;
        }
        self.note(&bundle.id, Fate::Pending);
        self.waiting.push(bundle);
    }

    pub(crate) fn drain(&mut self) -> Vec<Bundle> {
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn note(&mut self, id: &str, fate: Fate) {
        if self.fates.insert(id.to_owned(), fate).is_none() {
            self.order.push_back(id.to_owned());
            if self.order.len() > REMEMBERED
                && let Some(old) = self.order.pop_front()
            {
                self.fates.remove(&old);
            }
        }
    }

    pub(crate) fn fate(&self, id: &str) -> Option<&Fate> {
        self.fates.get(id)
    }
}

/// Runs a bundle; if it may not be in the block, the state is as it was.
pub(crate) fn run(
    svm: &mut LiteSVM,
    pending: &[Pending],
    place: Place,
    changed: &mut HashMap<Address, AccountSharedData>,
) -> Option<Vec<Arc<Record>>> {
    let mut before = HashMap::new();
    let mut scratch = HashMap::new();
    let done = attempt(svm, pending, place, &mut before, &mut scratch);
    let tipped: u64 = TIP_ACCOUNTS
        .iter()
        .map(|tip| {
            let lamports =
                |state: Option<&AccountSharedData>| state.map_or(0, ReadableAccount::lamports);
            let had = lamports(before.get(tip).and_then(Option::as_ref));
            lamports(scratch.get(tip)).saturating_sub(had)
        })
        .sum();
    if let Some(records) = done.filter(|_| tipped >= TIP_MIN) {
        changed.extend(scratch);
        return Some(records);
    }
    for address in scratch.into_keys() {
        let was = before.remove(&address).flatten().unwrap_or_default();
        if let Err(error) = svm.set_account(address, was.into()) {
            tracing::error!(%error, %address, "the runtime refused an account of its own");
        }
    }
    None
}

fn attempt(
    svm: &mut LiteSVM,
    pending: &[Pending],
    place: Place,
    before: &mut HashMap<Address, Option<AccountSharedData>>,
    scratch: &mut HashMap<Address, AccountSharedData>,
) -> Option<Vec<Arc<Record>>> {
    let mut records = Vec::new();
    for (nth, one) in pending.iter().enumerate() {
        let keys = resolve_keys(svm, &one.transaction.message).ok()?.all;
        for key in keys {
            before.entry(key).or_insert_with(|| {
                let account = svm.accounts_db().get_account_ref(&key);
                account.filter(|account| account.lamports() > 0).cloned()
            });
        }
        let place = Place { index: place.index + nth, ..place };
        let record = execute(svm, one, place, scratch)?;
        if record.error.is_some() {
            return None;
        }
        records.push(Arc::new(record));
    }
    Some(records)
}

/// The name of a bundle: a hash over the signatures of its transactions, in hexadecimal digits.
pub(crate) fn name(transactions: &[VersionedTransaction]) -> String {
    let mut hasher = blake3::Hasher::new();
    for transaction in transactions {
        for signature in &transaction.signatures {
            hasher.update(signature.as_ref());
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Whether a bundle writes an account that takes tips, and names none twice.
pub(crate) fn is_eligible(transactions: &[VersionedTransaction]) -> bool {
    let mut seen = HashSet::new();
    let distinct = transactions.iter().all(|one| seen.insert(one.signatures.first()));
    let tips = |one: &VersionedTransaction| {
        let keys = one.message.static_account_keys();
        let none: Option<&HashSet<Address>> = None;
        (0..keys.len()).any(|at| {
            keys.get(at).is_some_and(|key| TIP_ACCOUNTS.contains(key))
                && one.message.is_maybe_writable_with_reserved_addresses(at, none)
        })
    };
    distinct && transactions.iter().any(tips)
}
