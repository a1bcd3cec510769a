//! The scanner's table against a plain map, and its figures against big integers.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    reason = "a test may panic"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ruint::aliases::U512;
use sniper_core::ids::Address;
use sniper_core::scan::figures::{self, Flow, RATE_WHOLE, Side, Volatility};
use sniper_core::scan::{
    Anchor, Applied, Flags, Kind, NewPool, Place, PoolTable, Row, RowId, Sweep, TableError, Terms,
    Verdict,
};
use sniper_core::stats::bulk;
use sniper_core::units::{Atoms, Slot};

fn big(value: u64) -> U512 {
    U512::from(value)
}

/// Two kinds of addresses: spread over all bits, and all but one byte the same.
fn address(kind: u8, n: u64) -> Address {
    let mut bytes = [kind; 32];
    bytes[24..].copy_from_slice(&n.to_le_bytes());
    Address::new_from_array(bytes)
}

fn pool(n: u8) -> Address {
    address(1, u64::from(n))
}

fn mint(n: u8) -> Address {
    address(2, u64::from(n))
}

const DEPTH_MIN: u64 = 1_000_000;

fn table() -> PoolTable {
    let anchor = |n| Anchor { mint: mint(n), depth_min: Atoms::new(DEPTH_MIN) };
    PoolTable::new(&[anchor(0), anchor(1)], 0).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Insert { pool: u8, mints: [u8; 2], reserves: [u64; 2], rates: [u32; 2], flags: bool, slot: u64 },
    Update { pool: u8, reserves: [u64; 2], slot: u64 },
    Terms { pool: u8, rates: [u32; 2], flags: bool },
    Remove { pool: u8 },
    Sweep,
}

/// All there is, with a stress on the ends of the range.
fn reserve() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => Just(0_u64), 1 => Just(1), 1 => Just(u64::MAX),
        // Close together, so that prices are too.
        4 => 999_000_000_u64..1_001_000_000,
        2 => 1_u64..u64::MAX,
    ]
}

fn rate() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0_u32..5_000, 1 => Just(0), 1 => Just(RATE_WHOLE), 1 => any::<u32>()]
}

fn step() -> impl Strategy<Value = Step> {
    let two = |of: fn() -> BoxedStrategy<u64>| [of(), of()];
    let reserves = two(|| reserve().boxed());
    let insert = (0_u8..40, [0_u8..5, 0_u8..5], reserves.clone(), [rate(), rate()], any::<bool>())
        .prop_map(|(pool, mints, reserves, rates, flags)| (pool, mints, reserves, rates, flags));
    prop_oneof![
        5 => (insert, 0_u64..60).prop_map(|((pool, mints, reserves, rates, flags), slot)| {
            Step::Insert { pool, mints, reserves, rates, flags: flags && slot % 4 == 0, slot }
        }),
        5 => (0_u8..40, reserves, 0_u64..60)
            .prop_map(|(pool, reserves, slot)| Step::Update { pool, reserves, slot }),
        1 => (0_u8..40, [rate(), rate()], any::<bool>())
            .prop_map(|(pool, rates, flags)| Step::Terms { pool, rates, flags }),
        3 => (0_u8..40).prop_map(|pool| Step::Remove { pool }),
        1 => Just(Step::Sweep),
    ]
}

/// What the table must hold, in the simplest way.
#[derive(Default)]
struct Model {
    pools: BTreeMap<Address, Row>,
    mints: Vec<Address>,
}

fn terms(rates: [u32; 2], off: bool) -> Terms {
    Terms { rates, flags: if off { Flags::SWAPS_OFF } else { Flags::NONE } }
}

fn capped(terms: Terms) -> Terms {
    Terms { rates: terms.rates.map(|rate| rate.min(RATE_WHOLE)), ..terms }
}

impl Model {
    fn know(&mut self, mint: Address) -> usize {
        self.mints.iter().position(|m| *m == mint).unwrap_or_else(|| {
            self.mints.push(mint);
            self.mints.len() - 1
        })
    }

