//! Laws that hold for a pool of every kind, through `Live` and the market alone: nothing here knows how a kind reckons.
//!
//! The pools are those that the fuzzer starts from.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "the fuzzer's own modules, and a test may panic"
)]

use proptest::prelude::*;
use proptest::sample::select;
use sniper_core::amm::dlmm::{Bin, BinArray};
use sniper_core::amm::{AccountUpdate, Clock, Kind, Live, PoolKind, PoolSpec, QuoteError, cpmm};
use sniper_core::event::{MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::market::Market;
use sniper_core::order::Hop;
use sniper_core::units::{Atoms, BlockHeight, Lamports, Slot, Timestamp};

#[path = "../../../fuzz/src/seeds/mod.rs"]
mod seeds;
#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use targets::KINDS;
use targets::input::{ASKS, Ask, Input};

const CLOCK: Clock = Clock { now: 1_750_000_000, slot: Slot::new(1_000), epoch: 800 };

/// A pool that trades: its fixed part, and its accounts in the order they come.
#[derive(Clone, Debug)]
struct World {
    kind: Kind,
    spec: PoolKind,
    updates: Vec<AccountUpdate>,
}

impl World {
    fn new(kind: Kind) -> Self {
        let (name, _) = KINDS.iter().find(|(_, known)| *known == kind).unwrap();
        let seeds = seeds::synthetic();
        let mut input = Input(&seeds[&format!("quote-{name}")][1]);
        let spec = targets::quote::pool_kind(kind, input.u8());
        let _: [Ask; ASKS] = std::array::from_fn(|_| input.ask());
        let shapes = targets::shape::shapes(kind);
        let mut updates = Vec::new();
        while !input.0.is_empty() {
            let (tag, _, length) = (input.u8(), input.u8(), input.u16());
            let bytes = input.take(usize::from(length));
            let shape = &shapes[usize::from(tag & 0x0f)];
            let raw = tag & targets::quote::tag::RAW != 0;
            let data = if raw { bytes.to_vec() } else { shape.fit(bytes) };
            updates.push(shape.decode(kind, &data).unwrap());
        }
        Self { kind, spec, updates }
    }

    fn live(&self, slot: Slot) -> Live {
        let mut live = Live::new(&self.spec, true);
        for update in &self.updates {
            live.apply(update, slot);
        }
        live
    }

    /// Two accounts that every swap writes, where there are two.
    fn moving(&self) -> Option<[&AccountUpdate; 2]> {
        let of = |wanted: fn(&AccountUpdate) -> bool| self.updates.iter().find(|one| wanted(one));
        let first = of(|one| matches!(one, AccountUpdate::Vault { second: false, .. }));
        let second = of(|one| matches!(one, AccountUpdate::Vault { second: true, .. }));
        let pool = of(|one| matches!(one, AccountUpdate::DlmmPool(_)));
        let bins = of(|one| matches!(one, AccountUpdate::DlmmBins(_)));
        Some([first.or(pool)?, second.or(bins)?])
    }

    /// An account that every swap writes, as it could be later.
    fn state(&self) -> AccountUpdate {
        let state = self.updates.iter().find_map(|update| {
            let mut update = update.clone();
            match &mut update {
                AccountUpdate::Vault { amount, .. } => *amount = Atoms::new(77_000_000_000),
                AccountUpdate::ClmmPool(pool) => pool.sqrt_price += 1 << 50,
                AccountUpdate::Whirlpool(pool) => pool.sqrt_price += 1 << 50,
                AccountUpdate::DlmmPool(pool) => pool.parameters.base_factor += 1,
                AccountUpdate::PumpCurve(curve) => curve.virtual_quote = Atoms::new(31_000_000_000),
                _ => return None,
            }
            Some(update)
        });
        state.unwrap()
    }
}

fn worlds() -> impl Strategy<Value = World> {
    select(Kind::ALL.map(World::new).to_vec())
}

fn amounts() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..1_000, 1_u64..1 << 24, 1_u64..1 << 36, any::<u64>()]
}

fn answers(live: &Live) -> Vec<String> {
    let of = |amount: u64, forward| {
        let amount = Atoms::new(amount);
        let asked = live.quote_exact_in(forward, amount, &CLOCK);
        format!("{asked:?} {:?}", live.quote_exact_out(forward, amount, &CLOCK))
    };
    [5_000, 10_000_000].into_iter().flat_map(|n| [of(n, true), of(n, false)]).collect()
}

