//! Orders that make token accounts, on a real runtime: engine, venue and chain agree to the lamport.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

mod quiet;

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quiet::{Chain, LONG, SLOT};
use sniper_core::amm::{PoolKind, PoolSpec, cpmm, token_account_length};
use sniper_core::digest::Digest;
use sniper_core::engine::{EngineConfig, Enrolled, MultiStrategyEngine};
use sniper_core::event::{
    Alert, Command, Effect, Event, MarketEvent, MintSpec, OrderEvent, Stamped,
};
use sniper_core::ids::{Address, MintId, PoolId, StrategyId, Symbol};
use sniper_core::ledger::Account;
use sniper_core::order::{Hop, Intent, Order, Reason, Route};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::{Limits, Mode};
use sniper_core::strategy::{Context, Strategy, StrategyKind, trend};
use sniper_core::units::{Atoms, Bps, Lamports, Seq, Timestamp, Usd};
use sniper_solana::feed::{FeedEvent, FeedSettings, ReconnectionHandler, Watch, WebSocketManager};
use sniper_solana::rpc::{Commitment, RpcConnectionPool};
use sniper_solana::tx::BlockhashCache;
use sniper_solana::venue::{ChainBalances, SolanaVenue, TrackerSettings};
use sniper_wallet::{LocalSigner, Signer as _};
use tokio::sync::mpsc;

/// Wants what the test tells it to, once.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Vec<Intent>>>);

impl Strategy for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn on_event(&mut self, _: Context<'_>, _: &Event, out: &mut Vec<Intent>) {
        out.append(&mut self.0.lock().unwrap());
    }

    fn digest(&self, _: &mut Digest) {}
}

struct World {
    _chain: Chain,
    rpc: RpcConnectionPool,
    venue: SolanaVenue<LocalSigner>,
    ends: mpsc::Receiver<OrderEvent>,
    feed: mpsc::Receiver<FeedEvent>,
    _manager: WebSocketManager,
    engine: MultiStrategyEngine,
    wishes: Scripted,
    seq: u64,
    alerts: Vec<Alert>,
}

fn engine(wishes: &Scripted) -> MultiStrategyEngine {
    let hour = Timestamp::from_millis(3_600_000);
    let allowance = Allowance { budget: Usd::dollars(1_000), loss_limit: Usd::dollars(100) };
    let kind = StrategyKind::Trend(trend::Params::default());
    let config = EngineConfig {
        limits: Limits {
            market_age_max: hour,
            reference_age_max: hour,
            order_ttl: hour,
            duplicate_window: Timestamp::ZERO,
            ..Limits::default()
        },
        strategies: vec![Enrolled { kind, allowance }; 2],
        candle_width: Timestamp::SECOND,
        equity_every: hour,
        operator: None,
    };
    let seat = || Box::new(wishes.clone()) as Box<dyn Strategy>;
    MultiStrategyEngine::with_strategies(config, vec![seat(), seat()]).unwrap()
}

impl World {
    /// A funded key with accounts of dollars and wrapped SOL alone, and an engine that knows the chain's market.
    async fn start() -> Self {
        let chain = Chain::start();
        let rpc = chain.connect().await;
        tokio::spawn(rpc.clone().monitor());
        let cache = BlockhashCache::new(rpc.clone());
        cache.refresh().await.unwrap();
        tokio::spawn(cache.clone().run());
        let settings = TrackerSettings { poll_every: SLOT, ..TrackerSettings::default() };
        let signer = LocalSigner::generate().unwrap();
        let venue = SolanaVenue::new(rpc.clone(), signer, cache, settings);
        let (sender, ends) = mpsc::channel(64);
        tokio::spawn(venue.tracker().clone().run(sender));
        let mut manager = WebSocketManager::new(
            rpc.clone(),
            FeedSettings::default(),
            ReconnectionHandler::default(),
        );
        let wishes = Scripted::default();
        let engine = engine(&wishes);
        let (events, watches) = market(&chain, &rpc).await;
        let feed = manager.start_optimized_feeds(watches).unwrap();
        let mut world = Self {
            _chain: chain,
            rpc,
            venue,
            ends,
            feed,
            _manager: manager,
            engine,
            wishes,
            seq: 0,
            alerts: vec![],
        };
        for event in events {
            world.venue.learn(&event).unwrap();
            world.step(Event::Market(event));
        }
        world.fund().await;
        world.settle().await;
        let market = world.engine.market();
        let priced = (1..).zip(market.mints().iter().skip(1));
        let prices: Vec<_> = priced
            .filter_map(|(id, _)| Some((MintId(id), market.usd_per_atom(MintId(id))?)))
            .collect();
        for (mint, usd) in prices {
            world.step(Event::Market(MarketEvent::Reference { mint, usd }));
        }
        world
    }

