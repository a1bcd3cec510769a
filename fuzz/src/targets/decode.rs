//! Account bytes, of any length and under any name.

use sniper_core::amm::{
    Kind, Part, amm_v4, clmm, cpmm, decode_vault, dlmm, pump_curve, pump_fees, pump_swap, whirlpool,
};

use super::computed;
use super::input::Input;
use super::shape::shapes;

/// Every decoder of a kind, of bytes as they are and of bytes brought into the shape of one of its accounts.
///
/// What decodes must decode as the full account, too; an update must come back from the journal as it went.
pub fn accounts(kind: Kind, data: &[u8]) {
    let mut input = Input(data);
    let which = usize::from(input.u8());
    every(kind, input.0);
    let shapes = shapes(kind);
    let Some(shape) = shapes.get(which % shapes.len()) else { return };
    let fitted = shape.fit(input.0);
    every(kind, &fitted);
    if let Some(update) = shape.decode(kind, &fitted) {
        let bytes = postcard::to_allocvec(&update).expect("an update can be written");
        assert_eq!(postcard::from_bytes(&bytes).as_ref(), Ok(&update), "journaled and read again");
    }
}

fn every(kind: Kind, data: &[u8]) {
    let mut start = [0; 4];
    for (to, from) in start.iter_mut().zip(data.iter().skip(8)) {
        *to = *from;
    }
    let parts = [
        Part::Vault { second: false },
        Part::Vault { second: true },
        Part::State,
        Part::Config,
        Part::Schedules,
        Part::Supply,
        Part::Oracle,
        Part::Bitmap,
        Part::Array(i32::from_le_bytes(start)),
    ];
    for part in parts {
        computed(kind.decode(part, data));
    }
    computed(decode_vault(data));
    match kind {
        Kind::Cpmm => {
            computed(cpmm::decode_pool(data));
            let short = cpmm::decode_config(data).ok();
            assert_eq!(short, cpmm::decode_config_account(data).ok().map(|all| all.config));
        }
        Kind::AmmV4 => {
            let short = amm_v4::decode_pool(data).ok();
            let all = amm_v4::decode_pool_account(data).ok();
            assert_eq!(short, all.map(|all| (all.state, all.keys)));
        }
        Kind::Clmm => clmm_accounts(data),
        Kind::Whirlpool => whirlpool_accounts(data),
        Kind::Dlmm => dlmm_accounts(data),
        Kind::PumpSwap => {
            computed(pump_swap::decode_pool(data));
            let short = pump_swap::decode_config(data).ok();
            let all = pump_swap::decode_config_account(data).ok();
            assert_eq!(short, all.map(|all| all.config));
            schedules(data);
        }
        Kind::PumpCurve => {
            computed(pump_curve::decode_curve(data));
            let short = pump_curve::decode_config(data).ok();
            let all = pump_curve::decode_config_account(data).ok();
            assert_eq!(short, all.map(|all| all.config));
            schedules(data);
        }
    }
}

fn schedules(data: &[u8]) {
    computed(pump_fees::decode_supply(data));
    if let Ok(all) = pump_fees::decode_fee_config(data) {
        assert!(!all.config.tiers.is_empty(), "a schedule without tiers charges nothing");
    }
}

fn clmm_accounts(data: &[u8]) {
    let short = clmm::decode_pool(data).ok();
    let all = clmm::decode_pool_account(data).ok();
    assert_eq!(short, all.map(|all| (all.state, all.keys)));
    assert_eq!(
        clmm::decode_config(data).ok(),
        clmm::decode_config_account(data).ok().map(|all| all.config)
    );
    computed(clmm::decode_bitmap_extension(data));
    let all = clmm::decode_tick_array_account(data);
    if let Ok((pool, array)) = clmm::decode_tick_array(data) {
        let all = all.expect("what has the short form has the long one");
        assert_eq!((all.pool, all.start, all.ticks.len()), (pool, array.start, array.ticks.len()));
        assert!(array.ticks.is_sorted_by_key(|tick| tick.tick), "ticks ascend");
    }
}

fn whirlpool_accounts(data: &[u8]) {
    let short = whirlpool::decode_pool(data).ok();
    let all = whirlpool::decode_pool_account(data).ok();
    assert_eq!(short, all.map(|all| (all.state, all.keys)));
    computed(whirlpool::decode_oracle(data));
    let short = whirlpool::decode_tick_array(data).ok();
    let all = whirlpool::decode_tick_array_account(data).ok();
    let ticks = all.as_ref().map(|all| all.ticks.iter().map(|tick| tick.tick).collect::<Vec<_>>());
    assert_eq!(short.as_ref().map(|(_, array)| array.ticks.clone()), ticks);
    assert_eq!(short.map(|(_, array)| array.start), all.map(|all| all.start));
}

fn dlmm_accounts(data: &[u8]) {
    let short = dlmm::decode_pool(data).ok();
    let all = dlmm::decode_pair_account(data).ok();
    assert_eq!(short.is_some(), all.is_some());
    if let Some((state, _)) = short {
        assert!(
            state.fee_rate_most().unwrap_or(0) <= dlmm::RATE_MAX,
            "no swap pays more than the most"
        );
        computed(state.active_array_holds());
    }
    let short = dlmm::decode_extension(data).ok();
    assert_eq!(short, dlmm::decode_extension_account(data).ok().map(|(extension, _)| extension));
    if let Ok((array, pool)) = dlmm::decode_bin_array(data) {
        let all = dlmm::decode_bin_array_account(data).expect("the long form of the short one");
        assert_eq!((all.pool, all.index), (pool, array.index.into()));
        assert!(array.bins.len() <= all.bins.len());
        assert!(array.bins.is_sorted_by_key(|bin| bin.place), "bins ascend");
    }
}