proptest! {
    /// Each way alone costs more than the price in the middle: there and back on one state cannot gain.
    #[test]
    fn there_and_back_never_profits(world in worlds(), forward: bool, amount in amounts()) {
        let live = world.live(Slot::new(7));
        let Ok(there) = live.quote_exact_in(forward, Atoms::new(amount), &CLOCK) else {
            return Ok(());
        };
        if let Ok(back) = live.quote_exact_in(!forward, there.amount_out, &CLOCK) {
            prop_assert!(back.amount_out.get() <= amount, "{:?}: {there:?} {back:?}", world.kind);
        }
    }

    #[test]
    fn more_in_gives_no_less_out_but_for_each_fee_rounded_up(
        world in worlds(), forward: bool, low in amounts(), more in amounts(),
    ) {
        let live = world.live(Slot::new(7));
        let quote = |amount| live.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
        if let (Ok(small), Ok(large)) = (quote(low), quote(low.saturating_add(more))) {
            // PumpSwap rounds three fees of the quote mint; its seed has 180 atoms of that for each of the coin's.
            let slack = if world.kind == Kind::PumpSwap || world.kind == Kind::PumpCurve { 2 } else { 0 };
            prop_assert!(small.amount_out.get() <= large.amount_out.get() + slack, "{small:?} {large:?}");
        }
    }

    #[test]
    fn an_exact_output_costs_something_and_brings_what_was_asked(
        world in worlds(), forward: bool, amount in amounts(),
    ) {
        let live = world.live(Slot::new(7));
        if let Ok(bought) = live.quote_exact_out(forward, Atoms::new(amount), &CLOCK) {
            prop_assert!(bought.amount_out.get() >= amount && bought.amount_in > Atoms::ZERO);
        }
    }

    /// Fails on unguarded arithmetic with times: a clock is somebody else's number.
    #[test]
    fn a_clock_of_any_time_gives_an_answer(
        world in worlds(), forward: bool, amount in amounts(),
        now in prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX), any::<i64>()],
        (slot, epoch) in prop_oneof![Just((0, 0)), Just((u64::MAX, u64::MAX)), any::<(u64, u64)>()],
    ) {
        let live = world.live(Slot::new(7));
        let clock = Clock { now, slot: Slot::new(slot), epoch };
        let sold = live.quote_exact_in(forward, Atoms::new(amount), &clock);
        let detail = live.detail_exact_in(forward, Atoms::new(amount), &clock);
        live.quote_exact_out(forward, Atoms::new(amount), &clock).ok();
        if let Ok(detail) = detail {
            prop_assert_eq!(Ok(detail.quote), sold);
        }
    }

    /// Fails when a close takes an account back, loses a newer one, or calls a pool settled that is not: it stands for
    /// both vaults and, where nothing was seen later, for a state that is what it was.
    #[test]
    fn a_close_is_both_vaults_and_the_state_as_it_was(
        story in prop::collection::vec(
            (0_u64..6, 0_usize..5, prop::array::uniform2(1_u64..1 << 40), 0_u64..1_000), 1..24,
        ),
        seen in prop::option::of(Just(Slot::new(2))),
    ) {
        let world = World::new(Kind::Cpmm);
        let new = || seen.map_or_else(|| Live::new(&world.spec, true), |slot| world.live(slot));
        let (mut closed, mut apart) = (new(), new());
        let mut slots = [seen; 3];
        let mut last = world.updates.iter().find_map(|update| match update {
            AccountUpdate::CpmmPool(state) => seen.and(Some(*state)),
            _ => None,
        });
        for (slot, which, vaults, fees) in story {
            let slot = Slot::new(slot);
            let vaults = vaults.map(Atoms::new);
            let state = cpmm::PoolState {
                protocol_fees: [Atoms::new(fees); 2], ..cpmm::PoolState::default()
            };
            let each = [
                AccountUpdate::Vault { second: false, amount: vaults[0] },
                AccountUpdate::Vault { second: true, amount: vaults[1] },
                AccountUpdate::CpmmPool(state),
            ];
            let stands = slots.iter().all(|known| known.is_some_and(|known| known <= slot));
            if let Some(alone) = each.get(which) {
                closed.apply(alone, slot);
                apart.apply(alone, slot);
                if which == 2 && slots[2].is_none_or(|known| known <= slot) {
                    last = Some(state);
                }
            } else {
                closed.refill(vaults, slot);
                each[..2].iter().for_each(|vault| apart.apply(vault, slot));
                if let Some(state) = last.filter(|_| stands) {
                    apart.apply(&AccountUpdate::CpmmPool(state), slot);
                }
            }
            let told = match which { 0 => 0..1, 1 => 1..2, 2 => 2..3, _ if stands => 0..3, _ => 0..2 };
            for known in &mut slots[told] {
                *known = (*known).max(Some(slot));
            }
            prop_assert_eq!(closed.is_torn(), apart.is_torn());
            prop_assert_eq!(closed.slot(), apart.slot());
            prop_assert_eq!(closed.vaults(), apart.vaults());
            prop_assert_eq!(answers(&closed), answers(&apart));
        }
    }

    /// Fails when a forgotten array stays in a curve, or in what waits for one.
    #[test]
    fn an_array_that_was_forgotten_is_as_one_never_told_of(
        world in worlds(), forward: bool, amount in amounts(), which: prop::sample::Index, torn in 0..3,
    ) {
        let (at, later) = (Slot::new(7), Slot::new(9));
        let whole = world.live(at);
        let known = whole.known_arrays();
        if known.is_empty() {
            return Ok(());
        }
        let array = *which.get(&known);
        let told = |update: &&AccountUpdate| update.array() == Some(array);
        let (mut less, mut never) = (Live::new(&world.spec, true), Live::new(&world.spec, true));
        for update in &world.updates {
            less.apply(update, at);
            if !told(&update) {
                never.apply(update, at);
            }
        }
        match torn {
            0 => {}
            // It is told of anew, but the price's own account has not followed yet.
            1 => less.apply(world.updates.iter().find(told).unwrap(), later),
            // The price moves in one account, and the others have not followed yet.
            _ => [&mut less, &mut never].into_iter().for_each(|live| live.apply(&world.state(), later)),
        }
        less.forget(array);
        prop_assert!(!less.known_arrays().contains(&array));
        less.settle_before(Slot::new(20));
        never.settle_before(Slot::new(20));
        prop_assert_eq!(answers(&less), answers(&never));
        if torn == 0 {
            let quote = |live: &Live| live.quote_exact_in(forward, Atoms::new(amount), &CLOCK);
            let (before, after) = (quote(&whole), quote(&less));
            prop_assert!(after == before || after == Err(QuoteError::MissingArray), "{after:?}");
            less.apply(world.updates.iter().find(told).unwrap(), later);
            less.settle_before(Slot::new(20));
            prop_assert_eq!(answers(&less), answers(&whole), "seen anew");
        }
    }

    #[test]
    fn accounts_may_come_in_any_order(world in worlds(), order in any::<[prop::sample::Index; 12]>()) {
        let mut shuffled = world.clone();
        for (at, index) in order.iter().enumerate().take(world.updates.len()) {
            shuffled.updates.swap(at, index.index(world.updates.len()));
        }
        let slot = Slot::new(7);
        prop_assert_eq!(answers(&shuffled.live(slot)), answers(&world.live(slot)));
    }
}

