//! Sessions with real money on a local chain whose orders take other ways than our own, and what the books say of them.

use std::path::Path;
use std::time::{Duration, Instant};

use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::Event;
use sniper_core::gate::Policy;
use sniper_core::ids::{Address, MintId, PairId, Signature};
use sniper_core::ledger::Account;
use sniper_core::order::{Intent, Reason};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::strategy::{Context, Strategy, StrategyKind, trend};
use sniper_core::units::{Bps, Lamports, Timestamp, Usd};
use sniper_localnet::{LocalnetConfig, PortConfig, Ready};
use sniper_solana::jito::TIP_ACCOUNTS;
use sniper_solana::jupiter::JUPITER;
use sniper_solana::rpc::{Commitment, EndpointConfig, PoolSettings, RpcConnectionPool};
use sniper_solana::venue::Handover;
use sniper_store::journal::{Bounds, Journal, Owner};
use sniper_wallet::{KillLatch, LocalSigner, Signer as _};
use tokio::sync::oneshot;

use super::desk::Desk;
use super::endpoints::Wanted;
use super::lookup::Lookups;
use super::plan::{Money, Plan};
use super::publish::Publisher;
use super::session::{Orders, Session, Sources};
use super::start::{self, Opened};
use super::trade::{Background, JOURNAL, assemble};
use super::universe::{self, Universe};
use crate::config::{Jito, Jupiter, Performance, Prices, Tuning};
use crate::telemetry::RunMode;

