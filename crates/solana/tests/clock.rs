//! Which slot it is, and who makes its block.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod quiet;
mod scripted;

use std::time::Duration;

use quiet::{Chain, LONG, SLOT};
use scripted::{Node, leader_of, pool, until};
use sniper_core::ids::Address;
use sniper_core::units::Slot;
use sniper_solana::clock::{ChainClock, ClockError};
use sniper_solana::rpc::Commitment;

#[tokio::test]
async fn on_a_chain_the_clock_keeps_its_pace_and_knows_its_leader() {
    let chain = Chain::start();
    let pool = chain.connect().await;
    let clock = ChainClock::new(pool.clone());
    let running = tokio::spawn(clock.clone().run());
    let looking = tokio::spawn({
        let pool = pool.clone();
        async move {
            loop {
                let slot = pool.slot(Commitment::Processed).await.unwrap();
                pool.observe_slot(slot);
                tokio::time::sleep(SLOT / 4).await;
            }
        }
    });
    until("it knows pace and leader", LONG, || {
        clock.pace().is_some() && clock.slot().is_ok_and(|slot| clock.leader_at(slot).is_ok())
    })
    .await;
    let identity: serde_json::Value = pool.call("getIdentity", &[(); 0]).await.unwrap();
    let leader: Address = identity["identity"].as_str().unwrap().parse().unwrap();
    assert_eq!(clock.leader_at(clock.slot().unwrap()), Ok(leader));
    assert_eq!(clock.slots_until(&leader), Ok(0));
    // A busy machine makes late blocks, never early ones.
    let pace = clock.pace().unwrap();
    assert!(pace >= SLOT * 9 / 10 && pace < SLOT * 20, "{pace:?}");
    let told = pool.slot(Commitment::Processed).await.unwrap().get();
    let known = clock.slot().unwrap().get();
    assert!(told.abs_diff(known) <= 5, "{told} is told, {known} known");
    let epoch = clock.epoch().unwrap();
    assert!(epoch.first <= epoch.at && epoch.at < epoch.end() && epoch.slots == 432_000);
    let whole = pool.leader_slots(&epoch, &leader).await.unwrap();
    assert_eq!((whole.len(), whole[0]), (432_000, epoch.first), "there is nobody else");
    let nobody = Address::new_from_array([9; 32]);
    assert!(pool.leader_slots(&epoch, &nobody).await.unwrap().is_empty());
    running.abort();
    looking.abort();
}

#[tokio::test]
async fn who_leads_and_when_is_told_as_far_as_it_is_known() {
    let node = Node::start("a").await;
    node.chain().slot = 10_000;
    let pool = pool(&[&node]).await;
    let clock = ChainClock::new(pool);
    assert_eq!(clock.slot(), Err(ClockError::NoSlot));
    assert!(matches!(clock.leader_at(Slot::new(10_000)), Err(ClockError::Beyond { .. })));
    let running = tokio::spawn(clock.clone().run());
    until("it knows", LONG, || clock.leader_at(Slot::new(10_000)).is_ok()).await;
    assert_eq!(clock.slot(), Ok(Slot::new(10_000)));
    for slot in [9_900, 10_000, 10_003, 10_004, 11_900] {
        let leader = clock.leader_at(Slot::new(slot)).unwrap();
        assert_eq!(leader.to_string(), leader_of(slot), "{slot}");
    }
    let (behind, ahead) = (Slot::new(9_000), Slot::new(20_000));
    for slot in [behind, ahead] {
        let beyond = clock.leader_at(slot).unwrap_err();
        assert!(matches!(beyond, ClockError::Beyond { slot: of, .. } if of == slot), "{beyond}");
    }
    let next: Address = leader_of(10_017).parse().unwrap();
    assert_eq!(clock.slots_until(&next), Ok(16));
    let never = Address::new_from_array([250; 32]);
    assert!(matches!(clock.slots_until(&never), Err(ClockError::NotSoon { .. })));
    assert_eq!(clock.next_slot_of(&next).await.unwrap(), Some(Slot::new(10_016)));
    assert_eq!(clock.next_slot_of(&never).await.unwrap(), None);
    running.abort();
}

#[tokio::test]
async fn at_an_epochs_end_the_next_ones_leaders_are_read() {
    let node = Node::start("a").await;
    {
        let mut chain = node.chain();
        (chain.slot, chain.epoch_slots) = (8_990, 9_000);
    }
    let pool = pool(&[&node]).await;
    let clock = ChainClock::new(pool.clone());
    let running = tokio::spawn(clock.clone().run());
    until("it knows", LONG, || clock.leader_at(Slot::new(8_999)).is_ok()).await;
    let beyond = clock.leader_at(Slot::new(9_000)).unwrap_err();
    let (slot, end) = (Slot::new(9_000), Slot::new(9_000));
    assert!(
        matches!(beyond, ClockError::Beyond { slot: of, end: to, .. } if of == slot && to == end),
        "{beyond}"
    );
    let asked = node.calls("getSlotLeaders").len();
    node.chain().slot = 8_995;
    pool.observe_slot(Slot::new(8_995));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(node.calls("getSlotLeaders").len(), asked, "there is no more to be known");
    let mut slot = 9_000;
    until("the next epoch's are known", LONG, || {
        slot += 1;
        node.chain().slot = slot;
        pool.observe_slot(Slot::new(slot));
        clock.leader_at(Slot::new(slot)).is_ok()
    })
    .await;
    assert_eq!(clock.leader_at(Slot::new(slot)).unwrap().to_string(), leader_of(slot));
    assert_eq!(clock.epoch().unwrap().epoch, 1);
    running.abort();
}
