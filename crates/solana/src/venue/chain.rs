//! The chain's answers in the words of `core::execution`.

use std::collections::BTreeMap;

use sniper_core::event::Deltas;
use sniper_core::execution::{self, Landing, Status};
use sniper_core::ids::{Address, MintId};

use crate::rpc::{Commitment, Landed, SignatureStatus};

/// A commitment in our own RPC's words.
pub(super) const fn asked(commitment: execution::Commitment) -> Commitment {
    match commitment {
        execution::Commitment::Processed => Commitment::Processed,
        execution::Commitment::Confirmed => Commitment::Confirmed,
        execution::Commitment::Finalized => Commitment::Finalized,
    }
}

/// How far a transaction has come.
pub(super) const fn status_of(status: &SignatureStatus) -> Status {
    let commitment = match status.commitment {
        Commitment::Processed => execution::Commitment::Processed,
        Commitment::Confirmed => execution::Commitment::Confirmed,
        Commitment::Finalized => execution::Commitment::Finalized,
    };
    Status { commitment, slot: status.slot, failed: status.err.is_some() }
}

/// What a transaction did to us, mints by their numbers.
pub(super) fn landing_of(landed: Landed, mints: &BTreeMap<Address, MintId>) -> Landing {
    let Landed { slot, fee, err, lamports_before, lamports_after, .. } = landed;
    if let Some(err) = err {
        tracing::debug!(error = %err.text, "order reverted");
        return Landing::Reverted { slot, fee, code: err.custom };
    }
    let mut deltas = Deltas::new();
    for (mint, change) in landed.deltas {
        let known = mints.get(&mint).copied();
        let told = known.is_some_and(|id| deltas.try_push((id, change)).is_ok());
        if !told {
            // The next comparison with the chain will differ and halt trading.
            tracing::error!(%mint, change, "a fill moved a mint that is not ours to trade");
        }
    }
    deltas.sort_unstable();
    // Whether it is the rent that was meant is the core's to judge. If our key gained instead, nothing is booked, and
    // the next comparison with the chain differs.
    let rent = lamports_before.saturating_sub(lamports_after).saturating_sub(fee);
    Landing::Filled { slot, deltas, fee, rent }
}
