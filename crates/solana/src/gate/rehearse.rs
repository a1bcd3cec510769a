//! A buy and the sell of all of it, simulated in one transaction and never sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sniper_core::amm::Arrays;
use sniper_core::gate::{Fact, RoundTrip, Why};
use sniper_core::order::{Hop, Leg, LegAmount};
use sniper_core::units::{Atoms, Bps, Lamports};
use solana_hash::Hash;

use super::read::why;
use crate::rpc::{Commitment, RpcConnectionPool, TokenAccount};
use crate::tx::TransactionBuilder;

/// How much less than the quote the buy may bring: the market moves between quote and simulation. What it must bring is
/// what is sold again.
const MOVED: Bps = Bps::capped(300);

/// What is rehearsed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The buy.
    pub hop: Hop,
    /// What is spent on it; our own account must hold that much.
    pub spend: Atoms,
    /// What our quote gives for it.
    pub quoted: Atoms,
    /// The pool's tick or bin arrays for the buy.
    pub buy_arrays: Arrays,
    /// The same for the sell.
    pub sell_arrays: Arrays,
}

/// Simulates it against the chain as a node has it now. Whatever cannot be found out is unknown, and so never safe.
///
/// What stays of the bought tokens, at most three in a hundred, counts as lost.
pub async fn rehearse(
    rpc: &RpcConnectionPool,
    builder: &TransactionBuilder,
    rehearsal: &Rehearsal,
) -> Fact<RoundTrip> {
    try_rehearse(rpc, builder, rehearsal).await.unwrap_or_else(Fact::Unknown)
}

async fn try_rehearse(
    rpc: &RpcConnectionPool,
    builder: &TransactionBuilder,
    rehearsal: &Rehearsal,
) -> Result<Fact<RoundTrip>, Why> {
    let Rehearsal { hop, spend, quoted, .. } = *rehearsal;
    let sold = quoted.less(MOVED);
    if spend == Atoms::ZERO || sold == Atoms::ZERO {
        return Err(Why::Unsupported);
    }
    let back = Hop { pool: hop.pool, mint_in: hop.mint_out, mint_out: hop.mint_in };
    let legs = [
        Leg {
            hop,
            amount: LegAmount::ExactIn { amount_in: spend, min_out: sold },
            arrays: rehearsal.buy_arrays.clone(),
        },
        Leg {
            hop: back,
            // Any price: what it brings is judged afterwards.
            amount: LegAmount::ExactIn { amount_in: sold, min_out: Atoms::new(1) },
            arrays: rehearsal.sell_arrays.clone(),
        },
    ];
    // SOL is wrapped on the spot, so that it takes no wrapped SOL to rehearse with it.
    let wrap = match builder.is_wrapped_sol(hop.mint_in) {
        true => Lamports::new(spend.get()),
        false => Lamports::ZERO,
    };
    // The node puts in a blockhash of its own.
    let message = builder.rehearsal(wrap, &legs, &Hash::default()).map_err(|_| Why::Unsupported)?;
    let wallet = builder.token_account(hop.mint_in).ok_or(Why::NotAsked)?;
    let before =
        rpc.multiple_accounts(&[wallet, builder.owner()], Commitment::Processed, None).await;
    let mut before = before.map_err(|error| why(&error))?.value.into_iter();
    let held = |data: &[u8]| TokenAccount::decode(data).map(|account| account.amount);
    let tokens = before.next().flatten().and_then(|account| held(&account.data));
    let lamports = before.next().flatten().map_or(Lamports::ZERO, |account| account.lamports);
    // Who holds nothing cannot rehearse.
    let before = match wrap {
        Lamports::ZERO => tokens.filter(|held| *held >= spend),
        wrap => Some(tokens.unwrap_or(Atoms::ZERO)).filter(|_| lamports > wrap),
    };
    let before = before.ok_or(Why::NotAsked)?;
    let mut unsigned = vec![1];
    unsigned.extend_from_slice(&[0; 64]);
    unsigned.extend_from_slice(&message);
    let done = rpc.rehearse(&STANDARD.encode(unsigned), Commitment::Processed, &[wallet]).await;
    let done = done.map_err(|error| why(&error))?;
    let (simulation, after) = done.value;
    if let Some(error) = simulation.err {
        return Ok(Fact::Known(RoundTrip::Failed { code: error.custom }, done.slot));
    }
    let after = after.into_iter().flatten().next();
    let after = after.and_then(|account| held(&account.data)).ok_or(Why::Unreadable)?;
    // What was wrapped came on top of what was there, and what was spent went off either.
    let came = if wrap == Lamports::ZERO { spend } else { Atoms::ZERO };
    let received = after.checked_add(came).and_then(|sum| sum.checked_sub(before));
    let received = received.ok_or(Why::Impossible)?;
    Ok(Fact::Known(RoundTrip::Sold { paid: spend, received }, done.slot))
}
