//! Cold scans over HTTP, and what happens to the pools afterwards.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scan_node;

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use scan_node::{Chain, Pool, TOKEN, pool, sol, start};
use sniper_core::ids::Address;
use sniper_core::scan::{Anchor, Flags, Place, RowId};
use sniper_core::units::{Atoms, Slot};
use sniper_solana::rpc::{PoolSettings, RpcConnectionPool};
use sniper_solana::scan::{
    Change, Encoding, Followed, Notice, ReplyError, ScanError, ScanSettings, Scanner,
};

const NOW: u64 = 1_750_000_000;

struct Rig {
    scanner: Scanner,
    rpc: RpcConnectionPool,
    chain: Arc<Mutex<Chain>>,
}

async fn rig(pools: u64, encoding: Encoding) -> Rig {
    let (chain, endpoint) = start(Chain::new((0..pools).map(pool).collect())).await;
    let rpc = RpcConnectionPool::connect(vec![endpoint], PoolSettings::default()).await.unwrap();
    let anchor = Anchor { mint: sol(), depth_min: Atoms::new(1_000_000) };
    let settings = ScanSettings { anchors: vec![anchor], encoding, ..ScanSettings::default() };
    Rig { scanner: Scanner::new(settings).unwrap(), rpc, chain }
}

impl Rig {
    fn row(&self, address: &Address) -> RowId {
        let Some(Place::Constant(row)) = self.scanner.table().find(address) else {
            panic!("{address} is not known")
        };
        row
    }

    fn reserves(&self, address: &Address) -> ([u64; 2], u64, Flags) {
        let (reserves, slot, flags) = self.scanner.table().state(self.row(address)).unwrap();
        (reserves.map(Atoms::get), slot.get(), flags)
    }

    fn is(&self, pool: &Pool, slot: u64) {
        assert_eq!(self.reserves(&pool.address), (pool.reserves(), slot, Flags::NONE));
        assert_eq!(self.scanner.vaults(self.row(&pool.address)).unwrap(), Some(pool.vaults));
        let row = self.scanner.table().get(self.row(&pool.address)).unwrap();
        assert_eq!((row.mints, row.terms.rates), (pool.mints, [2_500; 2]));
    }

    fn change(&self, pool: &Pool) {
        self.chain.lock().unwrap().learn(pool);
    }

    fn state(&mut self, pool: &Pool, slot: u64) -> Change {
        self.notice(pool.address, pool.program.text(), slot, &pool.data())
    }

    fn vault(&mut self, pool: &Pool, second: bool, slot: u64) -> Change {
        let address = pool.vaults[usize::from(second)];
        self.notice(address, TOKEN, slot, &pool.token_data(second))
    }

    fn notice(&mut self, address: Address, owner: &str, slot: u64, data: &[u8]) -> Change {
        self.scanner.apply(&Notice { address, owner, slot, data }, NOW).unwrap()
    }
}

