//! Whole programs, followed over a connection that is made again whenever it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::Stream;
use sniper_solana::feed::{DownCause, ReconnectionHandler};
use sniper_solana::rpc::{Commitment, EndpointConfig, RpcConnectionPool};
use sniper_solana::scan::{Followed, Follower, Program, Told};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// What may wait for a pass or an answer. More than that, and the connection is given up.
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

/// The accounts among what comes out, until the connection ends.
pub(super) struct Accounts<'a> {
    feed: &'a mut Receiver<Fed>,
    /// The newest slot that the node started, and the newest of an account.
    pub(super) slots: [u64; 2],
    /// What ended it.
    pub(super) end: Option<Fed>,
}

impl<'a> Accounts<'a> {
    pub(super) const fn new(feed: &'a mut Receiver<Fed>) -> Self {
        Self { feed, slots: [0; 2], end: None }
    }
}

impl Stream for Accounts<'_> {
    type Item = Followed;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Followed>> {
        while self.end.is_none() {
            let Some(fed) = ready!(self.feed.poll_recv(cx)) else { break };
            match fed {
                Fed::Told(Told::Account(account)) => {
                    self.slots[1] = self.slots[1].max(account.slot);
                    return Poll::Ready(Some(account));
                }
                Fed::Told(Told::Slot(slot)) => self.slots[0] = self.slots[0].max(slot),
                other => self.end = Some(other),
            }
        }
        Poll::Ready(None)
    }
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
