//! Laws of a backtest: what a trade comes to, that nothing is known before its time, that a run can be repeated.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;

use proptest::prelude::*;
use sniper_core::digest::Digest;
use sniper_core::engine::Enrolled;
use sniper_core::event::{Candle, Effect, Event};
use sniper_core::ids::{PairId, Symbol};
use sniper_core::order::{Intent, Outcome, Reason};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Limits;
use sniper_core::sim::SimSettings;
use sniper_core::strategy::{
    Context, Strategy, StrategyKind, arbitrage, mean_reversion, momentum, trend,
};
use sniper_core::units::{Atoms, Bps, Lamports, Price, Timestamp, Usd};
use sniperforge::backtest::bars::{Bars, Interval};
use sniperforge::backtest::tape::{self, Run, Watch, World};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_672_531_200_000;

/// Dollars for a whole SOL, given in cents.
fn price(cents: u64) -> Price {
    Price::of(cents * 10_000, 1_000_000_000).unwrap()
}

fn candle(hour: i64, [open, high, low, close]: [u64; 4], after_gap: bool) -> Candle {
    Candle {
        pair: PairId(0),
        start: Timestamp::from_millis(START_MS + hour * HOUR_MS),
        width: Timestamp::from_millis(HOUR_MS),
        open: price(open),
        high: price(high),
        low: price(low),
        close: price(close),
        volume: Atoms::ZERO,
        after_gap,
    }
}

fn bars(candles: Vec<Candle>) -> Bars {
    Bars { file: "memory".into(), interval: Interval::parse("1h").unwrap(), candles }
}

/// A million dollars of depth, every order lands.
fn world() -> World {
    let room = Usd::dollars(1_000_000);
    World {
        symbol: "SOLUSDT".to_owned(),
        base: Symbol::new("SOL"),
        quote: Symbol::new("USDT"),
        base_decimals: 9,
        cash: Usd::dollars(10_000),
        fee_float: Lamports::new(1_000_000_000),
        depth: Usd::dollars(1_000_000),
        pool_fee: 2_500,
        sim: SimSettings { landing: Bps::capped(10_000), ..SimSettings::default() },
        limits: Limits {
            order_value_max: room,
            position_value_max: room,
            exposure_max: room,
            daily_loss_max: room,
            drawdown_max: Bps::capped(9_999),
            losses_in_row_max: 0,
            slippage_max: Bps::capped(5_000),
            ..Limits::default()
        },
        sol_price: price(10_000),
    }
}

/// What a script does at the close of its n-th candle.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Wait,
    Buy(i64),
    Sell,
}

/// A strategy that does what it is told.
struct Script {
    acts: Vec<Act>,
    candles: usize,
    slippage: Bps,
}

impl Strategy for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn on_event(&mut self, context: Context<'_>, event: &Event, intents: &mut Vec<Intent>) {
        let Some(candle) = event.candle() else { return };
        let act = self.acts[self.candles % self.acts.len()];
        self.candles += 1;
        intents.extend(match act {
            Act::Wait => None,
            Act::Buy(usd) => {
                let usd = Usd::dollars(usd);
                context.buy(candle.pair, usd, self.slippage, Reason::TrendEntry)
            }
            Act::Sell => context.sell_all(candle.pair, self.slippage, Reason::TrendExit),
        });
    }

    fn digest(&self, digest: &mut Digest) {
        digest.add(&(self.candles as u64));
    }
}

/// Every effect with its time, as bytes that can be compared.
#[derive(Default)]
struct Journal(Vec<(Timestamp, String)>, Vec<Effect>);

impl Watch for Journal {
    fn effect(&mut self, at: Timestamp, effect: &Effect) {
        self.0.push((at, format!("{effect:?}")));
        self.1.push(effect.clone());
    }
}

fn enrolled(kinds: &[StrategyKind]) -> Vec<Enrolled> {
    let budget = Usd::dollars(10_000 / i64::try_from(kinds.len()).unwrap());
    let allowance = Allowance { budget, loss_limit: budget };
    kinds.iter().map(|kind| Enrolled { kind: kind.clone(), allowance }).collect()
}

fn all_kinds() -> [StrategyKind; 4] {
    [
        StrategyKind::Trend(trend::Params::default()),
        StrategyKind::Momentum(momentum::Params::default()),
        StrategyKind::MeanReversion(mean_reversion::Params::default()),
        StrategyKind::Arbitrage(arbitrage::Params::default()),
    ]
}

