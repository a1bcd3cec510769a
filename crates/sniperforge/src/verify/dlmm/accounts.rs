//! The accounts of Meteora DLMM.

use serde_json::Value;
use sniper_core::amm::cpmm::decode_vault;
use sniper_core::amm::dlmm::{
    BinArray, DecodedKeys, PROGRAM_ID, PairAccount, Parameters, PoolState, Reward,
    bin_array_address, decode_bin_array, decode_bin_array_account, decode_extension_account,
    decode_pair_account, decode_pool,
};
use sniper_core::amm::transfer_fee::decode_transfer_fees;
use sniper_core::ids::Address;
use sniper_core::units::Atoms;

use super::super::case::{Difference, Outcome, Verdict, address, bytes, list, number, same, text};
use super::{each, refused, volatility};

pub(super) fn account(vector: &Value) -> Verdict {
    let data = bytes(vector, "data_b64")?;
    let e = &vector["expected"];
    if !vector["owner"].is_null() {
        same("owner", address(vector, "owner")?, PROGRAM_ID)?;
    }
    if !vector["data_len"].is_null() {
        same("data_len", number(vector, "data_len")?, data.len())?;
    }
    match text(vector, "account")? {
        "LbPair" => pair(&data, e)?,
        "BinArray" => bin_array(&data, e, &vector["address"])?,
        "BinArrayBitmapExtension" => extension(&data, e)?,
        "token account" => token_account(&data, e)?,
        "token mint" => mint(&data, e)?,
        _ => return Ok(Outcome::Skipped("unknown account")),
    }
    Ok(Outcome::Passed)
}

/// A list of numbers of any width.
fn numbers<T: std::str::FromStr>(of: &Value, field: &str) -> Result<Vec<T>, Difference> {
    let read = |value: &Value| number(&serde_json::json!({ "value": value }), "value");
    each(list(of, field)?, read)
}

fn bytes_of<const N: usize>(of: &Value, field: &str) -> Result<[u8; N], Difference> {
    let read: Vec<u8> = numbers(of, field)?;
    let length = read.len();
    read.try_into().map_err(|_| Difference::new(field, N.to_string(), length.to_string()))
}

fn parameters(of: &Value) -> Result<Parameters, Difference> {
    Ok(Parameters {
        base_factor: number(of, "baseFactor")?,
        base_fee_power: number(of, "baseFeePowerFactor")?,
        filter_period: number(of, "filterPeriod")?,
        decay_period: number(of, "decayPeriod")?,
        reduction_factor: number(of, "reductionFactor")?,
        variable_fee_control: number(of, "variableFeeControl")?,
        max_volatility: number(of, "maxVolatilityAccumulator")?,
        protocol_share: number(of, "protocolShare")?,
        function: number(of, "functionType")?,
        collect_fee_in: number(of, "collectFeeMode")?,
    })
}

fn reward(of: &Value) -> Result<Reward, Difference> {
    Ok(Reward {
        mint: address(of, "mint")?,
        vault: address(of, "vault")?,
        funder: address(of, "funder")?,
        duration: number(of, "rewardDuration")?,
        duration_end: number(of, "rewardDurationEnd")?,
        rate: number(of, "rewardRate")?,
        last_update: number(of, "lastUpdateTime")?,
        empty_seconds: number(of, "cumulativeSecondsWithEmptyLiquidityReward")?,
    })
}

fn pair(data: &[u8], e: &Value) -> Result<(), Difference> {
    let got = decode_pair_account(data).map_err(refused)?;
    let a = |field: &str| address(e, field);
    let rewards: Vec<Reward> = each(list(e, "rewardInfos")?, reward)?;
    let no_mint = Address::default();
    let fee = |side| Ok::<_, Difference>(Atoms::new(number(&e["protocolFee"], side)?));
    let bitmap: Vec<u64> = numbers(e, "binArrayBitmap")?;
    same("binArrayBitmap", bitmap.as_slice(), &got.state.bitmap)?;
    same("rewardInfos", rewards.as_slice(), &got.rewards)?;
    let [bump] = bytes_of(e, "bumpSeed")?;
    let program = |field| {
        Ok::<_, Difference>(match number(e, field)? {
            0_u8 => "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA".to_owned(),
            1 => "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb".to_owned(),
            other => other.to_string(),
        })
    };
    let programs = got.keys.token_programs.map(|program| program.to_string());
    same(
        "token programs",
        [program("tokenMintXProgramFlag")?, program("tokenMintYProgramFlag")?],
        programs,
    )?;
    let expected = PairAccount {
        state: PoolState {
            parameters: parameters(&e["parameters"])?,
            volatility: volatility(&e["vParameters"])?,
            active: number(e, "activeId")?,
            bin_step: number(e, "binStep")?,
            status: number(e, "status")?,
            pair_type: number(e, "pairType")?,
            activation_type: number(e, "activationType")?,
            activation_point: number(e, "activationPoint")?,
            rewarded: rewards.iter().any(|reward| reward.mint != no_mint),
            protocol_fees: [fee("amountX")?, fee("amountY")?],
            bitmap: got.state.bitmap,
        },
        keys: DecodedKeys {
            mints: [a("tokenXMint")?, a("tokenYMint")?],
            vaults: [a("reserveX")?, a("reserveY")?],
            token_programs: got.keys.token_programs,
            oracle: a("oracle")?,
        },
        bin_range: [number(&e["parameters"], "minBinId")?, number(&e["parameters"], "maxBinId")?],
        bump,
        bin_step_seed: bytes_of(e, "binStepSeed")?,
        require_base_factor_seed: number(e, "requireBaseFactorSeed")?,
        base_factor_seed: bytes_of(e, "baseFactorSeed")?,
        creator_control: number(e, "creatorPoolOnOffControl")?,
        rewards: got.rewards,
        last_updated_at: number(e, "lastUpdatedAt")?,
        pre_activation_address: a("preActivationSwapAddress")?,
        base_key: a("baseKey")?,
        pre_activation_duration: number(e, "preActivationDuration")?,
        creator: a("creator")?,
        version: number(e, "version")?,
    };
    let (state, keys) = decode_pool(data).map_err(refused)?;
    same("decode_pool", (&got.state, &got.keys), (&state, &keys))?;
    same("account", expected, got)
}

