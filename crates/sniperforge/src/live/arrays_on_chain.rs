//! A session on a local chain whose price is pushed beyond the arrays that were followed at the start, and back.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sniper_core::amm::{Quote, QuoteError};
use sniper_core::engine::EngineConfig;
use sniper_core::gate::Policy;
use sniper_core::ids::{Address, MintId, PoolId, Signature};
use sniper_core::market::Market;
use sniper_core::order::{Hop, Order};
use sniper_core::risk::Limits;
use sniper_core::sim::SimSettings;
use sniper_core::units::{Atoms, Lamports, Timestamp, Usd};
use sniper_localnet::{LocalnetConfig, PortConfig, Ready};
use sniper_solana::rpc::{
    Commitment, EndpointConfig, PoolSettings, RpcConnectionPool, SendRequest,
};
use sniper_solana::tx::{Priority, TransactionBuilder, sign};
use sniper_wallet::{KillLatch, LocalSigner, Signer as _};
use tokio::sync::oneshot;

use sniper_store::journal::{Bounds, Owner};

use super::endpoints::Wanted;
use super::lookup::Lookups;
use super::plan::{Money, Plan};
use super::publish::Publisher;
use super::replay::replay_file;
use super::session::{Session, Sources};
use super::snapshot;
use super::start;
use super::trade::{Background, JOURNAL, assemble};
use super::universe::Universe;
use crate::config::{Prices, Tuning};
use crate::telemetry::RunMode;

const LONG: Duration = Duration::from_secs(30);
const POOL: PoolId = PoolId(0);
/// What one push spends, in atoms of a dollar.
const PUSH: u64 = 25_000_000_000;
/// What one push back gives, in lamports.
const SOLD: u64 = 60_000_000_000;
/// Arrays that may be followed at once: six each way and the one between.
const FOLLOWED_MAX: usize = 13;

