//! Block engines beside the nodes: they get the same bytes, and nothing that they say is believed.

use std::time::Duration;

use sniper_core::ids::OrderId;

use super::tracker::Tracker;
use crate::jito::{Bundle, InFlight, Jito, JitoError};
use crate::rpc::SendRequest;
use crate::service::ServiceError;

/// How a block engine is handed a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// By itself: forwarded to the leader, and offered as a bundle besides.
    Transaction,
    /// As a bundle of one: in a block only if it does what it should.
    Bundle,
}

/// A block engine that takes what we send.
#[derive(Clone, Debug)]
pub struct BlockEngine {
    jito: Jito,
    handover: Handover,
}

/// When a bundle is asked after: by then it has been in an auction or two.
const ASK_AFTER: Duration = Duration::from_millis(1_500);

impl BlockEngine {
    /// One that is handed transactions in this way.
    #[must_use]
    pub const fn new(jito: Jito, handover: Handover) -> Self {
        Self { jito, handover }
    }

    /// Hands bytes over in a task of its own. Whatever comes of it, only the chain knows whether they landed.
    pub(super) fn send(&self, order: OrderId, request: &SendRequest, tracker: &Tracker) {
        let (engine, request, tracker) = (self.clone(), request.clone(), tracker.clone());
        tokio::spawn(async move {
            let Some(transaction) = request.transaction() else { return };
            let name = engine.jito.name().clone();
            match engine.hand_over(transaction).await {
                Ok(is_in_a_block) => {
                    tracing::debug!(%order, %name, "order handed to a block engine");
                    if is_in_a_block {
                        // Its word for it only makes us look.
                        tracker.poke();
                    }
                }
                // The next time round it may be asked again.
                Err(JitoError::Service(ServiceError::Paced { .. })) => {}
                Err(error) => {
                    tracing::warn!(%order, %error, "block engine took nothing, outcome unknown")
                }
            }
        });
    }

    /// Whether it says that the bytes are in a block.
    async fn hand_over(&self, transaction: &str) -> Result<bool, JitoError> {
        let transactions = [transaction];
        match (self.handover, Bundle::new(&transactions)) {
            (Handover::Bundle, Some(bundle)) => {
                let id = self.jito.send_bundle(bundle).await?;
                tokio::time::sleep(ASK_AFTER).await;
                let told = match self.jito.inflight_statuses(&[id]).await {
                    // It is asked to send rather than to tell.
                    Err(JitoError::Service(ServiceError::Paced { .. })) => return Ok(false),
                    told => told?,
                };
                Ok(matches!(told.first(), Some(InFlight::Landed(_))))
            }
            _ => self.jito.send_transaction(transaction).await.map(|_| false),
        }
    }
}