    fn mint(&self, symbol: &str) -> MintId {
        let mints = self.engine.market().mints();
        let at = mints.iter().skip(1).position(|m| m.spec.symbol == Symbol::new(symbol)).unwrap();
        MintId(u16::try_from(at + 1).unwrap())
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        self.seq += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let at = Timestamp::new(i64::try_from(now).unwrap());
        let mut effects = vec![];
        self.engine.step(&Stamped { seq: Seq::new(self.seq), at, event }, &mut effects);
        let alert = |effect: &Effect| match effect {
            Effect::Alert(alert) => Some(alert.clone()),
            _ => None,
        };
        self.alerts.extend(effects.iter().filter_map(alert));
        effects
    }

    /// Money from the chain's faucet, booked as found.
    async fn fund(&mut self) {
        let owner = self.venue.signer().address();
        for (symbol, amount) in [("USDC", 1_000_000_000_u64), ("SOL", 5_000_000_000)] {
            let mint = self.engine.market().mint(self.mint(symbol)).unwrap().spec.address;
            let asked = (owner.to_string(), mint.to_string(), amount);
            let _: String = self.rpc.call("localnet_mint", &asked).await.unwrap();
        }
        self.rpc.request_airdrop(&owner, Lamports::new(10_000_000_000)).await.unwrap();
        let deadline = Instant::now() + LONG;
        let held = loop {
            let held = self.held().await;
            let made = held.tokens.iter().filter(|token| token.amount > Atoms::ZERO).count();
            if held.lamports > Lamports::ZERO && made == 2 {
                break held;
            }
            assert!(Instant::now() < deadline, "{held:?}");
            tokio::time::sleep(SLOT).await;
        };
        let lamports = Atoms::new(held.lamports.get());
        self.step(Event::Command(Command::Deposit { mint: MintId::SOL, amount: lamports }));
        for token in held.tokens {
            let (mint, amount) = (token.mint, token.amount);
            self.step(Event::Command(Command::Deposit { mint, amount }));
        }
    }

    async fn held(&self) -> ChainBalances {
        let mints: Vec<MintId> = self.venue.builder().mints().map(|(id, ..)| id).collect();
        self.venue.chain_balances(&mints).await.unwrap().value
    }

    /// Takes what the feed tells until all pools are of one moment and it has nothing more for two slots.
    async fn settle(&mut self) {
        let deadline = Instant::now() + LONG;
        loop {
            match tokio::time::timeout(2 * SLOT, self.feed.recv()).await {
                Ok(Some(FeedEvent::Market { event, .. })) => {
                    self.step(Event::Market(event));
                }
                Ok(Some(FeedEvent::Slot { slot, .. })) => {
                    let height = Default::default();
                    self.step(Event::Market(MarketEvent::Slot { slot, height }));
                    if self.engine.market().pools().iter().all(|pool| pool.live.is_settled()) {
                        return;
                    }
                }
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => panic!("the feed ended"),
            }
            assert!(Instant::now() < deadline, "{:?}", self.engine.market().pools());
        }
    }

