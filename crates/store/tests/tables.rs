//! The laws of the tables.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;

use proptest::prelude::*;
use sniper_core::event::{
    Alert, Closed, Deltas, Effect, EquityPoint, Event, MarketEvent, MintSpec, OrderEvent,
    RejectReason, Stamped, Trade,
};
use sniper_core::ids::{Address, MintId, OrderId, Signature, StrategyId, Symbol};
use sniper_core::order::{Order, Outcome};
use sniper_core::risk::Refusal;
use sniper_core::units::{Atoms, BlockHeight, Lamports, Seq, Slot, Timestamp, Usd};
use sniper_store::tables::{
    OrderCursor, Projector, RunId, Store, StoreError, StoreOptions, StoreRow, StoredOrder,
    TableReader, TradeCursor, rebuild,
};
use sqlx::{Connection, Row, SqliteConnection};

const RUN: RunId = RunId(1_700_000_000_000_000);

/// An order as the core writes it: nothing outside the core can make one otherwise.
fn order(cause: u64, nth: u16, amount_in: u64) -> Order {
    serde_json::from_value(serde_json::json!({
        "id": { "cause": cause, "nth": nth },
        "strategy": 2,
        "legs": [
            { "arrays": [], "hop": { "pool": 4, "mint_in": 1, "mint_out": 2 },
              "amount": { "ExactIn": { "amount_in": amount_in, "min_out": 5 } } },
            { "arrays": [-5632, 0], "hop": { "pool": 9, "mint_in": 2, "mint_out": 3 },
              "amount": { "ExactIn": { "amount_in": 5, "min_out": 7 } } },
        ],
        "opens": [[3, 2_039_280]],
        "amount_in": amount_in,
        "min_out": 7,
        "expected_out": 8,
        "fee_cap": 5_500,
        "compute_unit_limit": 100_000,
        "compute_unit_price": 1_000,
        "value": 40_000_000, "unpriced": false,
        "expires": 2_000_000,
        "at": i64::try_from(cause).unwrap_or(i64::MAX),
        "reason": "Arbitrage",
    }))
    .unwrap()
}

fn filled(order: &Order, delta: i64) -> Closed {
    let mut deltas = Deltas::new();
    deltas.push((MintId(1), -delta));
    deltas.push((MintId(3), delta));
    let (slot, fee, rent) = (Slot::new(321), Lamports::new(5_100), Lamports::new(2_039_280));
    let outcome = Outcome::Filled { slot, deltas, fee, rent };
    let signature = Some(Signature([7; 64]));
    Closed { order: order.clone(), outcome, at: Timestamp::new(900), signature }
}

fn trade(id: OrderId, profit: i64) -> Trade {
    Trade {
        strategy: StrategyId(2),
        order: id,
        mint: MintId(1),
        amount: Atoms::new(u64::MAX),
        cost: Usd::new(10),
        proceeds: Usd::new(20),
        fee: Usd::new(1),
        profit: Usd::new(profit),
        opened: Timestamp::new(5),
        closed: Timestamp::new(900),
    }
}

fn stamped(seq: u64, event: Event) -> Stamped {
    Stamped { seq: Seq::new(seq), at: Timestamp::new(i64::try_from(seq).unwrap()), event }
}

fn signed(id: OrderId) -> Event {
    let (signature, last_valid) = (Signature([7; 64]), BlockHeight::new(77));
    Event::Order(OrderEvent::Signed { order: id, signature, last_valid })
}

fn equity(at: i64) -> Effect {
    let (equity, exposure) = (Usd::new(1_000 + at), Usd::new(-at));
    Effect::Equity(EquityPoint { at: Timestamp::new(at), equity, exposure })
}

fn refused(refusal: Refusal) -> Effect {
    Effect::Refused { strategy: StrategyId(1), refusal }
}

