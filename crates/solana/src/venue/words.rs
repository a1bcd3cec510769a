//! Has every verified endpoint swear to what it knows of orders, for `core::execution` to judge.
//!
//! # Design
//! Verified, not usable: else a node that lies about its slot could have the honest ones ejected, and be a majority of
//! one. Each is asked for its finalized height and slot first and for the orders after that, so that what it does not
//! know then it did not know at that height.

use futures_util::future::join_all;
use sniper_core::execution::{Knows, Landing, Word};
use sniper_core::ids::{Address, Signature};
use sniper_core::units::{BlockHeight, Slot};

use super::chain::status_of;
use crate::rpc::methods::{SIGNATURES_MAX, commitment_params, status_params};
use crate::rpc::raw::{AtMost, RawStatus, Wrapped};
use crate::rpc::{
    Commitment, EndpointHandle, Landed, RpcConnectionPool, RpcError, SignatureStatus,
};

/// What all endpoints swear to about each of `signatures`, in their order, and how many endpoints there are.
pub(super) async fn gather(
    pool: &RpcConnectionPool,
    owner: &Address,
    signatures: &[Signature],
    landing: impl Fn(Landed) -> Landing,
) -> (u32, Vec<Vec<Word>>) {
    let endpoints = pool.sworn();
    let asked = endpoints.iter().map(|endpoint| testify(endpoint, owner, signatures));
    let mut words = vec![Vec::with_capacity(endpoints.len()); signatures.len()];
    for (voter, outcome) in (0_u8..).zip(join_all(asked).await) {
        match outcome {
            Ok(testimony) => {
                let (height, slot) = (testimony.height, testimony.slot);
                for (told, known) in words.iter_mut().zip(testimony.knows) {
                    let knows = known.knows(&landing);
                    told.push(Word { voter, height, slot, knows });
                }
            }
            Err(error) => tracing::debug!(%error, "no word on orders"),
        }
    }
    (u32::try_from(endpoints.len()).unwrap_or(u32::MAX), words)
}

/// What one endpoint swears to.
struct Testimony {
    height: BlockHeight,
    slot: Slot,
    knows: Vec<Known>,
}

/// What it knows of one order.
enum Known {
    Stale,
    Nothing,
    Seen(SignatureStatus, Option<Landed>),
}

impl Known {
    fn knows(self, landing: impl Fn(Landed) -> Landing) -> Knows {
        match self {
            Self::Stale => Knows::Stale,
            Self::Nothing => Knows::Nothing,
            Self::Seen(status, landed) => {
                Knows::Seen { status: status_of(&status), landing: landed.map(landing) }
            }
        }
    }
}

async fn testify(
    endpoint: &EndpointHandle,
    owner: &Address,
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
            knows.extend(part.iter().map(|_| Known::Stale));
            continue;
        }
        for (signature, status) in part.iter().zip(answer.value.0) {
            knows.push(match status.map(SignatureStatus::from) {
                None => Known::Nothing,
                Some(status) => {
                    let landed = if status.commitment == Commitment::Finalized {
                        read(endpoint, signature, owner).await
                    } else {
                        None
                    };
                    Known::Seen(status, landed)
                }
            });
        }
    }
    Ok(Testimony { height: BlockHeight::new(height), slot: Slot::new(slot), knows })
}

/// An endpoint that keeps no transactions still knows where this one was executed.
async fn read(endpoint: &EndpointHandle, signature: &Signature, owner: &Address) -> Option<Landed> {
    match endpoint.finalized_transaction(signature, owner).await {
        Ok(landed) => landed,
        Err(error) => {
            tracing::debug!(%error, "a final order not read");
            None
        }
    }
}
