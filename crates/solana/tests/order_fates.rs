//! How orders end, and that nothing but the chain's word ends one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::time::Duration;

use scripted::{Fault, Node, pool, until};
use serde_json::{Value, json};
use sniper_core::event::{MintSpec, OrderEvent};
use sniper_core::ids::{Address, MintId, OrderId, Signature, Symbol};
use sniper_core::units::{BlockHeight, Lamports, Seq, Slot};
use sniper_solana::tx::BlockhashCache;
use sniper_solana::tx::instructions::TOKEN_PROGRAM;
use sniper_solana::venue::{Prepared, ResumeError, SolanaVenue, TrackerSettings};
use sniper_wallet::LocalSigner;
use tokio::sync::mpsc;

const MINT: Address = Address::new_from_array([9; 32]);
/// The scripted chain's height is 900.
const ALIVE: BlockHeight = BlockHeight::new(1_000);
const PAST: BlockHeight = BlockHeight::new(899);

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
        let mut venue = SolanaVenue::new(pool, LocalSigner::generate().unwrap(), cache, settings);
        let mint = MintSpec {
            address: MINT,
            token_program: TOKEN_PROGRAM,
            decimals: 6,
            symbol: Symbol::new("T"),
            is_usd: false,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        };
        assert_eq!(venue.add_mint(&mint), MintId(1));
        let (sender, events) = mpsc::channel(16);
        tokio::spawn(venue.tracker().clone().run(sender));
        Self { venue, events }
    }

    async fn end(&mut self) -> OrderEvent {
        let event = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await;
        event.expect("an end in time").expect("a tracker")
    }

    async fn no_end(&mut self, within: Duration) {
        let event = tokio::time::timeout(within, self.events.recv()).await;
        assert!(event.is_err(), "{event:?}");
    }

    /// The answer of `getTransaction` for a transaction of ours.
    fn landed(&self, name: &str, err: &Value) -> Value {
        let owner = self.venue.builder().owner().to_string();
        let amount = |amount: &str| {
            json!([{"accountIndex": 1, "mint": MINT.to_string(), "owner": owner,
            "uiTokenAmount": {"amount": amount, "decimals": 6, "uiAmount": null, "uiAmountString": "0"}}])
        };
        json!({"slot": 1_005, "blockTime": null, "version": 0,
            "transaction": {"signatures": [name], "message": {"accountKeys": [owner]}},
            "meta": {"err": err, "fee": 5_000, "preBalances": [10_000], "postBalances": [5_000],
                "preTokenBalances": amount("100"), "postTokenBalances": amount("40")}})
    }
}

fn order(tag: u8, last_valid: BlockHeight) -> (Prepared, String) {
    let bytes = [&[1][..], &[tag; 64], &[0; 50]].concat();
    let id = OrderId { cause: Seq::new(u64::from(tag)), nth: 0 };
    let prepared = Prepared::from_journal(id, Signature([tag; 64]), last_valid, bytes).unwrap();
    (prepared, bs58::encode([tag; 64]).into_string())
}

fn status(commitment: &str, err: &Value) -> Value {
    json!({"slot": 1_005, "confirmations": 1, "err": err, "status": {"Ok": null}, "confirmationStatus": commitment})
}

#[tokio::test]
async fn no_error_and_no_unreadable_answer_ever_expires_an_order() {
    for fault in [
        Fault::Status(500),
        Fault::Throttle,
        Fault::Garbage,
        Fault::Hang,
        Fault::Node(-32011),
        Fault::Result(json!(null)),
        Fault::Result(json!({"context": {"slot": 9}, "value": []})),
    ] {
        let node = Node::start("a").await;
        let mut world = World::new(&[&node]).await;
        node.fail("getSignatureStatuses", fault.clone());
        world.venue.send(&order(1, PAST).0);
        world.no_end(Duration::from_millis(700)).await;
        assert_eq!(world.venue.tracker().in_flight(), 1, "{fault:?}");
        node.heal();
        assert!(matches!(world.end().await, OrderEvent::Expired { .. }), "{fault:?}");
    }
}

