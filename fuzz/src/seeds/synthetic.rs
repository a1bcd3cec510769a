//! Accounts made here, field by field: one pool of each kind that trades, and every account at every length.

use sniper_core::amm::{AccountUpdate, Kind, Part, PoolSpec, cpmm, whirlpool};
use sniper_core::event::{Command, Event, MarketEvent, MintSpec};
use sniper_core::ids::{Address, MintId, PoolId, Symbol};
use sniper_core::market::WRAPPED_SOL;
use sniper_core::units::{Atoms, BlockHeight, Lamports, Price, Slot};

use super::super::targets::engine::Later;
use super::super::targets::quote::{flag, pool_kind, tag};
use super::super::targets::shape::{Shape, shapes};
use super::{Seeds, asks, draft, frame, pool, whole};

const NOW: i64 = 1_750_000_000;

/// A field: where, and its bytes.
type Field = (usize, Vec<u8>);

fn u16_at(at: usize, value: u16) -> Field {
    (at, value.to_le_bytes().into())
}

fn u32_at(at: usize, value: u32) -> Field {
    (at, value.to_le_bytes().into())
}

fn u64_at(at: usize, value: u64) -> Field {
    (at, value.to_le_bytes().into())
}

fn u128_at(at: usize, value: u128) -> Field {
    (at, value.to_le_bytes().into())
}

/// An account of a shape with some fields set.
fn account(shape: &Shape, fields: &[Field]) -> Vec<u8> {
    let newest = shape.lengths.last().copied().unwrap_or(0);
    let mut data = shape.fit(&vec![0; newest]);
    for (at, bytes) in fields {
        for (to, from) in data.iter_mut().skip(*at).zip(bytes) {
            *to = *from;
        }
    }
    data
}

/// The fields of each account of a pool that trades, in the order of [`shapes`].
fn trading(kind: Kind) -> Vec<Vec<Field>> {
    let vault = |amount| vec![u64_at(64, amount)];
    let vaults = || vec![vault(50_000_000_000), vault(9_000_000_000_000)];
    let middle = 1_u128 << 64;
    let fees = || {
        let tier = |at, cap: u128| {
            [u128_at(at, cap), u64_at(at + 16, 20), u64_at(at + 24, 5), u64_at(at + 32, 30)]
        };
        let mut fields = vec![u64_at(41, 20), u64_at(49, 5), u32_at(65, 2)];
        fields.extend(tier(69, 0));
        fields.extend(tier(109, 1 << 50));
        fields
    };
    let mut accounts = match kind {
        Kind::Cpmm => {
            let mut all = vaults();
            all.push(vec![u64_at(341, 1_000), u64_at(365, 2_000)]);
            all.push(vec![
                u64_at(12, 2_500),
                u64_at(20, 120_000),
                u64_at(28, 40_000),
                u64_at(108, 500),
            ]);
            all
        }
        Kind::AmmV4 => {
            let mut all = vaults();
            all.push(vec![
                u64_at(0, 6),
                u64_at(8, 254),
                u64_at(176, 25),
                u64_at(184, 10_000),
                u64_at(192, 77),
                (400, vec![1]),
            ]);
            all
        }
        Kind::Clmm => clmm(middle),
        Kind::Whirlpool => whirlpool(middle),
        Kind::Dlmm => dlmm(),
        Kind::PumpSwap => {
            let mut all = vaults();
            all.push(vec![u64_at(203, 1_000_000), (211, vec![9])]);
            all.push(vec![u64_at(40, 20)]);
            all.push(fees());
            all.push(vec![u64_at(36, 1_000_000_000_000_000)]);
            all
        }
        Kind::PumpCurve => {
            let state = vec![
                u64_at(8, 1_073_000_000_000_000),
                u64_at(16, 30_000_000_000),
                u64_at(24, 793_100_000_000_000),
                u64_at(32, 5_000_000_000),
                u64_at(40, 1_000_000_000_000_000),
                (49, vec![7]),
            ];
            let config = vec![u64_at(105, 95), u64_at(154, 30)];
            vec![state, config, fees(), vec![u64_at(36, 1_000_000_000_000_000)]]
        }
    };
    accounts.truncate(shapes(kind).len());
    accounts
}

/// Half of a pool's liquidity ends.
const HALF_OUT: i128 = -(1 << 39);