/// A short life: a mint, two orders, one filled with a trade, one rejected, refusals, equity.
fn history() -> Vec<(Stamped, Vec<Effect>)> {
    let mint = MintSpec {
        address: Address::new_from_array([3; 32]),
        token_program: Address::new_from_array([4; 32]),
        decimals: 6,
        symbol: Symbol::new("USDC'); DROP"),
        is_usd: true,
        plain: true,
        trusted: true,
        rent: Lamports::ZERO,
    };
    let (first, second) = (order(2, 0, u64::MAX), order(2, 1, 10));
    let rejected = Outcome::Rejected(RejectReason::SignerRefused);
    let rejected = Closed {
        order: second.clone(),
        outcome: rejected,
        at: Timestamp::new(800),
        signature: None,
    };
    vec![
        (stamped(1, Event::Market(MarketEvent::Mint(mint))), vec![]),
        (
            stamped(2, Event::Timer),
            vec![
                Effect::Submit(Box::new(first.clone())),
                Effect::Submit(Box::new(second.clone())),
                refused(Refusal::Late),
                refused(Refusal::Late),
                refused(Refusal::Collar),
            ],
        ),
        (stamped(3, signed(first.id())), vec![]),
        (stamped(4, Event::Timer), vec![Effect::Closed(Box::new(rejected)), equity(4)]),
        (
            stamped(5, Event::Timer),
            vec![
                Effect::Closed(Box::new(filled(&first, 44))),
                Effect::Trade(trade(first.id(), -3)),
                refused(Refusal::Late),
                equity(5),
            ],
        ),
    ]
}

fn rows(history: &[(Stamped, Vec<Effect>)]) -> Vec<StoreRow> {
    let mut projector = Projector::new(RUN);
    let mut rows = vec![
        StoreRow::Run { run: RUN, version: "0.1.0", mode: "paper".to_owned() },
        StoreRow::Strategy { run: RUN, strategy: StrategyId(2), name: "arbitrage".to_owned() },
    ];
    for (input, effects) in history {
        projector.step(input, effects, &mut rows);
    }
    projector.counts(&mut rows);
    rows.push(StoreRow::Position {
        run: RUN,
        strategy: StrategyId(2),
        mint: MintId(3),
        amount: Atoms::new(u64::MAX - 1),
        cost: Usd::new(-5),
        opened: Timestamp::new(1),
        at: Timestamp::new(6),
    });
    rows
}

fn write(path: &Path, rows: Vec<StoreRow>) {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let (handle, count) = (store.handle(), u64::try_from(rows.len()).unwrap());
    for row in rows {
        assert!(handle.try_send(row));
    }
    let status = store.close().unwrap();
    assert_eq!((status.written, status.dropped, status.failed), (count, 0, 0), "{status:?}");
}

/// Everything in the database, as text.
fn dump(path: &Path) -> Vec<String> {
    let tables = [
        "runs",
        "strategies",
        "mints",
        "orders",
        "fills",
        "positions",
        "trades",
        "equity",
        "refusals",
        "daily",
        "per_strategy",
        "per_token",
    ];
    block_on(async {
        let mut connection = connect(path).await;
        let mut lines = Vec::new();
        for table in tables {
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT * FROM {table}")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            for row in rows {
                let cells = (0..row.len()).map(|at| {
                    row.try_get_unchecked::<Option<String>, _>(at).unwrap().unwrap_or_default()
                });
                lines.push(format!("{table}: {}", cells.collect::<Vec<_>>().join("|")));
            }
        }
        lines
    })
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn orders(path: &Path, count: u32) -> Vec<StoredOrder> {
    TableReader::open(path).unwrap().orders(OrderCursor::NEWEST, count).unwrap().rows
}

