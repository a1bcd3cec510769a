//! What a gate learns of a mint from nodes that answer, fail, stall and lie.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod scripted;

use std::time::{Duration, Instant};

use base64::Engine as _;
use scripted::{Fault, Node, pool};
use serde_json::{Value, json};
use sniper_core::amm::cpmm;
use sniper_core::gate::{
    BURNS, Evidence, Fact, HolderKind, Liquidity, METAPLEX, Places, Policy, RAYDIUM_LOCK, Reason,
    RoundTrip, TokenProgram, Why, judge, metaplex_address,
};
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Slot};
use sniper_solana::gate::{LiquidityAt, Request, TokenPool, gather};
use sniper_solana::rpc::RpcConnectionPool;

const NOW: Slot = Slot::new(1_000);
const SUPPLY: u64 = 1_000_000_000;

fn key(byte: u8) -> Address {
    Address::new_from_array([byte; 32])
}

const MINT: Address = Address::new_from_array([1; 32]);
const LP_MINT: Address = Address::new_from_array([2; 32]);
const POOL: Address = Address::new_from_array([3; 32]);
const CREATOR: Address = Address::new_from_array([4; 32]);

fn account(owner: &Address, data: &[u8]) -> Value {
    let text = base64::engine::general_purpose::STANDARD.encode(data);
    json!({"lamports": 1, "owner": owner.to_string(), "data": [text, "base64"],
        "executable": false, "rentEpoch": u64::MAX, "space": data.len()})
}

fn mint(supply: u64) -> Vec<u8> {
    let mut data = vec![0; 82];
    data[36..44].copy_from_slice(&supply.to_le_bytes());
    (data[44], data[45]) = (6, 1);
    data
}

fn token(mint: &Address, owner: &Address, amount: u64) -> Vec<u8> {
    let mut data = vec![0; 165];
    data[..32].copy_from_slice(mint.as_array());
    data[32..64].copy_from_slice(owner.as_array());
    data[64..72].copy_from_slice(&amount.to_le_bytes());
    data[108] = 1;
    data
}

fn cpmm_pool(lp_mint: &Address, minted: u64) -> Vec<u8> {
    let mut data = vec![0; cpmm::POOL_LEN];
    data[..8].copy_from_slice(&cpmm::POOL_DISCRIMINATOR);
    data[136..168].copy_from_slice(lp_mint.as_array());
    data[168..200].copy_from_slice(MINT.as_array());
    data[333..341].copy_from_slice(&minted.to_le_bytes());
    data
}

fn metadata(mint: &Address) -> Vec<u8> {
    let text =
        |text: &str| [&[u8::try_from(text.len()).unwrap(), 0, 0, 0], text.as_bytes()].concat();
    let head = [&[4], key(9).as_array().as_slice(), mint.as_array()].concat();
    [head, text("Fine"), text("FINE"), text("x"), vec![0; 5]].concat()
}

fn spl() -> Address {
    TokenProgram::Spl.address()
}

fn put(node: &Node, address: &Address, owner: &Address, data: &[u8]) {
    node.chain().accounts.insert(address.to_string(), account(owner, data));
}

/// Says what the largest accounts of a mint are, and puts them there.
fn largest(node: &Node, mint: &Address, accounts: &[(u8, Address, u64)]) {
    for (address, owner, amount) in accounts {
        put(node, &key(*address), &spl(), &token(mint, owner, *amount));
    }
    let entry = |(address, _, amount): &(u8, Address, u64)| {
        json!({"address": key(*address).to_string(), "amount": amount.to_string(), "decimals": 6,
            "uiAmount": 0.0, "uiAmountString": "0"})
    };
    let list: Value = accounts.iter().map(entry).collect();
    node.chain().told.insert(("getTokenLargestAccounts", mint.to_string()), list);
}

fn tell_supply(node: &Node, supply: u64) {
    let told = json!({"amount": supply.to_string(), "decimals": 6, "uiAmountString": "0"});
    node.chain().told.insert(("getTokenSupply", MINT.to_string()), told);
}

