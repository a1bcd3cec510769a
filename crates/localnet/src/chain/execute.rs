//! Running one transaction on the runtime and writing down what it did.

use std::collections::HashMap;

use litesvm::LiteSVM;
use litesvm::types::TransactionMetadata;
use solana_account::{AccountSharedData, ReadableAccount};
use solana_address::Address;
use solana_message::v0::LoadedAddresses;
use solana_message::{AddressLoader, VersionedMessage};
use solana_transaction_error::TransactionError;

use super::block::{Record, TokenBalance};
use super::mempool::Pending;
use crate::cpmm::token::{TokenAccount, is_token_program, mint_decimals};

/// Where in the chain a transaction runs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) slot: u64,
    pub(crate) index: usize,
    pub(crate) time: i64,
}

/// The keys of a message, looked-up ones included.
pub(crate) struct Keys {
    pub(crate) all: Vec<Address>,
    pub(crate) writable: Vec<bool>,
    pub(crate) loaded_writable: usize,
}

/// Resolves the keys of `message` against the runtime's state.
pub(crate) fn resolve_keys(
    svm: &LiteSVM,
    message: &VersionedMessage,
) -> Result<Keys, TransactionError> {
    let loaded = match message.address_table_lookups() {
        Some(lookups) if !lookups.is_empty() => svm.accounts_db().load_addresses(lookups)?,
        _ => LoadedAddresses::default(),
    };
    let fixed = message.static_account_keys();
    let mut writable: Vec<bool> =
        (0..fixed.len()).map(|index| maybe_writable(message, index)).collect();
    writable.extend(loaded.writable.iter().map(|_| true));
    writable.extend(loaded.readonly.iter().map(|_| false));
    let loaded_writable = loaded.writable.len();
    let all = fixed.iter().copied().chain(loaded.writable).chain(loaded.readonly).collect();
    Ok(Keys { all, writable, loaded_writable })
}

/// Runs a transaction and, if it belongs in the block, says what it did and adds what it changed.
///
/// `None` means that it leaves no trace on the chain, not even a fee.
pub(crate) fn execute(
    svm: &mut LiteSVM,
    pending: &Pending,
    place: Place,
    changed: &mut HashMap<Address, AccountSharedData>,
) -> Option<Record> {
    let keys = resolve_keys(svm, &pending.transaction.message).ok()?;
    let before = states(svm, &keys.all);
    let pre_tokens = token_balances(svm, &keys.all, &before);
    let (error, meta) = match svm.send_transaction(pending.transaction.clone()) {
        Ok(meta) => (None, meta),
        Err(failed) => (Some(failed.err), failed.meta),
    };
    let after = states(svm, &keys.all);
    let lamports = |states: &[Option<AccountSharedData>]| -> Vec<u64> {
        states.iter().map(|state| state.as_ref().map_or(0, ReadableAccount::lamports)).collect()
    };
    let (pre_balances, post_balances) = (lamports(&before), lamports(&after));
    if error.is_some() {
        // A fee taken is what tells a failed transaction in a block from one that never entered it.
        let payer = |balances: &[u64]| balances.first().copied().unwrap_or(0);
        if payer(&pre_balances).checked_sub(payer(&post_balances)) != Some(meta.fee)
            || meta.fee == 0
        {
            return None;
        }
    }
    for (((key, writable), old), new) in
        keys.all.iter().zip(&keys.writable).zip(&before).zip(&after)
    {
        if *writable && old != new {
            changed.insert(*key, new.clone().unwrap_or_default());
        }
    }
    let post_tokens = token_balances(svm, &keys.all, &after);
    let TransactionMetadata {
        logs,
        inner_instructions,
        compute_units_consumed,
        return_data,
        fee,
        ..
    } = meta;
    let return_data =
        (!return_data.data.is_empty()).then_some((return_data.program_id, return_data.data));
    Some(Record {
        signature: pending.signature,
        slot: place.slot,
        index: place.index,
        time: place.time,
        transaction: pending.transaction.clone(),
        keys: keys.all,
        writable: keys.writable,
        loaded_writable: keys.loaded_writable,
        error,
        fee,
        unit_price: pending.unit_price,
        pre_balances,
        post_balances,
        pre_tokens,
        post_tokens,
        logs,
        inner: inner_instructions,
        units: compute_units_consumed,
        return_data,
    })
}

fn states(svm: &LiteSVM, keys: &[Address]) -> Vec<Option<AccountSharedData>> {
    keys.iter()
        .map(|key| svm.accounts_db().get_account_ref(key).filter(|a| a.lamports() > 0).cloned())
        .collect()
}

fn token_balances(
    svm: &LiteSVM,
    keys: &[Address],
    states: &[Option<AccountSharedData>],
) -> Vec<TokenBalance> {
    keys.iter()
        .zip(states)
        .enumerate()
        .filter_map(|(index, (_, state))| {
            let state = state.as_ref().filter(|state| is_token_program(state.owner()))?;
            let token = TokenAccount::decode(state.data())?;
            let decimals = mint_decimals(svm.accounts_db().get_account_ref(&token.mint)?.data())?;
            Some(TokenBalance {
                index,
                mint: token.mint,
                owner: token.owner,
                program: *state.owner(),
                amount: token.amount,
                decimals,
            })
        })
        .collect()
}

fn maybe_writable(message: &VersionedMessage, index: usize) -> bool {
    // Reserved accounts are never changed, so calling one writable alters no state.
    let none: Option<&std::collections::HashSet<Address>> = None;
    message.is_maybe_writable_with_reserved_addresses(index, none)
}
