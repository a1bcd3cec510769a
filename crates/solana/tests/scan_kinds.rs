//! Pools of the kinds that are not two vaults with one owner: what their figures are, and what is not known of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scan_node;

use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use scan_node::{Chain, TOKEN, address, sol, start};
use sniper_core::amm::pump_fees::{self, WRAPPED_SOL};
use sniper_core::amm::{clmm, dlmm, pump_curve, pump_swap};
use sniper_core::ids::Address;
use sniper_core::scan::{Anchor, Figures, Flags, Kind, Place, RowId};
use sniper_core::units::{Atoms, Price, Slot};
use sniper_solana::rpc::{PoolSettings, RpcConnectionPool};
use sniper_solana::scan::{Change, Notice, Program, Rates, ScanSettings, Scanner};

const NOW: u64 = 1_750_000_000;
const ONE: u128 = 1 << 64;
const FEES: &str = "pfeeUxB6jkeY1Hxd7CsFCAjcbHA9rWtchMGdZ6VojVZ";

fn put(data: &mut [u8], at: usize, bytes: &[u8]) {
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

fn token() -> Address {
    address(2, 0)
}

fn clmm_pool(liquidity: u128, sqrt_price: u128) -> Vec<u8> {
    let mut data = vec![0; clmm::POOL_LEN];
    put(&mut data, 0, &clmm::POOL_DISCRIMINATOR);
    put(&mut data, 9, address(8, 5).as_array());
    put(&mut data, 73, token().as_array());
    put(&mut data, 105, sol().as_array());
    put(&mut data, 237, &liquidity.to_le_bytes());
    put(&mut data, 253, &sqrt_price.to_le_bytes());
    data
}

fn clmm_config(rate: u32) -> Vec<u8> {
    let mut data = vec![0; clmm::CONFIG_LEN];
    put(&mut data, 0, &clmm::CONFIG_DISCRIMINATOR);
    put(&mut data, 47, &rate.to_le_bytes());
    data
}

/// A pool of step 20 and a base fee of 0.2 percent whose active array holds something.
fn dlmm_pool(active: i32) -> Vec<u8> {
    let mut data = vec![0; dlmm::PAIR_LEN];
    put(&mut data, 0, &dlmm::PAIR_DISCRIMINATOR);
    put(&mut data, 8, &10_000_u16.to_le_bytes());
    put(&mut data, 76, &active.to_le_bytes());
    put(&mut data, 80, &20_u16.to_le_bytes());
    put(&mut data, 88, token().as_array());
    put(&mut data, 120, sol().as_array());
    let bit = usize::try_from(dlmm::array_of(active) + 512).unwrap();
    data[584 + bit / 8] |= 1 << (bit % 8);
    data
}

fn bin_array(active: i32, amounts: [u64; 2]) -> Vec<u8> {
    let mut data = vec![0; dlmm::ARRAY_LEN];
    put(&mut data, 0, &dlmm::ARRAY_DISCRIMINATOR);
    put(&mut data, 8, &i64::from(dlmm::array_of(active)).to_le_bytes());
    let at = 56 + 144 * usize::try_from(active.rem_euclid(70)).unwrap();
    put(&mut data, at, &amounts[0].to_le_bytes());
    put(&mut data, at + 8, &amounts[1].to_le_bytes());
    data
}

fn vaults() -> [Address; 2] {
    [address(3, 70), address(4, 70)]
}

/// A pool of a coin that left its curve.
fn pump_pool(on_top: i128, length: usize) -> Vec<u8> {
    let mut data = vec![0; 271.max(length)];
    put(&mut data, 0, &pump_swap::POOL_DISCRIMINATOR);
    put(&mut data, 11, pump_swap::pool_authority(&token()).as_array());
    put(&mut data, 43, token().as_array());
    put(&mut data, 75, WRAPPED_SOL.as_array());
    put(&mut data, 139, vaults()[0].as_array());
    put(&mut data, 171, vaults()[1].as_array());
    put(&mut data, 211, address(6, 6).as_array());
    put(&mut data, 245, &on_top.to_le_bytes());
    data.truncate(length);
    data
}

fn curve(virtual_token: u64, virtual_quote: u64, real_token: u64, complete: bool) -> Vec<u8> {
    let mut data = vec![0; 151];
    put(&mut data, 0, &pump_curve::CURVE_DISCRIMINATOR);
    for (at, word) in [(8, virtual_token), (16, virtual_quote), (24, real_token), (40, 1 << 50)] {
        put(&mut data, at, &word.to_le_bytes());
    }
    data[48] = u8::from(complete);
    put(&mut data, 49, address(6, 6).as_array());
    data
}

/// Flat 0.25 percent; coins in SOL 1.25 percent at first, 1.15 later.
fn fee_config() -> Vec<u8> {
    let mut data = pump_fees::FEE_CONFIG_DISCRIMINATOR.to_vec();
    data.push(255);
    data.extend([0; 32]);
    let rates = |data: &mut Vec<u8>, rates: [u64; 3]| {
        rates.iter().for_each(|rate| data.extend(rate.to_le_bytes()));
    };
    rates(&mut data, [20, 5, 0]);
    data.extend(2_u32.to_le_bytes());
    for (cap, of) in [(0_u128, [2, 93, 30]), (1_000, [20, 5, 90])] {
        data.extend(cap.to_le_bytes());
        rates(&mut data, of);
    }
    data.resize(2_512, 0);
    data
}

fn token_account(mint: &Address, amount: u64) -> Vec<u8> {
    let mut data = vec![0; 165];
    put(&mut data, 0, mint.as_array());
    put(&mut data, 64, &amount.to_le_bytes());
    data[108] = 1;
    data
}

struct Rig {
    scanner: Scanner,
    rpc: RpcConnectionPool,
    chain: Arc<Mutex<Chain>>,
}

async fn rig(programs: &[Program], mint: Option<Address>, chain: Chain) -> Rig {
    let (chain, endpoint) = start(chain).await;
    let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let anchors = [sol(), WRAPPED_SOL].map(|mint| Anchor { mint, depth_min: Atoms::new(1) });
    let settings = ScanSettings {
        programs: programs.to_vec(),
        mint,
        anchors: anchors.to_vec(),
        ..ScanSettings::default()
    };
    Rig { scanner: Scanner::new(settings).unwrap(), rpc, chain }
}

fn chain() -> Chain {
    let mut chain = Chain::new(Vec::new());
    chain.slots = [100, 101];
    chain
}

impl Rig {
    fn row(&self, address: &Address) -> RowId {
        let Some(Place::Constant(row)) = self.scanner.table().find(address) else {
            panic!("{address} is not known")
        };
        row
    }

    fn figures(&self, address: &Address) -> Figures {
        self.scanner.figures(self.row(address), Slot::new(200)).unwrap()
    }

    fn flags(&self, address: &Address) -> Flags {
        self.scanner.table().terms(self.row(address)).unwrap().flags
    }

    fn notice(&mut self, program: Program, address: Address, slot: u64, data: &[u8]) -> Change {
        let owner = program.text();
        self.scanner.apply(&Notice { address, owner, slot, data }, NOW).unwrap()
    }
}

#[tokio::test]
async fn a_clmm_pool_has_the_price_of_its_state_and_the_fee_of_its_schedule() {
    let (pool, mut chain) = (address(1, 1), chain());
    // A root of 2 is a price of 4.
    chain.put(Program::Clmm, pool, clmm_pool(1 << 60, 2 * ONE));
    chain.put(Program::Clmm, address(8, 5), clmm_config(2_500));
    let mut rig = rig(&[Program::Clmm], None, chain).await;
    let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    assert_eq!((report.pools, report.new, report.refused, report.unread), (1, 1, 0, 0));
    let figures = rig.figures(&pool);
    assert_eq!(figures.price, Price::of(4, 1));
    assert!(figures.depth.is_some() && figures.flow == Some(0));
    let row = rig.scanner.table().get(rig.row(&pool)).unwrap();
    assert_eq!((row.kind, row.terms.rates, row.terms.flags), (Kind::Clmm, [2_500; 2], Flags::NONE));
    assert_eq!(rig.scanner.vaults(rig.row(&pool)).unwrap(), None, "its state is enough");
    // A swap moves the state alone.
    let change = rig.notice(Program::Clmm, pool, 150, &clmm_pool(1 << 60, ONE));
    assert_eq!(change, Change::Settled(rig.row(&pool)));
    assert_eq!(rig.figures(&pool).price, Price::of(1, 1));
    // A fee that follows the market is not known.
    let mut moving = clmm_pool(1 << 60, ONE);
    moving[1_096] = 1;
    rig.notice(Program::Clmm, pool, 151, &moving);
    assert!(rig.flags(&pool).has(Flags::FEE_UNKNOWN));
    let mut closed = clmm_pool(1 << 60, ONE);
    closed[389] = clmm::STATUS_NO_SWAP;
    rig.notice(Program::Clmm, pool, 152, &closed);
    assert!(rig.flags(&pool).has(Flags::SWAPS_OFF));
}

#[tokio::test]
async fn a_dlmm_pool_has_a_price_and_neither_depth_nor_flow() {
    let (pool, mut chain) = (address(1, 2), chain());
    chain.put(Program::Dlmm, pool, dlmm_pool(-300));
    let mut rig = rig(&[Program::Dlmm], None, chain).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    for (slot, active) in [(150, -300), (151, 0), (152, 2_000), (153, -8_000)] {
        rig.notice(Program::Dlmm, pool, slot, &dlmm_pool(active));
        let Figures { price, depth, flow, deep, .. } = rig.figures(&pool);
        let exact = dlmm::price_of(20, active).unwrap();
        let off = price.unwrap().raw().abs_diff(exact);
        assert!(off <= 1 + (exact >> 55), "bin {active}: {price:?} is not {exact}");
        assert_eq!((depth, flow, deep), (None, None, false), "nothing of amounts is known");
        assert_eq!(rig.flags(&pool), Flags::PRICE_ALONE);
        assert_eq!(rig.scanner.table().terms(rig.row(&pool)).unwrap().rates, [2_000; 2]);
    }
    assert_eq!(rig.scanner.cycle().deep, 0, "not by the pass over all pools either");
    assert!(rig.figures(&pool).volatility > 0, "its price moved");
    // Where the bitmap says that the active bin's array is empty, there is nothing to trade with.
    let mut empty = dlmm_pool(0);
    empty[584..712].fill(0);
    rig.notice(Program::Dlmm, pool, 160, &empty);
    assert_eq!(rig.figures(&pool).price, None);
    // One that opens at a slot waits for it.
    let mut waits = dlmm_pool(0);
    (waits[75], waits[86]) = (1, 0);
    put(&mut waits, 816, &500_u64.to_le_bytes());
    rig.notice(Program::Dlmm, pool, 170, &waits);
    assert!(rig.flags(&pool).has(Flags::NOT_OPEN));
    rig.scanner.settle(Slot::new(499), NOW).unwrap();
    assert!(rig.flags(&pool).has(Flags::NOT_OPEN));
    rig.scanner.settle(Slot::new(500), NOW).unwrap();
    assert_eq!(rig.flags(&pool), Flags::PRICE_ALONE);
}

#[tokio::test]
async fn a_gap_to_a_dlmm_pool_is_confirmed_only_with_something_in_its_bin() {
    let (cheap, dear, mut chain) = (address(1, 3), address(1, 4), chain());
    chain.put(Program::Dlmm, cheap, dlmm_pool(0));
    chain.put(Program::Clmm, dear, clmm_pool(1 << 60, ONE + ONE / 20));
    chain.put(Program::Clmm, address(8, 5), clmm_config(2_500));
    let array = dlmm::bin_array_address(&cheap, 0);
    chain.put(Program::Dlmm, array, bin_array(0, [0, 1_000]));
    let mut rig = rig(&[Program::Clmm, Program::Dlmm], None, chain).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    let verdicts = rig.scanner.cycle().verdicts.clone();
    assert_eq!(verdicts.len(), 1);
    assert_eq!((verdicts[0].buy, verdicts[0].sell), (rig.row(&cheap), rig.row(&dear)));
    let none = rig.scanner.confirm(&rig.rpc, verdicts[0], NOW).await.unwrap();
    assert_eq!(none, None, "the bin holds nothing of what is bought");
    rig.chain.lock().unwrap().put(Program::Dlmm, array, bin_array(0, [1, 0]));
    let told = rig.scanner.confirm(&rig.rpc, verdicts[0], NOW).await.unwrap().unwrap();
    assert_eq!((told.buy, told.sell, told.slot), (cheap, dear, 101));
    // The price has left the bin.
    rig.chain.lock().unwrap().put(Program::Dlmm, cheap, dlmm_pool(1));
    assert_eq!(rig.scanner.confirm(&rig.rpc, verdicts[0], NOW).await.unwrap(), None);
}

#[tokio::test]
async fn a_pump_swap_pool_counts_its_virtual_quote_and_its_vaults_are_asked_for() {
    for (length, on_top, counted) in [(300, 500_i128, 2_500), (271, -500, 1_500), (245, 7, 2_000)] {
        let (pool, mut chain) = (address(1, 7), chain());
        chain.put(Program::PumpSwap, pool, pump_pool(on_top, length));
        let [base, quote] = vaults();
        let of = |mint: &Address, amount| (TOKEN, token_account(mint, amount));
        chain.accounts.insert(base.to_string(), of(&token(), 8_000));
        chain.accounts.insert(quote.to_string(), of(&WRAPPED_SOL, 2_000));
        chain.accounts.insert(pump_swap::FEE_CONFIG.to_string(), (FEES, fee_config()));
        let mut rig = rig(&[Program::PumpSwap], None, chain).await;
        let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
        assert_eq!((report.new, report.unread, report.refused), (1, 0, 0), "{length}");
        let row = rig.row(&pool);
        let held = |rig: &Rig| rig.scanner.table().state(row).unwrap().0.map(Atoms::get);
        assert_eq!(held(&rig), [8_000, counted]);
        let rates = rig.scanner.table().terms(row).unwrap().rates;
        assert_eq!(rates, [12_500, 12_346], "the highest of its schedule, in the quote both ways");
        // A swap: the state is told of, the vaults are not.
        assert_eq!(rig.scanner.read_told(&rig.rpc, Slot::new(90), 1).await.unwrap(), []);
        let change = rig.notice(Program::PumpSwap, pool, 150, &pump_pool(on_top, length));
        assert_eq!(change, Change::Torn(row));
        {
            let mut chain = rig.chain.lock().unwrap();
            chain.accounts.insert(base.to_string(), of(&token(), 4_000));
            chain.accounts.insert(quote.to_string(), of(&WRAPPED_SOL, 4_000));
        }
        assert!(rig.scanner.read_told(&rig.rpc, Slot::new(150), 1).await.is_err(), "too old");
        assert_eq!(held(&rig), [8_000, counted]);
        rig.chain.lock().unwrap().slots = [150, 151];
        let read = rig.scanner.read_told(&rig.rpc, Slot::new(150), 1).await.unwrap();
        assert_eq!(read, [row], "it was still asked for");
        assert_eq!(held(&rig), [4_000, counted + 2_000]);
        assert_eq!(rig.scanner.read_told(&rig.rpc, Slot::new(150), 1).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_curve_is_priced_by_its_virtual_reserves_under_its_own_name() {
    let coin = token();
    let pool = pump_curve::bonding_curve(&coin);
    let mut chain = chain();
    chain.put(Program::PumpCurve, pool, curve(1_000_000_000, 30_000_000_000, 700_000_000, false));
    chain.put(Program::PumpCurve, address(1, 9), curve(1 << 40, 1 << 40, 0, true));
    chain.accounts.insert(pump_curve::FEE_CONFIG.to_string(), (FEES, fee_config()));
    let mut rig = rig(&[Program::PumpCurve], None, chain).await;
    let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    assert_eq!((report.pools, report.new), (1, 1), "what is done is not listed");
    let figures = rig.figures(&pool);
    assert_eq!(
        (figures.base, figures.quote),
        (pool, WRAPPED_SOL),
        "its coin is not in its account"
    );
    assert_eq!(figures.price, Price::of(30, 1));
    assert!(figures.depth.is_some() && figures.deep);
    let rates = rig.scanner.table().terms(rig.row(&pool)).unwrap().rates;
    // Base is the first here, and what a purchase pays is on top.
    assert_eq!(rates, [12_500, 12_346]);
    // Fewer tokens than a move of one percent takes.
    let ending = curve(1_000_000_000, 30_000_000_000, 4_999_999, false);
    rig.notice(Program::PumpCurve, pool, 150, &ending);
    assert_eq!(rig.figures(&pool).depth, None);
    let done = curve(1_000_000_000, 30_000_000_000, 0, true);
    rig.notice(Program::PumpCurve, pool, 151, &done);
    assert!(rig.flags(&pool).has(Flags::SWAPS_OFF), "told, though it is listed no more");
}

#[tokio::test]
async fn a_scan_for_one_mint_finds_its_curve_and_takes_no_other_pool() {
    let coin = token();
    let pool = pump_curve::bonding_curve(&coin);
    let mut chain = chain();
    chain.put(Program::PumpCurve, pool, curve(1_000_000_000, 30_000_000_000, 700_000_000, false));
    chain.put(Program::PumpCurve, address(1, 9), curve(1 << 40, 1 << 40, 1 << 39, false));
    chain.put(Program::Dlmm, address(1, 10), dlmm_pool(0));
    chain.accounts.insert(pump_curve::FEE_CONFIG.to_string(), (FEES, fee_config()));
    let programs = [Program::Dlmm, Program::PumpCurve];
    let mut rig = rig(&programs, Some(coin), chain).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    assert_eq!(rig.scanner.table().len(), 2);
    assert_eq!(rig.figures(&pool).base, coin, "known from the other side");
    let mut foreign = dlmm_pool(0);
    put(&mut foreign, 88, address(2, 99).as_array());
    assert_eq!(rig.notice(Program::Dlmm, address(1, 11), 150, &foreign), Change::Nothing);
    assert_eq!(rig.scanner.table().len(), 2);
}

#[tokio::test]
async fn a_scan_goes_on_without_curves_that_are_too_many_to_list_and_without_nothing_else() {
    let mut refusing = chain();
    refusing.put(Program::Dlmm, address(1, 10), dlmm_pool(0));
    refusing.refused = vec![Program::PumpCurve];
    let both = rig(&[Program::Dlmm, Program::PumpCurve], None, refusing).await;
    let Rig { mut scanner, rpc, .. } = both;
    let report = scanner.cold(&rpc, NOW).await.unwrap();
    assert_eq!((report.unlisted, report.new), (Some(Program::PumpCurve), 1));
    let mut alone = chain();
    alone.refused = vec![Program::PumpCurve];
    let Rig { mut scanner, rpc, .. } = rig(&[Program::PumpCurve], None, alone).await;
    assert!(scanner.cold(&rpc, NOW).await.is_err());
    let mut other = chain();
    other.refused = vec![Program::Dlmm];
    let Rig { mut scanner, rpc, .. } = rig(&[Program::Dlmm, Program::PumpCurve], None, other).await;
    assert!(scanner.cold(&rpc, NOW).await.is_err());
}

/// Real accounts, where they are at hand.
fn real(folder: &str) -> Option<serde_json::Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let text = std::fs::read_to_string(root.join(folder).join("real_accounts.json")).ok()?;
    serde_json::from_str(&text).ok()
}

#[test]
fn a_real_pool_reads_from_its_slice_as_from_all_of_it() {
    let mut room = Vec::new();
    for (folder, program, least) in [
        ("raydium_clmm", Program::Clmm, 2),
        ("meteora_dlmm", Program::Dlmm, 4),
        ("pumpswap", Program::PumpSwap, 1),
        ("pump_curve", Program::PumpCurve, 3),
    ] {
        let Some(file) = real(folder) else {
            std::io::Write::write_all(&mut std::io::stderr(), b"skipped: vectors absent\n").ok();
            return;
        };
        let mut read = 0;
        for vector in file["vectors"].as_array().unwrap() {
            let Some(text) = vector["data_b64"].as_str() else { continue };
            let data = STANDARD.decode(text).unwrap();
            let pool = ["PoolState", "LbPair", "Pool", "BondingCurve"];
            if !pool.contains(&vector["account"].as_str().unwrap()) {
                continue;
            }
            let name = address(1, read);
            let whole = program.decode(&name, &data, &mut room).unwrap();
            let length = program.slice().length.min(data.len());
            assert_eq!(program.decode(&name, &data[..length], &mut room).unwrap(), whole);
            if let Some(reserves) = whole.reserves {
                assert!(whole.coarse || reserves.iter().all(|side| *side > 0), "{whole:?}");
            }
            assert!(!matches!(whole.rates, Rates::Own(rate) if rate > 100_000), "{whole:?}");
            read += 1;
        }
        assert!(read >= least, "{folder}: {read}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_wild_for_any_kind(
        which in 0_usize..7, short in 0_usize..1_600, mark: bool,
        bytes in prop::collection::vec(any::<u8>(), 1_600), slot in 0_u64..1 << 32,
    ) {
        let program = Program::ALL[which];
        let fits = program.pool_len().unwrap_or(program.slice().length);
        let length = if short % 3 == 0 { short } else { [fits, program.slice().length][short % 2] };
        let mut data = bytes[..length].to_vec();
        if let Some(discriminator) = program.discriminator().filter(|_| mark && length > 8) {
            put(&mut data, 0, &discriminator);
        }
        let mut room = Vec::new();
        let read = program.decode(&address(1, 1), &data, &mut room);
        prop_assert!(read.is_ok() || read.is_err());
        let mut scanner = Scanner::new(ScanSettings::default()).unwrap();
        for (address, at) in [(address(1, 1), slot), (address(1, 1), slot / 2), (address(1, 2), slot)] {
            let notice = Notice { address, owner: program.text(), slot: at, data: &data };
            drop(scanner.apply(&notice, slot));
        }
        drop(scanner.settle(Slot::new(slot), slot));
        scanner.cycle();
    }
}