/// A node on which nothing speaks against the mint.
async fn node() -> Node {
    let node = Node::start("one").await;
    put(&node, &MINT, &spl(), &mint(SUPPLY));
    put(&node, &LP_MINT, &spl(), &mint(1_000));
    put(&node, &POOL, &cpmm::PROGRAM_ID, &cpmm_pool(&LP_MINT, 10_000));
    put(&node, &metaplex_address(&MINT), &METAPLEX, &metadata(&MINT));
    tell_supply(&node, SUPPLY);
    let holders =
        [(20, key(60), 800_000_000), (21, key(61), 90_000_000), (22, BURNS[1], 60_000_000)];
    largest(&node, &MINT, &holders);
    largest(&node, &LP_MINT, &[(30, RAYDIUM_LOCK, 600), (31, BURNS[0], 200), (32, key(62), 200)]);
    let owned = json!([{"pubkey": key(23).to_string(), "account": account(&spl(), &token(&MINT, &CREATOR, 7))}]);
    node.chain().told.insert(("getTokenAccountsByOwner", CREATOR.to_string()), owned);
    node
}

async fn sold() -> Fact<RoundTrip> {
    Fact::Known(RoundTrip::Sold { paid: Atoms::new(1_000), received: Atoms::new(950) }, NOW)
}

fn request(places: &Places) -> Request<'_> {
    let liquidity = LiquidityAt::Pool { kind: TokenPool::CPMM, address: POOL, lp_mint: LP_MINT };
    Request { mint: MINT, creator: Some(CREATOR), liquidity, places }
}

fn places() -> Places {
    Places { vaults: [key(20)].into(), ..Places::default() }
}

async fn evidence(rpc: &RpcConnectionPool) -> Evidence {
    gather(rpc, &request(&places()), Duration::from_secs(20), sold()).await
}

fn unsafe_because(evidence: &Evidence) -> Vec<&'static str> {
    let verdict = judge(evidence, &Policy::default(), NOW);
    verdict.reasons().iter().map(Reason::name).collect()
}

#[tokio::test]
async fn what_a_node_knows_becomes_evidence_and_a_fine_mint_is_safe() {
    let node = node().await;
    let evidence = evidence(&pool(&[&node]).await).await;
    assert_eq!(unsafe_because(&evidence), [""; 0], "{evidence:?}");
    let holders = evidence.holders.known().unwrap();
    let kinds: Vec<_> = holders.iter().map(|holder| holder.kind).collect();
    assert_eq!(kinds, [HolderKind::Pool, HolderKind::Wallet, HolderKind::Burn]);
    let [minted, supply, locked] = [10_000, 1_000, 800].map(Atoms::new);
    assert_eq!(evidence.liquidity, Fact::Known(Liquidity::Tokens { minted, supply, locked }, NOW));
    assert_eq!(evidence.creator.known().unwrap().amount, Atoms::new(7));
    let named = evidence.metadata.known().unwrap().as_ref().unwrap();
    assert_eq!((named.name.as_str(), named.mutable), ("Fine", false));
    // The mint, its metadata and its pool come from one state.
    let wanted = [MINT, metaplex_address(&MINT), POOL, LP_MINT].map(|one| one.to_string());
    assert!(node.calls("getMultipleAccounts").iter().any(|call| call[0] == json!(wanted)));
}

#[tokio::test]
async fn a_lock_is_known_by_the_program_that_owns_the_owner() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    largest(&node, &LP_MINT, &[(30, key(70), 1_000)]);
    assert_eq!(unsafe_because(&evidence(&rpc).await), ["liquidity_free"]);
    let places = Places { lock_programs: [key(71)].into(), ..places() };
    let request = request(&places);
    let ask = || gather(&rpc, &request, Duration::from_secs(20), sold());
    assert_eq!(unsafe_because(&ask().await), ["liquidity_free"], "the owner has no account");
    put(&node, &key(70), &key(71), &[]);
    assert_eq!(unsafe_because(&ask().await), [""; 0]);
}

