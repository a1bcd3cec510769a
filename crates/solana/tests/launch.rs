//! From a log notice to a pool that is read, quoted, rehearsed and judged: on scripted nodes, and on a real runtime on
//! which coins are launched, sound ones and others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scripted;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scripted::{Fault, Node, pool};
use serde_json::{Value, json};
use sniper_core::amm::{Arrays, Kind, PoolSpec, cpmm};
use sniper_core::event::MintSpec;
use sniper_core::gate::{Places, Policy, Reason, Verdict, judge};
use sniper_core::ids::{Address, MintId, Signature, Symbol};
use sniper_core::launch::{Detected, Detector, Fetch, Program, Why};
use sniper_core::order::Hop;
use sniper_core::units::{Atoms, Lamports, Slot};
use sniper_localnet::{LocalnetConfig, PortConfig, Ready};
use sniper_solana::feed::{LogEvent, LogSettings, LogWatch, ReconnectionHandler, Sighting};
use sniper_solana::gate::{LiquidityAt, Rehearsal, Request, TokenPool, gather, rehearse};
use sniper_solana::launch::{LocateError, Located, Patience, locate};
use sniper_solana::rpc::{Commitment, EndpointConfig, PoolSettings, RpcConnectionPool};
use sniper_solana::tx::TransactionBuilder;
use sniper_wallet::{LocalSigner, Signer as _};
use tokio::sync::{mpsc, oneshot};

const LONG: Duration = Duration::from_secs(60);

fn key(byte: u8) -> Address {
    Address::new_from_array([byte; 32])
}

fn sighting(detected: Detected) -> Sighting {
    let now = Instant::now();
    let (slot, signature) = (Slot::new(1_000), Signature([7; 64]));
    Sighting { detected, slot, signature, received: now, read: now }
}

fn silent(program: Program) -> Sighting {
    sighting(Detected::Fetch(Fetch { program: Some(program), pool: None, why: Why::Silent }))
}

/// A transaction in which another program calls CPMM's `initialize`, as nodes tell it.
fn transaction(err: Value) -> (String, Value) {
    let name = bs58::encode([7; 64]).into_string();
    let data = bs58::encode([0xaf, 0xaf, 0x6d, 0x1f, 0x0d, 0x98, 0x9b, 0xed]).into_string();
    let accounts: Vec<String> = (1..4).map(|byte| key(byte).to_string()).collect();
    let value = json!({"slot": 1_000, "blockTime": 0, "version": 0,
        "transaction": {"signatures": [name], "message": {
            "accountKeys": accounts, "header": {}, "recentBlockhash": scripted::GENESIS,
            "instructions": [{"programIdIndex": 2, "accounts": [0], "data": "", "stackHeight": 1}]}},
        "meta": {"err": err, "fee": 5_000, "preBalances": [], "postBalances": [],
            "innerInstructions": [{"index": 0, "instructions": [
                {"programIdIndex": 3, "accounts": [0, 0, 0, 1], "data": data, "stackHeight": 2}]}],
            "loadedAddresses": {"writable": [], "readonly": [Program::Cpmm.text()]}}});
    (name, value)
}

const SOON: Patience =
    Patience { within: Duration::from_millis(600), pause: Duration::from_millis(20) };

#[tokio::test]
async fn a_transaction_that_is_not_visible_yet_is_waited_for() {
    let node = Node::start("one").await;
    let rpc = pool(&[&node]).await;
    let seen = silent(Program::Cpmm);
    let asked = tokio::spawn({
        let (rpc, seen) = (rpc.clone(), seen.clone());
        async move { locate(&rpc, &seen, Patience { within: LONG, ..SOON }).await }
    });
    scripted::until("three questions", LONG, || node.calls("getTransaction").len() >= 3).await;
    let (name, value) = transaction(Value::Null);
    node.chain().transactions.insert(name, value);
    let located = Located { kind: Kind::Cpmm, pool: key(2) };
    assert_eq!(asked.await.unwrap().unwrap(), [located]);
    let options = &node.calls("getTransaction")[0][1];
    assert_eq!(
        (&options["commitment"], &options["encoding"]),
        (&json!("confirmed"), &json!("json"))
    );
}