#[test]
fn what_was_written_reads_back_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    write(&path, rows(&history()));
    let orders = orders(&path, 10);
    assert_eq!(orders.len(), 2);
    let (second, first) = (&orders[0], &orders[1]);
    assert_eq!(first.id, OrderId { cause: Seq::new(2), nth: 0 });
    assert_eq!(first.amount_in, Atoms::new(u64::MAX), "past what a signed integer holds");
    assert_eq!(first.strategy_name.as_deref(), Some("arbitrage"));
    assert_eq!(
        (first.mint_in, first.mint_out, first.pools.as_str()),
        (MintId(1), MintId(3), "4 9")
    );
    assert_eq!((first.status.as_str(), first.reason.as_str()), ("filled", "Arbitrage"));
    assert_eq!(first.signature, Some(bs58::encode([7; 64]).into_string()));
    assert_eq!((first.slot, first.fee), (Some(Slot::new(321)), Some(Lamports::new(5_100))));
    assert_eq!((first.rent, second.rent), (Some(Lamports::new(2_039_280)), None));
    assert_eq!((first.value, first.closed), (Usd::dollars(40), Some(Timestamp::new(900))));
    assert_eq!(
        (second.status.as_str(), second.detail.as_deref()),
        ("rejected", Some("SignerRefused"))
    );
    assert_eq!((second.slot, second.fee, second.signature.clone()), (None, None, None));

    let reader = TableReader::open(&path).unwrap();
    let fills = reader.fills(RUN, first.id).unwrap();
    let deltas: Vec<_> = fills.iter().map(|fill| (fill.mint, fill.delta)).collect();
    assert_eq!(deltas, [(MintId(1), -44), (MintId(3), 44)]);
    let trades = reader.trades(TradeCursor::NEWEST, 10).unwrap().rows;
    assert_eq!(trades.len(), 1);
    assert_eq!((trades[0].profit, trades[0].amount), (Usd::new(-3), Atoms::new(u64::MAX)));
    assert_eq!((trades[0].order, trades[0].seq), (first.id, Seq::new(5)));
    let curve = reader.equity(RUN, Timestamp::new(5), 10).unwrap();
    assert_eq!(curve.len(), 1, "from a time on");
    assert_eq!((curve[0].equity, curve[0].exposure), (Usd::new(1_005), Usd::new(-5)));
    let positions = reader.positions(RUN).unwrap();
    assert_eq!((positions[0].amount, positions[0].cost), (Atoms::new(u64::MAX - 1), Usd::new(-5)));
    let refusals = reader.refusals(RUN).unwrap();
    let counts: Vec<_> = refusals.iter().map(|one| (one.reason.as_str(), one.count)).collect();
    assert_eq!(counts, [("late", 3), ("collar", 1)]);
    let runs = reader.runs(10).unwrap();
    assert_eq!((runs[0].run, runs[0].mode.as_str()), (RUN, "paper"));
    reader.close().unwrap();
}

#[test]
fn a_replay_writes_the_same_tables_and_duplicates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let history = history();
    write(&path, rows(&history));
    let once = dump(&path);
    assert!(once.len() >= 12, "{once:#?}");
    write(&path, rows(&history));
    assert_eq!(dump(&path), once);
    // Also when it stops half-way: what had come further stays.
    for steps in 0..history.len() {
        let mut part = Vec::new();
        let mut projector = Projector::new(RUN);
        for (input, effects) in &history[..steps] {
            projector.step(input, effects, &mut part);
        }
        write(&path, part);
        let orders = orders(&path, 10);
        let statuses: Vec<_> = orders.iter().map(|order| order.status.as_str()).collect();
        assert_eq!(statuses, ["rejected", "filled"]);
    }
}

#[test]
fn an_order_is_seen_at_each_step_of_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let history = history();
    let mut seen = Vec::new();
    for steps in 1..=history.len() {
        write(&path, rows(&history[..steps]));
        let orders = orders(&path, 10);
        seen.push(orders.into_iter().find(|order| order.id.nth == 0).map(|order| order.status));
    }
    let seen: Vec<_> = seen.iter().map(|status| status.as_deref().unwrap_or("none")).collect();
    assert_eq!(seen, ["none", "submitted", "signed", "signed", "filled"]);
}

#[test]
fn an_order_whose_block_was_abandoned_is_under_way_again_without_fills_or_trades() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before.db"), folder.path().join("after.db"));
    let id = order(2, 0, u64::MAX).id();
    let history = history();
    let until_signed = &history[..4];
    let alert = Alert::RolledBack { order: id, slot: Slot::new(321) };
    let mut taken_back = history.clone();
    taken_back[4].1.truncate(2);
    taken_back.push((stamped(6, Event::Timer), vec![Effect::Alert(alert)]));
    write(&before, rows(until_signed));
    write(&after, rows(&taken_back));
    assert_eq!(dump(&after), dump(&before));
}