    fn insert(&mut self, pool: &NewPool, slot: Slot) -> Result<bool, TableError> {
        if let Some(row) = self.pools.get_mut(&pool.address) {
            if row.mints != pool.mints || row.kind != pool.kind {
                return Err(TableError::Different(pool.address));
            }
            if slot >= row.slot {
                (row.slot, row.reserves, row.terms) = (slot, pool.reserves, capped(pool.terms));
            }
            return Ok(false);
        }
        if pool.mints[0] == pool.mints[1] {
            return Err(TableError::SameMint(pool.address));
        }
        let NewPool { address, kind, mints, reserves, terms } = *pool;
        for mint in mints {
            self.know(mint);
        }
        let row = Row { address, kind, mints, reserves, terms: capped(terms), slot, since: slot };
        self.pools.insert(address, row);
        Ok(true)
    }

    /// As base and quote.
    fn side(&self, row: &Row) -> ([Address; 2], Side) {
        let [first, second] = row.mints.map(|mint| self.mints.iter().position(|m| *m == mint));
        let turn = first < second;
        let order = |[a, b]: [u64; 2]| if turn { [b, a] } else { [a, b] };
        let rates = order(row.terms.rates.map(u64::from)).map(|rate| rate as u32);
        let [base, quote] = if turn { [row.mints[1], row.mints[0]] } else { row.mints };
        ([base, quote], Side { reserves: order(row.reserves.map(Atoms::get)), rates })
    }

    /// The widest gap of every pair, the slow way.
    fn widest(&self) -> BTreeMap<[Address; 2], u64> {
        let sides: Vec<_> = self
            .pools
            .values()
            .filter(|row| row.terms.flags.is_clear())
            .map(|row| self.side(row))
            .collect();
        let mut best = BTreeMap::new();
        for (pair, buy) in &sides {
            for (_, sell) in sides.iter().filter(|(other, _)| other == pair) {
                if let Some(edge) = exact_edge(buy, sell) {
                    let entry = best.entry(*pair).or_insert(edge);
                    *entry = edge.max(*entry);
                }
            }
        }
        best
    }
}

fn exact_edge(buy: &Side, sell: &Side) -> Option<u64> {
    if buy.reserves.contains(&0) || sell.reserves.contains(&0) {
        return None;
    }
    let keep = |rate: u32| big(u64::from(RATE_WHOLE - rate));
    let million = big(u64::from(RATE_WHOLE));
    let bid =
        big(sell.reserves[1]) * keep(sell.rates[0]) * big(buy.reserves[0]) * keep(buy.rates[1]);
    let ask = big(buy.reserves[1]) * million * big(sell.reserves[0]) * million;
    (bid > ask).then(|| ((bid - ask) * million / ask).try_into().unwrap_or(u64::MAX))
}

fn exact_depth(quote: u64, rate: u32) -> Option<u64> {
    if quote == 0 || rate >= RATE_WHOLE {
        return None;
    }
    // The root of 101 q^2 / 100, rounded up: of 101 q^2 * 100 over 100.
    let square = big(quote) * big(quote) * big(10_100);
    let root = square.root(2);
    let root = if root * root < square { root + big(1) } else { root };
    let counted = root.div_ceil(big(100)) - big(quote);
    let gross = (counted * big(1_000_000)).div_ceil(big(u64::from(RATE_WHOLE - rate)));
    gross.try_into().ok()
}