#[tokio::test]
async fn every_refusal_and_every_unreadable_answer_is_unknown_and_unsafe() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let methods = [
        ("getMultipleAccounts", 5),
        ("getTokenSupply", 1),
        ("getTokenLargestAccounts", 2),
        ("getTokenAccountsByOwner", 1),
    ];
    for (method, lost) in methods {
        node.fail(method, Fault::Node(-32_602));
        let found = evidence(&rpc).await;
        assert_eq!(unsafe_because(&found), vec!["unknown"; lost], "{method}: {found:?}");
        node.heal();
    }
    node.fail("getTokenSupply", Fault::Node(-32_010));
    assert_eq!(evidence(&rpc).await.supply, Fact::Unknown(Why::Refused(-32_010)));
    node.fail("getTokenSupply", Fault::Result(json!({"context": {"slot": 1_000}, "value": {}})));
    assert_eq!(evidence(&rpc).await.supply, Fact::Unknown(Why::Unreadable));
}

#[tokio::test]
async fn what_does_not_come_in_time_is_late_and_the_rest_is_still_told() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    node.fail("getTokenLargestAccounts", Fault::Hang);
    let begun = Instant::now();
    let places = places();
    let never = std::future::pending();
    let found = gather(&rpc, &request(&places), Duration::from_millis(200), never).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(found.holders, Fact::Unknown(Why::Late));
    assert_eq!(found.liquidity, Fact::Unknown(Why::Late));
    assert_eq!(found.sell, Fact::Unknown(Why::Late));
    assert!(found.account.known().is_some() && found.supply.known().is_some());
    assert_eq!(unsafe_because(&found), ["unknown"; 3]);
}

#[tokio::test]
async fn a_mint_that_is_not_one_is_unknown() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let fine = mint(SUPPLY);
    let cases: [(&str, Address, &[u8], Why); 5] = [
        ("another program's", key(80), &fine, Why::WrongOwner),
        ("short", spl(), &fine[..81], Why::Unreadable),
        ("long for SPL Token", spl(), &[0; 200], Why::Unreadable),
        ("a token account", TokenProgram::Token2022.address(), &[0; 165], Why::Unreadable),
        ("empty", spl(), &[], Why::Unreadable),
    ];
    for (what, owner, data, why) in cases {
        put(&node, &MINT, &owner, data);
        let found = evidence(&rpc).await;
        assert_eq!(found.account, Fact::Unknown(why), "{what}");
        assert_eq!(found.metadata, Fact::Unknown(Why::Depends), "{what}");
        assert!(!unsafe_because(&found).is_empty(), "{what}");
    }
    node.chain().accounts.remove(&MINT.to_string());
    assert_eq!(evidence(&rpc).await.program, Fact::Unknown(Why::Missing));
}

#[tokio::test]
async fn holders_that_are_not_what_the_list_says_are_unknown() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let whale = key(21);
    let fine = token(&MINT, &key(61), 90_000_000);
    let cases: [(&str, Address, Vec<u8>, Why); 3] = [
        ("another mint's", spl(), token(&key(5), &key(61), 1), Why::WrongMint),
        ("another program's", key(80), fine.clone(), Why::WrongOwner),
        ("short", spl(), fine[..164].to_vec(), Why::Unreadable),
    ];
    for (what, owner, data, why) in cases {
        put(&node, &whale, &owner, &data);
        assert_eq!(evidence(&rpc).await.holders, Fact::Unknown(why), "{what}");
    }
    node.chain().accounts.remove(&whale.to_string());
    assert_eq!(evidence(&rpc).await.holders, Fact::Unknown(Why::Missing));
    // The list plays a whale down: its account tells.
    put(&node, &whale, &spl(), &token(&MINT, &key(61), 140_000_000));
    assert_eq!(unsafe_because(&evidence(&rpc).await), ["top_holder"]);
    // More in the accounts than there is.
    put(&node, &whale, &spl(), &token(&MINT, &key(61), SUPPLY));
    assert!(unsafe_because(&evidence(&rpc).await).contains(&"held_above_supply"));
}

