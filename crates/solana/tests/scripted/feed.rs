//! A feed of a scripted node, and what its receiver is waiting for.

use std::time::Duration;

use sniper_core::ids::Address;
use sniper_solana::feed::{
    DownCause, FeedEvent, FeedSettings, ReconnectionHandler, Subscription, Watch, WebSocketManager,
};
use sniper_solana::rpc::RpcConnectionPool;
use tokio::sync::mpsc;

use super::{Node, pool};

pub(crate) const LONG: Duration = Duration::from_secs(15);

pub(crate) fn ours(index: u8) -> Address {
    Address::new_from_array([index + 1; 32])
}

pub(crate) fn settings() -> FeedSettings {
    FeedSettings { stall_after: Duration::from_millis(1_500), ..FeedSettings::default() }
}

pub(crate) struct Feed {
    pub(crate) manager: WebSocketManager,
    pub(crate) events: mpsc::Receiver<FeedEvent>,
    pub(crate) pool: RpcConnectionPool,
}

impl Feed {
    pub(crate) async fn start(nodes: &[&Node], watches: u8, settings: FeedSettings) -> Self {
        let watch = |index| Watch::own_lamports(ours(index)).into();
        Self::of(nodes, (0..watches).map(watch).collect(), settings).await
    }

    pub(crate) async fn of(
        nodes: &[&Node],
        subscriptions: Vec<Subscription>,
        settings: FeedSettings,
    ) -> Self {
        let reconnection =
            ReconnectionHandler::new(Duration::from_millis(20), Duration::from_millis(200));
        let pool = pool(nodes).await;
        let mut manager = WebSocketManager::new(pool.clone(), settings, reconnection);
        let events = manager.start(&subscriptions).unwrap();
        Self { manager, events, pool }
    }

    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&FeedEvent) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("a feed");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(LONG, search).await;
        found.unwrap_or_else(|_| panic!("the feed did not tell: {what}"))
    }

    /// Until the gap is closed; what balances were told on the way.
    pub(crate) async fn restored(&mut self) -> Vec<u64> {
        let mut told = Vec::new();
        self.until("restored", |event| match event {
            FeedEvent::OwnLamports { lamports, .. } => {
                told.push(lamports.get());
                None
            }
            FeedEvent::Restored { .. } => Some(()),
            _ => None,
        })
        .await;
        told
    }

    pub(crate) async fn balance(&mut self) -> (u64, u64) {
        self.until("a balance", |event| match event {
            FeedEvent::OwnLamports { lamports, slot } => Some((slot.get(), lamports.get())),
            _ => None,
        })
        .await
    }

    pub(crate) async fn down(&mut self) -> DownCause {
        self.until("a lost connection", |event| match event {
            FeedEvent::ConnectionDown { cause, .. } => Some(*cause),
            _ => None,
        })
        .await
    }
}

/// A node whose slot clock runs.
pub(crate) fn clock(node: &Node) -> tokio::task::JoinHandle<()> {
    let shared = std::sync::Arc::clone(&node.shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(40)).await;
            shared.tick();
        }
    })
}
