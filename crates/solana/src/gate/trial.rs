//! One swap, simulated and never sent: what the program itself would give.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::amm::Arrays;
use sniper_core::order::{Hop, Leg, LegAmount};
use sniper_core::units::{Atoms, Lamports, Slot};
use solana_hash::Hash;
use thiserror::Error;

use crate::rpc::{Commitment, RpcConnectionPool, RpcError, TokenAccount};
use crate::tx::{BuildError, TransactionBuilder};

/// A swap that is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The swap.
    pub hop: Hop,
    /// What goes in; our own account must hold that much.
    pub spend: Atoms,
    /// The pool's tick or bin arrays for it.
    pub arrays: Arrays,
}

/// What a trial did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Of the state it ran on.
    pub slot: Slot,
    /// What our own account of the mint that comes out would hold then.
    pub held: Atoms,
}

/// Why a trial says nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The transaction cannot be built.
    #[error("the swap cannot be built")]
    Build(#[source] BuildError),
    /// No answer.
    #[error("no answer")]
    Rpc(#[source] RpcError),
    /// The node ran it, and it failed.
    #[error("the simulated swap failed with error {code:?}")]
    Failed {
        /// The program's error number, where it has one.
        code: Option<u32>,
    },
    /// The account that is shown is not a token account.
    #[error("the simulated balance cannot be read")]
    Unreadable,
}

/// Simulates a swap on the state that a node has at a commitment, on a blockhash of the node's own and unsigned.
///
/// # Errors
/// Whatever keeps it from telling an amount.
pub async fn try_swap(
    rpc: &RpcConnectionPool,
    builder: &TransactionBuilder,
    trial: &Trial,
    commitment: Commitment,
) -> Result<Tried, TrialError> {
    // Any price: what it brings is compared afterwards.
    let amount = LegAmount::ExactIn { amount_in: trial.spend, min_out: Atoms::new(1) };
    let leg = Leg { hop: trial.hop, amount, arrays: trial.arrays.clone() };
    let message =
        builder.rehearsal(Lamports::ZERO, &[leg], &Hash::default()).map_err(TrialError::Build)?;
    let out = trial.hop.mint_out;
    let shown =
        builder.token_account(out).ok_or(TrialError::Build(BuildError::UnknownMint(out)))?;
    let mut unsigned = vec![1];
    unsigned.extend_from_slice(&[0; 64]);
    unsigned.extend_from_slice(&message);
    let done = rpc.rehearse(&STANDARD.encode(unsigned), commitment, &[shown]).await;
    let done = done.map_err(TrialError::Rpc)?;
    let (simulation, after) = done.value;
    if let Some(error) = simulation.err {
        return Err(TrialError::Failed { code: error.custom });
    }
    let token = after.into_iter().flatten().next();
    let token = token.and_then(|account| TokenAccount::decode(&account.data));
    let held = token.ok_or(TrialError::Unreadable)?.amount;
    Ok(Tried { slot: done.slot, held })
}