    /// A wish to swap along these mints, with half a percent of room.
    fn wish(&self, strategy: u8, mints: &[MintId], amount: u64) -> Intent {
        let market = self.engine.market();
        let hop = |pair: &[MintId]| {
            let trades = |pool: &&sniper_core::market::Pool| {
                let mints = pool.spec.mints;
                mints == [pair[0], pair[1]] || mints == [pair[1], pair[0]]
            };
            let pool = market.pools().iter().position(|pool| trades(&pool)).unwrap();
            let pool = PoolId(u32::try_from(pool).unwrap());
            Hop { pool, mint_in: pair[0], mint_out: pair[1] }
        };
        let route: Route = mints.windows(2).map(hop).collect();
        let out = market.quote_route(&route, Atoms::new(amount)).unwrap();
        Intent {
            strategy: StrategyId(strategy),
            route,
            amount_in: Atoms::new(amount),
            min_out: out.less(Bps::capped(50)),
            expires: Timestamp::MAX,
            reason: Reason::LaunchEntry,
        }
    }

    /// What the engine approves of these wishes, signed and sent, all before any of them ends.
    fn send(&mut self, wishes: Vec<Intent>) -> Vec<Order> {
        let count = wishes.len();
        *self.wishes.0.lock().unwrap() = wishes;
        let effects = self.step(Event::Timer);
        let submitted = |effect: &Effect| match effect {
            Effect::Submit(order) => Some((**order).clone()),
            _ => None,
        };
        let orders: Vec<Order> = effects.iter().filter_map(submitted).collect();
        assert_eq!(orders.len(), count, "{effects:?}");
        for order in &orders {
            let prepared = self.venue.prepare(order, Timestamp::ZERO).unwrap();
            self.venue.send(&prepared);
            self.step(Event::Order(OrderEvent::Signed {
                order: order.id(),
                signature: prepared.signature(),
                last_valid: prepared.last_valid(),
            }));
        }
        orders
    }

    /// How an order ended, once the engine knows it.
    async fn end(&mut self) -> OrderEvent {
        let end = tokio::time::timeout(LONG, self.ends.recv()).await.unwrap().unwrap();
        self.step(Event::Order(end.clone()));
        end
    }

    /// The ledger is the chain, to the lamport: what is free, what each account holds, and what they lock.
    async fn compare(&mut self, made: &[MintId]) {
        let held = self.held().await;
        let ledger = self.engine.ledger();
        assert!(ledger.is_balanced());
        assert_eq!(ledger.held(MintId::SOL), i128::from(held.lamports.get()));
        for token in &held.tokens {
            assert_eq!(ledger.held(token.mint), i128::from(token.amount.get()), "{token:?}");
        }
        let of_ours = held.tokens.iter().filter(|token| made.contains(&token.mint));
        let locked: u64 = of_ours.map(|token| token.lamports.get()).sum();
        assert_eq!(ledger.balance(MintId::SOL, Account::Rent), i128::from(locked));
        let mut sides = vec![(MintId::SOL, Atoms::new(held.lamports.get()))];
        sides.extend(held.tokens.iter().map(|token| (token.mint, token.amount)));
        for (mint, chain) in sides {
            self.step(Event::Command(Command::Reconcile { mint, chain }));
        }
        assert_eq!((self.alerts.as_slice(), self.engine.mode()), (&[][..], Mode::Run));
    }
}