fn play(bars: &Bars, world: &World, acts: &[Act]) -> (Run, Journal) {
    let mut journal = Journal::default();
    let script = Script { acts: acts.to_vec(), candles: 0, slippage: Bps::capped(4_000) };
    let seat = enrolled(&[StrategyKind::Trend(trend::Params::default())]);
    let run = tape::run_with(bars, world, seat, vec![Box::new(script)], &mut journal).unwrap();
    (run, journal)
}

#[test]
fn one_trade_agrees_with_a_calculation_by_hand_to_the_atom() {
    // Decided at the close of bar 0, the purchase is filled at the open of bar 1: 100 dollars. Decided at the
    // close of bar 2, the sale is filled at the open of bar 3: 125 dollars. No other price may matter.
    let tape = bars(vec![
        candle(0, [9_900, 10_300, 9_800, 10_100], true),
        candle(1, [10_000, 11_900, 9_000, 11_800], false),
        candle(2, [11_900, 12_700, 11_000, 12_600], false),
        candle(3, [12_500, 19_000, 5_000, 13_000], false),
    ]);
    let (run, journal) = play(&tape, &world(), &[Act::Buy(1_000), Act::Wait, Act::Sell, Act::Wait]);

    // 500 000 dollars on each side: at 100 dollars 5 000 SOL, at 125 dollars 4 000 SOL.
    // Buy: 1 000 000 000 atoms in; the pool keeps 0.25 %: 2 500 000; 997 500 000 meet the curve:
    // 5 000 000 000 000 * 997 500 000 / (500 000 000 000 + 997 500 000) = 9 955 139 496.7, rounded down.
    // Sell: 9 955 139 496 in; 0.25 % is 24 887 848.74, rounded up; 9 930 251 647 meet the curve:
    // 500 000 000 000 * 9 930 251 647 / (4 000 000 000 000 + 9 930 251 647) = 1 238 207 527.x, rounded down.
    let [buy, sell] = run.fills[..] else { panic!("{:?}", run.fills) };
    assert!(buy.is_buy && !sell.is_buy);
    assert_eq!((buy.quote, buy.base), (Atoms::new(1_000_000_000), Atoms::new(9_955_139_496)));
    assert_eq!((sell.base, sell.quote), (Atoms::new(9_955_139_496), Atoms::new(1_238_207_527)));

    // The chain takes 5 000 lamports and 120 000 units at 10 000 millionths each: 6 200 lamports. The second order
    // asks for one unit more, so that no two orders are the same bytes: 6 200.01, rounded up. SOL stands at the
    // last close: 6 200 at 101 dollars are 626.2 millionths of a dollar, 6 201 at 126 dollars 781.3; both round up.
    assert_eq!([buy.fee, sell.fee], [Lamports::new(6_200), Lamports::new(6_201)]);
    assert_eq!(run.network_fees, Usd::new(627 + 782));
    // The pool kept 2 500 000 millionths, and 24 887 849 lamports at 126 dollars: 3 135 868.97, rounded up.
    assert_eq!(run.pool_fees, Usd::new(2_500_000 + 3_135_869));

    let [trade] = run.trades[..] else { panic!("{:?}", run.trades) };
    assert_eq!(trade.cost, Usd::new(1_000_000_000 + 627));
    assert_eq!(trade.proceeds, Usd::new(1_238_207_527));
    assert_eq!(trade.fee, Usd::new(782));
    assert_eq!(trade.profit, Usd::new(1_238_207_527 - 1_000_000_627 - 782));
    assert_eq!(run.held, [10_000_000_000 - 1_000_000_000 + 1_238_207_527, 0]);

    // Equity at the last close: the cash, less the fees at what they cost when they were paid.
    let equity = Usd::new(10_238_207_527 - 627 - 782);
    assert_eq!(run.points.last().unwrap().equity, equity);
    assert_eq!(run.points.len(), 4);

    // The times: half a second to a second after the decision, and after the open that filled it.
    let decided = Timestamp::from_millis(START_MS + HOUR_MS);
    let waited = buy.at.saturating_sub(decided).millis();
    assert!((500..=1_000).contains(&waited), "{waited} ms");
    let submitted = journal.1.iter().filter(|e| matches!(e, Effect::Submit(_))).count();
    assert_eq!(submitted, 2);
}

