//! What lands is provisional until a majority calls it final, and taken back where its block was abandoned.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::Duration;

use scripted::{Node, pool, until};
use serde_json::{Value, json};
use sniper_core::event::OrderEvent;
use sniper_core::execution::Landing;
use sniper_core::ids::{OrderId, Signature};
use sniper_core::units::{BlockHeight, Lamports, Seq, Slot};
use sniper_solana::rpc::{Commitment, SignatureStatus};
use sniper_solana::tx::BlockhashCache;
use sniper_solana::venue::{Prepared, SolanaVenue, TrackerSettings};
use sniper_wallet::LocalSigner;
use tokio::sync::mpsc;

struct World {
    venue: SolanaVenue<LocalSigner>,
    events: mpsc::Receiver<OrderEvent>,
}

impl World {
    async fn new(nodes: &[&Node]) -> Self {
        let pool = pool(nodes).await;
        let settings = TrackerSettings {
            poll_every: Duration::from_millis(20),
            resend_every: Duration::from_millis(100),
            expiry_every: Duration::from_millis(50),
            preflight: false,
        };
        tokio::spawn(pool.clone().monitor());
        let cache = BlockhashCache::new(pool.clone());
        let venue = SolanaVenue::new(pool, LocalSigner::generate().unwrap(), cache, settings);
        let (sender, events) = mpsc::channel(16);
        tokio::spawn(venue.tracker().clone().run(sender));
        Self { venue, events }
    }

    async fn next(&mut self) -> OrderEvent {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        event.expect("a word in time").expect("a tracker")
    }

    async fn silence(&mut self, within: Duration) {
        let event = tokio::time::timeout(within, self.events.recv()).await;
        assert!(event.is_err(), "{event:?}");
        assert!(self.venue.tracker().take_final().is_empty());
    }

    async fn is_final(&self, order: OrderId) {
        let mut all = Vec::new();
        until("final", Duration::from_secs(10), || {
            all.extend(self.venue.tracker().take_final());
            !all.is_empty()
        })
        .await;
        assert_eq!(all, [order]);
    }

    /// The transaction is in a block of that slot, on these nodes, and took that fee.
    fn land(&self, nodes: &[&Node], name: &str, slot: u64, fee: u64, commitment: &str) {
        let owner = self.venue.builder().owner().to_string();
        let answer = json!({"slot": slot, "blockTime": null, "version": 0,
            "transaction": {"signatures": [name], "message": {"accountKeys": [owner]}},
            "meta": {"err": null, "fee": fee, "preBalances": [10_000], "postBalances": [10_000 - fee],
                "preTokenBalances": [], "postTokenBalances": []}});
        let status = json!({"slot": slot, "confirmations": 1, "err": null, "status": {"Ok": null},
            "confirmationStatus": commitment});
        for node in nodes {
            node.chain().statuses.insert(name.to_owned(), status.clone());
            node.chain().transactions.insert(name.to_owned(), answer.clone());
        }
    }
}

fn abandon(nodes: &[&Node], name: &str) {
    for node in nodes {
        node.chain().statuses.remove(name);
        node.chain().transactions.remove(name);
    }
}

fn order() -> (Prepared, String) {
    let bytes = [&[1][..], &[3; 64], &[0; 50]].concat();
    let id = OrderId { cause: Seq::new(3), nth: 0 };
    let last_valid = BlockHeight::new(1_500);
    let prepared = Prepared::from_journal(id, Signature([3; 64]), last_valid, bytes).unwrap();
    (prepared, bs58::encode([3; 64]).into_string())
}

fn filled(event: &OrderEvent) -> (u64, u64) {
    let OrderEvent::Filled { slot, fee, .. } = event else { panic!("a fill, not {event:?}") };
    (slot.get(), fee.get())
}

