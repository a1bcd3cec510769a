//! The proof that a transaction can no longer land.
//!
//! # Design
//! A lost transaction and a late one look the same, so "not seen" proves nothing and an error proves nothing. What
//! proves it is a node that has finalized a block above the last one the transaction could be in, and that, asked
//! after that and with its whole history, does not know it. A majority of the verified endpoints must have got that
//! far, all on their own word, and none may know the transaction. Verified, not usable: else a node that lies about
//! its slot could have the honest ones ejected, and with its own height alone prove a live order dead.

use futures_util::future::join_all;
use sniper_core::ids::Signature;
use sniper_core::units::BlockHeight;

use crate::rpc::methods::{SIGNATURES_MAX, commitment_params, status_params};
use crate::rpc::raw::{AtMost, RawStatus, Wrapped};
use crate::rpc::{Commitment, EndpointHandle, RpcConnectionPool, RpcError};

/// What one endpoint swears to.
struct Testimony {
    /// Its finalized height, read before the statuses.
    height: u64,
    /// Whether it knows each transaction; none where its answer came from an older state than its height.
    knows: Option<Vec<bool>>,
}

/// What the endpoints' words come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can no longer land, and did not.
    Dead,
    /// Somebody knows it: it has landed, or may have.
    Known,
    /// Too few words.
    Unproved,
}

/// What becomes of `flights`, in their order.
pub(crate) async fn judge(
    pool: &RpcConnectionPool,
    flights: &[(Signature, BlockHeight)],
) -> Vec<Verdict> {
    let endpoints = pool.sworn();
    let signatures: Vec<Signature> = flights.iter().map(|(signature, _)| *signature).collect();
    let asked = join_all(endpoints.iter().map(|endpoint| testify(endpoint, &signatures))).await;
    let mut testimonies = Vec::with_capacity(asked.len());
    for outcome in asked {
        match outcome {
            Ok(testimony) => testimonies.push(testimony),
            Err(error) => tracing::debug!(%error, "no word on expiry"),
        }
    }
    let judged = flights
        .iter()
        .enumerate()
        .map(|(place, (_, last_valid))| verdict(&testimonies, endpoints.len(), place, *last_valid));
    judged.collect()
}

fn verdict(
    testimonies: &[Testimony],
    asked: usize,
    place: usize,
    last_valid: BlockHeight,
) -> Verdict {
    let says = |testimony: &Testimony| {
        testimony.knows.as_ref().and_then(|knows| knows.get(place)).copied()
    };
    if testimonies.iter().any(|testimony| says(testimony) == Some(true)) {
        return Verdict::Known;
    }
    let dead = testimonies
        .iter()
        .filter(|testimony| testimony.height > last_valid.get() && says(testimony) == Some(false))
        .count();
    if dead.saturating_mul(2) > asked { Verdict::Dead } else { Verdict::Unproved }
}

async fn testify(
    endpoint: &EndpointHandle,
    signatures: &[Signature],
) -> Result<Testimony, RpcError> {
    let finalized = commitment_params(Commitment::Finalized);
    let height: u64 = endpoint.ask("getBlockHeight", &finalized).await?;
    let slot: u64 = endpoint.ask("getSlot", &finalized).await?;
    let mut knows = Vec::with_capacity(signatures.len());
    for part in signatures.chunks(SIGNATURES_MAX) {
        let answer: Wrapped<AtMost<Option<RawStatus>, SIGNATURES_MAX>> =
            endpoint.ask("getSignatureStatuses", &status_params(part, true)).await?;
        // Behind one name there may be many nodes: this answer must not come from one that is further back.
        if answer.slot().get() < slot || answer.value.0.len() != part.len() {
            return Ok(Testimony { height, knows: None });
        }
        knows.extend(answer.value.0.iter().map(Option::is_some));
    }
    Ok(Testimony { height, knows: Some(knows) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(height: u64, knows: Option<bool>) -> Testimony {
        Testimony { height, knows: knows.map(|knows| vec![knows]) }
    }

    fn dead(testimonies: &[Testimony], asked: usize) -> bool {
        verdict(testimonies, asked, 0, BlockHeight::new(100)) == Verdict::Dead
    }

    #[test]
    fn a_transaction_is_dead_when_a_majority_is_past_it_and_nobody_knows_it() {
        assert!(dead(&[word(101, Some(false))], 1));
        assert!(dead(&[word(101, Some(false)), word(102, Some(false))], 3));
    }

    #[test]
    fn it_may_live_while_too_few_are_past_it() {
        assert!(!dead(&[word(100, Some(false))], 1), "the last valid height itself still counts");
        assert!(!dead(&[word(101, Some(false)), word(99, Some(false))], 2));
        assert!(!dead(&[word(101, Some(false))], 2), "the other did not answer");
        assert!(!dead(&[], 0));
        assert!(!dead(&[word(101, None)], 1), "an answer of an older state");
    }

    #[test]
    fn one_that_knows_it_outweighs_all_others() {
        assert!(!dead(&[word(101, Some(false)), word(101, Some(false)), word(50, Some(true))], 3));
    }
}