#[tokio::test]
async fn one_that_never_comes_failed_or_makes_no_pool_is_an_error_of_its_own() {
    let node = Node::start("one").await;
    let rpc = pool(&[&node]).await;
    let begun = Instant::now();
    let never = locate(&rpc, &silent(Program::Cpmm), SOON).await.unwrap_err();
    assert!(matches!(never, LocateError::NotVisible { .. }), "{never}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let (name, value) = transaction(json!({"InstructionError": [0, {"Custom": 1}]}));
    node.chain().transactions.insert(name.clone(), value);
    let failed = locate(&rpc, &silent(Program::Cpmm), SOON).await.unwrap_err();
    assert!(matches!(failed, LocateError::Failed), "{failed}");
    node.chain().transactions.insert(name.clone(), transaction(Value::Null).1);
    let none = locate(&rpc, &silent(Program::Clmm), SOON).await.unwrap_err();
    assert!(matches!(none, LocateError::NoPool { program: Some(Program::Clmm), .. }), "{none}");
    // Whatever a node says is no transaction of that name.
    let mut other = transaction(Value::Null).1;
    other["transaction"]["signatures"][0] = json!(bs58::encode([8; 64]).into_string());
    node.chain().transactions.insert(name, other);
    let foreign = locate(&rpc, &silent(Program::Cpmm), SOON).await.unwrap_err();
    assert!(matches!(foreign, LocateError::Rpc(_)), "{foreign}");
    node.fail("getTransaction", Fault::Node(-32_602));
    let refused = locate(&rpc, &silent(Program::Cpmm), SOON).await.unwrap_err();
    assert!(matches!(refused, LocateError::Rpc(_)), "{refused}");
}

#[tokio::test]
async fn what_is_told_is_not_asked_for() {
    let node = Node::start("one").await;
    let rpc = pool(&[&node]).await;
    let program = Some(Program::AmmV4);
    let told = Fetch { program, pool: Some(key(9)), why: Why::Silent };
    let found = locate(&rpc, &sighting(Detected::Fetch(told)), SOON).await.unwrap();
    assert_eq!(found, [Located { kind: Kind::AmmV4, pool: key(9) }]);
    assert_eq!(node.calls("getTransaction").len(), 0);
}

/// A chain on which a coin is launched every so often, on a thread of its own.
struct Chain {
    ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Chain {
    fn start() -> Self {
        let config = LocalnetConfig {
            ports: vec![PortConfig::default()],
            slot_time: Duration::from_millis(50),
            skip_rate: 0.0,
            finalized_depth: 8,
            seed: 4,
            launch_every: Some(Duration::from_millis(600)),
            ..LocalnetConfig::default()
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let shutdown = async move { drop(stopped.await) };
            let ready = |ready: &Ready| told.send(ready.clone()).unwrap();
            sniper_localnet::run_blocking(config, shutdown, ready).unwrap();
        });
        let ready = ready.recv_timeout(LONG).unwrap();
        Self { ready, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// Who buys: with dollars and wrapped SOL on the chain.
struct Buyer {
    rpc: RpcConnectionPool,
    builder: TransactionBuilder,
    money: BTreeMap<Address, (MintId, Atoms)>,
}

impl Buyer {
    async fn new(rpc: &RpcConnectionPool, ready: &Ready) -> Self {
        let signer = LocalSigner::generate().unwrap();
        let owner = signer.address();
        rpc.request_airdrop(&owner, Lamports::new(10_000_000_000)).await.unwrap();
        let mut builder = TransactionBuilder::new(owner);
        let mut money = BTreeMap::new();
        for (symbol, held, spent) in
            [("USDC", 1_000_000_000_u64, 50_000_000), ("SOL", 10_000_000_000, 300_000_000)]
        {
            let mint = ready.mints.iter().find(|mint| mint.symbol == symbol).unwrap();
            let give = json!([{"owner": owner.to_string(), "mint": mint.address, "amount": held}]);
            let _: String = rpc.call("localnet_mint", &give).await.unwrap();
            let address = mint.address.parse().unwrap();
            let id = builder.add_mint(&spec(address, mint.program.parse().unwrap()));
            money.insert(address, (id, Atoms::new(spent)));
        }
        Self { rpc: rpc.clone(), builder, money }
    }

    /// Reads a pool as the engine would, and judges its coin by the default policy.
    async fn judge(&mut self, located: Located) -> (Address, Verdict) {
        let account = self.account(located.pool).await;
        assert_eq!(account.0, located.kind.program());
        let draft = sniper_core::amm::Draft::read(located.kind, located.pool, &account.1).unwrap();
        let (state, keys) = cpmm::decode_pool(&account.1).unwrap();
        let coin_is_first = self.money.contains_key(&keys.mints[1]);
        let [coin, money] = if coin_is_first { keys.mints } else { [keys.mints[1], keys.mints[0]] };
        let (paid_with, spend) = self.money[&money];
        let program = keys.token_programs[usize::from(!coin_is_first)];
        let id = self.builder.add_mint(&spec(coin, program));
        let mints = if coin_is_first { [id, paid_with] } else { [paid_with, id] };
        let described = draft.finish(keys.token_programs, None).unwrap();
        let (address, kind) = (located.pool, described.kind);
        let pool = self.builder.add_pool(&PoolSpec { address, mints, kind }).unwrap();

        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        // Nobody can trade before: one waits, or is refused.
        while seconds() <= state.open_time {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut parts = Vec::new();
        for one in [located.pool, keys.config, keys.vaults[0], keys.vaults[1]] {
            parts.push(self.account(one).await.1);
        }
        let (state, _) = cpmm::decode_pool(&parts[0]).unwrap();
        let config = cpmm::decode_config(&parts[1]).unwrap();
        let vaults = [2, 3].map(|part| cpmm::decode_vault(&parts[part]).unwrap());
        let curve = cpmm::Curve::new(vaults, &state, &config, Default::default()).unwrap();
        let now = i64::try_from(seconds()).unwrap();
        let quoted = curve.quote_exact_in(!coin_is_first, spend, now).unwrap().amount_out;
        let rehearsal = Rehearsal {
            hop: Hop { pool, mint_in: paid_with, mint_out: id },
            spend,
            quoted,
            buy_arrays: Arrays::new(),
            sell_arrays: Arrays::new(),
        };
        let places = Places { vaults: BTreeSet::from(keys.vaults), ..Places::default() };
        let liquidity = LiquidityAt::Pool {
            kind: TokenPool::CPMM,
            address: located.pool,
            lp_mint: keys.lp_mint,
        };
        let request =
            Request { mint: coin, creator: Some(keys.creator), liquidity, places: &places };
        let sell = rehearse(&self.rpc, &self.builder, &rehearsal);
        let evidence = gather(&self.rpc, &request, LONG, sell).await;
        let now = self.rpc.slot(Commitment::Processed).await.unwrap();
        (coin, judge(&evidence, &Policy::default(), now))
    }

    async fn account(&self, address: Address) -> (Address, Vec<u8>) {
        let read = self.rpc.account(&address, Commitment::Confirmed).await.unwrap();
        let account = read.value.unwrap_or_else(|| panic!("{address} is not there"));
        (account.owner, account.data)
    }
}

fn spec(address: Address, token_program: Address) -> MintSpec {
    MintSpec {
        address,
        token_program,
        decimals: 6,
        symbol: Symbol::new("COIN"),
        is_usd: false,
        plain: true,
        trusted: false,
        rent: Lamports::ZERO,
    }
}

/// What must speak against a coin of a kind, and what else may.
fn against(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "sound" => (&[], &[]),
        "mint_authority" => (&["mint_authority"], &[]),
        "freeze_authority" => (&["freeze_authority"], &[]),
        "transfer_fee" => (&["extension", "transfer_fee"], &["sell_failed", "round_trip"]),
        "permanent_delegate" => (&["extension"], &[]),
        "liquidity_kept" => (&["liquidity_free"], &[]),
        "one_holder" => (&["top_holder", "top_ten"], &[]),
        "hostile_name" => (&["mutable_metadata"], &[]),
        other => panic!("{other}?"),
    }
}

async fn next_sighting(
    events: &mut mpsc::Receiver<LogEvent>,
    detector: &mut Detector,
    waiting: &mut Vec<Sighting>,
) -> Sighting {
    while waiting.is_empty() {
        let event = tokio::time::timeout(LONG, events.recv()).await.expect("in time").unwrap();
        if let LogEvent::Logs(notice) = event {
            notice.detect(detector, waiting);
        }
    }
    waiting.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_launch_is_found_and_judged_for_what_it_is() {
    let chain = Chain::start();
    let ready = &chain.ready;
    let endpoint =
        EndpointConfig::new("local", &ready.rpc_urls[0], &ready.ws_urls[0], 10_000).unwrap();
    let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let pauses = ReconnectionHandler::new(Duration::from_millis(20), Duration::from_millis(200));
    let programs = vec![Program::Cpmm.address()];
    let (_watch, mut events) =
        LogWatch::start(rpc.clone(), programs, LogSettings::default(), pauses).unwrap();
    let mut buyer = Buyer::new(&rpc, ready).await;
    let (mut detector, mut waiting) = (Detector::new(100), Vec::new());
    let mut judged: BTreeMap<String, Verdict> = BTreeMap::new();
    // Every twelve launches have each kind; one may have been before we listened.
    for _ in 0..12 {
        let sighting = next_sighting(&mut events, &mut detector, &mut waiting).await;
        let silent = Fetch { program: Some(Program::Cpmm), pool: None, why: Why::Silent };
        assert_eq!(sighting.detected, Detected::Fetch(silent));
        let located = locate(&rpc, &sighting, Patience::default()).await.unwrap();
        assert_eq!(located.len(), 1);
        let (coin, verdict) = buyer.judge(located[0]).await;
        judged.insert(coin.to_string(), verdict);
    }
    let told: Value = rpc.call("localnet_info", &json!([])).await.unwrap();
    let launches = told["launches"].as_array().unwrap();
    let mut kinds = BTreeSet::new();
    for (coin, verdict) in &judged {
        let launch = launches.iter().find(|launch| launch["mint"] == json!(coin)).unwrap();
        let kind = launch["kind"].as_str().unwrap();
        kinds.insert(kind.to_owned());
        let (must, may) = against(kind);
        let reasons: BTreeSet<&str> = verdict.reasons().iter().map(Reason::name).collect();
        let what = format!("{kind} {}: {:?}", launch["program"], verdict.reasons());
        assert!(must.iter().all(|one| reasons.contains(one)), "{what}");
        assert!(reasons.iter().all(|one| must.contains(one) || may.contains(one)), "{what}");
        assert_eq!(verdict.safe(), launch["sound"] == json!(true), "{what}");
    }
    assert!(kinds.len() >= 7, "{kinds:?}");
}