/// Mints with what an account of ours takes, pools, and the accounts to follow.
async fn market(chain: &Chain, rpc: &RpcConnectionPool) -> (Vec<MarketEvent>, Vec<Watch>) {
    let addresses: Vec<Address> =
        chain.ready.mints.iter().map(|mint| mint.address.parse().unwrap()).collect();
    let read = rpc.multiple_accounts(&addresses, Commitment::Confirmed, None).await.unwrap();
    let (mut events, mut ids) = (vec![], std::collections::BTreeMap::new());
    for (nth, (mint, account)) in (1_u16..).zip(chain.ready.mints.iter().zip(read.value)) {
        let account = account.unwrap();
        let length = token_account_length(&account.owner, &account.data).unwrap();
        let rent = rpc.minimum_balance_for_rent_exemption(length).await.unwrap();
        let address: Address = mint.address.parse().unwrap();
        ids.insert(address, MintId(nth));
        let ours = ["USDC", "SOL"].contains(&mint.symbol);
        events.push(MarketEvent::Mint(MintSpec {
            address,
            token_program: account.owner,
            decimals: mint.decimals,
            symbol: Symbol::new(mint.symbol),
            is_usd: mint.symbol == "USDC",
            plain: true,
            trusted: true,
            rent: if ours { Lamports::ZERO } else { rent },
        }));
    }
    let pools: Vec<Address> =
        chain.ready.pools.iter().map(|pool| pool.address.parse().unwrap()).collect();
    let read = rpc.multiple_accounts(&pools, Commitment::Confirmed, None).await.unwrap();
    let mut watches = vec![];
    for (nth, (address, account)) in (0..).zip(pools.into_iter().zip(read.value)) {
        let (_, keys) = cpmm::decode_pool(&account.unwrap().data).unwrap();
        let (mints, programs) = (keys.mints, keys.token_programs);
        let kind = PoolKind::Cpmm(cpmm::Keys {
            config: keys.config,
            observation: keys.observation,
            vaults: keys.vaults,
            token_programs: programs,
        });
        let spec = PoolSpec { address, mints: mints.map(|mint| ids[&mint]), kind };
        watches.extend(Watch::for_pool(PoolId(nth), &spec, mints, programs, &[]));
        events.push(MarketEvent::Pool(Box::new(spec)));
    }
    (events, watches)
}

#[tokio::test(flavor = "current_thread")]
async fn a_swap_that_makes_an_account_leaves_the_ledger_equal_to_the_chain() {
    let mut world = World::start().await;
    let [usdc, sol, bonk, jup, pyusd] =
        ["USDC", "SOL", "BONK", "JUP", "PYUSD"].map(|symbol| world.mint(symbol));
    world.compare(&[]).await;

    // Two in flight for one mint: both make its account, and one of them pays.
    let wishes =
        vec![world.wish(0, &[usdc, bonk], 20_000_000), world.wish(1, &[usdc, bonk], 10_000_000)];
    let orders = world.send(wishes);
    let rent = world.engine.market().rent(bonk);
    assert!(orders.iter().all(|order| order.opens() == [(bonk, rent)]));
    let mut paid = vec![];
    for _ in 0..2 {
        let end = world.end().await;
        let OrderEvent::Filled { rent, .. } = end else { panic!("a fill, not {end:?}") };
        paid.push(rent);
    }
    paid.sort_unstable();
    assert_eq!(paid, [Lamports::ZERO, rent], "2039280 lamports for 165 bytes");
    assert_eq!(rent, Lamports::new(2_039_280));
    world.compare(&[bonk]).await;

    // The next one finds it there, and pays its fee alone.
    world.settle().await;
    let wish = world.wish(0, &[usdc, bonk], 5_000_000);
    let orders = world.send(vec![wish]);
    assert_eq!(orders[0].opens(), []);
    let end = world.end().await;
    assert!(matches!(end, OrderEvent::Filled { rent: Lamports::ZERO, .. }), "{end:?}");
    world.compare(&[bonk]).await;

    // On a route, and of Token-2022, whose accounts are longer.
    world.settle().await;
    let through_sol = world.wish(0, &[usdc, sol, jup], 15_000_000);
    let longer = world.wish(1, &[usdc, pyusd], 15_000_000);
    let orders = world.send(vec![through_sol, longer]);
    assert_eq!(orders[0].opens().len(), 1);
    assert_eq!(orders[1].opens(), [(pyusd, Lamports::new(2_074_080))]);
    for _ in 0..2 {
        let end = world.end().await;
        let OrderEvent::Filled { order, rent, .. } = end else { panic!("a fill, not {end:?}") };
        let wanted = orders.iter().find(|o| o.id() == order).unwrap().rent_cap();
        assert_eq!(rent, wanted);
    }
    world.compare(&[bonk, jup, pyusd]).await;
}
