//! Whole programs, followed over a connection that is made again whenever it ends.

use std::time::{Duration, Instant};

use sniper_solana::feed::{DownCause, ReconnectionHandler};
use sniper_solana::rpc::{Commitment, EndpointConfig, RpcConnectionPool};
use sniper_solana::scan::{Follower, Program, Told};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What may wait while everything is read again. More than that, and the connection is given up.
const WAITING_MAX: usize = 65_536;
/// A connection that lived this long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// What comes out of the feed.
#[derive(Debug)]
pub(super) enum Fed {
    Told(Told),
    /// The connection ended; another is being made.
    Down(DownCause),
}

/// Follows the programs at one endpoint after the other, until the receiver is gone.
pub(super) fn start(
    endpoints: Vec<EndpointConfig>,
    programs: Vec<Program>,
    rpc: RpcConnectionPool,
) -> Receiver<Fed> {
    let (sender, receiver) = channel(WAITING_MAX);
    tokio::spawn(async move {
        let pauses = ReconnectionHandler::default();
        let mut failures = 0_u32;
        for endpoint in endpoints.iter().cycle() {
            let begun = Instant::now();
            let cause = follow(endpoint, &programs, &rpc, &sender).await;
            tracing::info!(endpoint = %endpoint.name(), %cause, "program subscriptions ended");
            if sender.send(Fed::Down(cause)).await.is_err() {
                return;
            }
            failures = if begun.elapsed() > GOOD_AFTER { 1 } else { failures.saturating_add(1) };
            tokio::time::sleep(pauses.pause(failures)).await;
        }
    });
    receiver
}

async fn follow(
    endpoint: &EndpointConfig,
    programs: &[Program],
    rpc: &RpcConnectionPool,
    sender: &Sender<Fed>,
) -> DownCause {
    let mut follower = match Follower::connect(endpoint, programs, Commitment::Confirmed).await {
        Ok(follower) => follower,
        Err(cause) => return cause,
    };
    loop {
        let told = tokio::select! {
            told = follower.next() => told,
            () = sender.closed() => return DownCause::Closed,
        };
        match told {
            Ok(told) => {
                if let Told::Slot(slot) = &told {
                    rpc.observe_slot(sniper_core::units::Slot::new(*slot));
                }
                match sender.try_send(Fed::Told(told)) {
                    Ok(()) => {}
                    // What did not fit is made up for by reading everything again.
                    Err(TrySendError::Full(_)) => return DownCause::Stalled,
                    Err(TrySendError::Closed(_)) => return DownCause::Closed,
                }
            }
            Err(cause) => return cause,
        }
    }
}
