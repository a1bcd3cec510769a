//! What we send and understand is what Solana means: the whole client against a validator that none of us wrote.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::time::Duration;

use sniper_core::event::{MintSpec, OrderEvent};
use sniper_core::ids::{Address, OrderId, Signature, Symbol};
use sniper_core::units::{Atoms, BlockHeight, Lamports, Seq, Slot};
use sniper_solana::feed::{
    FeedEvent, FeedSettings, GapCause, ReconnectionHandler, Watch, WatchId, WebSocketManager,
};
use sniper_solana::rpc::{
    AccountFilter, Commitment, ConnectError, PoolSettings, RpcConnectionPool, SendRequest,
};
use sniper_solana::tx::instructions::{TOKEN_PROGRAM, WRAPPED_SOL};
use sniper_solana::tx::{BlockhashCache, Priority, Signed, TransactionBuilder, sign};
use sniper_solana::venue::{Prepared, SolanaVenue, TrackerSettings};
use sniper_wallet::{LocalSigner, Signer as _};
use support::{Validator, eventually};
use tokio::sync::mpsc;

const SOL: u64 = 1_000_000_000;
const LONG: Duration = Duration::from_secs(60);

fn wrapped_sol() -> MintSpec {
    MintSpec {
        address: WRAPPED_SOL,
        token_program: TOKEN_PROGRAM,
        decimals: 9,
        symbol: Symbol::new("SOL"),
        is_usd: false,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

async fn connect(validator: &mut Validator) -> RpcConnectionPool {
    let deadline = std::time::Instant::now() + LONG;
    loop {
        // Twice the same node: enough to hedge, to fan out and to follow redundantly.
        let endpoints = vec![validator.endpoint("first"), validator.endpoint("second")];
        let settings =
            PoolSettings { monitor_every: Duration::from_millis(200), ..PoolSettings::default() };
        match RpcConnectionPool::connect(endpoints, settings).await {
            Ok(pool) => return pool,
            Err(error) => {
                let late = std::time::Instant::now() > deadline;
                assert!(!late, "{error:?}\n{}", validator.words());
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Sends until it is confirmed: a node that was told not to retry forwards once, and that may be lost.
async fn land(pool: &RpcConnectionPool, signed: &Signed) {
    let request = SendRequest::new(&base64(&signed.bytes), signed.signature, false).unwrap();
    let started = std::time::Instant::now();
    let sends = std::cell::Cell::new(0);
    eventually("a landed transaction", LONG, || async {
        if started.elapsed().as_secs() >= sends.get() {
            sends.set(sends.get() + 1);
            let report = pool.send_transaction(&request).await.unwrap();
            assert!(!report.accepted.is_empty());
        }
        let statuses = pool.signature_statuses(&[signed.signature], false).await.unwrap().value;
        statuses[0].as_ref().filter(|status| status.commitment >= Commitment::Confirmed).map(|_| ())
    })
    .await;
    println!("landed after {:?}", started.elapsed());
}

async fn confirmed(pool: &RpcConnectionPool, signature: Signature) {
    eventually("a confirmed transaction", LONG, || async {
        let statuses = pool.signature_statuses(&[signature], false).await.unwrap().value;
        statuses[0].as_ref().filter(|status| status.commitment >= Commitment::Confirmed).map(|_| ())
    })
    .await;
}

async fn next(feed: &mut mpsc::Receiver<FeedEvent>) -> FeedEvent {
    until("an event", feed, |event| Some(event.clone())).await
}

async fn until<T>(
    what: &str,
    feed: &mut mpsc::Receiver<FeedEvent>,
    mut wanted: impl FnMut(&FeedEvent) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = feed.recv().await.expect("a feed");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(LONG, search).await;
    found.unwrap_or_else(|_| panic!("the feed did not tell in time: {what}"))
}

#[tokio::test(flavor = "current_thread")]
async fn our_client_and_the_real_validator_mean_the_same() {
    let Some(mut validator) = Validator::start() else { return };
    let pool = connect(&mut validator).await;
    tokio::spawn(pool.clone().monitor());
    let signer = LocalSigner::generate().unwrap();
    let owner = signer.address();

    another_chain_is_refused(&validator).await;
    reads_agree(&pool).await;
    fund(&pool, &owner).await;
    let (mut feed, _manager) = follow(&pool, &owner).await;
    wrap_sol_and_see_it(&pool, &signer, &mut feed).await;
    transfer_and_read_the_fee(&pool, &signer, &mut feed).await;
    orders_end_as_the_chain_says(&pool, signer).await;

    for report in pool.report() {
        assert!(
            report.healthy && report.requests > 0 && report.p99_us >= report.p50_us,
            "{report:?}"
        );
    }
}

async fn another_chain_is_refused(validator: &Validator) {
    let settings = PoolSettings { genesis: Some(Default::default()), ..PoolSettings::default() };
    let refused = RpcConnectionPool::connect(vec![validator.endpoint("first")], settings).await;
    assert!(matches!(refused, Err(ConnectError::WrongGenesis { .. })), "{refused:?}");
}

async fn reads_agree(pool: &RpcConnectionPool) {
    assert_eq!(pool.genesis_hash().await.unwrap(), pool.genesis());
    let height = pool.block_height(Commitment::Processed).await.unwrap();
    let slot = pool.slot(Commitment::Processed).await.unwrap();
    assert!(height.get() <= slot.get());
    assert!(
        pool.block_height_quorum(Commitment::Processed).await.unwrap()
            <= height.checked_add(BlockHeight::new(10)).unwrap()
    );
    let rent = pool.minimum_balance_for_rent_exemption(165).await.unwrap();
    assert_eq!(rent, Lamports::new(2_039_280));
    let keys = [WRAPPED_SOL, Address::new_from_array([7; 32])];
    let accounts = pool.multiple_accounts(&keys, Commitment::Confirmed, None).await.unwrap();
    let wrapped = accounts.value[0].as_ref().expect("wrapped SOL is there from genesis");
    assert_eq!((wrapped.owner, wrapped.data.len()), (TOKEN_PROGRAM, 82));
    assert_eq!(accounts.value[1], None);
    let future = Slot::new(slot.get() + 1_000_000);
    let error =
        pool.multiple_accounts(&keys, Commitment::Confirmed, Some(future)).await.unwrap_err();
    assert_eq!(error.node_code(), Some(-32016), "{error:?}");
}

async fn fund(pool: &RpcConnectionPool, owner: &Address) {
    let airdrop = pool.request_airdrop(owner, Lamports::new(10 * SOL)).await.unwrap();
    confirmed(pool, airdrop).await;
    let balance = pool.balance(owner, Commitment::Confirmed).await.unwrap();
    assert_eq!(balance.value, Lamports::new(10 * SOL));
}

/// Our lamports and our (still missing) token account; then slots that only rise.
async fn follow(
    pool: &RpcConnectionPool,
    owner: &Address,
) -> (mpsc::Receiver<FeedEvent>, WebSocketManager) {
    let mut builder = TransactionBuilder::new(*owner);
    let mint = builder.add_mint(&wrapped_sol());
    let account = builder.token_account(mint).unwrap();
    let watches = vec![Watch::own_lamports(*owner), Watch::own_token(account, TOKEN_PROGRAM, mint)];
    let settings = FeedSettings::default();
    let mut manager = WebSocketManager::new(pool.clone(), settings, ReconnectionHandler::default());
    let mut feed = manager.start_optimized_feeds(watches).unwrap();
    let first = next(&mut feed).await;
    assert_eq!(first, FeedEvent::Gap { shard: 0, cause: GapCause::Start });
    let (mut lamports, mut unreadable) = (None, None);
    until("the first state", &mut feed, |event| match event {
        FeedEvent::OwnLamports { lamports: told, .. } => {
            lamports = Some(*told);
            None
        }
        FeedEvent::Unreadable { watch, .. } => {
            unreadable = Some(*watch);
            None
        }
        FeedEvent::Restored { shard: 0, .. } => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(lamports, Some(Lamports::new(10 * SOL)));
    assert_eq!(unreadable, Some(WatchId(1)), "an account that is not there is not a balance");
    let slot = |event: &FeedEvent| match event {
        FeedEvent::Slot { slot, .. } => Some(*slot),
        _ => None,
    };
    let mut last = until("a slot", &mut feed, slot).await;
    for _ in 0..5 {
        let next = until("a slot", &mut feed, slot).await;
        assert!(next > last);
        last = next;
    }
    (feed, manager)
}

async fn wrap_sol_and_see_it(
    pool: &RpcConnectionPool,
    signer: &LocalSigner,
    feed: &mut mpsc::Receiver<FeedEvent>,
) {
    let owner = signer.address();
    let mut builder = TransactionBuilder::new(owner);
    let mint = builder.add_mint(&wrapped_sol());
    let account = builder.token_account(mint).unwrap();
    let latest = pool.latest_blockhash(Commitment::Confirmed).await.unwrap().value;
    let messages =
        builder.setup_transactions(Lamports::new(SOL), Priority::default(), &latest.hash).unwrap();
    let signed = sign(&messages[0], signer).unwrap();
    let simulated =
        pool.simulate(&base64(&signed.bytes), Commitment::Confirmed).await.unwrap().value;
    assert_eq!(simulated.err, None, "{:?}", simulated.logs);
    assert!(simulated.units.is_some_and(|units| units > 0));
    land(pool, &signed).await;
    let told = until("the wrapped amount", feed, |event| match event {
        FeedEvent::OwnToken { amount, .. } => Some(*amount),
        _ => None,
    });
    assert_eq!(told.await, Atoms::new(SOL));
    let held = pool.token_account_balance(&account, Commitment::Confirmed).await.unwrap().value;
    assert_eq!((held.amount, held.decimals), (Atoms::new(SOL), 9));
    let ours =
        pool.token_accounts_by_owner(&owner, &TOKEN_PROGRAM, Commitment::Confirmed).await.unwrap();
    assert_eq!(ours.value.len(), 1);
    assert_eq!((ours.value[0].address, ours.value[0].token.amount), (account, Atoms::new(SOL)));
    let filters = [
        AccountFilter::DataSize(165),
        AccountFilter::Memcmp { offset: 32, bytes: owner.to_bytes().to_vec() },
    ];
    let found =
        pool.program_accounts(&TOKEN_PROGRAM, &filters, Commitment::Confirmed).await.unwrap();
    assert_eq!(found.iter().map(|(address, _)| *address).collect::<Vec<_>>(), [account]);
    let landed =
        pool.transaction(&signed.signature, &owner, Commitment::Confirmed).await.unwrap().unwrap();
    assert_eq!(landed.err, None);
    assert_eq!(landed.deltas, [(WRAPPED_SOL, i64::try_from(SOL).unwrap())]);
    let spent = landed.lamports_before.checked_sub(landed.lamports_after).unwrap();
    assert_eq!(spent.get(), landed.fee.get() + SOL + 2_039_280);
}

async fn transfer_and_read_the_fee(
    pool: &RpcConnectionPool,
    signer: &LocalSigner,
    feed: &mut mpsc::Receiver<FeedEvent>,
) {
    let builder = TransactionBuilder::new(signer.address());
    let to = Address::new_from_array([42; 32]);
    let latest = pool.latest_blockhash(Commitment::Confirmed).await.unwrap().value;
    let priority = Priority { micro_lamports: 1_000_500 };
    let message = builder.transfer(to, Lamports::new(SOL), priority, &latest.hash).unwrap();
    let signed = sign(&message, signer).unwrap();
    let before = pool.balance(&signer.address(), Commitment::Confirmed).await.unwrap().value;
    land(pool, &signed).await;
    let landed = pool
        .transaction(&signed.signature, &signer.address(), Commitment::Confirmed)
        .await
        .unwrap()
        .unwrap();
    // 5000 for the signature, and 1000 units at 1.0005 lamports, rounded up.
    assert_eq!(landed.fee, Lamports::new(5_000 + 1_001));
    assert_eq!(landed.lamports_before, before);
    assert_eq!(landed.lamports_after.get(), before.get() - SOL - landed.fee.get());
    assert_eq!(pool.balance(&to, Commitment::Confirmed).await.unwrap().value, Lamports::new(SOL));
    until("the balance after the transfer", feed, |event| match event {
        FeedEvent::OwnLamports { lamports, slot } if *lamports == landed.lamports_after => {
            assert_eq!(*slot, landed.slot);
            Some(())
        }
        _ => None,
    })
    .await;
}

async fn orders_end_as_the_chain_says(pool: &RpcConnectionPool, signer: LocalSigner) {
    let settings = TrackerSettings {
        resend_every: Duration::from_millis(500),
        expiry_every: Duration::from_millis(500),
        ..TrackerSettings::default()
    };
    let cache = BlockhashCache::new(pool.clone());
    let latest = cache.refresh().await.unwrap();
    assert_eq!(cache.get(), Ok(latest));
    let mut venue = SolanaVenue::new(pool.clone(), signer, cache, settings);
    let mint = venue.add_mint(&wrapped_sol());
    let order = |nth| OrderId { cause: Seq::new(1), nth };
    let prepared = |nth, lamports, hash: &_, last_valid| {
        let to = Address::new_from_array([43; 32]);
        let message = venue
            .builder()
            .transfer(to, Lamports::new(lamports), Priority::default(), hash)
            .unwrap();
        let signed = sign(&message, venue.signer()).unwrap();
        Prepared::from_journal(order(nth), signed.signature, last_valid, signed.bytes).unwrap()
    };
    let before = venue.chain_balances(&[mint]).await.unwrap().value;
    let (sender, mut receiver) = mpsc::channel(16);
    tokio::spawn(venue.tracker().clone().run(sender));
    venue.send(&prepared(1, SOL, &latest.hash, latest.last_valid));
    venue.resume(&prepared(2, 1_000 * SOL, &latest.hash, latest.last_valid));
    // A blockhash the chain never had: this one cannot land, and its time is over from the start.
    venue.send(&prepared(3, SOL, &Default::default(), BlockHeight::new(1)));
    assert_eq!(venue.tracker().in_flight(), 3);
    let mut ends = std::collections::BTreeMap::new();
    while ends.len() < 3 {
        let event = tokio::time::timeout(LONG, receiver.recv()).await.unwrap().unwrap();
        assert!(ends.insert(event.order().nth, event).is_none(), "an order ends once");
    }
    let fee_1 = match &ends[&1] {
        OrderEvent::Filled { deltas, fee, .. } if deltas.is_empty() => fee.get(),
        other => panic!("a fill, not {other:?}"),
    };
    let fee_2 = match &ends[&2] {
        // The system program's "too little money".
        OrderEvent::Reverted { fee, code: Some(1), .. } => fee.get(),
        other => panic!("a revert, not {other:?}"),
    };
    assert_eq!(ends[&3], OrderEvent::Expired { order: order(3) });
    assert_eq!(venue.tracker().in_flight(), 0);
    let after = venue.chain_balances(&[mint]).await.unwrap().value;
    assert_eq!(after.lamports.get(), before.lamports.get() - SOL - fee_1 - fee_2);
    assert_eq!(after.tokens, before.tokens);
    assert_eq!((after.tokens[0].amount, after.tokens[0].exists()), (Atoms::new(SOL), true));
}