#[test]
fn tables_rebuilt_from_the_journal_equal_those_written_live() {
    let folder = tempfile::tempdir().unwrap();
    let (live, rebuilt) = (folder.path().join("live.db"), folder.path().join("rebuilt.db"));
    let history = history();
    write(&live, rows(&history));
    // Another run, which must stay, and rows of this run that are wrong.
    let other = RunId(1);
    let stray = StoreRow::Submitted { run: RUN, order: Box::new(order(99, 0, 1)) };
    let kept = StoreRow::Submitted { run: other, order: Box::new(order(3, 0, 1)) };
    write(&rebuilt, vec![stray, kept]);
    let count = block_on(rebuild(&rebuilt, RUN, rows(&history))).unwrap();
    assert_eq!(count, u64::try_from(rows(&history).len()).unwrap());
    let all = dump(&rebuilt);
    let (kept, ours): (Vec<_>, Vec<_>) = all.into_iter().partition(|line| line.contains(": 1|"));
    assert_eq!(ours, dump(&live));
    assert_eq!(kept.len(), 1);
}

#[test]
fn a_lost_beginning_is_made_up_for_by_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let closed = Box::new(filled(&order(2, 0, 10), 9));
    write(&path, vec![StoreRow::Closed { run: RUN, closed }]);
    let orders = orders(&path, 10);
    assert_eq!((orders[0].status.as_str(), orders[0].amount_in), ("filled", Atoms::new(10)));
}

#[test]
fn no_money_is_ever_a_floating_point_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    write(&path, rows(&history()));
    block_on(async {
        let mut connection = connect(&path).await;
        let types =
            sqlx::query("SELECT typeof(amount_in), typeof(min_out) FROM orders ORDER BY nth")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        assert_eq!(types[0].get::<String, _>(0), "text");
        assert_eq!(types[1].get::<String, _>(0), "integer");
        let refused = sqlx::query("UPDATE orders SET min_out = 1.5").execute(&mut connection).await;
        assert!(refused.is_err(), "the schema itself refuses");
        let largest: String =
            sqlx::query("SELECT amount_in FROM orders ORDER BY amount_in DESC LIMIT 1")
                .fetch_one(&mut connection)
                .await
                .unwrap()
                .get(0);
        assert_eq!(largest, u64::MAX.to_string());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_unsigned_number_survives_and_keeps_its_order(
        mut amounts in prop::collection::vec(prop_oneof![
            any::<u64>(), 0..10_u64, (u64::MAX - 5)..=u64::MAX,
            (i64::MAX.unsigned_abs() - 2)..=(i64::MAX.unsigned_abs() + 2),
        ], 1..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let rows: Vec<_> = (0_u64..).zip(&amounts)
            .map(|(cause, amount)| StoreRow::Submitted { run: RUN, order: Box::new(order(cause, 0, *amount)) })
            .collect();
        write(&path, rows);
        let mut read: Vec<_> = orders(&path, 100).iter().map(|order| order.amount_in.get()).collect();
        read.reverse();
        prop_assert_eq!(&read, &amounts);
        let sorted: Vec<u64> = block_on(async {
            let mut connection = connect(&path).await;
            let rows = sqlx::query("SELECT CAST(amount_in AS TEXT) FROM orders ORDER BY amount_in")
                .fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| row.get::<String, _>(0).parse().unwrap()).collect()
        });
        amounts.sort_unstable();
        prop_assert_eq!(sorted, amounts);
    }
}

#[test]
fn rows_that_cannot_wait_are_dropped_counted_and_never_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store =
        Store::open(&path, StoreOptions { capacity: 4, ..StoreOptions::default() }).unwrap();
    let handle = store.handle();
    // Another writer holds the database meanwhile.
    let mut other = block_on(connect(&path));
    block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut other)).unwrap();
    let row = || StoreRow::Submitted { run: RUN, order: Box::new(order(1, 0, 1)) };
    let taken = u64::try_from((0..100).filter(|_| handle.try_send(row())).count()).unwrap();
    block_on(sqlx::query("COMMIT").execute(&mut other)).unwrap();
    let status = store.close().unwrap();
    assert!(taken >= 4 && status.dropped > 0, "{status:?}");
    assert_eq!((status.written, status.dropped), (taken, 100 - taken));
    assert!(!handle.try_send(row()), "a closed store takes nothing");
}