const LONG: Duration = Duration::from_secs(60);

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
            slot_time: Duration::from_millis(100),
            agents: false,
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

    /// The dearest pool of SOL and dollars: others are better.
    fn plan(&self, folder: &Path) -> Plan {
        let sol = self.mint("SOL").to_string();
        let pools = self.ready.pools.iter().filter(|pool| pool.mint0 == sol || pool.mint1 == sol);
        let dollars = self.mint("USDC").to_string();
        let pools = pools.filter(|pool| pool.mint0 == dollars || pool.mint1 == dollars);
        let pool = pools.max_by_key(|pool| pool.trade_fee_rate).unwrap();
        let (http, ws) = (&self.ready.rpc_urls[0], &self.ready.ws_urls[0]);
        let genesis = Some(self.ready.genesis_hash.parse().unwrap());
        Plan {
            mode: "test",
            run_mode: RunMode::Live,
            engine: engine(),
            priority: None,
            endpoints: Wanted::new(
                vec![EndpointConfig::new("one", http, ws, 10_000).unwrap()],
                None,
            ),
            pool: PoolSettings { genesis, ..PoolSettings::default() },
            universe: Universe {
                pools: vec![pool.address.parse().unwrap()],
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
            performance_folder: folder.to_owned(),
            folder: folder.to_owned(),
            page: None,
            run_for: None,
            log: None,
            log_lines: 0,
            tuning: Tuning::default(),
            performance: Performance::default(),
        }
    }

    /// The block engine of this chain, reached by a port of its own.
    fn jito(&self, handover: Handover) -> Jito {
        Jito { handover, endpoints: vec![self.ready.rpc_urls[1].clone()], key_file: None }
    }

    /// The aggregator of this chain. It takes what is better by whatever little.
    fn jupiter(&self) -> Jupiter {
        Jupiter {
            url: self.ready.rpc_urls[0].clone(),
            key_file: None,
            requests_per_minute: 1_000,
            margin: Bps::ZERO,
            at_least: Usd::ZERO,
            wait: Duration::from_millis(1_500),
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// Buys for ten dollars whenever time passes.
struct Buys;

impl Strategy for Buys {
    fn name(&self) -> &'static str {
        "buys"
    }

    fn on_event(&mut self, cx: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        if matches!(event, Event::Timer) {
            let bought = cx.buy(PairId(0), Usd::dollars(10), Bps::capped(50), Reason::TrendEntry);
            intents.extend(bought);
        }
    }

    fn digest(&self, _: &mut Digest) {}
}

fn engine() -> EngineConfig {
    let allowance = Allowance { budget: Usd::dollars(1_000), loss_limit: Usd::dollars(1_000) };
    let kind = StrategyKind::Trend(trend::Params::default());
    EngineConfig {
        limits: Limits { order_ttl: Timestamp::from_millis(5_000), ..Limits::default() },
        strategies: vec![Enrolled { kind, allowance }],
        operator: None,
        candle_width: Timestamp::SECOND,
        equity_every: Timestamp::SECOND,
    }
}

async fn landed(rpc: &RpcConnectionPool, signature: Signature) {
    let deadline = Instant::now() + LONG;
    loop {
        let statuses = rpc.signature_statuses(&[signature], false).await.unwrap().value;
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

/// A key with ten SOL and a thousand dollars.
async fn funded(chain: &Chain, rpc: &RpcConnectionPool) -> LocalSigner {
    let signer = LocalSigner::generate().unwrap();
    let owner = signer.address();
    let params = (owner.to_string(), chain.mint("USDC").to_string(), 1_000_000_000_u64);
    let minted: String = rpc.call("localnet_mint", &params).await.unwrap();
    let minted = bs58::decode(minted).into_vec().unwrap().try_into().unwrap();
    landed(rpc, Signature(minted)).await;
    landed(rpc, rpc.request_airdrop(&owner, Lamports::new(10_000_000_000)).await.unwrap()).await;
    signer
}

struct World {
    session: Session,
    sources: Sources,
    rpc: RpcConnectionPool,
}

async fn world(chain: &Chain, plan: &Plan, background: &mut Background) -> World {
    let rpc = RpcConnectionPool::connect(plan.endpoints.list(None), plan.pool).await.unwrap();
    background.spawn(rpc.clone().monitor());
    background.spawn(rpc.clone().keep_lines());
    let signer = funded(chain, &rpc).await;
    let key = signer.address();
    let owner = Owner { key, genesis: rpc.genesis().to_bytes() };
    let (file, _) = Journal::open(plan.folder.join(JOURNAL), owner).unwrap();
    let engine = MultiStrategyEngine::with_strategies(plan.engine.clone(), vec![Box::new(Buys)]);
    let publisher = Publisher::new(plan.run_mode, String::new(), None);
    let mut desk = Desk::new(engine.unwrap(), file, Digest::default(), publisher, None);
    desk.write_header(&plan.engine).unwrap();
    let opened = Opened { desk, wires: Vec::new() };
    let latch = KillLatch::open(&plan.latch);
    let assembled = assemble(plan, Money::Chain(signer), rpc.clone(), opened, latch, background);
    let (mut session, mut sources, wires) = assembled.await.unwrap();
    start::resolve(&mut session, &mut sources, wires).await.unwrap();
    start::release(&mut session).unwrap();
    World { session, sources, rpc }
}

/// Landed and reverted orders.
fn ends(session: &Session) -> (u64, u64) {
    let portfolio = session.desk.engine().portfolio();
    let counts = portfolio.book(sniper_core::ids::StrategyId(0)).unwrap().counts;
    (counts.landed, counts.reverted)
}

impl World {
    /// Trades until so many orders have landed, and follows the rest to their end.
    async fn lands(&mut self, wanted: u64) {
        let deadline = Instant::now() + LONG;
        while ends(&self.session).0 < wanted {
            assert!(Instant::now() < deadline, "{:?}", ends(&self.session));
            let moment = tokio::time::sleep(Duration::from_millis(200));
            self.session.trade(&mut self.sources, moment).await.unwrap();
        }
        self.session.wind_down(&mut self.sources).await.unwrap();
    }

    /// To the lamport and the atom.
    async fn books_are_the_chains(&self) {
        let Orders::Chain(venue) = &self.session.orders else { panic!("on paper") };
        let found = start::balances(venue, self.session.landed()).await.unwrap();
        let difference = universe::difference(&self.session.desk, &found.value);
        assert_eq!(difference.lamports_difference, 0);
        assert!(!difference.tokens_differ, "{found:?}");
    }

    /// Transactions that name an account.
    async fn naming(&self, account: Address) -> Vec<serde_json::Value> {
        let params = (account.to_string(), serde_json::json!({"commitment": "confirmed"}));
        self.rpc.call("getSignaturesForAddress", &params).await.unwrap()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn orders_that_an_aggregator_has_built_land_and_the_books_are_the_chains() {
    sniper_solana::install_crypto_provider();
    let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
    let mut plan = chain.plan(folder.path());
    plan.jupiter = Some(chain.jupiter());
    let mut background = Background::default();
    let mut world = world(&chain, &plan, &mut background).await;
    world.lands(4).await;
    world.books_are_the_chains().await;
    let (landed, reverted) = ends(&world.session);
    let through = world.naming(JUPITER).await;
    let good = through.iter().filter(|one| one["err"].is_null()).count() as u64;
    assert_eq!(
        (good, reverted),
        (landed, 0),
        "the other pools are better: {landed} {reverted} {through:?}"
    );
    // Each within what was reserved for it: else the books would have halted trading.
    assert!(!world.session.mismatched());
}

#[tokio::test(flavor = "current_thread")]
async fn an_aggregator_that_lies_or_is_silent_costs_an_order_nothing_but_time() {
    sniper_solana::install_crypto_provider();
    let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
    // Takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = chain.plan(folder.path());
    plan.jupiter = Some(Jupiter {
        url: format!("http://{}", silent.local_addr().unwrap()),
        wait: Duration::from_millis(200),
        ..chain.jupiter()
    });
    let mut background = Background::default();
    let mut world = world(&chain, &plan, &mut background).await;
    world.lands(2).await;
    world.books_are_the_chains().await;
    assert!(world.naming(JUPITER).await.is_empty(), "they went our own way");
}

/// What the accounts that take tips hold.
async fn tips(rpc: &RpcConnectionPool) -> u64 {
    let read = rpc.multiple_accounts(&TIP_ACCOUNTS, Commitment::Confirmed, None).await.unwrap();
    read.value.into_iter().flatten().map(|account| account.lamports.get()).sum()
}

async fn orders_land_by_the_block_engine_alone(handover: Handover) {
    const TIP: u64 = 20_000;
    sniper_solana::install_crypto_provider();
    let (chain, folder) = (Chain::start(), tempfile::tempdir().unwrap());
    let mut plan = chain.plan(folder.path());
    plan.jito = Some(chain.jito(handover));
    plan.engine.limits.tip = Lamports::new(TIP);
    // Through the aggregator, too: its swap and our tip in one transaction.
    plan.jupiter = Some(chain.jupiter());
    let mut background = Background::default();
    let mut world = world(&chain, &plan, &mut background).await;
    let before = tips(&world.rpc).await;
    // From here on the nodes lose whatever they are sent.
    let faults = serde_json::json!({"faults": {"dropRate": 1.0}});
    let _: serde_json::Value = world.rpc.call("localnet_faults", &[faults]).await.unwrap();
    world.lands(3).await;
    world.books_are_the_chains().await;
    let (landed, reverted) = ends(&world.session);
    assert_eq!(reverted, 0);
    assert_eq!(tips(&world.rpc).await - before, landed * TIP);
    let ledger = world.session.desk.engine().ledger();
    let booked = ledger.balance(MintId::SOL, Account::Fees);
    assert!(booked >= i128::from(landed * (TIP + 5_000)), "{booked}");
}

#[tokio::test(flavor = "current_thread")]
async fn orders_land_as_bundles_and_their_tips_are_booked_to_the_lamport() {
    orders_land_by_the_block_engine_alone(Handover::Bundle).await;
}

#[tokio::test(flavor = "current_thread")]
async fn orders_land_as_transactions_of_the_block_engine() {
    orders_land_by_the_block_engine_alone(Handover::Transaction).await;
}
