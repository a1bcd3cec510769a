//! Orders on a real runtime: what is quoted is filled to the atom, and what the feed tells is what the chain holds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod quiet;

use std::time::{Duration, Instant};

use quiet::{Chain, LONG, SLOT};
use serde_json::json;
use sniper_core::amm::{Arrays, Clock, Live, PoolKind, PoolSpec, cpmm};
use sniper_core::event::{MarketEvent, MintSpec, OrderEvent, RejectReason};
use sniper_core::gate::{Fact, RoundTrip, Why};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::order::{Hop, Order};
use sniper_core::units::{Atoms, Lamports, Slot, Timestamp};
use sniper_localnet::Ready;
use sniper_solana::feed::{
    FeedEvent, FeedSettings, GapCause, ReconnectionHandler, Watch, WebSocketManager,
};
use sniper_solana::gate::{Rehearsal, rehearse};
use sniper_solana::rpc::{Commitment, RpcConnectionPool, SendRequest};
use sniper_solana::tx::instructions::WRAPPED_SOL;
use sniper_solana::tx::{BlockhashCache, Priority, sign};
use sniper_solana::venue::{SolanaVenue, TrackerSettings};
use sniper_wallet::{LocalSigner, Signer as _};
use tokio::sync::mpsc;

const SOL: u64 = 1_000_000_000;
struct World {
    chain: Chain,
    pool: RpcConnectionPool,
    venue: SolanaVenue<LocalSigner>,
    cache: BlockhashCache,
    ends: mpsc::Receiver<OrderEvent>,
    feed: mpsc::Receiver<FeedEvent>,
    _manager: WebSocketManager,
    specs: Vec<PoolSpec>,
    pools: Vec<Live>,
    reached: Slot,
    orders: u64,
}

impl World {
    async fn start() -> Self {
        let chain = Chain::start();
        let pool = chain.connect().await;
        tokio::spawn(pool.clone().monitor());
        let cache = BlockhashCache::new(pool.clone());
        cache.refresh().await.unwrap();
        tokio::spawn(cache.clone().run());
        let signer = LocalSigner::generate().unwrap();
        let settings = TrackerSettings {
            poll_every: Duration::from_millis(50),
            expiry_every: Duration::from_millis(200),
            ..TrackerSettings::default()
        };
        let mut venue = SolanaVenue::new(pool.clone(), signer, cache.clone(), settings);
        let specs = learn(&pool, &mut venue, &chain.ready).await;
        let (sender, ends) = mpsc::channel(64);
        tokio::spawn(venue.tracker().clone().run(sender));
        let watches = (0..).zip(&specs).flat_map(|(id, spec)| {
            // Neither of them is followed by a pool of this kind.
            let mints = [Address::default(); 2];
            let PoolKind::Cpmm(keys) = &spec.kind else { panic!("CPMM alone here") };
            Watch::for_pool(PoolId(id), spec, mints, keys.token_programs, &[])
        });
        let reconnection =
            ReconnectionHandler::new(Duration::from_millis(20), Duration::from_secs(1));
        let mut manager =
            WebSocketManager::new(pool.clone(), FeedSettings::default(), reconnection);
        let feed = manager.start_optimized_feeds(watches.collect()).unwrap();
        let pools = specs.iter().map(|spec| Live::new(&spec.kind, true)).collect();
        let (reached, orders) = (Slot::ZERO, 0);
        let mut world = Self {
            chain,
            pool,
            venue,
            cache,
            ends,
            feed,
            _manager: manager,
            specs,
            pools,
            reached,
            orders,
        };
        world
            .follow_until("the first snapshot", |event, _| {
                matches!(event, FeedEvent::Restored { .. })
            })
            .await;
        world
    }