/// A chain without agents, on a thread of its own.
struct Chain {
    ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Chain {
    fn start() -> Self {
        let config = LocalnetConfig {
            ports: vec![PortConfig::default(), PortConfig::default()],
            slot_time: Duration::from_millis(40),
            agents: false,
            skip_rate: 0.0,
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

    fn mint(&self, symbol: &str) -> Address {
        let mint = self.ready.mints.iter().find(|mint| mint.symbol == symbol).unwrap();
        mint.address.parse().unwrap()
    }

    /// The one pool of ticks between SOL and dollars: 352 ticks an array, 3.6 %.
    fn plan(&self, folder: &Path) -> Plan {
        let sol = self.mint("SOL").to_string();
        let pool = self.ready.whirlpools.iter().find(|w| w.mint_a == sol || w.mint_b == sol);
        let urls = self.ready.rpc_urls.iter().zip(&self.ready.ws_urls).enumerate();
        let endpoint = |(nth, (http, ws)): (usize, (&String, &String))| {
            EndpointConfig::new(&format!("port-{nth}"), http, ws, 10_000).unwrap()
        };
        let genesis = Some(self.ready.genesis_hash.parse().unwrap());
        Plan {
            mode: "test",
            run_mode: RunMode::Paper,
            engine: EngineConfig {
                limits: Limits::default(),
                strategies: Vec::new(),
                candle_width: Timestamp::SECOND,
                equity_every: Timestamp::SECOND,
                operator: None,
            },
            priority: None,
            endpoints: Wanted::new(urls.map(endpoint).collect(), None),
            pool: PoolSettings { genesis, ..PoolSettings::default() },
            universe: Universe {
                pools: vec![pool.unwrap().address.parse().unwrap()],
                usd_mints: vec![self.mint("USDC")],
                symbols: Vec::new(),
                trusted: vec![self.mint("SOL"), self.mint("USDC")],
            },
            lookups: Lookups::default(),
            gate: Policy::default(),
            prices: Prices { url: self.ready.price_url.clone(), every: Duration::from_millis(500) },
            jupiter: None,
            jito: None,
            launches: None,
            latch: folder.join("KILL"),
            journal: Bounds::default(),
            compare: Duration::from_secs(60),
            trades: None,
            folder: folder.to_owned(),
            page: None,
            run_for: None,
            log: None,
            log_lines: 0,
            tuning: Tuning::default(),
            performance: crate::config::Performance::default(),
            performance_folder: std::path::PathBuf::new(),
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// Who moves the price.
struct Trader {
    rpc: RpcConnectionPool,
    signer: LocalSigner,
    builder: TransactionBuilder,
    universe: Universe,
    orders: u64,
}

impl Trader {
    async fn new(rpc: RpcConnectionPool, universe: Universe, usdc: Address) -> Self {
        let signer = LocalSigner::generate().unwrap();
        let owner = signer.address();
        let mut builder = TransactionBuilder::new(owner);
        let market = snapshot::read(&rpc, &universe).await.unwrap();
        for mint in market.mints().iter().skip(1) {
            builder.add_mint(&mint.spec);
        }
        builder.add_pool(&market.pools()[0].spec).unwrap();
        let trader = Self { rpc, signer, builder, universe, orders: 0 };
        let minted: String = trader
            .rpc
            .call("localnet_mint", &(owner.to_string(), usdc.to_string(), PUSH * 20))
            .await
            .unwrap();
        let minted = bs58::decode(minted).into_vec().unwrap().try_into().unwrap();
        trader.landed(Signature(minted)).await;
        let airdrop = trader.rpc.request_airdrop(&owner, Lamports::new(10_000_000_000));
        trader.landed(airdrop.await.unwrap()).await;
        let hash = trader.hash().await;
        let priority = Priority::default();
        let messages = trader.builder.setup_transactions(Lamports::ZERO, priority, &hash);
        for message in messages.unwrap() {
            trader.send(&message).await;
        }
        trader
    }

    async fn hash(&self) -> solana_hash::Hash {
        self.rpc.latest_blockhash(Commitment::Confirmed).await.unwrap().value.hash
    }

    async fn landed(&self, signature: Signature) {
        let deadline = Instant::now() + LONG;
        loop {
            let statuses = self.rpc.signature_statuses(&[signature], false).await.unwrap().value;
            if let Some(Some(status)) = statuses.first()
                && status.commitment >= Commitment::Confirmed
            {
                assert!(status.err.is_none(), "{status:?}");
                return;
            }
            assert!(Instant::now() < deadline, "it did not land");
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }

    async fn send(&self, message: &[u8]) {
        use base64::Engine as _;
        let signed = sign(message, &self.signer).unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(&signed.bytes);
        let request = SendRequest::new(&text, signed.signature, true).unwrap();
        self.rpc.send_transaction(&request).await.unwrap();
        self.landed(signed.signature).await;
    }

    /// Gives `amount` of a mint for whatever comes.
    async fn swap(&mut self, mint_in: MintId, amount: u64) {
        let market = snapshot::read(&self.rpc, &self.universe).await.unwrap();
        let pool = market.pool(POOL).unwrap();
        let [first, second] = pool.spec.mints;
        let mint_out = if mint_in == first { second } else { first };
        let arrays = pool.live.arrays(mint_in == first);
        self.orders += 1;
        let order: Order = serde_json::from_value(json!({
            "id": {"cause": self.orders, "nth": 0}, "strategy": 0,
            "legs": [{"arrays": arrays, "hop": {"pool": 0, "mint_in": mint_in, "mint_out": mint_out},
                "amount": {"ExactIn": {"amount_in": amount, "min_out": 1}}}],
            "opens": [], "unpriced": false, "amount_in": amount, "min_out": 1, "expected_out": 1,
            "fee_cap": 10_000,
            "compute_unit_limit": 400_000, "compute_unit_price": 10_000, "value": 0,
            "expires": i64::MAX, "at": 0, "reason": "TrendEntry",
        }))
        .unwrap();
        let message = self.builder.swap(&order, &self.hash().await).unwrap();
        self.send(&message).await;
    }
}

/// What a market answers, both ways, small and large.
fn answers(market: &Market, usd: MintId, sol: MintId) -> Vec<Result<Quote, QuoteError>> {
    let hop = |mint_in, mint_out| Hop { pool: POOL, mint_in, mint_out };
    let dollars = [1_000_000, 1_000_000_000, 10_000_000_000, PUSH].map(|n| (hop(usd, sol), n));
    let sols = [10_000_000, 1_000_000_000, 100_000_000_000].map(|n| (hop(sol, usd), n));
    let asked = dollars.into_iter().chain(sols);
    asked.map(|(hop, amount)| market.quote(hop, Atoms::new(amount))).collect()
}

struct World {
    session: Session,
    sources: Sources,
    trader: Trader,
    usd: MintId,
    sol: MintId,
}

impl World {
    /// Trades on until the session's market answers as the chain does, in everything.
    async fn agrees_with_the_chain(&mut self) {
        let deadline = Instant::now() + LONG;
        loop {
            let moment = tokio::time::sleep(Duration::from_millis(150));
            self.session.trade(&mut self.sources, moment).await.unwrap();
            let fresh = snapshot::read(&self.trader.rpc, &self.trader.universe).await.unwrap();
            let wanted = answers(&fresh, self.usd, self.sol);
            let ours = answers(self.session.desk.engine().market(), self.usd, self.sol);
            assert!(wanted[0].is_ok() && wanted[4].is_ok(), "{wanted:?}");
            if ours == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{ours:?}\n{wanted:?}");
        }
    }

    fn known(&self) -> BTreeSet<i32> {
        let pool = self.session.desk.engine().market().pool(POOL).unwrap();
        pool.live.known_arrays().into_iter().collect()
    }

    /// The array that holds the price.
    fn center(&self) -> i32 {
        let pool = self.session.desk.engine().market().pool(POOL).unwrap();
        let around = pool.live.around(1);
        around[around.len() / 2]
    }

    /// Every subscription connection breaks.
    async fn tear(&self, chain: &Chain) {
        for url in &chain.ready.rpc_urls {
            let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
            let port: u16 = port.parse().unwrap();
            let _: serde_json::Value = self
                .trader
                .rpc
                .call("localnet_disconnect", &[json!({"port": port})])
                .await
                .unwrap();
        }
    }

    /// One push, while the session goes on.
    async fn push(&mut self, mint_in: MintId, amount: u64) {
        let pushed = self.trader.swap(mint_in, amount);
        self.session.trade(&mut self.sources, pushed).await.unwrap();
        self.agrees_with_the_chain().await;
        assert!(self.session.manager.watched() <= FOLLOWED_MAX + 1, "and the pool's own account");
        assert!(self.known().len() <= FOLLOWED_MAX);
    }
}

async fn world(chain: &Chain, folder: &Path, background: &mut Background) -> World {
    let plan = chain.plan(folder);
    let rpc = RpcConnectionPool::connect(plan.endpoints.list(None), plan.pool).await.unwrap();
    background.spawn(rpc.clone().monitor());
    let trader = Trader::new(rpc.clone(), plan.universe.clone(), chain.mint("USDC")).await;
    let publisher = Publisher::new(plan.run_mode, String::new(), None);
    let opened = start::open(
        &folder.join(JOURNAL),
        Owner::default(),
        plan.journal,
        &plan.engine,
        publisher,
        None,
    );
    let opened = opened.unwrap();
    let money = Money::Paper {
        lamports: Lamports::new(1_000_000_000),
        cash: Usd::dollars(1_000),
        sim: SimSettings::default(),
        owner: Address::default(),
    };
    let latch = KillLatch::open(&plan.latch);
    let assembled = assemble(&plan, money, rpc, opened, latch, background).await;
    let (mut session, mut sources, wires) = assembled.unwrap();
    start::resolve(&mut session, &mut sources, wires).await.unwrap();
    let market = session.desk.engine().market();
    let mint = |symbol: &str| market.mint_by_address(&chain.mint(symbol)).unwrap();
    let (usd, sol) = (mint("USDC"), mint("SOL"));
    World { session, sources, trader, usd, sol }
}

#[tokio::test(flavor = "current_thread")]
async fn a_price_that_leaves_the_arrays_of_the_start_is_followed_and_quoted_to_the_atom() {
    sniper_solana::install_crypto_provider();
    let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
    let mut background = Background::default();
    let mut world = world(&chain, folder.path(), &mut background).await;
    world.agrees_with_the_chain().await;
    let (first, home) = (world.known(), world.center());
    assert_eq!(first.len(), 9, "four each way and the one between");
    let mut pushes = 0;
    while first.contains(&world.center()) {
        world.push(world.usd, PUSH).await;
        pushes += 1;
        assert!(pushes < 15, "{first:?} {}", world.center());
    }
    // What moves while nobody listens is followed, too.
    world.tear(&chain).await;
    world.push(world.usd, PUSH).await;
    let (far, gone) = (world.known(), world.center());
    assert!(!far.contains(&home), "what was left behind is forgotten: {far:?} around {gone}");
    // And back, to where it had been let go.
    for _ in 0..30 {
        if world.known().contains(&home) {
            break;
        }
        world.push(world.sol, SOLD).await;
    }
    assert!(world.known().contains(&home), "{:?} around {}", world.known(), world.center());
    let World { mut session, .. } = world;
    session.desk.checkpoint().unwrap();
    drop(session.desk.close().unwrap());
    assert!(replay_file(&folder.path().join(JOURNAL)).unwrap().matches());
}