#[test]
fn a_pool_all_of_whose_arrays_were_forgotten_says_that_they_are_missing() {
    for kind in [Kind::Clmm, Kind::Whirlpool, Kind::Dlmm] {
        let world = World::new(kind);
        let mut live = world.live(Slot::new(7));
        let quote = |live: &Live, way| live.quote_exact_in(way, Atoms::new(5_000), &CLOCK);
        assert!(quote(&live, true).is_ok() || quote(&live, false).is_ok(), "{kind:?}");
        let (known, near) = (live.known_arrays(), live.around(3));
        assert!(!known.is_empty() && !near.is_empty(), "{kind:?}");
        known.iter().for_each(|array| live.forget(*array));
        for forward in [true, false] {
            let missing = quote(&live, forward);
            assert_eq!(missing, Err(QuoteError::MissingArray), "{kind:?} {forward}");
        }
        assert_eq!(live.around(3), near, "the price is where it was");
        assert_eq!(live.refollow(&[]).take, live.around(4));
    }
}

#[test]
fn a_pool_is_unknown_until_its_last_account_has_come() {
    for kind in Kind::ALL {
        let world = World::new(kind);
        let mut live = Live::new(&world.spec, true);
        assert_eq!(live.state(), Err(QuoteError::Unknown), "{kind:?}");
        let needed = world.updates.iter().filter(|update| {
            // Arrays, bitmaps and the oracle of a fee that does not adapt are needed by some swaps alone.
            let ticks =
                matches!(update, AccountUpdate::ClmmTicks(_) | AccountUpdate::WhirlpoolTicks(_));
            let maps =
                matches!(update, AccountUpdate::ClmmBitmap(_) | AccountUpdate::DlmmBitmap(_));
            let oracle = matches!(update, AccountUpdate::WhirlpoolOracle(_));
            !ticks && !maps && !oracle && !matches!(update, AccountUpdate::DlmmBins(_))
        });
        for update in needed {
            assert!(live.quote_exact_in(true, Atoms::new(5_000), &CLOCK).is_err(), "{kind:?}");
            assert!(!live.is_settled(), "{kind:?}");
            live.apply(update, Slot::new(7));
        }
        assert!(live.is_settled() && live.state() == Ok(()), "{kind:?}");
        assert_eq!(live.kind(), kind);
    }
}