    /// Takes events into the pools until one is the wanted one.
    async fn follow_until(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&FeedEvent, &[Live]) -> bool,
    ) {
        let deadline = tokio::time::Instant::now() + LONG;
        loop {
            let event = tokio::time::timeout_at(deadline, self.feed.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("not told in time: {what}")).unwrap();
            match &event {
                FeedEvent::Market {
                    event: MarketEvent::Account { pool, slot, update }, ..
                } => {
                    self.pools[pool.index()].apply(update, *slot);
                }
                FeedEvent::Slot { slot, .. } => {
                    assert!(*slot > self.reached);
                    self.reached = *slot;
                    self.pools.iter_mut().for_each(|pool| pool.settle_before(*slot));
                }
                FeedEvent::Unreadable { watch, .. } => panic!("{watch:?} is unreadable"),
                _ => {}
            }
            if wanted(&event, &self.pools) {
                return;
            }
        }
    }

    /// Money in every mint the orders need, and the accounts for it.
    async fn fund(&mut self) {
        let owner = self.venue.signer().address();
        self.pool.request_airdrop(&owner, Lamports::new(100 * SOL)).await.unwrap();
        self.landed(|held| held.lamports > Lamports::ZERO).await;
        let hash = self.cache.get().unwrap().hash;
        let messages = self.venue.builder().setup_transactions(
            Lamports::new(10 * SOL),
            Priority::default(),
            &hash,
        );
        for message in messages.unwrap() {
            let signed = sign(&message, self.venue.signer()).unwrap();
            let request = SendRequest::new(&base64(&signed.bytes), signed.signature, true).unwrap();
            self.pool.send_transaction(&request).await.unwrap();
        }
        let held = self.landed(|held| held.tokens.iter().all(|token| token.exists())).await;
        let wrapped = self.mint(&WRAPPED_SOL);
        assert_eq!(held.tokens[wrapped.index() - 1].amount, Atoms::new(10 * SOL));
    }

    fn mint(&self, address: &Address) -> MintId {
        self.venue.builder().mints().find(|(_, spec, _)| spec.address == *address).unwrap().0
    }

    fn mints(&self) -> Vec<MintId> {
        self.venue.builder().mints().map(|(id, ..)| id).collect()
    }

    async fn held(&self) -> sniper_solana::venue::ChainBalances {
        self.venue.chain_balances(&self.mints()).await.unwrap().value
    }

    async fn landed(
        &self,
        wanted: impl Fn(&sniper_solana::venue::ChainBalances) -> bool,
    ) -> sniper_solana::venue::ChainBalances {
        let deadline = Instant::now() + LONG;
        loop {
            let held = self.held().await;
            if wanted(&held) {
                return held;
            }
            assert!(Instant::now() < deadline, "{held:?}");
            tokio::time::sleep(SLOT).await;
        }
    }

    /// An approved order, made as a journal would give it back: only the core's review makes one otherwise.
    fn order(&mut self, legs: &[(usize, MintId, Atoms, Atoms)]) -> Order {
        self.orders += 1;
        let other = |pool: usize, mint: MintId| {
            let [first, second] = self.specs[pool].mints;
            if first == mint { second } else { first }
        };
        let leg = |(pool, mint, amount, least): &(usize, MintId, Atoms, Atoms)| {
            json!({"arrays": [], "hop": {"pool": pool, "mint_in": mint, "mint_out": other(*pool, *mint)},
                "amount": {"ExactIn": {"amount_in": amount, "min_out": least}}})
        };
        let (first, last) = (legs[0], legs[legs.len() - 1]);
        serde_json::from_value(json!({
            "id": {"cause": self.orders, "nth": 0}, "strategy": 0,
            "legs": legs.iter().map(leg).collect::<Vec<_>>(),
            "opens": [], "amount_in": first.2, "min_out": last.3, "expected_out": last.3,
            "fee_cap": 10_000, "compute_unit_limit": 200_000, "compute_unit_price": 10_001,
            "value": 0, "unpriced": false, "expires": i64::MAX, "at": 0, "reason": "TrendEntry",
        }))
        .unwrap()
    }

    async fn end(&mut self) -> OrderEvent {
        tokio::time::timeout(LONG, self.ends.recv()).await.expect("an end in time").unwrap()
    }

    fn quote(&self, pool: usize, mint: MintId, amount: Atoms) -> Atoms {
        let forward = self.specs[pool].mints[0] == mint;
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        self.pools[pool]
            .quote_exact_in(
                forward,
                amount,
                &Clock { now: i64::try_from(now).unwrap(), ..Clock::default() },
            )
            .unwrap()
            .amount_out
    }
}

