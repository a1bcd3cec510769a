//! Running a transaction on the state of any commitment level without changing it.

use std::collections::HashSet;

use litesvm::LiteSVM;
use solana_account::{Account, AccountSharedData};
use solana_address::Address;
use solana_message::VersionedMessage;
use solana_sdk_ids::sysvar;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use super::execute::resolve_keys;
use super::ledger::Ledger;

/// A second runtime that holds programs only; each simulation lends it the accounts it needs.
pub(crate) struct Simulator {
    svm: LiteSVM,
    built_in: HashSet<Address>,
}

/// What a transaction would do.
pub(crate) struct Simulated {
    pub(crate) error: Option<TransactionError>,
    pub(crate) logs: Vec<String>,
    pub(crate) units: u64,
    /// Known once somebody was found to pay it.
    pub(crate) fee: Option<u64>,
    pub(crate) return_data: Option<(Address, Vec<u8>)>,
    pub(crate) accounts: Vec<(Address, AccountSharedData)>,
    pub(crate) keys: usize,
}

impl Simulated {
    pub(crate) fn failed(error: TransactionError) -> Self {
        Self {
            error: Some(error),
            logs: Vec::new(),
            units: 0,
            fee: None,
            return_data: None,
            accounts: Vec::new(),
            keys: 0,
        }
    }
}

impl Simulator {
    pub(crate) fn new(svm: LiteSVM) -> Self {
        let built_in = svm.accounts_db().inner.keys().copied().collect();
        Self { svm, built_in }
    }

    /// Runs `transaction` on the state as of `slot`.
    pub(crate) fn run(
        &mut self,
        ledger: &Ledger,
        slot: u64,
        transaction: VersionedTransaction,
    ) -> Simulated {
        for sysvar in [&sysvar::clock::ID, &sysvar::slot_hashes::ID] {
            let Some(account) = ledger.account(sysvar, slot) else { continue };
            if let Err(error) = self.svm.set_account(*sysvar, account.clone().into()) {
                tracing::error!(%error, %sysvar, "the simulator refused a sysvar of the chain");
            }
        }
        let mut lent = Vec::new();
        let outcome = self.lend_and_run(ledger, slot, transaction, &mut lent);
        for address in lent {
            // Zero lamports take the account out again; a refusal would only leave a stale copy,
            // which the next simulation that needs the address replaces.
            drop(self.svm.set_account(address, Account::default()));
        }
        outcome.unwrap_or_else(Simulated::failed)
    }

    fn lend_and_run(
        &mut self,
        ledger: &Ledger,
        slot: u64,
        transaction: VersionedTransaction,
        lent: &mut Vec<Address>,
    ) -> Result<Simulated, TransactionError> {
        let tables = lookup_tables(&transaction.message);
        self.lend(ledger, slot, &tables, lent);
        let keys = resolve_keys(&self.svm, &transaction.message)?.all;
        self.lend(ledger, slot, &keys, lent);
        let (error, meta, accounts) = match self.svm.simulate_transaction(transaction) {
            Ok(info) => (None, info.meta, info.post_accounts),
            Err(failed) => (Some(failed.err), failed.meta, Vec::new()),
        };
        let data = meta.return_data;
        let fee = (!error.as_ref().is_some_and(is_unpaid)).then_some(meta.fee);
        Ok(Simulated {
            error,
            logs: meta.logs,
            units: meta.compute_units_consumed,
            fee,
            return_data: (!data.data.is_empty()).then_some((data.program_id, data.data)),
            accounts,
            keys: keys.len(),
        })
    }

    fn lend(&mut self, ledger: &Ledger, slot: u64, keys: &[Address], lent: &mut Vec<Address>) {
        for key in keys {
            if self.built_in.contains(key) {
                continue;
            }
            let Some(account) = ledger.account(key, slot) else { continue };
            if self.svm.set_account(*key, account.clone().into()).is_ok() {
                lent.push(*key);
            }
        }
    }
}

/// Nobody is there who could pay the fee.
const fn is_unpaid(error: &TransactionError) -> bool {
    matches!(
        error,
        TransactionError::AccountNotFound
            | TransactionError::InsufficientFundsForFee
            | TransactionError::InvalidAccountForFee
    )
}

fn lookup_tables(message: &VersionedMessage) -> Vec<Address> {
    let lookups = message.address_table_lookups().unwrap_or_default();
    lookups.iter().map(|lookup| lookup.account_key).collect()
}