/// A tick array with two ticks in use.
fn clmm_ticks(start: i32, ticks: [(i32, i128); 2]) -> Vec<Field> {
    let mut fields = vec![(40, start.to_le_bytes().into())];
    for (at, (tick, net)) in [44, 44 + 168].into_iter().zip(ticks) {
        fields.push((at, tick.to_le_bytes().into()));
        fields.push((at + 4, net.to_le_bytes().into()));
        fields.push(u128_at(at + 20, net.unsigned_abs()));
    }
    fields
}

fn clmm(price: u128) -> Vec<Vec<Field>> {
    let state = vec![
        u16_at(235, 10),
        u128_at(237, 1 << 40),
        u128_at(253, price),
        // Of the 1024 arrays the one below tick 0 and the one above: bits 511 and 512.
        u64_at(904 + 56, 1 << 63),
        u64_at(904 + 64, 1),
    ];
    let config = vec![u32_at(43, 120_000), u32_at(47, 2_500), u32_at(53, 40_000)];
    let mut ticks = clmm_ticks(0, [(300, HALF_OUT), (590, HALF_OUT)]);
    // Limit orders on the first of them.
    ticks.push(u64_at(168, 5_000));
    vec![state, config, Vec::new(), ticks]
}

fn whirlpool(price: u128) -> Vec<Vec<Field>> {
    let state = vec![
        u16_at(41, 8),
        u16_at(43, 8),
        u16_at(45, 3_000),
        u16_at(47, 300),
        u128_at(49, 1 << 40),
        u128_at(65, price),
    ];
    let oracle = vec![u16_at(48, 30), u16_at(50, 600), u16_at(52, 5_000), u32_at(54, 4_000)];
    let at = 12 + 113 * 40;
    let ticks = vec![
        (at, vec![1]),
        (at + 1, (-(1_i128 << 40)).to_le_bytes().into()),
        u128_at(at + 17, 1 << 40),
    ];
    vec![state, oracle, ticks]
}

fn dlmm() -> Vec<Vec<Field>> {
    let state = vec![
        u16_at(8, 10_000),
        u16_at(10, 30),
        u16_at(12, 600),
        u16_at(14, 5_000),
        u32_at(16, 40_000),
        u32_at(20, 350_000),
        u16_at(32, 1_000),
        u32_at(76, 5),
        u16_at(80, 25),
        u64_at(584 + 64, 1),
    ];
    let bin =
        |place: usize, x: u64, y: u64| [u64_at(56 + 144 * place, x), u64_at(64 + 144 * place, y)];
    let bins = [bin(4, 0, 9_000_000), bin(5, 4_000_000, 3_000_000), bin(6, 8_000_000, 0)].concat();
    vec![state, Vec::new(), bins]
}

/// What a later state of a pool's moving accounts has otherwise.
fn newer(kind: Kind, part: Part) -> Vec<Field> {
    match (kind, part) {
        (_, Part::Vault { .. }) => vec![u64_at(64, 70_000_000_000)],
        (Kind::Clmm, _) => vec![u128_at(237, 3 << 39), u128_at(253, (1 << 64) + (1 << 56))],
        (Kind::Whirlpool, _) => vec![u128_at(49, 3 << 39), u128_at(65, (1 << 64) + (1 << 56))],
        (Kind::Dlmm, _) => vec![u32_at(76, 6), u32_at(40, 20_000)],
        (Kind::PumpCurve, _) => vec![u64_at(16, 33_000_000_000)],
        _ => Vec::new(),
    }
}

/// The arrays beside the one that [`trading`] makes, where a pool walks through several.
fn more(kind: Kind, shape: &Shape) -> Vec<Vec<u8>> {
    let low = -(1_i128 << 40);
    match (kind, shape.start) {
        (Kind::Clmm, Some(_)) => {
            let ticks = clmm_ticks(-600, [(-590, -HALF_OUT), (-300, -HALF_OUT)]);
            vec![account(shape, &ticks)]
        }
        (Kind::Whirlpool, Some(_)) => {
            let first = account(
                shape,
                &[
                    (8, (-704_i32).to_le_bytes().into()),
                    (12, vec![1]),
                    (13, low.saturating_neg().to_le_bytes().into()),
                ],
            );
            let mut grown = whirlpool::DYNAMIC_TICK_ARRAY_DISCRIMINATOR.to_vec();
            grown.extend((-1408_i32).to_le_bytes());
            grown.resize(whirlpool::DYNAMIC_TICK_ARRAY_MIN_LEN, 0);
            vec![first, grown]
        }
        _ => Vec::new(),
    }
}

