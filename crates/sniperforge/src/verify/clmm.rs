//! Raydium CLMM.

use serde_json::Value;
use sniper_core::amm::clmm::{
    self, BitmapExtension, Config, ConfigAccount, Curve, DynamicFee, Fixed, Keys, Passed,
    PoolAccount, PoolState, Reward, Swap, TickAccount, TickArray, TickArrayAccount, Ticks,
    decode_bitmap_extension, decode_config, decode_config_account, decode_pool_account,
    decode_tick_array, decode_tick_array_account,
};
use sniper_core::amm::transfer_fee::{EpochFees, TransferFee};
use sniper_core::amm::{Clock, QuoteError, SwapAccounts};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, list, number, same, same_instruction, text,
};

pub(super) fn check(file: &str, states: &Value, vector: &Value) -> Verdict {
    match file {
        "swap_v2" => swap(states, vector),
        "layout" | "real_accounts" => account(vector),
        "instructions" => instruction(vector),
        "real_instructions" => recorded(vector),
        "pda" => derived(vector),
        "tick_math" => tick(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

fn refused(error: impl std::fmt::Debug) -> Difference {
    Difference::new("expected.ok", "true", format!("{error:?}"))
}

fn transfer_fee(vector: &Value, state: &Value, side: usize) -> Result<TransferFee, Difference> {
    let plain = &state[format!("mint_{side}_transfer_fee")];
    if plain.is_null() {
        return Ok(TransferFee::NONE);
    }
    let part = |part: &Value| -> Result<TransferFee, Difference> {
        Ok(TransferFee { max: number(part, "max")?, bps: number(part, "bps")? })
    };
    let fees = EpochFees {
        older: part(&plain["older"])?,
        newer: part(&plain["newer"])?,
        newer_epoch: number(&plain["newer"], "epoch")?,
    };
    Ok(fees.at(number(vector, "epoch")?))
}

/// The tick arrays that a vector hands to the program, read as the feed would.
fn arrays(vector: &Value, state: &Value) -> Result<Vec<TickArray>, Difference> {
    let mut arrays = Vec::new();
    let pool = address(state, "pool_address")?;
    for passed in list(vector, "tick_arrays_passed")? {
        let all = list(state, "tick_arrays")?;
        let found = all.iter().find(|array| array["start_tick_index"] == *passed);
        let found = found.ok_or_else(|| {
            Difference::new("tick_arrays_passed", passed.to_string(), "not in the state")
        })?;
        let (of, array) = decode_tick_array(&bytes(found, "data_b64")?).map_err(refused)?;
        same("tick array's pool", pool, of)?;
        same("start_tick_index", number(found, "start_tick_index")?, array.start)?;
        same("address", address(found, "address")?, clmm::tick_array_address(&pool, array.start))?;
        arrays.push(array);
    }
    Ok(arrays)
}

fn extension(state: &Value) -> Result<Option<BitmapExtension>, Difference> {
    let pool = address(state, "pool_address")?;
    let at = address(state, "bitmap_extension_address")?;
    same("bitmap_extension_address", at, clmm::bitmap_extension_address(&pool))?;
    if state["bitmap_extension_data_b64"].is_null() {
        return Ok(None);
    }
    let data = bytes(state, "bitmap_extension_data_b64")?;
    let (of, extension) = decode_bitmap_extension(&data).map_err(refused)?;
    same("bitmap extension's pool", pool, of)?;
    Ok(Some(extension))
}

type Ran = (PoolAccount, Curve, Result<Swap, QuoteError>, Clock, Fixed);

fn run(vector: &Value, state: &Value) -> Result<Ran, Difference> {
    let pool = decode_pool_account(&bytes(state, "pool_data_b64")?).map_err(refused)?;
    let config = decode_config(&bytes(state, "config_data_b64")?).map_err(refused)?;
    let (extension, arrays) = (extension(state)?, arrays(vector, state)?);
    let fees = [transfer_fee(vector, state, 0)?, transfer_fee(vector, state, 1)?];
    let amount = Atoms::new(number(vector, "amount")?);
    let fixed = if flag(vector, "is_base_input")? { Fixed::In(amount) } else { Fixed::Out(amount) };
    let limit = number(vector, "sqrt_price_limit_x64")?;
    let clock = Clock {
        now: number(vector, "clock_unix_timestamp")?,
        epoch: number(vector, "epoch")?,
        ..Clock::default()
    };
    let ticks = Ticks::new(&pool.state, extension.as_ref(), &arrays).map_err(refused)?;
    let curve = Curve::new(&pool.state, &config, fees, ticks).map_err(refused)?;
    let swap = curve.swap(flag(vector, "zero_for_one")?, fixed, limit, &clock);
    Ok((pool, curve, swap, clock, fixed))
}

fn swap(states: &Value, vector: &Value) -> Verdict {
    let state = &states[text(vector, "state")?];
    let expected = &vector["expected"];
    let (pool, curve, got, clock, fixed) = run(vector, state)?;
    let forward = flag(vector, "zero_for_one")?;
    if vector["sqrt_price_limit_x64"] == "0" {
        // The short way must come to the same answer.
        let short = match fixed {
            Fixed::In(amount) => curve.quote_exact_in(forward, amount, &clock),
            Fixed::Out(amount) => curve.quote_exact_out(forward, amount, &clock),
        };
        if got.is_err() || short != Err(QuoteError::TooSmall) {
            same("quote", got.map(|swap| swap.quote()), short)?;
        }
    }
    if !flag(expected, "ok")? {
        return refusal(&expected["error"], got);
    }
    let swap = got.map_err(refused)?;
    let is = |of: &Value, field: &str, got: Atoms| same(field, number(of, field)?, got.get());
    is(expected, "user_paid", swap.paid)?;
    is(expected, "user_received", swap.received)?;
    is(expected, "vault_in_delta", swap.vault_in)?;
    is(expected, "vault_out_delta", swap.vault_out)?;
    same("sqrt_price_x64", number(expected, "sqrt_price_x64")?, swap.sqrt_price)?;
    same("tick", number(expected, "tick")?, swap.tick)?;
    same("liquidity", number(expected, "liquidity")?, swap.liquidity)?;
    let dynamic = &expected["dynamic_fee_after"];
    let dynamic = if dynamic.is_null() { None } else { dynamic_fee(dynamic)? };
    same("dynamic_fee_after", dynamic, swap.dynamic_fee)?;
    let event = &expected["event"];
    let side_in = usize::from(!forward);
    let side_fee = usize::from(!swap.fee_on_mint_0);
    for side in 0..2 {
        let turn = |given: Atoms, got: Atoms| if side == side_in { given } else { got };
        let fee = |part: Atoms| if side == side_fee { part } else { Atoms::ZERO };
        let pick = |[zero, one]: [Atoms; 2]| if side == 0 { zero } else { one };
        let after = |before, part| pick(before).saturating_add(fee(part));
        is(event, &format!("amount_{side}"), turn(swap.input_amount, swap.received))?;
        let transfer_fee = turn(swap.input_transfer_fee, swap.output_transfer_fee);
        is(event, &format!("transfer_fee_{side}"), transfer_fee)?;
        is(event, &format!("trade_fee_{side}"), fee(swap.trade_fee))?;
        let (protocol, fund) = (pool.state.protocol_fees, pool.state.fund_fees);
        is(expected, &format!("protocol_fees_{side}"), after(protocol, swap.protocol_fee))?;
        is(expected, &format!("fund_fees_{side}"), after(fund, swap.fund_fee))?;
        let growth = if side == side_fee { swap.fee_growth } else { 0 };
        let [growth_0, growth_1] = pool.fee_growth;
        let before = if side == 0 { growth_0 } else { growth_1 };
        let field = format!("fee_growth_global_{side}_x64");
        same(&field, number(expected, &field)?, before.wrapping_add(growth))?;
    }
    Ok(Outcome::Passed)
}

/// Which of our reasons each code of the program stands for.
fn refusal(error: &Value, got: Result<Swap, QuoteError>) -> Verdict {
    let wanted = match (text(error, "in")?, error["custom"].as_u64()) {
        ("amm", Some(6000)) => QuoteError::Paused,
        ("amm", Some(2505)) => QuoteError::NotOpen,
        ("amm", Some(6011 | 6037 | 6038 | 6039)) => QuoteError::Overflow,
        ("amm", Some(6016)) => QuoteError::NoLiquidity,
        ("amm", Some(6020 | 6022)) => QuoteError::TooSmall,
        ("amm", Some(6023 | 6024)) => QuoteError::MissingArray,
        ("token_program", Some(1)) => {
            // The swap itself is sound; the trader of the vectors holds 2^63 and cannot pay for it.
            let paid = got.map_err(refused)?.paid.get();
            same("paid is beyond the trader's balance", true, paid > 1 << 63)?;
            return Ok(Outcome::Passed);
        }
        _ => return Err(Difference::new("expected.error", error.to_string(), format!("{got:?}"))),
    };
    same(&format!("error {error}"), Err(wanted), got.map(|swap| swap.quote()))?;
    Ok(Outcome::Passed)
}

fn account(vector: &Value) -> Verdict {
    let data = bytes(vector, "data_b64")?;
    let e = &vector["expected"];
    same("owner", address(vector, "owner")?, clmm::PROGRAM_ID)?;
    match text(vector, "account")? {
        "PoolState" => pool(&data, e)?,
        "AmmConfig" => config(&data, e)?,
        "TickArrayState" => tick_array(&data, e)?,
        _ => return Ok(Outcome::Skipped("unknown account")),
    }
    Ok(Outcome::Passed)
}

/// A fee of zeros stands for none.
fn dynamic_fee(e: &Value) -> Result<Option<DynamicFee>, Difference> {
    let fee = DynamicFee {
        filter_period: number(e, "filterPeriod")?,
        decay_period: number(e, "decayPeriod")?,
        reduction_factor: number(e, "reductionFactor")?,
        control: number(e, "dynamicFeeControl")?,
        max_accumulator: number(e, "maxVolatilityAccumulator")?,
        reference_group: number(e, "tickSpacingIndexReference")?,
        reference: number(e, "volatilityReference")?,
        accumulator: number(e, "volatilityAccumulator")?,
        updated: number(e, "lastUpdateTimestamp")?,
    };
    Ok((fee != DynamicFee::default()).then_some(fee))
}

fn reward(e: &Value) -> Result<Reward, Difference> {
    Ok(Reward {
        state: number(e, "state")?,
        open_time: number(e, "openTime")?,
        end_time: number(e, "endTime")?,
        last_update_time: number(e, "lastUpdateTime")?,
        emissions_per_second: number(e, "emissionsPerSecondX64")?,
        total_emissioned: number(e, "totalEmissioned")?,
        claimed: number(e, "claimed")?,
        mint: address(e, "mint")?,
        vault: address(e, "vault")?,
        authority: address(e, "creator")?,
        growth: number(e, "growthGlobalX64")?,
    })
}

fn bitmap(e: &Value) -> Result<[u64; 16], Difference> {
    let hex = text(e, "tickArrayBitmap")?;
    let word = |at: usize| {
        let digits = hex.get(at * 16..at * 16 + 16)?;
        u64::from_str_radix(digits, 16).ok().map(u64::swap_bytes)
    };
    let words: Option<Vec<u64>> = (0..16).map(word).collect();
    let words = words.filter(|_| hex.len() == 256).and_then(|words| words.try_into().ok());
    words.ok_or_else(|| Difference::new("tickArrayBitmap", "256 hexadecimal digits", hex))
}

fn pool(data: &[u8], e: &Value) -> Result<(), Difference> {
    let got = decode_pool_account(data).map_err(refused)?;
    let a = |field: &str| address(e, field);
    let pair = |name: &str| -> Result<[Atoms; 2], Difference> {
        let side = |side| Ok(Atoms::new(number(e, &format!("{name}{side}"))?));
        Ok([side("A")?, side("B")?])
    };
    let state = PoolState {
        status: number(e, "status")?,
        open_time: number(e, "startTime")?,
        tick_spacing: number(e, "tickSpacing")?,
        liquidity: number(e, "liquidity")?,
        sqrt_price: number(e, "sqrtPriceX64")?,
        tick: number(e, "tickCurrent")?,
        fee_on: number(e, "feeOn")?,
        protocol_fees: pair("protocolFeesToken")?,
        fund_fees: pair("fundFeesToken")?,
        dynamic_fee: dynamic_fee(&e["dynamicFeeInfo"])?,
        bitmap: bitmap(e)?,
    };
    let expected = PoolAccount {
        state,
        keys: Keys {
            config: a("configId")?,
            observation: a("observationId")?,
            vaults: [a("vaultA")?, a("vaultB")?],
        },
        bump: number(e, "bump")?,
        creator: a("creator")?,
        mints: [a("mintA")?, a("mintB")?],
        decimals: [number(e, "mintDecimalsA")?, number(e, "mintDecimalsB")?],
        fee_growth: [number(e, "feeGrowthGlobalX64A")?, number(e, "feeGrowthGlobalX64B")?],
        rewards: if e["rewardInfos"].is_null() {
            got.rewards
        } else {
            let rewards: Result<Vec<_>, _> = list(e, "rewardInfos")?.iter().map(reward).collect();
            let count = |rewards: Vec<_>| format!("{} rewards", rewards.len());
            let rewards: Result<[Reward; 3], _> = rewards?.try_into();
            rewards
                .map_err(|rewards| Difference::new("rewardInfos", "3 rewards", count(rewards)))?
        },
        recent_epoch: number(e, "recentEpoch")?,
    };
    same("pool", expected, got)
}

fn config(data: &[u8], e: &Value) -> Result<(), Difference> {
    let expected = ConfigAccount {
        config: Config {
            trade_fee_rate: number(e, "tradeFeeRate")?,
            protocol_fee_rate: number(e, "protocolFeeRate")?,
            fund_fee_rate: number(e, "fundFeeRate")?,
        },
        bump: number(e, "bump")?,
        index: number(e, "index")?,
        owner: address(e, "owner")?,
        tick_spacing: number(e, "tickSpacing")?,
        fund_owner: address(e, "fundOwner")?,
    };
    same("config", Ok(expected), decode_config_account(data))
}

fn tick_array(data: &[u8], e: &Value) -> Result<(), Difference> {
    let mut ticks = Vec::new();
    for tick in list(e, "ticks")? {
        ticks.push(TickAccount {
            index: number(tick, "idx")?,
            tick: number(tick, "tick")?,
            liquidity_net: number(tick, "liquidityNet")?,
            liquidity_gross: number(tick, "liquidityGross")?,
            fee_growth_outside: [
                number(tick, "feeGrowthOutsideX64A")?,
                number(tick, "feeGrowthOutsideX64B")?,
            ],
            order_phase: number(tick, "orderPhase")?,
            orders_amount: number(tick, "ordersAmount")?,
            part_filled_remaining: number(tick, "partFilledOrdersRemaining")?,
            unfilled_ratio: number(tick, "unfilledRatioX64")?,
        });
    }
    let pool = address(e, "poolId")?;
    let start = number(e, "startTickIndex")?;
    let short = TickArray {
        start,
        ticks: ticks
            .iter()
            .map(|tick| clmm::Tick {
                tick: tick.tick,
                liquidity_net: tick.liquidity_net,
                has_liquidity: tick.liquidity_gross > 0,
                orders: tick.orders_amount,
                part_filled: tick.part_filled_remaining,
            })
            .collect(),
    };
    same("short form", Ok((pool, short)), decode_tick_array(data))?;
    let initialized = number(e, "initializedTickCount")?;
    let expected = TickArrayAccount { pool, start, initialized, ticks };
    same("tick array", Ok(expected), decode_tick_array_account(data))
}

fn instruction(vector: &Value) -> Verdict {
    let args = &vector["args"];
    let a = |field: &str| address(args, field);
    let n = |field: &str| Ok::<_, Difference>(Atoms::new(number(args, field)?));
    same("kind", "swap_v2", text(vector, "kind")?)?;
    let (fixed, threshold) = (n("amount")?, n("other_amount_threshold")?);
    let amount = if flag(args, "is_base_input")? {
        LegAmount::ExactIn { amount_in: fixed, min_out: threshold }
    } else {
        LegAmount::ExactOut { amount_out: fixed, max_in: threshold }
    };
    let parse = |text: &Value| text.as_str().and_then(|text| text.parse::<Address>().ok());
    let arrays: Option<Vec<_>> = list(args, "tick_arrays")?.iter().map(parse).collect();
    let arrays =
        arrays.ok_or_else(|| Difference::new("tick_arrays", "addresses", "something else"))?;
    let bitmap_extension = match &args["bitmap_extension"] {
        Value::Null => None,
        _ => Some(a("bitmap_extension")?),
    };
    let passed = Passed {
        bitmap_extension,
        tick_arrays: &arrays,
        sqrt_price_limit: number(args, "sqrt_price_limit_x64")?,
    };
    let accounts = SwapAccounts {
        owner: a("payer")?,
        source: a("user_input")?,
        destination: a("user_output")?,
    };
    // Both ways round: a pool whose mint 0 is the input, and one whose mint 1 is.
    for forward in [true, false] {
        let order = |input: &str, output: &str| -> Result<[Address; 2], Difference> {
            let [input, output] = [a(input)?, a(output)?];
            Ok(if forward { [input, output] } else { [output, input] })
        };
        let keys = Keys {
            config: a("amm_config")?,
            observation: a("observation")?,
            vaults: order("input_vault", "output_vault")?,
        };
        let mints = order("input_mint", "output_mint")?;
        let got =
            clmm::swap_instruction(a("pool")?, &keys, mints, forward, amount, accounts, passed);
        same_instruction(vector, &got)?;
    }
    Ok(Outcome::Passed)
}

/// A swap seen on chain, built again from what it names.
fn recorded(vector: &Value) -> Verdict {
    let hex = text(vector, "data_hex")?;
    let data: Option<Vec<u8>> = (0..hex.len() / 2)
        .map(|at| hex.get(2 * at..2 * at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok()))
        .collect();
    let wrong = || Difference::new("data_hex", "41 bytes", hex);
    let data: [u8; 41] = data.and_then(|data| data.try_into().ok()).ok_or_else(wrong)?;
    let Some(data) = data.strip_prefix(&clmm::SWAP_V2) else {
        return Ok(Outcome::Skipped("the older swap, which the engine never sends"));
    };
    let metas = list(vector, "accounts")?;
    let all: Result<Vec<_>, _> = metas.iter().map(|meta| address(meta, "pubkey")).collect();
    let all = all?;
    let [owner, config, pool, source, destination, vault_in, vault_out, observation, rest @ ..] =
        all.as_slice()
    else {
        return Err(Difference::new("accounts", "8 at least", all.len().to_string()));
    };
    // Three programs stand between: two for tokens, one for memos.
    let [_, _, _, mint_in, mint_out, arrays @ ..] = rest else {
        return Err(Difference::new("accounts", "13 at least", all.len().to_string()));
    };
    let word = |at: usize| {
        let word = data.get(at..).and_then(|rest| rest.first_chunk());
        word.copied().map(u64::from_le_bytes).unwrap_or_default()
    };
    let (fixed, threshold) = (Atoms::new(word(0)), Atoms::new(word(8)));
    let amount = if data.last() == Some(&1) {
        LegAmount::ExactIn { amount_in: fixed, min_out: threshold }
    } else {
        LegAmount::ExactOut { amount_out: fixed, max_in: threshold }
    };
    let passed = Passed {
        bitmap_extension: None,
        tick_arrays: arrays,
        sqrt_price_limit: u128::from(word(16)) | u128::from(word(24)) << 64,
    };
    let (config, observation) = (*config, *observation);
    let keys = Keys { config, observation, vaults: [*vault_in, *vault_out] };
    let accounts = SwapAccounts { owner: *owner, source: *source, destination: *destination };
    let mints = [*mint_in, *mint_out];
    let mut got = clmm::swap_instruction(*pool, &keys, mints, true, amount, accounts, passed);
    // The one who signs also paid the fee of the transaction, which makes the account writable.
    if let Some(payer) = got.accounts.first_mut() {
        payer.is_writable = true;
    }
    same_instruction(vector, &got)?;
    Ok(Outcome::Passed)
}

fn derived(vector: &Value) -> Verdict {
    let inputs = &vector["inputs"];
    let expected = &vector["expected"];
    let mints = [address(inputs, "mint_0")?, address(inputs, "mint_1")?];
    let got = clmm::derive(&address(inputs, "amm_config")?, mints);
    let is = |field: &str, got: Address| same(field, address(expected, field)?, got);
    is("pool", got.pool)?;
    same("pool_bump", number(expected, "pool_bump")?, got.bump)?;
    is("vault_0", got.vaults[0])?;
    is("vault_1", got.vaults[1])?;
    let start = number(inputs, "tick_array_start")?;
    is("tick_array", clmm::tick_array_address(&got.pool, start))?;
    Ok(Outcome::Passed)
}

fn tick(vector: &Value) -> Verdict {
    let (tick, sqrt_price) = (number(vector, "tick")?, number(vector, "sqrt_price_x64")?);
    if text(vector, "id")?.starts_with("clmm-tick-") {
        same("sqrt_price_x64", Some(sqrt_price), clmm::sqrt_price_at_tick(tick))?;
    } else {
        same("tick", Some(tick), clmm::tick_at_sqrt_price(sqrt_price))?;
    }
    Ok(Outcome::Passed)
}