/// Tells the venue of every mint and pool, as the shell does.
async fn learn(
    pool: &RpcConnectionPool,
    venue: &mut SolanaVenue<LocalSigner>,
    ready: &Ready,
) -> Vec<PoolSpec> {
    let mut ids = std::collections::BTreeMap::new();
    for mint in &ready.mints {
        let address: Address = mint.address.parse().unwrap();
        let id = venue.add_mint(&MintSpec {
            address,
            token_program: mint.program.parse().unwrap(),
            decimals: mint.decimals,
            symbol: Symbol::new(mint.symbol),
            is_usd: mint.symbol.contains("USD"),
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        });
        ids.insert(address, id);
    }
    let addresses: Vec<Address> =
        ready.pools.iter().map(|pool| pool.address.parse().unwrap()).collect();
    let accounts = pool.multiple_accounts(&addresses, Commitment::Confirmed, None).await.unwrap();
    let mut specs = Vec::new();
    for (address, account) in addresses.into_iter().zip(accounts.value) {
        let (_, keys) = cpmm::decode_pool(&account.unwrap().data).unwrap();
        let kind = PoolKind::Cpmm(cpmm::Keys {
            config: keys.config,
            observation: keys.observation,
            vaults: keys.vaults,
            token_programs: keys.token_programs,
        });
        let spec = PoolSpec { address, mints: keys.mints.map(|mint| ids[&mint]), kind };
        venue.learn(&MarketEvent::Pool(Box::new(spec.clone()))).unwrap();
        specs.push(spec);
    }
    specs
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test(flavor = "current_thread")]
async fn an_order_is_filled_at_its_quote_and_everything_agrees_with_the_chain() {
    let mut world = World::start().await;
    world.fund().await;
    let sol = world.mint(&WRAPPED_SOL);
    let pool = world.pools_of(sol)[0];
    an_exact_fill(&mut world, pool, sol).await;
    a_revert_costs_its_fee(&mut world, pool, sol).await;
    two_legs_in_one_transaction(&mut world, sol).await;
    a_rehearsal_moves_nothing_and_tells_what_a_round_trip_loses(&mut world, pool, sol).await;
    an_order_whose_time_is_over(&mut world, pool, sol).await;
    a_torn_feed_converges(&mut world, pool, sol).await;
    what_must_not_be_signed_is_not(&mut world, pool, sol);
}

impl World {
    /// Tradable pools of a mint (the second dollar is under Token-2022, which the core does not quote).
    fn pools_of(&self, mint: MintId) -> Vec<usize> {
        let of = (0..self.specs.len()).filter(|pool| self.specs[*pool].mints.contains(&mint));
        of.filter(|pool| self.pools[*pool].state().is_ok()).collect()
    }
}

/// Base fee, and 200 000 units at 0.010001 lamports, rounded up.
const FEE: u64 = 5_000 + 2_001;

async fn an_exact_fill(world: &mut World, pool: usize, sol: MintId) {
    let amount = Atoms::new(SOL / 10);
    let quote = world.quote(pool, sol, amount);
    let order = world.order(&[(pool, sol, amount, quote)]);
    let before = world.held().await;
    let vaults_before = vaults(world, pool).await;
    let prepared = world.venue.prepare(&order, Timestamp::ZERO).unwrap();
    world.venue.send(&prepared);
    let OrderEvent::Filled { order: id, deltas, fee, .. } = world.end().await else {
        panic!("a fill");
    };
    let other = if world.specs[pool].mints[0] == sol {
        world.specs[pool].mints[1]
    } else {
        world.specs[pool].mints[0]
    };
    let mut wanted = vec![
        (sol, -i64::try_from(amount.get()).unwrap()),
        (other, i64::try_from(quote.get()).unwrap()),
    ];
    wanted.sort_unstable();
    assert_eq!((id, fee), (order.id(), Lamports::new(FEE)));
    assert_eq!(deltas.as_slice(), wanted, "filled at the quote, to the atom");
    let after = world.held().await;
    assert_eq!(after.lamports.get(), before.lamports.get() - FEE);
    for (before, after) in before.tokens.iter().zip(&after.tokens) {
        let change = i128::from(after.amount.get()) - i128::from(before.amount.get());
        let told =
            deltas.iter().find(|(mint, _)| *mint == after.mint).map_or(0, |(_, delta)| *delta);
        assert_eq!(change, i128::from(told));
    }
    // The feed tells the pool after it: the next quote is lower, and of one moment.
    let vaults_after = vaults(world, pool).await;
    assert_ne!(vaults_before, vaults_after);
    let forward = world.specs[pool].mints[0] == sol;
    world
        .follow_until("the pool after the swap", |_, pools| {
            let clock = Clock { now: i64::MAX / 2, ..Clock::default() };
            let now = pools[pool].quote_exact_in(forward, amount, &clock);
            pools[pool].is_settled() && now.is_ok_and(|now| now.amount_out < quote)
        })
        .await;
}