#[test]
fn accounts_that_disagree_are_torn_until_they_agree_or_time_has_passed() {
    let mut with_two = 0;
    for kind in Kind::ALL {
        let world = World::new(kind);
        let Some([first, second]) = world.moving() else { continue };
        with_two += 1;
        let mut live = world.live(Slot::new(7));
        live.apply(first, Slot::new(9));
        assert!(live.is_torn() && !live.is_settled(), "{kind:?}");
        live.settle_before(Slot::new(10));
        assert!(live.is_torn(), "{kind:?}: one slot races with notices under way");
        let mut late = live.clone();
        late.settle_before(Slot::new(11));
        assert!(late.is_settled(), "{kind:?}");
        live.apply(second, Slot::new(9));
        for update in &world.updates {
            live.apply(update, Slot::new(9));
        }
        assert!(live.is_settled(), "{kind:?}");
    }
    assert_eq!(with_two, 4, "the two vaults of three kinds, and a pool with its bins");
}

/// A swap out of one array of bins into the next writes both, and the pool. Which notice comes first is chance: with the
/// pool and the array that it left alone, the active bin would be one that somebody has already bought from.
#[test]
fn a_pool_that_moved_on_waits_for_the_array_it_moved_to() {
    let world = World::new(Kind::Dlmm);
    let find = |wanted: fn(&AccountUpdate) -> bool| {
        world.updates.iter().find(|update| wanted(update)).unwrap().clone()
    };
    let left = find(|update| matches!(update, AccountUpdate::DlmmBins(_)));
    let AccountUpdate::DlmmPool(mut state) =
        find(|update| matches!(update, AccountUpdate::DlmmPool(_)))
    else {
        unreachable!()
    };
    state.bitmap[8] |= 0b10;
    let bin = Bin { place: 5, amounts: [Atoms::new(900_000_000); 2], ..Bin::default() };
    let entered = AccountUpdate::DlmmBins(Box::new(BinArray { index: 1, bins: vec![bin] }));
    let mut before = world.live(Slot::new(7));
    before.apply(&AccountUpdate::DlmmPool(state.clone()), Slot::new(7));
    before.apply(&entered, Slot::new(7));
    assert!(before.is_settled());
    state.active = 75;
    let moved = AccountUpdate::DlmmPool(state);
    let notices = [&left, &moved, &entered];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut live = before.clone();
        let mut come = [false; 3];
        for nth in order {
            live.apply(notices[nth], Slot::new(9));
            come[nth] = true;
            let [left, moved, entered] = come;
            // Before the pool has come, what it was counts; from then on, the array that it is in.
            let torn = if moved { !entered } else { left };
            assert_eq!(live.is_torn(), torn, "{order:?} {come:?}");
        }
        let known = answers(&live);
        let empty = BinArray { index: 1, bins: Vec::new() };
        live.apply(&AccountUpdate::DlmmBins(Box::new(empty)), Slot::new(8));
        assert_eq!(answers(&live), known, "an older state of the array it is in");
    }
}

#[test]
fn an_older_state_changes_nothing_and_a_newer_one_does() {
    for kind in Kind::ALL {
        let world = World::new(kind);
        let (before, state) = (world.live(Slot::new(7)), world.state());
        let mut live = before.clone();
        live.apply(&state, Slot::new(6));
        assert_eq!(answers(&live), answers(&before), "{kind:?}");
        for update in world.updates.iter().chain([&state]) {
            live.apply(update, Slot::new(8));
        }
        assert!(live.is_settled(), "{kind:?}");
        assert_ne!(answers(&live), answers(&before), "{kind:?}: the state says something");
    }
}

