//! A desk at which only the strategy for new pools sits, and a coin that launches.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]

use sniper_core::amm::{AccountUpdate, cpmm};
use sniper_core::engine::{Enrolled, MultiStrategyEngine};
use sniper_core::event::{Deltas, Effect, Event, MarketEvent, OrderEvent};
use sniper_core::ids::{Address, MintId, PoolId, Signature};
use sniper_core::order::{Order, Reason};
use sniper_core::portfolio::Allowance;
use sniper_core::risk::Refusal;
use sniper_core::strategy::StrategyKind;
use sniper_core::strategy::new_pool::Params;
use sniper_core::units::{Atoms, BlockHeight, Bps, Lamports, Slot, Usd};

use super::{Run, WSOL, account, config, mint, pool, reference, reserves, slot};

/// The new coin, and its pool against SOL: a million coins of six decimals for a hundred SOL.
pub const COIN: MintId = MintId(4);
pub const POOL: u32 = 3;
pub const COINS: u64 = 1_000_000_000_000;
pub const SOLS: u64 = 100_000_000_000;

pub struct Desk {
    pub run: Run,
    pub slot: u64,
    /// What one SOL buys of the coin's price: a hundred is where it began.
    pub percent: u64,
    /// The price may move while an order is wished for: then the two prices are apart for a moment.
    pub moves: bool,
}

pub fn params() -> Params {
    Params::default()
}

impl Desk {
    pub fn new(params: Params) -> Self {
        Self::with(params, Usd::dollars(1_000), |limits| limits)
    }

    pub fn with(
        params: Params,
        budget: Usd,
        change: impl FnOnce(sniper_core::risk::Limits) -> sniper_core::risk::Limits,
    ) -> Self {
        params.check().unwrap();
        let mut config = config(0);
        config.limits.orders_per_minute_max = 1_000;
        config.limits.losses_in_row_max = 0;
        config.limits.daily_loss_max = Usd::dollars(1_000_000);
        config.limits.drawdown_max = Bps::capped(9_999);
        config.limits = change(config.limits);
        let allowance = Allowance { budget, loss_limit: Usd::dollars(1_000_000) };
        config.strategies = vec![Enrolled { kind: StrategyKind::NewPool(params), allowance }];
        let mut run = Run::new(MultiStrategyEngine::new(config).unwrap());
        run.step(mint(Address::new_from_array([9; 32]), 6, "COIN", false));
        run.step(pool(13, [COIN, WSOL]));
        let fees = cpmm::Config { trade_fee_rate: 2_500, ..cpmm::Config::default() };
        run.step(account(POOL, 1, AccountUpdate::CpmmConfig(fees)));
        let mut desk = Self { run, slot: 10, percent: 100, moves: false };
        desk.pass(1, 100);
        desk
    }

    /// Time passes and the coin's price moves; what was approved on the way.
    pub fn pass(&mut self, seconds: i64, percent: u64) -> Vec<Order> {
        self.percent = percent;
        self.run.wait(seconds * 1_000_000);
        self.slot += 1;
        let mut orders = vec![];
        let sols = SOLS * percent / 100;
        // 150 dollars a SOL, so that a coin is worth 0.015 dollars at a hundred percent. The independent price is the
        // first to know: no order is approved while the two are far apart.
        let told = [
            &[reference(COIN, 15_000 * percent / 100, 1_000_000)],
            &reserves(0, self.slot, [10_000_000_000_000, 1_500_000_000_000])[..],
            &reserves(1, self.slot, [5_000_000_000_000, 750_000_000_000]),
            &reserves(POOL, self.slot, [COINS, sols]),
            &[slot(self.slot), reference(WSOL, 150_000_000, 1_000_000_000)],
        ];
        for event in told.concat() {
            orders.extend(self.step(event));
        }
        orders
    }

    pub fn step(&mut self, event: Event) -> Vec<Order> {
        let effects = self.run.step(event);
        let apart = Refusal::Collar;
        let refused = effects.iter().find(|effect| match effect {
            Effect::Refused { refusal, .. } => !self.moves || *refusal != apart,
            _ => false,
        });
        assert_eq!(refused, None, "it asks only for what it may have");
        let order = |effect| match effect {
            Effect::Submit(order) => Some(*order),
            _ => None,
        };
        effects.into_iter().filter_map(order).collect()
    }

    pub fn launch(&mut self, at: u64) -> Vec<Order> {
        self.step(Event::Market(MarketEvent::Launched { pool: PoolId(POOL), at: Slot::new(at) }))
    }

    pub fn judge(&mut self, safe: bool, at: u64) -> Vec<Order> {
        self.step(Event::Market(MarketEvent::Gate { mint: COIN, safe, at: Slot::new(at) }))
    }

    pub fn end(&mut self, order: &Order, event: OrderEvent) -> Vec<Order> {
        self.step(Event::Order(OrderEvent::Signed {
            order: order.id(),
            signature: Signature([7; 64]),
            last_valid: BlockHeight::new(1_000_000),
        }));
        self.step(Event::Order(event))
    }

    pub fn fill(&mut self, order: &Order) -> Vec<Order> {
        let signed = |amount: Atoms| i64::try_from(amount.get()).unwrap();
        let deltas: Deltas = [
            (order.mint_in(), -signed(order.amount_in())),
            (order.mint_out(), signed(order.expected_out())),
        ]
        .into_iter()
        .collect();
        let (id, slot) = (order.id(), Slot::new(self.slot));
        let (fee, rent) = (Lamports::new(6_200), Lamports::ZERO);
        self.end(order, OrderEvent::Filled { order: id, slot, deltas, fee, rent })
    }

    /// Launched and judged now: the purchase.
    pub fn purchase(&mut self) -> Order {
        let now = self.slot;
        assert_eq!(self.launch(now), []);
        let orders = self.judge(true, now);
        assert_eq!(orders.len(), 1, "one purchase");
        assert_eq!((orders[0].reason(), orders[0].mint_out()), (Reason::LaunchEntry, COIN));
        orders[0].clone()
    }

    /// Bought and filled.
    pub fn bought(params: Params) -> Self {
        let mut desk = Self::new(params);
        let order = desk.purchase();
        assert_eq!(desk.fill(&order), []);
        assert_eq!(desk.held(), order.expected_out());
        desk
    }

    pub fn held(&self) -> Atoms {
        self.run.engine.portfolio().held(COIN)
    }

    /// What is approved within a minute of nothing happening.
    pub fn waits(&mut self) {
        for _ in 0..30 {
            assert_eq!(self.pass(1, self.percent), []);
        }
    }
}

pub fn reason(orders: &[Order]) -> Reason {
    assert_eq!(orders.len(), 1, "one order, not {orders:?}");
    orders[0].reason()
}