async fn vaults(world: &World, pool: usize) -> Vec<Atoms> {
    let PoolKind::Cpmm(keys) = &world.specs[pool].kind else { panic!("CPMM alone here") };
    let read =
        world.pool.multiple_accounts(&keys.vaults, Commitment::Confirmed, None).await.unwrap();
    read.value
        .into_iter()
        .map(|account| cpmm::decode_vault(&account.unwrap().data).unwrap())
        .collect()
}

async fn a_revert_costs_its_fee(world: &mut World, pool: usize, sol: MintId) {
    let amount = Atoms::new(SOL / 10);
    let greedy = Atoms::new(world.quote(pool, sol, amount).get() + 1);
    let order = world.order(&[(pool, sol, amount, greedy)]);
    let before = world.held().await;
    let prepared = world.venue.prepare(&order, Timestamp::ZERO).unwrap();
    world.venue.send(&prepared);
    let end = world.end().await;
    // The exchange's "exceeds desired slippage limit".
    let OrderEvent::Reverted { fee, code: Some(6005), .. } = end else {
        panic!("a revert, not {end:?}")
    };
    let after = world.held().await;
    assert_eq!(fee, Lamports::new(FEE));
    assert_eq!(after.lamports.get(), before.lamports.get() - FEE);
    assert_eq!(after.tokens, before.tokens);
}

async fn two_legs_in_one_transaction(world: &mut World, sol: MintId) {
    let pools = world.pools_of(sol);
    let same = |a: usize, b: usize| world.specs[a].mints == world.specs[b].mints;
    let pair = pools.iter().flat_map(|a| pools.iter().map(move |b| (*a, *b)));
    let (first, second) =
        pair.into_iter().find(|(a, b)| a != b && same(*a, *b)).expect("two pools of a pair");
    let amount = Atoms::new(SOL / 20);
    let middle = world.quote(first, sol, amount);
    let [a, b] = world.specs[first].mints;
    let usd = if a == sol { b } else { a };
    let back = world.quote(second, usd, middle);
    let order = world.order(&[(first, sol, amount, middle), (second, usd, middle, back)]);
    let prepared = world.venue.prepare(&order, Timestamp::ZERO).unwrap();
    world.venue.send(&prepared);
    let end = world.end().await;
    let OrderEvent::Filled { deltas, .. } = end else { panic!("a fill, not {end:?}") };
    let change = i64::try_from(back.get()).unwrap() - i64::try_from(amount.get()).unwrap();
    assert_eq!(deltas.as_slice(), [(sol, change)], "what passes through leaves no delta");
}

async fn a_rehearsal_moves_nothing_and_tells_what_a_round_trip_loses(
    world: &mut World,
    pool: usize,
    sol: MintId,
) {
    let [a, b] = world.specs[pool].mints;
    let hop = Hop {
        pool: PoolId(u32::try_from(pool).unwrap()),
        mint_in: sol,
        mint_out: if a == sol { b } else { a },
    };
    let spend = Atoms::new(SOL / 10);
    let quoted = world.quote(pool, sol, spend);
    let before = world.held().await;
    let rehearsal = |spend, quoted| Rehearsal {
        hop,
        spend,
        quoted,
        buy_arrays: Arrays::new(),
        sell_arrays: Arrays::new(),
    };
    let builder = world.venue.builder();
    let done = rehearse(&world.pool, builder, &rehearsal(spend, quoted)).await;
    let Fact::Known(RoundTrip::Sold { paid, received }, _) = done else { panic!("{done:?}") };
    assert_eq!(paid, spend);
    // Three in a hundred stay behind, and two fees of a quarter in a hundred are paid.
    assert!((960..975).contains(&(received.get() * 1_000 / paid.get())), "{received}");
    // A promise that the pool does not keep: the exchange's "exceeds desired slippage limit".
    let twice = Atoms::new(quoted.get() * 2);
    let failed = rehearse(&world.pool, builder, &rehearsal(spend, twice)).await;
    let code = Some(6005);
    assert!(
        matches!(failed, Fact::Known(RoundTrip::Failed { code: c }, _) if c == code),
        "{failed:?}"
    );
    // More than we hold is no answer at all.
    let all = rehearse(&world.pool, builder, &rehearsal(Atoms::new(u64::MAX / 2), quoted)).await;
    assert!(matches!(all, Fact::Unknown(Why::NotAsked)), "{all:?}");
    let after = world.held().await;
    assert_eq!((before.lamports, before.tokens), (after.lamports, after.tokens), "nothing moved");
}