#[tokio::test]
async fn a_list_of_holders_that_cannot_be_is_refused() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let wrong = [
        vec![(20, key(60), 1), (21, key(61), 2)],
        vec![(20, key(60), 2), (20, key(60), 2)],
        (40..61).map(|byte| (byte, key(60), 1)).collect(),
    ];
    for list in wrong {
        largest(&node, &MINT, &list);
        assert_eq!(evidence(&rpc).await.holders, Fact::Unknown(Why::Impossible), "{list:?}");
    }
    // An empty one says that nobody holds what there is: then one may hold all.
    largest(&node, &MINT, &[]);
    let found = evidence(&rpc).await;
    assert_eq!(found.holders, Fact::Known(vec![], NOW));
    assert_eq!(unsafe_because(&found), ["top_holder", "top_ten"]);
}

#[tokio::test]
async fn a_pool_of_another_program_mint_or_liquidity_token_proves_nothing() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let fine = cpmm_pool(&LP_MINT, 10_000);
    let mut foreign = fine.clone();
    foreign[168..200].copy_from_slice(key(5).as_array());
    let cases: [(&str, Address, Vec<u8>, Why); 4] = [
        ("another program's", key(80), fine.clone(), Why::WrongOwner),
        ("another mint's", cpmm::PROGRAM_ID, foreign, Why::WrongMint),
        ("another token", cpmm::PROGRAM_ID, cpmm_pool(&key(5), 10_000), Why::WrongMint),
        ("short", cpmm::PROGRAM_ID, fine[1..].to_vec(), Why::Unreadable),
    ];
    for (what, owner, data, why) in cases {
        put(&node, &POOL, &owner, &data);
        assert_eq!(evidence(&rpc).await.liquidity, Fact::Unknown(why), "{what}");
    }
    put(&node, &POOL, &cpmm::PROGRAM_ID, &cpmm_pool(&LP_MINT, 999));
    assert!(unsafe_because(&evidence(&rpc).await).contains(&"liquidity_impossible"));
    put(&node, &POOL, &cpmm::PROGRAM_ID, &fine);
    node.chain().accounts.remove(&LP_MINT.to_string());
    assert_eq!(evidence(&rpc).await.liquidity, Fact::Unknown(Why::Missing));
}

#[tokio::test]
async fn what_nobody_named_stays_unknown_and_a_curve_is_believed_only_of_its_program() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let places = places();
    let mut request = Request { creator: None, ..request(&places) };
    request.liquidity = LiquidityAt::Elsewhere;
    let found = gather(&rpc, &request, Duration::from_secs(20), sold()).await;
    assert_eq!(found.creator, Fact::Unknown(Why::NotAsked));
    assert_eq!(found.liquidity, Fact::Unknown(Why::Unsupported));
    for (owner, wanted) in
        [(key(50), Fact::Known(Liquidity::Curve, NOW)), (key(51), Fact::Unknown(Why::WrongOwner))]
    {
        put(&node, &key(52), &owner, &[]);
        request.liquidity = LiquidityAt::Curve { program: key(50), address: key(52) };
        let found = gather(&rpc, &request, Duration::from_secs(20), sold()).await;
        assert_eq!(found.liquidity, wanted);
    }
}

#[tokio::test]
async fn metadata_of_another_program_or_mint_counts_against_a_mint() {
    let node = node().await;
    let rpc = pool(&[&node]).await;
    let place = metaplex_address(&MINT);
    put(&node, &place, &key(80), &metadata(&MINT));
    assert_eq!(evidence(&rpc).await.metadata, Fact::Unknown(Why::WrongOwner));
    put(&node, &place, &METAPLEX, &metadata(&MINT)[..70]);
    assert_eq!(evidence(&rpc).await.metadata, Fact::Unknown(Why::Unreadable));
    put(&node, &place, &METAPLEX, &metadata(&key(5)));
    assert_eq!(unsafe_because(&evidence(&rpc).await), ["foreign_metadata"]);
    node.chain().accounts.remove(&place.to_string());
    assert_eq!(unsafe_because(&evidence(&rpc).await), ["no_metadata"]);
}