/// What cannot be used yet is kept once for each account, however often it comes: a feed never ends.
#[test]
fn accounts_that_wait_for_others_do_not_pile_up() {
    for kind in Kind::ALL {
        let world = World::new(kind);
        for left_out in 0..world.updates.len() {
            let mut live = Live::new(&world.spec, true);
            let mut size = 0;
            for round in 0..20 {
                for (at, update) in world.updates.iter().enumerate() {
                    if at != left_out {
                        // Every account at a slot of its own, so that none agrees with another.
                        live.apply(update, Slot::new(round * 100 + at as u64));
                    }
                }
                let now = format!("{live:?}").len();
                let first = size == 0;
                size = if first { now } else { size };
                assert!(now <= size * 2, "{kind:?}: {now} after {round} rounds, {size} after one");
            }
        }
    }
}

#[test]
fn a_pool_of_a_mint_that_is_not_plain_gives_no_quote() {
    for kind in Kind::ALL {
        let world = World::new(kind);
        let mut live = Live::new(&world.spec, false);
        for update in &world.updates {
            live.apply(update, Slot::new(7));
        }
        for forward in [true, false] {
            let sold = live.quote_exact_in(forward, Atoms::new(5_000), &CLOCK);
            assert_eq!(sold, Err(QuoteError::Unsupported), "{kind:?}");
            assert_eq!(live.spot_price(forward), None, "{kind:?}");
        }
    }
}

/// A pool of a kind in a market with its two mints.
struct Desk {
    market: Market,
    world: World,
}

impl Desk {
    fn new(kind: Kind) -> Self {
        let world = World::new(kind);
        let market = Market::new(Timestamp::ZERO, Timestamp::SECOND);
        let mut desk = Self { market, world };
        for nth in [1, 2] {
            desk.apply(MarketEvent::Mint(MintSpec {
                address: Address::new_from_array([nth; 32]),
                token_program: Address::new_from_array([3; 32]),
                decimals: 6,
                symbol: Symbol::new("X"),
                is_usd: nth == 2,
                plain: true,
                trusted: true,
                rent: Lamports::ZERO,
            }));
        }
        let (address, mints) = (Address::new_from_array([4; 32]), [MintId(1), MintId(2)]);
        let spec = PoolSpec { address, mints, kind: desk.world.spec.clone() };
        desk.apply(MarketEvent::Pool(Box::new(spec)));
        desk
    }

    fn apply(&mut self, event: MarketEvent) {
        let at = Timestamp::new(1_750_000_000_000_000);
        self.market.apply(&event, at, &mut Vec::new());
    }

    fn feed(&mut self, slot: u64) {
        for update in self.world.updates.clone() {
            let slot = Slot::new(slot);
            self.apply(MarketEvent::Account { pool: PoolId(0), slot, update });
        }
    }

    fn quote(&self) -> bool {
        let hop = Hop { pool: PoolId(0), mint_in: MintId(1), mint_out: MintId(2) };
        self.market.quote(hop, Atoms::new(10_000_000)).is_ok()
    }

    fn settled(&self) -> bool {
        self.market.pool(PoolId(0)).unwrap().live.is_settled()
    }
}

#[test]
fn a_lost_pool_is_unknown_until_all_of_it_is_seen_anew_whatever_the_slot() {
    for kind in Kind::ALL {
        let mut desk = Desk::new(kind);
        desk.feed(50);
        assert!(desk.quote() && desk.settled(), "{kind:?}");
        desk.apply(MarketEvent::Lost { pool: PoolId(0) });
        assert!(!desk.quote() && !desk.settled(), "{kind:?}");
        // A node that is behind may tell it: there is nothing left to be older than.
        desk.feed(40);
        assert!(desk.quote() && desk.settled(), "{kind:?}");
    }
}

#[test]
fn a_torn_pool_of_the_market_is_settled_by_the_chain_going_on() {
    for kind in Kind::ALL {
        let mut desk = Desk::new(kind);
        desk.feed(50);
        let Some([first, _]) = desk.world.moving().map(|pair| pair.map(Clone::clone)) else {
            continue;
        };
        let slot = Slot::new(52);
        desk.apply(MarketEvent::Account { pool: PoolId(0), slot, update: first });
        assert!(!desk.settled(), "{kind:?}");
        for (slot, settled) in [(53, false), (54, true)] {
            let (slot, height) = (Slot::new(slot), BlockHeight::new(slot));
            desk.apply(MarketEvent::Slot { slot, height });
            assert_eq!(desk.settled(), settled, "{kind:?}");
        }
    }
}