async fn an_order_whose_time_is_over(world: &mut World, pool: usize, sol: MintId) {
    let order = world.order(&[(pool, sol, Atoms::new(1_000), Atoms::new(1))]);
    let prepared = world.venue.prepare(&order, Timestamp::ZERO).unwrap();
    let before = world.held().await;
    let deadline = Instant::now() + LONG;
    while world.pool.block_height(Commitment::Finalized).await.unwrap() <= prepared.last_valid() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(SLOT).await;
    }
    world.venue.resume(&prepared);
    assert_eq!(world.end().await, OrderEvent::Expired { order: order.id() });
    assert_eq!(world.held().await, before);
}

async fn a_torn_feed_converges(world: &mut World, pool: usize, sol: MintId) {
    let rpc = world.chain.ready.rpc_urls.len();
    for port in 0..rpc {
        let number: u16 = world.chain.ready.rpc_urls[port]
            .rsplit(':')
            .next()
            .unwrap()
            .trim_end_matches('/')
            .parse()
            .unwrap();
        let _: serde_json::Value =
            world.pool.call("localnet_disconnect", &[json!({"port": number})]).await.unwrap();
    }
    world
        .follow_until("the gap", |event, _| {
            matches!(event, FeedEvent::Gap { cause: GapCause::Disconnected, .. })
        })
        .await;
    world
        .follow_until("the restored feed", |event, _| matches!(event, FeedEvent::Restored { .. }))
        .await;
    // Whatever was missed, a quote is good again to the atom.
    let amount = Atoms::new(SOL / 50);
    let quote = world.quote(pool, sol, amount);
    let order = world.order(&[(pool, sol, amount, quote)]);
    let prepared = world.venue.prepare(&order, Timestamp::ZERO).unwrap();
    world.venue.send(&prepared);
    let end = world.end().await;
    assert!(matches!(end, OrderEvent::Filled { .. }), "{end:?}");
}

fn what_must_not_be_signed_is_not(world: &mut World, pool: usize, sol: MintId) {
    let order = world.order(&[(pool, sol, Atoms::new(1_000), Atoms::new(1))]);
    let late = world.venue.prepare(&order, Timestamp::MAX);
    assert_eq!(late.unwrap_err(), RejectReason::TooLate);
    let free = world.order(&[(pool, sol, Atoms::new(1_000), Atoms::ZERO)]);
    let refused = world.venue.prepare(&free, Timestamp::ZERO);
    assert_eq!(refused.unwrap_err(), RejectReason::Unbuildable, "never without a least output");
    world.venue.prepare(&order, Timestamp::ZERO).unwrap();
    let twin = world.order(&[(pool, sol, Atoms::new(1_000), Atoms::new(1))]);
    let refused = world.venue.prepare(&twin, Timestamp::ZERO);
    assert_eq!(
        refused.unwrap_err(),
        RejectReason::Unbuildable,
        "two orders never share a signature"
    );
    let (mut build, mut signing): (Vec<_>, Vec<_>) = (0..200)
        .map(|_| world.venue.prepare(&order, Timestamp::ZERO).unwrap())
        .map(|prepared| (prepared.build_took, prepared.sign_took))
        .unzip();
    build.sort_unstable();
    signing.sort_unstable();
    println!("median of 200: build {:?}, sign {:?}", build[100], signing[100]);
}