fn row_of(table: &PoolTable, address: &Address) -> Option<RowId> {
    match table.find(address) {
        Some(Place::Constant(row)) => Some(row),
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

fn compare(table: &mut PoolTable, model: &Model, rows: &BTreeMap<Address, RowId>) {
    assert_eq!(table.len(), model.pools.len());
    let mut found = Sweep::default();
    table.sweep(&mut found);
    let widest = model.widest();
    let mut verdicts = BTreeMap::new();
    for verdict in &found.verdicts {
        let rows = [verdict.buy, verdict.sell].map(|row| table.get(row).unwrap());
        let (pair, buy) = model.side(&rows[0]);
        let (_, sell) = model.side(&rows[1]);
        let exact = exact_edge(&buy, &sell).unwrap();
        assert!(verdict.edge <= exact && exact - verdict.edge <= 1 + (exact >> 20));
        assert_eq!(exact, widest[&pair], "another two of the pair are further apart");
        assert!(verdicts.insert(pair, ()).is_none(), "one verdict a pair");
    }
    assert_eq!(verdicts.len(), widest.len(), "a gap was missed");
    let mut deep = 0;
    for n in 0..40 {
        let row = row_of(table, &pool(n));
        assert_eq!(row, rows.get(&pool(n)).copied());
        let Some(row) = row else { continue };
        let want = &model.pools[&pool(n)];
        assert_eq!(table.get(row).unwrap(), *want);
        let ([base, quote], side) = model.side(want);
        let figures = table.figures(row, Slot::new(100)).unwrap();
        assert_eq!(table.moves(row), Some((figures.volatility, figures.price.is_some())));
        assert_eq!((figures.base, figures.quote), (base, quote));
        assert_eq!(figures.age, 100 - want.since.get());
        let depth = exact_depth(side.reserves[1], side.rates[1]);
        assert_eq!(figures.depth.map(Atoms::get), depth);
        let is_deep = (quote == mint(0) || quote == mint(1)) && depth >= Some(DEPTH_MIN);
        assert_eq!((figures.deep, table.was_deep(row)), (is_deep, is_deep));
        deep += usize::from(is_deep);
        check_verdict(table, model, want, row, figures.verdict);
    }
    assert_eq!((found.pools, found.deep), (model.pools.len(), deep));
    let priced = model.pools.values().filter(|pool| !pool.reserves.contains(&Atoms::ZERO));
    assert_eq!(found.priced, priced.count());
}

/// The best of one pool against all others of its pair.
fn check_verdict(table: &PoolTable, model: &Model, own: &Row, row: RowId, got: Option<Verdict>) {
    let (pair, side) = model.side(own);
    let others = model.pools.values().filter(|other| {
        other.address != own.address && other.terms.flags.is_clear() && model.side(other).0 == pair
    });
    let both = |other: &Row| {
        let (_, other) = model.side(other);
        exact_edge(&side, &other).max(exact_edge(&other, &side))
    };
    let best = if own.terms.flags.is_clear() { others.filter_map(both).max() } else { None };
    assert_eq!(got.is_some(), best.is_some());
    if let (Some(got), Some(best)) = (got, best) {
        assert!(got.edge <= best && best - got.edge <= 1 + (best >> 20));
        assert!(got.buy == row || got.sell == row);
        assert!(table.get(got.buy).is_some() && table.get(got.sell).is_some());
    }
}

proptest! {
    #[test]
    fn the_table_is_a_map_after_any_steps(steps in prop::collection::vec(step(), 1..120)) {
        let mut table = table();
        let mut model = Model { mints: vec![mint(0), mint(1)], ..Model::default() };
        let mut rows = BTreeMap::new();
        let mut changed = BTreeSet::new();
        for step in steps {
            let before: BTreeMap<_, _> = model.pools.iter().map(|(a, p)| (*a, p.reserves)).collect();
            match step {
                Step::Insert { pool: n, mints, reserves, rates, flags, slot } => {
                    let new = NewPool {
                        address: pool(n),
                        kind: if n % 2 == 0 { Kind::Cpmm } else { Kind::AmmV4 },
                        mints: mints.map(mint),
                        reserves: reserves.map(Atoms::new),
                        terms: terms(rates, flags),
                    };
                    let got = table.insert(&new, Slot::new(slot));
                    prop_assert_eq!(got.map(|got| got.new), model.insert(&new, Slot::new(slot)));
                    if let Ok(got) = got {
                        let known = rows.insert(pool(n), got.row);
                        prop_assert!(known.is_none_or(|row| row == got.row), "rows are stable");
                    }
                }
                Step::Update { pool: n, reserves, slot } => {
                    let (reserves, slot) = (reserves.map(Atoms::new), Slot::new(slot));
                    let Some(row) = rows.get(&pool(n)) else { continue };
                    let known = model.pools.get_mut(&pool(n)).unwrap();
                    let want = if slot < known.slot {
                        Applied::Stale
                    } else {
                        known.slot = slot;
                        let before = std::mem::replace(&mut known.reserves, reserves);
                        if before == reserves { Applied::Same } else { Applied::Changed }
                    };
                    prop_assert_eq!(table.update(*row, reserves, slot), Ok(want));
                }
                Step::Terms { pool: n, rates, flags } => {
                    let Some(row) = rows.get(&pool(n)) else { continue };
                    table.set_terms(*row, terms(rates, flags)).unwrap();
                    model.pools.get_mut(&pool(n)).unwrap().terms = capped(terms(rates, flags));
                }
                Step::Remove { pool: n } => {
                    let row = rows.remove(&pool(n));
                    prop_assert_eq!(table.remove(&pool(n)), row);
                    model.pools.remove(&pool(n));
                    if let Some(row) = row {
                        prop_assert_eq!(table.get(row), None);
                        let gone = table.update(row, [Atoms::ZERO; 2], Slot::new(99));
                        prop_assert_eq!(gone, Err(TableError::Unknown(row.get())));
                    }
                }
                Step::Sweep => {
                    compare(&mut table, &model, &rows);
                    for row in (0..u32::try_from(table.rows()).unwrap() + 1).map(RowId::new) {
                        prop_assert_eq!(table.take_change(row), changed.remove(&row));
                        prop_assert!(!table.take_change(row), "told once");
                    }
                }
            }
            for (address, known) in &model.pools {
                if before.get(address).copied().unwrap_or_default() != known.reserves {
                    changed.insert(rows[address]);
                }
            }
            changed.retain(|row| rows.values().any(|known| known == row));
        }
        compare(&mut table, &model, &rows);
    }

    #[test]
    fn an_edge_is_the_exact_one_or_just_below(
        a in [reserve(), reserve()], b in [reserve(), reserve()],
        rates in [0..=RATE_WHOLE, 0..=RATE_WHOLE, 0..=RATE_WHOLE, 0..=RATE_WHOLE],
    ) {
        let buy = Side { reserves: a, rates: [rates[0], rates[1]] };
        let sell = Side { reserves: b, rates: [rates[2], rates[3]] };
        let exact = exact_edge(&buy, &sell);
        let got = figures::edge(&buy, &sell);
        prop_assert_eq!(got.is_some(), exact.is_some(), "whether there is one is exact");
        if let (Some(got), Some(exact)) = (got, exact) {
            prop_assert!(got <= exact && exact - got <= 1 + (exact >> 20), "{} for {}", got, exact);
        }
    }

    #[test]
    fn a_depth_is_the_exact_one(quote in reserve(), rate in 0..=RATE_WHOLE) {
        let depth = figures::depth(quote, rate).map(Atoms::get);
        prop_assert_eq!(depth, exact_depth(quote, rate));
    }

    #[test]
    fn floats_are_within_their_bound_of_the_integers(
        base in 1_u64.., quote in 1_u64.., rate in 0..RATE_WHOLE,
    ) {
        let (mut price, mut depth) = ([0.0], [0.0]);
        bulk::price_and_depth(&[[base, quote]], &[[0, rate]], &mut price, &mut depth);
        prop_assert_eq!(price[0].to_bits(), bulk::price([base, quote]).to_bits());
        // A float is a whole number over a power of two: compare |price * base - quote| * 2^50 with quote.
        let shift = 200;
        let scaled = exact_bits(price[0], shift);
        let (left, right) = (scaled * big(base), big(quote) << shift);
        let gap = if left > right { left - right } else { right - left };
        prop_assert!(gap << 50 <= right, "price off");
        if let Some(exact) = figures::depth(quote, rate) {
            prop_assert_eq!(depth[0] == f64::INFINITY, rate > RATE_WHOLE / 2);
            let scaled = exact_bits(depth[0], 64);
            let exact = big(exact.get()) << 64;
            let gap = if scaled > exact { scaled - exact } else { exact - scaled };
            let whole = big(3) << 64;
            let good = gap <= whole + (exact >> 49);
            prop_assert!(good || rate > RATE_WHOLE / 2, "depth {} for {}", depth[0], exact >> 64);
        }
    }

    #[test]
    fn a_move_is_the_exact_one_rounded_up(
        a in [reserve(), reserve()], b in [reserve(), reserve()],
    ) {
        let got = figures::moved(a, b);
        prop_assert_eq!(got.is_none(), a.contains(&0) || b.contains(&0));
        if let Some(got) = got {
            let (new, old) = (big(b[1]) * big(a[0]), big(a[1]) * big(b[0]));
            let gap = if new > old { new - old } else { old - new };
            let exact = (gap * big(1_000_000)).div_ceil(old);
            let exact = u64::try_from(exact).unwrap_or(u64::MAX).min(100_000_000);
            let got = u64::from(got);
            prop_assert!(got >= exact && got - exact <= 1 + (exact >> 20), "{} for {}", got, exact);
        }
    }

    #[test]
    fn averages_stay_within_what_they_average(moves in prop::collection::vec(any::<u32>(), 1..200)) {
        let (mut volatility, mut flow, mut last) = (Volatility::default(), Flow::default(), 0_u64);
        for by in &moves {
            volatility = volatility.next(*by);
            let next = u64::from(*by) << 32;
            flow = flow.next(last, next);
            last = next;
            prop_assert!(volatility.get() <= 100_000_000);
            prop_assert!(flow.get().unsigned_abs() <= 1 << 58);
        }
        for _ in 0..1_000 {
            (volatility, flow) = (volatility.next(0), flow.next(7, 7));
        }
        prop_assert_eq!((volatility.get(), flow.get()), (0, 0), "a still pool comes to rest");
    }
}

/// `value * 2^shift`, which is whole for the shifts used here.
fn exact_bits(value: f64, shift: usize) -> U512 {
    let bits = value.to_bits();
    let mantissa = big((bits & ((1 << 52) - 1)) | (1 << 52));
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1075 + shift as i64;
    if exponent >= 0 { mantissa << exponent as usize } else { mantissa >> (-exponent) as usize }
}

#[test]
fn a_steady_move_is_its_own_average() {
    let (mut volatility, mut flow) = (Volatility::default(), Flow::default());
    for i in 0..500 {
        volatility = volatility.next(10_000);
        flow = flow.next(1_000_000_000 - i * 1_000, 1_000_000_000 - (i + 1) * 1_000);
    }
    assert!((9_990..=10_000).contains(&volatility.get()), "{volatility:?}");
    assert!((-1_000..=-990).contains(&flow.get()), "{flow:?}");
}

#[test]
fn a_gap_wider_than_fees_is_seen_and_one_as_wide_is_not() {
    let mut table = table();
    let new = |n: u8, reserves: [u64; 2], turned: bool| {
        let turn = |[a, b]: [_; 2]| if turned { [b, a] } else { [a, b] };
        NewPool {
            address: pool(n),
            kind: Kind::Cpmm,
            mints: if turned { [mint(0), mint(7)] } else { [mint(7), mint(0)] },
            reserves: turn(reserves).map(Atoms::new),
            terms: terms([2_500; 2], false),
        }
    };
    // 1 / 0.9975 ^ 2 is 1.0050188127: what the second pays must be above that.
    let cheap = table.insert(&new(0, [1_000_000_000, 1_000_000_000], false), Slot::new(5)).unwrap();
    let dear = table.insert(&new(1, [1_000_000_000, 1_005_018_813], true), Slot::new(5)).unwrap();
    let mut found = Sweep::default();
    table.sweep(&mut found);
    let verdict = Verdict { buy: cheap.row, sell: dear.row, edge: 0 };
    assert_eq!(found.verdicts, [verdict], "one atom more than both fees");
    table.update(dear.row, [1_005_018_812, 1_000_000_000].map(Atoms::new), Slot::new(6)).unwrap();
    table.sweep(&mut found);
    assert_eq!(found.verdicts, [], "both fees take it all");
    // Either flag takes a pool out of the comparison.
    table.update(dear.row, [2_000_000_000, 1_000_000_000].map(Atoms::new), Slot::new(7)).unwrap();
    for flag in [Flags::SWAPS_OFF, Flags::NOT_OPEN, Flags::TRANSFER_FEE, Flags::UNREAD] {
        table.sweep(&mut found);
        assert_eq!(found.verdicts.len(), 1);
        table.set_terms(cheap.row, Terms { rates: [2_500; 2], flags: flag }).unwrap();
        table.sweep(&mut found);
        assert_eq!(found.verdicts, []);
        table.set_terms(cheap.row, terms([2_500; 2], false)).unwrap();
    }
    table.remove(&pool(0)).unwrap();
    table.sweep(&mut found);
    assert_eq!((found.verdicts.len(), found.pools), (0, 1));
}

#[test]
fn a_pool_of_which_only_the_price_is_known_is_compared_and_never_deep() {
    let mut table = table();
    let new = |n: u8, reserves: [u64; 2], flags| NewPool {
        address: pool(n),
        kind: Kind::Dlmm,
        mints: [mint(7), mint(0)],
        reserves: reserves.map(Atoms::new),
        terms: Terms { rates: [2_500; 2], flags },
    };
    let plenty = [1 << 60, 1 << 60];
    let alone = table.insert(&new(0, plenty, Flags::PRICE_ALONE), Slot::new(5)).unwrap().row;
    let deep = table.insert(&new(1, [1 << 60, 2 << 60], Flags::NONE), Slot::new(5)).unwrap().row;
    let mut found = Sweep::default();
    table.sweep(&mut found);
    assert_eq!((found.deep, found.verdicts.len()), (1, 1));
    assert!(table.was_deep(deep) && !table.was_deep(alone));
    table.update(alone, [1 << 60, 3 << 59].map(Atoms::new), Slot::new(6)).unwrap();
    let figures = table.figures(alone, Slot::new(6)).unwrap();
    assert_eq!((figures.depth, figures.flow, figures.deep), (None, None, false));
    assert!(figures.price.is_some() && figures.volatility > 0);
    // What is told later counts from then on, and what is no longer told no more.
    table.set_terms(alone, Terms { rates: [2_500; 2], flags: Flags::NONE }).unwrap();
    table.set_terms(deep, Terms { rates: [2_500; 2], flags: Flags::PRICE_ALONE }).unwrap();
    table.sweep(&mut found);
    assert!(found.deep == 1 && table.was_deep(alone) && !table.was_deep(deep));
    assert_eq!(table.figures(alone, Slot::new(6)).unwrap().flow, Some(0), "nothing was counted");
}

#[test]
fn many_pools_keep_to_their_memory_and_are_all_found() {
    let mut table = PoolTable::new(&[], 0).unwrap();
    let count = 20_000_u64;
    for n in 0..count {
        // The dearest case: a mint and a pair of its own for every pool.
        let new = NewPool {
            address: address(9, n),
            kind: Kind::AmmV4,
            mints: [address(3, n), address(4, 0)],
            reserves: [Atoms::new(n), Atoms::new(u64::MAX - n)],
            terms: terms([2_500; 2], false),
        };
        assert_eq!(u64::from(table.insert(&new, Slot::new(n)).unwrap().row.get()), n);
    }
    table.shrink_to_fit();
    assert!(table.bytes() as u64 <= 160 * count, "{} bytes a pool", table.bytes() as u64 / count);
    assert_eq!(table.mints_and_pairs(), [count as usize + 1, count as usize]);
    for n in 0..count {
        assert_eq!(row_of(&table, &address(9, n)), Some(RowId::new(n as u32)));
        assert_eq!(row_of(&table, &address(9, n + count)), None);
    }
    for n in (0..count).step_by(2) {
        table.remove(&address(9, n)).unwrap();
    }
    for n in 0..count {
        assert_eq!(row_of(&table, &address(9, n)).is_some(), n % 2 == 1);
    }
}

#[test]
fn what_cannot_be_kept_is_refused_by_name() {
    let anchor = Anchor { mint: mint(0), depth_min: Atoms::ZERO };
    assert_eq!(PoolTable::new(&[anchor; 2], 0).unwrap_err(), TableError::Anchors(2));
    let mut table = table();
    let slot = Slot::new(1 << 32);
    let new = NewPool {
        address: pool(1),
        kind: Kind::Cpmm,
        mints: [mint(1), mint(2)],
        reserves: [Atoms::ZERO; 2],
        terms: Terms::default(),
    };
    assert_eq!(table.insert(&new, slot), Err(TableError::Slot(slot)));
    assert!(table.is_empty() && table.find(&pool(1)).is_none());
}

#[test]
fn a_depth_that_just_reaches_its_least_is_told_from_one_that_just_does_not() {
    for least in [1, 2, 1_000, 1_000_000_007, (1 << 53) + 1, 1 << 56, 1 << 60] {
        let enough = |quote| figures::depth(quote, 2_500) >= Some(Atoms::new(least));
        let (mut low, mut high) = (0_u64, u64::MAX);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if enough(middle) { high = middle } else { low = middle }
        }
        if !enough(high) {
            continue;
        }
        let anchor = Anchor { mint: mint(0), depth_min: Atoms::new(least) };
        let mut table = PoolTable::new(&[anchor], 0).unwrap();
        let quotes = [high, low, high + 1, low.saturating_sub(1)];
        for (n, quote) in (0..).zip(quotes) {
            let new = NewPool {
                address: pool(n),
                kind: Kind::Cpmm,
                mints: [mint(0), mint(9)],
                reserves: [Atoms::new(quote), Atoms::new(77)],
                terms: terms([2_500; 2], false),
            };
            table.insert(&new, Slot::new(1)).unwrap();
        }
        let mut found = Sweep::default();
        table.sweep(&mut found);
        let deep = [0, 1, 2, 3].map(|row| table.was_deep(RowId::new(row)));
        assert_eq!(deep, quotes.map(enough), "{least}");
        assert!(deep[0] && !deep[1]);
    }
}