#[test]
fn our_own_size_moves_the_price_and_a_bound_that_is_passed_reverts() {
    let flat = [10_000; 4];
    let tape = bars((0..4).map(|hour| candle(hour, flat, hour == 0)).collect());
    let small = play(&tape, &world(), &[Act::Buy(10), Act::Wait, Act::Wait, Act::Wait]).0;
    let large = play(&tape, &world(), &[Act::Buy(5_000), Act::Wait, Act::Wait, Act::Wait]).0;
    let paid = |run: &Run| run.fills[0].quote.get() as f64 / run.fills[0].base.get() as f64;
    assert!(paid(&large) > paid(&small) * 1.009, "5000 of 500000 dollars move the price");

    // The price rises by a half between decision and landing: no minimum allows that.
    let jump = bars(vec![
        candle(0, flat, true),
        candle(1, [15_000; 4], false),
        candle(2, [15_000; 4], false),
    ]);
    let script = Script {
        acts: vec![Act::Buy(100), Act::Wait, Act::Wait],
        candles: 0,
        slippage: Bps::capped(100),
    };
    let seat = enrolled(&[StrategyKind::Trend(trend::Params::default())]);
    let run = tape::run_with(&jump, &world(), seat, vec![Box::new(script)], &mut ()).unwrap();
    assert_eq!((run.orders.reverted, run.orders.landed), (1, 0));
    assert_eq!(run.held, [10_000_000_000, 0], "nothing moved");
    assert!(run.network_fees > Usd::ZERO, "but the chain took its fee");
    assert!(run.points.last().unwrap().equity < Usd::dollars(10_000));
}

#[test]
fn an_order_in_flight_at_a_hole_expires_and_is_never_filled_beyond_it() {
    let flat = [10_000; 4];
    let tape = bars(vec![
        candle(0, flat, true),
        candle(1, flat, false),
        candle(500, [20_000; 4], true),
        candle(501, [20_000; 4], false),
    ]);
    let (run, journal) = play(&tape, &world(), &[Act::Wait, Act::Buy(100), Act::Wait, Act::Wait]);
    assert_eq!((run.orders.submitted, run.orders.expired, run.orders.landed), (1, 1, 0));
    assert_eq!(run.held, [10_000_000_000, 0]);
    let ended = journal.1.iter().find_map(|effect| match effect {
        Effect::Closed(closed) => Some((closed.at, closed.outcome.clone())),
        _ => None,
    });
    let (at, outcome) = ended.unwrap();
    assert_eq!(outcome, Outcome::Expired);
    assert_eq!(at.millis(), START_MS + 2 * HOUR_MS + 60_000, "when its blockhash is too old");
}

#[test]
fn orders_in_flight_at_the_end_of_the_tape_leave_nothing_reserved() {
    let flat = [10_000; 4];
    let tape = bars((0..2).map(|hour| candle(hour, flat, hour == 0)).collect());
    let (run, _) = play(&tape, &world(), &[Act::Wait, Act::Buy(100)]);
    assert_eq!((run.orders.submitted, run.orders.expired), (1, 1));
    assert_eq!(run.points.last().unwrap().equity, Usd::dollars(10_000));
}

#[test]
fn landing_odds_and_the_seed_decide_which_orders_land() {
    let flat = [10_000; 4];
    let tape = bars((0..400).map(|hour| candle(hour, flat, hour == 0)).collect());
    let with = |seed, landing| {
        let sim = SimSettings { seed, landing: Bps::capped(landing), ..SimSettings::default() };
        play(&tape, &World { sim, ..world() }, &[Act::Buy(10), Act::Sell]).0
    };
    let half = with(1, 5_000);
    assert!(half.orders.expired > 50 && half.orders.landed > 50, "{:?}", half.orders);
    assert_ne!(half.effects_hash, with(2, 5_000).effects_hash, "another seed, other luck");
    assert_eq!(half.effects_hash, with(1, 5_000).effects_hash);
    assert_eq!(with(1, 10_000).orders.expired, 1, "only what is in flight at the end of the tape");
}

/// A random walk in cents, with a hole here and there.
fn walk(steps: &[(i8, u8)]) -> Vec<Candle> {
    let (mut last, mut hour) = (10_000_i64, 0);
    let mut candles = Vec::with_capacity(steps.len());
    for (nth, (move_, width)) in steps.iter().enumerate() {
        let gap = *width > 250 && nth > 0;
        hour += if gap { 50 } else { 1 };
        let open = last;
        let close = (last + last * i64::from(*move_) / 1_000).max(100);
        let spread = i64::from(*width) / 4;
        let high = open.max(close) + spread;
        let low = (open.min(close) - spread).max(50);
        let quad = [open, high, low, close].map(|cents| u64::try_from(cents).unwrap());
        candles.push(candle(hour, quad, gap || nth == 0));
        last = close;
    }
    candles
}

