//! Transactions waiting for a block.

use std::collections::HashSet;

use solana_address::Address;
use solana_message::VersionedMessage;
use solana_sdk_ids as sdk_ids;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;

/// Most transactions that wait at once; more are dropped, as an overloaded leader drops them.
const CAPACITY: usize = 16_384;

/// A transaction whose signatures have been checked.
pub(crate) struct Pending {
    pub(crate) transaction: VersionedTransaction,
    pub(crate) signature: Signature,
    /// Micro-lamports per compute unit.
    pub(crate) unit_price: u64,
    /// Compute units asked for.
    pub(crate) unit_limit: u64,
    /// Last block height it may wait for when its blockhash is not known.
    pub(crate) give_up: u64,
    pub(crate) arrival: u64,
}

impl Pending {
    /// One that runs now or never; none without a signature.
    pub(crate) fn of(transaction: VersionedTransaction) -> Option<Self> {
        let signature = transaction.signatures.first().copied()?;
        let (unit_price, unit_limit) = compute_budget(&transaction.message);
        let (give_up, arrival) = (0, 0);
        Some(Self { transaction, signature, unit_price, unit_limit, give_up, arrival })
    }
}

/// The waiting room.
#[derive(Default)]
pub(crate) struct Mempool {
    pending: Vec<Pending>,
    known: HashSet<Signature>,
    arrivals: u64,
}

impl Mempool {
    /// Takes a transaction in; one already waiting, or one too many, is dropped.
    pub(crate) fn push(&mut self, transaction: VersionedTransaction, give_up: u64) {
        let Some(signature) = transaction.signatures.first().copied() else { return };
        if self.pending.len() >= CAPACITY || !self.known.insert(signature) {
            return;
        }
        let (unit_price, unit_limit) = compute_budget(&transaction.message);
        self.arrivals += 1;
        let arrival = self.arrivals;
        self.pending.push(Pending {
            transaction,
            signature,
            unit_price,
            unit_limit,
            give_up,
            arrival,
        });
    }

    /// Takes everything out, best paid first and then in order of arrival.
    pub(crate) fn drain(&mut self) -> Vec<Pending> {
        self.known.clear();
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable_by_key(|one| (std::cmp::Reverse(one.unit_price), one.arrival));
        pending
    }

    /// Puts back what found no room in the block.
    pub(crate) fn restore(&mut self, pending: Vec<Pending>) {
        for one in pending {
            if self.known.insert(one.signature) {
                self.pending.push(one);
            }
        }
    }

    /// Whether this signature is waiting.
    pub(crate) fn contains(&self, signature: &Signature) -> bool {
        self.known.contains(signature)
    }
}

/// Programs of the runtime itself, whose instructions are allowed little when no limit is set.
const BUILT_IN: [Address; 9] = [
    sdk_ids::system_program::ID,
    sdk_ids::compute_budget::ID,
    sdk_ids::vote::ID,
    sdk_ids::bpf_loader_upgradeable::ID,
    sdk_ids::bpf_loader_deprecated::ID,
    sdk_ids::bpf_loader::ID,
    sdk_ids::loader_v4::ID,
    sdk_ids::secp256k1_program::ID,
    sdk_ids::ed25519_program::ID,
];

/// Price and limit of compute units that a message asks for.
pub(crate) fn compute_budget(message: &VersionedMessage) -> (u64, u64) {
    const LIMIT: u8 = 2;
    const PRICE: u8 = 3;
    const BUILT_IN_UNITS: u64 = 3_000;
    const OTHER_UNITS: u64 = 200_000;
    const MAX_LIMIT: u64 = 1_400_000;
    let keys = message.static_account_keys();
    let (mut price, mut limit, mut default) = (0, None, 0u64);
    for instruction in message.instructions() {
        let program = keys.get(usize::from(instruction.program_id_index));
        let built_in = program.is_some_and(|program| BUILT_IN.contains(program));
        default = default.saturating_add(if built_in { BUILT_IN_UNITS } else { OTHER_UNITS });
        if program != Some(&sdk_ids::compute_budget::ID) {
            continue;
        }
        match instruction.data.split_first() {
            Some((&LIMIT, rest)) => {
                limit = rest.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
            }
            Some((&PRICE, rest)) => {
                price = rest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            _ => {}
        }
    }
    (price, limit.unwrap_or(default).min(MAX_LIMIT))
}