#[tokio::test]
async fn an_order_that_may_still_land_is_sent_again_as_the_same_bytes() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (prepared, _) = order(1, ALIVE);
    world.venue.send(&prepared);
    until("sent three times", Duration::from_secs(5), || node.calls("sendTransaction").len() >= 3)
        .await;
    let sends = node.calls("sendTransaction");
    assert!(sends.iter().all(|params| params[0] == prepared.base64() && params == &sends[0]));
    world.no_end(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn an_order_expires_only_when_the_chain_is_past_it() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    world.venue.send(&order(1, BlockHeight::new(900)).0);
    world.no_end(Duration::from_millis(500)).await;
    node.chain().height = 901;
    assert!(matches!(world.end().await, OrderEvent::Expired { .. }));
    assert_eq!(world.venue.tracker().in_flight(), 0);
    let sends = node.calls("sendTransaction").len();
    world.no_end(Duration::from_millis(300)).await;
    assert_eq!(node.calls("sendTransaction").len(), sends, "a dead order is not sent again");
}

#[tokio::test]
async fn one_endpoint_that_runs_ahead_cannot_declare_an_order_dead() {
    let (a, b, c) = (Node::start("a").await, Node::start("b").await, Node::start("c").await);
    let mut world = World::new(&[&a, &b, &c]).await;
    (a.chain().slot, a.chain().height) = (1_040, 1_030);
    world.venue.send(&order(1, BlockHeight::new(1_020)).0);
    world.no_end(Duration::from_millis(700)).await;
    (b.chain().slot, b.chain().height) = (1_040, 1_030);
    assert!(matches!(world.end().await, OrderEvent::Expired { .. }));
}

#[tokio::test]
async fn an_order_that_only_a_history_knows_is_filled_and_not_expired() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let mut world = World::new(&[&a, &b]).await;
    let (prepared, name) = order(1, PAST);
    b.chain().history.insert(name.clone(), status("finalized", &Value::Null));
    world.venue.send(&prepared);
    world.no_end(Duration::from_millis(500)).await;
    for node in [&a, &b] {
        node.chain().history.insert(name.clone(), status("finalized", &Value::Null));
        node.chain().transactions.insert(name.clone(), world.landed(&name, &Value::Null));
    }
    assert!(matches!(world.end().await, OrderEvent::Filled { .. }));
}

#[tokio::test]
async fn a_fill_is_told_once_with_what_the_chain_says_it_changed() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (prepared, name) = order(1, ALIVE);
    world.venue.send(&prepared);
    node.chain().statuses.insert(name.clone(), status("processed", &Value::Null));
    world.no_end(Duration::from_millis(200)).await;
    node.chain().statuses.insert(name.clone(), status("confirmed", &Value::Null));
    world.no_end(Duration::from_millis(200)).await; // its contents are not known yet
    let answer = world.landed(&name, &Value::Null);
    node.chain().transactions.insert(name, answer);
    let OrderEvent::Filled { order, slot, deltas, fee, rent } = world.end().await else {
        panic!("a fill")
    };
    assert_eq!((order, slot, fee), (prepared.order(), Slot::new(1_005), Lamports::new(5_000)));
    assert_eq!(deltas.as_slice(), [(MintId(1), -60)]);
    assert_eq!(rent, Lamports::ZERO);
    world.no_end(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_fill_tells_what_our_key_gave_besides_the_fee_and_never_less_than_nothing() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    for (tag, after, given) in [(1, 2_955_720, 2_039_280), (2, 4_995_001, 0), (3, 9_000_000, 0)] {
        let (prepared, name) = order(tag, ALIVE);
        let mut answer = world.landed(&name, &Value::Null);
        answer["meta"]["preBalances"] = json!([5_000_000]);
        answer["meta"]["postBalances"] = json!([after]);
        node.chain().statuses.insert(name.clone(), status("confirmed", &Value::Null));
        node.chain().transactions.insert(name, answer);
        world.venue.send(&prepared);
        let OrderEvent::Filled { rent, .. } = world.end().await else { panic!("a fill") };
        assert_eq!(rent, Lamports::new(given));
    }
}