#[tokio::test]
async fn a_cold_scan_finds_every_pool_with_its_reserves_in_either_encoding() {
    for encoding in [Encoding::Base64, Encoding::Base64Zstd] {
        let mut rig = rig(333, encoding).await;
        let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
        assert_eq!((report.pools, report.new, report.refused, report.unread), (333, 333, 0, 0));
        assert_eq!(report.slot, 100);
        for n in 0..333 {
            rig.is(&pool(n), 101);
        }
        let chain = rig.chain.lock().unwrap();
        assert_eq!(chain.asked["getProgramAccounts"], 3, "fee accounts, and two programs");
        assert_eq!(chain.asked["getMultipleAccounts"], 7, "a hundred vaults each");
        let options = &chain.last_options["getMultipleAccounts"];
        assert_eq!(options["minContextSlot"], 100, "no older than the lists");
        let filters = &chain.last_options["getProgramAccounts"]["filters"];
        assert_eq!(filters.to_string(), r#"[{"dataSize":752}]"#);
        drop(chain);
        assert_eq!(rig.scanner.cycle().pools, 333);
        let report = rig.scanner.report();
        assert_eq!((report.pools, report.scans, report.new_pools), (333, 333, 0));
        let json = serde_json::to_value(report).unwrap();
        for field in ["pools", "seconds", "scans", "scans_per_second", "new_pools", "opportunities"]
        {
            assert!(json[field].is_number(), "{field}");
        }
        assert!(json["cycle_us"]["p50"].is_number() && json["cycle_us"]["p99"].is_number());
    }
}

#[tokio::test]
async fn a_second_cold_scan_brings_what_is_known_up_to_date() {
    let mut rig = rig(20, Encoding::Base64).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    let mut changed = pool(4);
    (changed.balances, changed.owed) = ([1_000, 2_000], [10, 20]);
    rig.change(&changed);
    {
        let mut chain = rig.chain.lock().unwrap();
        chain.pools[4] = changed.clone();
        chain.slots = [200, 201];
        let new = pool(20);
        chain.learn(&new);
        chain.pools.push(new);
    }
    let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    assert_eq!((report.pools, report.new), (21, 1));
    rig.is(&changed, 201);
    rig.is(&pool(3), 201);
    rig.is(&pool(20), 201);
    assert_eq!(rig.scanner.report().new_pools, 1);
}

#[tokio::test]
async fn what_is_told_while_everything_is_read_is_taken_and_never_goes_back() {
    let mut rig = rig(20, Encoding::Base64).await;
    let told =
        |address, owner: &str, slot, data| Followed { address, owner: owner.into(), slot, data };
    let whole = |pool: &Pool, slot| {
        let [first, second] = pool.vaults;
        [
            told(pool.address, pool.program.text(), slot, pool.data()),
            told(first, TOKEN, slot, pool.token_data(false)),
            told(second, TOKEN, slot, pool.token_data(true)),
        ]
    };
    // The lists are of slot 100, the vaults of 101.
    let (mut newer, mut older, new) = (pool(4), pool(5), pool(900));
    (newer.balances, newer.owed) = ([1_000, 2_000], [10, 20]);
    older.balances = [7, 7];
    rig.change(&new);
    let mut same = pool(901);
    same.mints[0] = same.mints[1];
    let (gone, again) = (pool(6).address, pool(7));
    let accounts = [whole(&newer, 300), whole(&older, 90), whole(&new, 150)].concat();
    let mut stream = futures_util::stream::iter(accounts)
        .chain(futures_util::stream::iter([
            told(same.address, same.program.text(), 150, same.data()),
            told(gone, "11111111111111111111111111111111", 150, Vec::new()),
            // This one was made again after it had been closed.
            told(again.address, "11111111111111111111111111111111", 140, Vec::new()),
            told(again.address, again.program.text(), 160, again.data()),
        ]))
        .chain(futures_util::stream::pending());
    let report = rig.scanner.cold_beside(&rig.rpc, NOW, &mut stream).await.unwrap();
    assert_eq!((report.pools, report.new, report.refused, report.unread), (20, 20, 0, 0));
    assert_eq!((report.told, report.told_refused), (13, 1));
    rig.is(&newer, 300);
    rig.is(&pool(5), 101);
    rig.is(&new, 150);
    assert_eq!(rig.scanner.table().find(&gone), None, "a closed pool is forgotten at the end");
    rig.is(&again, 160);
    for n in (0..20).filter(|n| ![4, 6, 7].contains(n)) {
        rig.is(&pool(n), 101);
    }
}

#[tokio::test]
async fn a_list_that_breaks_off_is_read_again_and_counted_once() {
    let mut rig = rig(100, Encoding::Base64).await;
    rig.chain.lock().unwrap().broken_lists = 2;
    let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    assert_eq!((report.pools, report.new), (100, 100));
    for n in 0..100 {
        rig.is(&pool(n), 101);
    }
}

#[tokio::test]
async fn a_pool_without_its_vaults_stays_out_of_every_comparison() {
    let mut rig = rig(8, Encoding::Base64).await;
    rig.chain.lock().unwrap().accounts.remove(&pool(2).vaults[1].to_string());
    let report = rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    assert_eq!(report.unread, 1);
    let (_, _, flags) = rig.reserves(&pool(2).address);
    assert!(flags.has(Flags::UNREAD));
    assert!(
        rig.scanner.figures(rig.row(&pool(2).address), Slot::new(101)).unwrap().price.is_none()
    );
}

#[tokio::test]
async fn answers_that_cannot_be_used_are_errors_by_name() {
    let mut rig = rig(4, Encoding::Base64).await;
    rig.chain.lock().unwrap().slots = [100, 99];
    let behind = rig.scanner.cold(&rig.rpc, NOW).await.unwrap_err();
    assert!(matches!(behind, ScanError::Rpc(error) if error.node_code() == Some(-32016)));
    for (says, check) in [
        (r#"{"result":{"context":{"slot":3},"value":[]}}"#, 0),
        (r#"{"result":[{"lamports":1,"owner":"x","data":["","base64"]}]}"#, 1),
        (r#"{"result":{"context":{"slot":300},"value":[{}]}}"#, 2),
        ("<html>busy</html>", 3),
        (r#"{"error":{"code":-32602,"message":"too many filters"}}"#, 4),
    ] {
        rig.chain.lock().unwrap().list_says = Some(says.to_owned());
        let error = rig.scanner.cold(&rig.rpc, NOW).await.unwrap_err();
        let good = match check {
            0 => matches!(error, ScanError::Slot { found: Some(3), .. }),
            1 => matches!(error, ScanError::Slot { found: None, .. }),
            2 => matches!(error, ScanError::Reply { source: ReplyError::Missing { .. }, .. }),
            3 => matches!(error, ScanError::Reply { source: ReplyError::Shape { at: 0 }, .. }),
            _ => matches!(&error, ScanError::Rpc(error) if error.node_code() == Some(-32602)),
        };
        assert!(good, "{says}: {error:?}");
        assert!(!error.to_string().contains("127.0.0.1"), "no address in {error}");
    }
}

#[tokio::test]
async fn reserves_change_only_when_a_pools_accounts_agree_or_time_has_passed() {
    let mut rig = rig(8, Encoding::Base64).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    let (before, mut after) = (pool(6), pool(6));
    (after.balances, after.owed) = ([8_000_000_000_000, 90_000_000_000], [50, 60]);
    let row = rig.row(&after.address);
    assert_eq!(rig.vault(&after, false, 150), Change::Torn(row));
    rig.is(&before, 101);
    assert_eq!(rig.vault(&after, true, 150), Change::Torn(row));
    rig.is(&before, 101);
    assert_eq!(rig.state(&after, 150), Change::Settled(row));
    rig.is(&after, 150);
    // The same once more from a slower source, and something older.
    assert_eq!(rig.vault(&before, false, 149), Change::Nothing);
    rig.is(&after, 150);
    // A deposit into one vault alone.
    after.balances[0] += 5;
    assert_eq!(rig.vault(&after, false, 160), Change::Torn(row));
    rig.scanner.settle(Slot::new(161), NOW).unwrap();
    assert_eq!(rig.reserves(&after.address).1, 150);
    rig.scanner.settle(Slot::new(162), NOW).unwrap();
    rig.is(&after, 160);
    // The other accounts are still of their own slots: one that is newer than that counts.
    after.balances[1] += 7;
    assert_eq!(rig.vault(&after, true, 155), Change::Torn(row));
    rig.scanner.settle(Slot::new(162), NOW).unwrap();
    rig.is(&after, 160);
    assert_eq!(rig.scanner.report().scans, 3);
}

#[tokio::test]
async fn a_new_pool_waits_for_its_vaults_and_a_closed_one_is_forgotten() {
    let mut rig = rig(8, Encoding::Base64).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    let new = pool(900);
    let Change::New(row) = rig.state(&new, 150) else { panic!("new") };
    assert!(rig.reserves(&new.address).2.has(Flags::UNREAD));
    rig.change(&new);
    // What a node could not tell yet is asked for again.
    assert!(rig.scanner.read_new(&rig.rpc, Slot::new(150)).await.is_err(), "too old");
    rig.chain.lock().unwrap().slots = [152, 152];
    let report = rig.scanner.read_new(&rig.rpc, Slot::new(150)).await.unwrap();
    assert_eq!((report.unread, report.slot), (0, 152));
    rig.is(&new, 152);
    assert_eq!(rig.scanner.report().new_pools, 1);
    let gone = rig.notice(new.address, "11111111111111111111111111111111", 160, &[]);
    assert_eq!(gone, Change::Gone(row));
    assert_eq!(rig.scanner.table().find(&new.address), None);
    assert_eq!(rig.vault(&new, false, 170), Change::Nothing, "its vaults are no longer followed");
    // Another pool may get its row, with vaults of its own.
    let next = pool(901);
    assert_eq!(rig.state(&next, 171), Change::New(row));
    assert_eq!(rig.vault(&next, false, 171), Change::Torn(row));
    assert_eq!(rig.vault(&next, true, 171), Change::Settled(row));
    rig.is(&next, 171);
}

#[tokio::test]
async fn a_gap_is_an_opportunity_only_when_one_state_has_it() {
    let mut rig = rig(8, Encoding::Base64).await;
    let mut dear = pool(1);
    dear.balances[1] += dear.balances[1] / 20;
    rig.change(&dear);
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    let found = rig.scanner.cycle().verdicts.clone();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].sell, rig.row(&dear.address));
    rig.chain.lock().unwrap().slots = [110, 111];
    let told = rig.scanner.confirm(&rig.rpc, found[0], NOW).await.unwrap().unwrap();
    assert_eq!((told.sell, told.slot, told.verdict.edge), (dear.address, 111, found[0].edge));
    assert_eq!(rig.scanner.report().opportunities, 1);
    // By the time it is looked at again, somebody has taken it.
    rig.change(&pool(1));
    rig.chain.lock().unwrap().slots = [112, 113];
    assert_eq!(rig.scanner.confirm(&rig.rpc, found[0], NOW).await.unwrap(), None);
    assert_eq!(rig.scanner.report().opportunities, 1);
    rig.is(&pool(1), 113);
    assert_eq!(rig.scanner.cycle().verdicts, []);
}

#[tokio::test]
async fn the_rates_of_a_shared_fee_account_reach_all_its_pools() {
    let mut rig = rig(8, Encoding::Base64).await;
    rig.scanner.cold(&rig.rpc, NOW).await.unwrap();
    let mut data = scan_node::config_data();
    data[12..20].copy_from_slice(&9_000_u64.to_le_bytes());
    let owner = pool(0).program.text();
    assert_eq!(rig.notice(scan_node::fee_account(), owner, 150, &data), Change::Fees);
    for n in 0..8 {
        let rates = rig.scanner.table().terms(rig.row(&pool(n).address)).unwrap().rates;
        assert_eq!(rates, if n % 2 == 0 { [9_000; 2] } else { [2_500; 2] });
    }
}