fn steps(len: std::ops::Range<usize>) -> impl proptest::strategy::Strategy<Value = Vec<(i8, u8)>> {
    prop::collection::vec((-20_i8..=20, any::<u8>()), len)
}

/// Effects up to and including a time.
fn until(journal: &Journal, end: Timestamp) -> Vec<&(Timestamp, String)> {
    journal.0.iter().filter(|(at, _)| *at <= end).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_the_future_changes_anything_decided_before_it(
        past in steps(1..120),
        future in steps(1..60),
        other in steps(1..60),
    ) {
        let k = past.len();
        let both = [past.clone(), future].concat();
        let changed = [past, other].concat();
        let (one, two) = (walk(&both), walk(&changed));
        prop_assert_eq!(&one[..k], &two[..k]);
        let end = one[k - 1].start.saturating_add(one[k - 1].width);
        let acts = [Act::Buy(500), Act::Wait, Act::Sell];
        let (_, first) = play(&bars(one), &world(), &acts);
        let (_, second) = play(&bars(two), &world(), &acts);
        prop_assert_eq!(until(&first, end), until(&second, end));
        // The prefix really holds what was decided at bar k, not less.
        prop_assert!(first.0.iter().any(|(at, _)| *at == end));
    }

    #[test]
    fn every_strategy_repeats_itself_and_knows_nothing_of_the_future(seed in steps(900..1_000), cut in 300_usize..900) {
        let tape = walk(&seed);
        let mut shorter = tape.clone();
        shorter.truncate(cut);
        let end = shorter[cut - 1].start.saturating_add(shorter[cut - 1].width);
        let run = |candles: Vec<Candle>| {
            let mut journal = Journal::default();
            let run = tape::run(&bars(candles), &world(), enrolled(&all_kinds()), &mut journal).unwrap();
            (run, journal)
        };
        let (whole, all) = run(tape.clone());
        let (again, _) = run(tape);
        prop_assert_eq!(&whole.effects_hash, &again.effects_hash);
        prop_assert_eq!(&whole.points, &again.points);
        let (_, part) = run(shorter);
        prop_assert_eq!(until(&all, end), until(&part, end));
    }

    #[test]
    fn cash_and_holdings_are_what_the_fills_say(seed in steps(50..200)) {
        let (run, _) = play(&bars(walk(&seed)), &world(), &[Act::Buy(700), Act::Buy(300), Act::Sell]);
        let mut held = [10_000_000_000_i128, 0];
        for fill in &run.fills {
            let sign = if fill.is_buy { 1 } else { -1 };
            held[0] -= sign * i128::from(fill.quote.get());
            held[1] += sign * i128::from(fill.base.get());
        }
        prop_assert_eq!(run.held, held);
        prop_assert_eq!(run.orders.landed, run.fills.len() as u64);
        let orders = run.orders;
        prop_assert_eq!(orders.submitted, orders.landed + orders.reverted + orders.expired);
    }
}

#[test]
fn the_bars_of_real_recordings_are_traded_the_same_twice() {
    use clap::Parser;
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: sniperforge::backtest::BacktestArgs,
    }
    let market = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/market"));
    if !market.is_dir() {
        std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: shared/market absent\n"),
        )
        .ok();
        return;
    }
    for (symbol, strategy) in [("SOLUSDT", "all"), ("BTCUSDT", "trend"), ("ETHUSDT", "momentum")] {
        let run = || {
            let data = market.to_str().unwrap();
            let cli = Cli::parse_from([
                "backtest",
                "--data",
                data,
                "--symbol",
                symbol,
                "--interval",
                "1h",
                "--strategy",
                strategy,
            ]);
            sniperforge::backtest::run(&cli.args).unwrap()
        };
        let (one, two) = (run(), run());
        assert!(
            one.bars > 30_000 && one.gaps >= 10,
            "{symbol}: {} bars, {} gaps",
            one.bars,
            one.gaps
        );
        let hashes = |report: &sniperforge::backtest::BacktestReport| {
            let all = report.runs.iter().chain([&report.portfolio]);
            all.map(|run| run.effects_hash.clone()).collect::<Vec<_>>()
        };
        assert_eq!(hashes(&one), hashes(&two), "{symbol}");
        assert!(one.portfolio.metrics.trades > 20, "{symbol}: {:?}", one.portfolio.metrics);
        assert!(one.portfolio.notes.is_empty(), "{symbol}: {:?}", one.portfolio.notes);
    }
}