#[test]
fn a_failing_database_is_told_and_later_rows_are_still_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let handle = store.handle();
    let mut other = block_on(connect(&path));
    block_on(sqlx::query("ALTER TABLE equity RENAME TO gone").execute(&mut other)).unwrap();
    let point = EquityPoint { at: Timestamp::new(1), equity: Usd::ZERO, exposure: Usd::ZERO };
    assert!(handle.try_send(StoreRow::Equity { run: RUN, point }));
    while handle.status().failed == 0 {
        std::thread::yield_now();
    }
    assert!(handle.status().last_error.unwrap().contains("equity"));
    block_on(sqlx::query("ALTER TABLE gone RENAME TO equity").execute(&mut other)).unwrap();
    assert!(handle.try_send(StoreRow::Equity { run: RUN, point }));
    let status = store.close().unwrap();
    assert_eq!((status.written, status.failed), (1, 1));
}

#[test]
fn a_path_that_cannot_be_used_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"this is no database, though it is long enough to be looked at as one")
        .unwrap();
    let open = |path: &Path| Store::open(path, StoreOptions::default()).map(drop).unwrap_err();
    for path in [folder.path().join("absent/t.db"), file.join("t.db"), folder.path().to_owned()] {
        let error = open(&path);
        assert!(matches!(error, StoreError::Unopened { .. }), "{error}");
    }
    assert!(matches!(open(&file), StoreError::Foreign { .. }));
    let absent = TableReader::open(folder.path().join("absent.db")).unwrap_err();
    assert!(matches!(absent, StoreError::Absent { .. }), "{absent}");
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    block_on(async {
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("CREATE TABLE theirs (a)").execute(&mut connection).await.unwrap();
    });
    let before = std::fs::read(&path).unwrap();
    let error = Store::open(&path, StoreOptions::default()).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let error = TableReader::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_schema_that_is_newer_or_altered_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let change = |sql: &'static str| {
        block_on(async {
            let mut connection = connect(&path).await;
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        });
    };
    let open = || Store::open(&path, StoreOptions::default()).map(drop);
    write(&path, vec![]);
    change("INSERT INTO _sqlx_migrations VALUES (9999, 'later', '2030-01-01', 1, x'00', 1)");
    let error = open().unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 9999, .. }), "{error}");
    let error = TableReader::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 9999, .. }), "{error}");

    change("DELETE FROM _sqlx_migrations WHERE version = 9999");
    open().unwrap();
    change("UPDATE _sqlx_migrations SET checksum = x'00'");
    let error = open().unwrap_err();
    assert!(matches!(error, StoreError::Altered { version: 1, .. }), "{error}");
}

#[test]
fn a_verdict_is_kept_with_every_reason() {
    use sniper_core::gate::{Evidence, Policy, Why, judge};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.sqlite");
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let mint = Address::new_from_array([9; 32]);
    // Nothing is known of it, so everything speaks against it.
    let verdict =
        judge(&Evidence::nothing(mint, Why::Missing), &Policy::default(), Slot::new(u64::MAX));
    assert!(!verdict.safe() && verdict.reasons().len() > 3);
    for _ in 0..2 {
        let at = Timestamp::new(7);
        assert!(
            store.handle().try_send(StoreRow::Verdict { verdict: Box::new(verdict.clone()), at })
        );
    }
    store.close().unwrap();
    let stored = TableReader::open(&path).unwrap().recent_verdicts(10).unwrap();
    let reasons: Vec<String> = verdict.reasons().iter().map(ToString::to_string).collect();
    assert_eq!(stored.len(), 1, "twice the same is once");
    assert_eq!((stored[0].mint.clone(), stored[0].safe), (mint.to_string(), false));
    assert_eq!((stored[0].slot, stored[0].at), (Slot::new(u64::MAX), Timestamp::new(7)));
    assert_eq!(stored[0].reasons, reasons);
}