#[tokio::test]
async fn a_fill_is_final_when_a_majority_has_it_in_a_finalized_block_and_not_before() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let mut world = World::new(&[&a, &b, &c]).await;
    let (prepared, name) = order();
    world.venue.send(&prepared);
    world.land(&[&a, &b, &c], &name, 1_005, 5_000, "confirmed");
    assert_eq!(filled(&world.next().await), (1_005, 5_000));
    assert_eq!(world.venue.tracker().in_flight(), 0);
    world.land(&[&a], &name, 1_005, 5_000, "finalized");
    world.silence(Duration::from_millis(500)).await;
    world.land(&[&b], &name, 1_005, 5_000, "finalized");
    world.is_final(prepared.order()).await;
    world.silence(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_fill_whose_block_was_abandoned_is_taken_back_and_may_land_again() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let nodes = [&a, &b, &c];
    let mut world = World::new(&nodes).await;
    let (prepared, name) = order();
    world.venue.send(&prepared);
    world.land(&nodes, &name, 1_005, 5_000, "confirmed");
    assert_eq!(filled(&world.next().await), (1_005, 5_000));
    abandon(&nodes, &name);
    // Not while the finalized chain has not got there.
    world.silence(Duration::from_millis(400)).await;
    a.chain().slot = 1_006;
    world.silence(Duration::from_millis(400)).await;
    b.chain().slot = 1_006;
    let order = prepared.order();
    assert_eq!(world.next().await, OrderEvent::RolledBack { order });
    assert_eq!(world.venue.tracker().in_flight(), 1);
    let sends = a.calls("sendTransaction").len();
    until("sent again", Duration::from_secs(5), || a.calls("sendTransaction").len() > sends).await;
    assert!(a.calls("sendTransaction").iter().all(|params| params[0] == prepared.base64()));
    // It lands elsewhere. One node's word no longer does.
    world.land(&[&a], &name, 1_007, 5_000, "finalized");
    world.silence(Duration::from_millis(400)).await;
    world.land(&[&c], &name, 1_007, 5_000, "finalized");
    assert_eq!(filled(&world.next().await), (1_007, 5_000));
    world.is_final(order).await;
}

#[tokio::test]
async fn a_fill_that_one_node_made_up_is_replaced_by_what_the_majority_has() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let mut world = World::new(&[&a, &b, &c]).await;
    let (prepared, name) = order();
    world.venue.send(&prepared);
    let nodes = [&a, &b, &c];
    world.land(&nodes, &name, 1_005, 9_000, "confirmed");
    assert_eq!(filled(&world.next().await), (1_005, 9_000));
    world.land(&[&b, &c], &name, 1_005, 5_000, "finalized");
    assert_eq!(world.next().await, OrderEvent::RolledBack { order: prepared.order() });
    assert_eq!(filled(&world.next().await), (1_005, 5_000));
    world.is_final(prepared.order()).await;
}

#[tokio::test]
async fn an_order_that_was_booked_and_not_final_when_the_process_ended_is_followed_on() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (prepared, name) = order();
    let landing = Landing::Filled {
        slot: Slot::new(1_005),
        deltas: sniper_core::event::Deltas::new(),
        fee: Lamports::new(5_000),
        rent: Lamports::ZERO,
    };
    world.venue.resume_landed(&prepared, landing);
    world.silence(Duration::from_millis(300)).await;
    assert!(node.calls("sendTransaction").is_empty(), "it has landed");
    world.land(&[&node], &name, 1_005, 5_000, "finalized");
    world.is_final(prepared.order()).await;
}

#[tokio::test]
async fn a_notice_of_a_subscription_is_as_good_as_an_answer() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (prepared, name) = order();
    world.venue.send(&prepared);
    world.land(&[&node], &name, 1_005, 5_000, "confirmed");
    // Polling sees nothing of it.
    node.chain().statuses.insert(name, Value::Null);
    world.silence(Duration::from_millis(200)).await;
    let status =
        SignatureStatus { slot: Slot::new(1_005), commitment: Commitment::Confirmed, err: None };
    world.venue.tracker().observe(prepared.signature(), &status);
    assert_eq!(filled(&world.next().await), (1_005, 5_000));
}