fn bin_array(data: &[u8], e: &Value, at: &Value) -> Result<(), Difference> {
    let got = decode_bin_array_account(data).map_err(refused)?;
    same("index", number(e, "index")?, got.index)?;
    same("version", number(e, "version")?, got.version)?;
    same("lbPair", address(e, "lbPair")?, got.pool)?;
    let expected = list(e, "bins")?;
    same("bins", expected.len(), got.bins.len())?;
    for (e, bin) in expected.iter().zip(&got.bins) {
        let n = |field: &str, got: u128| same(field, number(e, field)?, got);
        let amount = |field: &str, got: Atoms| n(field, got.get().into());
        let [x, y] = bin.bin.amounts;
        n("idx", bin.bin.place.into())?;
        amount("amountX", x)?;
        amount("amountY", y)?;
        n("price", bin.bin.price)?;
        n("liquiditySupply", bin.liquidity_supply)?;
        amount("fulfilledOrderAmountX", bin.filled_orders[0])?;
        amount("fulfilledOrderAmountY", bin.filled_orders[1])?;
        amount("limitOrderFeeAskSide", bin.ask_fee)?;
        amount("limitOrderFeeBidSide", bin.bid_fee)?;
        n("feeAmountXPerTokenStored", bin.fee_per_share[0])?;
        n("feeAmountYPerTokenStored", bin.fee_per_share[1])?;
        amount("openOrderAmount", bin.bin.open_orders)?;
        amount("totalProcessingOrderAmount", bin.started_total)?;
        amount("processedOrderRemainingAmount", bin.bin.started_orders)?;
        n("orderAge", bin.order_age.into())?;
        same("limitOrderAskSide", number::<u8>(e, "limitOrderAskSide")? != 0, bin.bin.ask)?;
    }
    let (short, pool) = decode_bin_array(data).map_err(refused)?;
    same("decode_bin_array", got.pool, pool)?;
    if at.is_string() {
        same("address", at.as_str(), Some(&*bin_array_address(&pool, short.index).to_string()))?;
    }
    let held = got.bins.iter().map(|bin| bin.bin).filter(|bin| {
        let [x, y] = bin.amounts;
        [x, y, bin.open_orders, bin.started_orders].into_iter().any(|amount| amount > Atoms::ZERO)
    });
    let index = i32::try_from(got.index).unwrap_or(i32::MAX);
    same("decode_bin_array", BinArray { index, bins: held.collect() }, short)
}

fn extension(data: &[u8], e: &Value) -> Result<(), Difference> {
    let (got, pool) = decode_extension_account(data).map_err(refused)?;
    same("lbPair", address(e, "lbPair")?, pool)?;
    let halves =
        [("positiveBinArrayBitmap", got.positive), ("negativeBinArrayBitmap", got.negative)];
    for (field, got) in halves {
        let rows = list(e, field)?;
        same(field, rows.len(), got.len())?;
        for (row, got) in rows.iter().zip(got) {
            let row: Vec<u64> = numbers(&serde_json::json!({ field: row }), field)?;
            same(field, row.as_slice(), &got)?;
        }
    }
    Ok(())
}

/// A key inside the bytes of a token account.
fn key_at(data: &[u8], at: usize) -> Option<Address> {
    data.get(at..)?.first_chunk().map(|bytes| Address::new_from_array(*bytes))
}

fn token_account(data: &[u8], e: &Value) -> Result<(), Difference> {
    same("mint", Some(address(e, "mint")?), key_at(data, 0))?;
    same("owner", Some(address(e, "owner")?), key_at(data, 32))?;
    same("amount", Ok(Atoms::new(number(e, "amount")?)), decode_vault(data))
}

fn mint(data: &[u8], e: &Value) -> Result<(), Difference> {
    let supply = data.get(36..).and_then(|data| data.first_chunk());
    let supply = supply.map(|bytes| u64::from_le_bytes(*bytes));
    same("supply", Some(number(e, "supply")?), supply)?;
    same("decimals", Some(number::<u8>(e, "decimals")?), data.get(44).copied())?;
    decode_transfer_fees(data).map(|_| ()).map_err(refused)
}