/// Decoders, quotes and drafts of one kind.
pub(super) fn kind(seeds: &mut Seeds, name: &str, kind: Kind) {
    let shapes = shapes(kind);
    let mut accounts: Vec<Vec<u8>> = Vec::new();
    let mut decoders = vec![Vec::new(), vec![0; 9]];
    for (shape, fields) in shapes.iter().zip(trading(kind)) {
        let data = account(shape, &fields);
        for length in shape.lengths {
            let mut data = data.clone();
            data.resize(*length, 0);
            decoders.extend(whole(kind, &data));
            data.pop();
            decoders.push([vec![0], data].concat());
        }
        decoders.push([vec![0], vec![0xff; data.len()]].concat());
        accounts.push(data);
        accounts.extend(more(kind, shape));
    }
    decoders.extend(accounts.iter().filter_map(|data| whole(kind, data)));
    seeds.entry(format!("decode-{name}")).or_default().extend(decoders);

    let quotes = seeds.entry(format!("quote-{name}")).or_default();
    for flags in [0, 1, 2, 3, flag::ADAPTIVE, flag::NOT_PLAIN] {
        for amount in [1, 5_000, 1_000_000, 10_000_000_000, u64::MAX] {
            quotes.push(pool(kind, flags, asks(amount, NOW), &accounts));
        }
    }
    // A second state after the first: what was worked out of the first must not be left behind.
    for amount in [70_000, 5_000_000_000, 20_000_000_000] {
        let mut moving = accounts.clone();
        for (shape, fields) in shapes.iter().zip(trading(kind)) {
            if shape.part == Part::State || matches!(shape.part, Part::Vault { .. }) {
                let newer = [fields, newer(kind, shape.part)].concat();
                moving.push(account(shape, &newer));
            }
        }
        quotes.push(pool(kind, 0, asks(amount, NOW), &moving));
    }
    // A second state, torn from the rest; then time settles it.
    let mut torn = pool(kind, 0, asks(70_000, NOW), &accounts);
    for (nth, data) in accounts.iter().enumerate().take(2) {
        let mut late = frame(kind, data).unwrap_or_default();
        if let Some(slot) = late.get_mut(1) {
            *slot = u8::try_from(nth + 1).unwrap_or(1);
        }
        torn.extend(late);
        torn.extend([tag::ASK, 0, 0, 0]);
    }
    torn.extend([tag::SETTLE, 9, 0, 0]);
    quotes.push(torn);
    let typed = AccountUpdate::Vault { second: true, amount: Atoms::MAX };
    if let Ok(bytes) = postcard::to_allocvec(&typed) {
        let mut odd = pool(kind, 0, asks(70_000, NOW), &accounts);
        odd.extend([tag::TYPED, 0, u8::try_from(bytes.len()).unwrap_or(0), 0]);
        odd.extend(bytes);
        quotes.push(odd);
    }

    let (mut state, mut beside) = (Vec::new(), Vec::new());
    for (shape, data) in shapes.iter().filter_map(|shape| {
        let data = accounts.iter().find(|data| shape.fit(data) == **data)?;
        Some((shape, data))
    }) {
        match shape.part {
            Part::State => state.clone_from(data),
            Part::Config | Part::Bitmap => {
                beside.clone_from(data);
            }
            _ => {}
        }
    }
    seeds.entry("draft".to_owned()).or_default().extend(draft(kind, &state, &beside));
}