#[tokio::test]
async fn a_revert_keeps_its_fee_and_the_programs_number() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (prepared, name) = order(1, ALIVE);
    let err = json!({"InstructionError": [2, {"Custom": 6005}]});
    node.chain().statuses.insert(name.clone(), status("confirmed", &err));
    let answer = world.landed(&name, &err);
    node.chain().transactions.insert(name, answer);
    world.venue.send(&prepared);
    let end = world.end().await;
    let wanted = OrderEvent::Reverted {
        order: prepared.order(),
        slot: Slot::new(1_005),
        fee: Lamports::new(5_000),
        code: Some(6005),
    };
    assert_eq!(end, wanted);
}

#[tokio::test]
async fn a_resumed_order_is_asked_about_before_anything_is_sent() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (landed, name) = order(1, PAST);
    node.chain().history.insert(name.clone(), status("finalized", &Value::Null));
    let answer = world.landed(&name, &Value::Null);
    node.chain().transactions.insert(name, answer);
    world.venue.resume(&landed);
    assert!(matches!(world.end().await, OrderEvent::Filled { .. }));
    assert!(node.calls("sendTransaction").is_empty());
    // One that the chain does not know and that can still land goes out: it may never have been sent.
    let (unsent, _) = order(2, ALIVE);
    world.venue.resume(&unsent);
    until("sent", Duration::from_secs(5), || !node.calls("sendTransaction").is_empty()).await;
    assert_eq!(node.calls("sendTransaction")[0][0], unsent.base64());
    // One whose time is over is not.
    let (dead, _) = order(3, PAST);
    world.venue.resume(&dead);
    assert_eq!(world.end().await, OrderEvent::Expired { order: dead.order() });
    assert!(node.calls("sendTransaction").iter().all(|params| params[0] != dead.base64()));
}

#[tokio::test]
async fn an_order_under_way_is_never_sent_with_a_second_signature() {
    let node = Node::start("a").await;
    let mut world = World::new(&[&node]).await;
    let (first, _) = order(1, ALIVE);
    world.venue.send(&first);
    let bytes = [&[1][..], &[7; 64], &[0; 50]].concat();
    let second = Prepared::from_journal(first.order(), Signature([7; 64]), ALIVE, bytes).unwrap();
    world.venue.send(&second);
    world.venue.resume(&second);
    world.no_end(Duration::from_millis(300)).await;
    let sends = node.calls("sendTransaction");
    assert!(!sends.is_empty() && sends.iter().all(|params| params[0] == first.base64()));
    assert_eq!(world.venue.tracker().in_flight(), 1);
}

#[test]
fn bytes_that_do_not_carry_the_journaled_signature_are_not_resumed() {
    let id = OrderId { cause: Seq::new(1), nth: 0 };
    let bytes = [&[1][..], &[5; 64], &[0; 50]].concat();
    for (signature, bytes) in
        [(Signature([6; 64]), bytes.clone()), (Signature([5; 64]), bytes[..60].to_vec())]
    {
        let resumed = Prepared::from_journal(id, signature, ALIVE, bytes);
        assert_eq!(resumed.unwrap_err(), ResumeError::OtherSignature { order: id });
    }
}

#[tokio::test]
async fn a_node_that_has_the_others_ejected_cannot_declare_an_order_dead() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let mut world = World::new(&[&a, &b]).await;
    // By its own word it is so far ahead that the honest one looks slow.
    (a.chain().slot, a.chain().height) = (100_000, 99_000);
    tokio::time::sleep(Duration::from_millis(2_300)).await;
    world.venue.send(&order(1, ALIVE).0);
    world.no_end(Duration::from_millis(700)).await;
    (b.chain().slot, b.chain().height) = (100_000, 99_000);
    assert!(matches!(world.end().await, OrderEvent::Expired { .. }));
}