/// Mints with each extension that is known, and one that is not.
pub(super) fn mints(seeds: &mut Seeds) {
    let all = seeds.entry("mint".to_owned()).or_default();
    let ask = |rest: Vec<u8>| [1_000_000_u64.to_le_bytes().to_vec(), vec![0; 8], rest].concat();
    let mut plain = vec![0; 82];
    plain[45] = 1;
    all.push(ask(plain));
    let entry = |kind: u16, value: Vec<u8>| {
        let length = u16::try_from(value.len()).unwrap_or(0);
        [kind.to_le_bytes().to_vec(), length.to_le_bytes().to_vec(), value].concat()
    };
    for (max, bps) in [(u64::MAX, 1), (5_000, 300), (u64::MAX, 10_000), (0, 10_000), (9, 9_999)] {
        let mut value = vec![0; 108];
        for (at, bytes) in [u64_at(80, max), u16_at(88, bps), u64_at(98, max), u16_at(106, bps)] {
            value[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        all.push(ask([entry(3, vec![0; 32]), entry(1, value), entry(18, vec![0; 64])].concat()));
    }
    all.push(ask(entry(14, vec![0; 64])));
    all.push(ask(entry(0, Vec::new())));
}

/// A swap of each kind.
pub(super) fn instructions(seeds: &mut Seeds) {
    let all = seeds.entry("instruction".to_owned()).or_default();
    for (nth, kind) in (0_u8..).zip(Kind::ALL) {
        for (flags, arrays) in [(0, 0), (0x0f, 3), (0x4f, 12)] {
            let mut input = vec![nth, flags, arrays];
            input.extend(asks(1_000_000, NOW)[0].bytes());
            input.resize(input.len() + 3 + usize::from(arrays), 9);
            input.extend(postcard::to_allocvec(&pool_kind(kind, 5)).unwrap_or_default());
            all.push(input);
        }
    }
    let mut curve = vec![6, 0x20, 0];
    curve.extend(asks(1_000_000, NOW)[0].bytes());
    curve.extend([1, 2, 3]);
    if let Some(shape) = shapes(Kind::PumpCurve).first() {
        curve.extend(account(shape, &[]));
    }
    all.push(curve);
}

/// A small market: two mints, a pool of each kind, its accounts, cash and time.
pub(super) fn events(seeds: &mut Seeds) {
    let (usdc, sol) = (MintId(1), MintId(2));
    let mint = |address, decimals, symbol: &str, is_usd| {
        let (token_program, symbol) = (Address::new_from_array([9; 32]), Symbol::new(symbol));
        let spec = MintSpec {
            address,
            token_program,
            decimals,
            symbol,
            is_usd,
            plain: true,
            trusted: true,
            rent: Lamports::ZERO,
        };
        Event::Market(MarketEvent::Mint(spec))
    };
    let mut opening = vec![
        mint(Address::new_from_array([1; 32]), 6, "USDC", true),
        mint(WRAPPED_SOL, 9, "SOL", false),
    ];
    for nth in 0..2 {
        let spec = PoolSpec {
            address: Address::new_from_array([20 + nth; 32]),
            mints: [sol, usdc],
            kind: pool_kind(Kind::Cpmm, 0),
        };
        opening.push(Event::Market(MarketEvent::Pool(Box::new(spec))));
    }
    let reserves = |pool: u32, slot: u64, amounts: [u64; 2]| {
        let vault = |second, amount| AccountUpdate::Vault { second, amount: Atoms::new(amount) };
        let rates = cpmm::Config { trade_fee_rate: 2_500, ..cpmm::Config::default() };
        [
            AccountUpdate::CpmmConfig(rates),
            vault(false, amounts[0]),
            vault(true, amounts[1]),
            AccountUpdate::CpmmPool(cpmm::PoolState::default()),
        ]
        .map(|update| {
            let (pool, slot) = (PoolId(pool), Slot::new(slot));
            Event::Market(MarketEvent::Account { pool, slot, update })
        })
    };
    let slot = |slot| {
        let (slot, height) = (Slot::new(slot), BlockHeight::new(slot));
        Event::Market(MarketEvent::Slot { slot, height })
    };
    let deposit =
        |mint, amount| Event::Command(Command::Deposit { mint, amount: Atoms::new(amount) });
    opening.extend(reserves(0, 1, [10_000_000_000_000, 1_500_000_000_000]));
    opening.extend(reserves(1, 1, [5_000_000_000_000, 760_000_000_000]));
    opening.push(slot(2));
    if let Some(usd) = Price::of(150_000_000, 1_000_000_000) {
        opening.push(Event::Market(MarketEvent::Reference { mint: sol, usd }));
    }
    opening.extend([deposit(usdc, 10_000_000_000), deposit(MintId::SOL, 1_000_000_000)]);
    let mut moving = opening.clone();
    for step in 0..60_u64 {
        let quote = 1_500_000_000_000 + step * 9_000_000_000;
        moving.extend(reserves(0, 3 + step, [10_000_000_000_000, quote]));
        moving.extend([slot(4 + step), Event::Timer]);
    }
    let other: Vec<Event> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let address = Address::new_from_array([30; 32]);
            let spec = PoolSpec { address, mints: [sol, usdc], kind: pool_kind(kind, 0) };
            Event::Market(MarketEvent::Pool(Box::new(spec)))
        })
        .collect();
    let all = seeds.entry("engine".to_owned()).or_default();
    for events in [opening.clone(), moving, [opening, other].concat()] {
        let later = events.into_iter().map(|event| Later { after: 300_000, event });
        all.push(
            later.flat_map(|event| postcard::to_allocvec(&event).unwrap_or_default()).collect(),
        );
    }
}
