//! The concentrated exchange's arithmetic against recorded vectors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]
#![allow(dead_code, unreachable_pub, reason = "shared by several test crates")]

#[path = "common/vectors.rs"]
mod vectors;

use serde_json::Value;
use sniper_localnet::cpmm::math::TransferFee;
use sniper_localnet::whirlpool::error::{self, Refusal};
use sniper_localnet::whirlpool::math::{
    Amount, Way, amount_a, amount_b, price_after_a, price_after_b,
};
use sniper_localnet::whirlpool::state::{POOL_DISCRIMINATOR, POOL_LEN, Whirlpool};
use sniper_localnet::whirlpool::swap::{Request, gross, sequence, swap, swap_with_transfer_fees};
use sniper_localnet::whirlpool::tick_array::{TickArray, start_of};
use sniper_localnet::whirlpool::tick_math::{
    MAX_SQRT_PRICE, MIN_SQRT_PRICE, sqrt_price_at, tick_at,
};
use solana_address::Address;
use vectors::{bytes, document, number, say, vectors};

/// Every vector is checked; the failures are shown together.
#[track_caller]
fn check_all(vectors: &[Value], check: impl Fn(&Value) -> Result<(), String>) {
    let failures: Vec<String> = vectors
        .iter()
        .filter_map(|vector| check(vector).err().map(|e| format!("{}: {e}", vector["id"])))
        .collect();
    let shown: Vec<_> = failures.iter().take(20).cloned().collect();
    let count = vectors.len();
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), shown.join("\n"));
}

fn equal<T: PartialEq + std::fmt::Debug>(name: &str, got: T, want: T) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{name}: got {got:?}, expected {want:?}")) }
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap()
}

#[test]
fn ticks_and_prices_are_those_of_the_sdk() {
    let Some(vectors) = vectors("whirlpool/tick_math.json") else { return };
    check_all(&vectors, |vector| {
        let (tick, price) = (number(&vector["tick"]), number(&vector["sqrt_price_x64"]));
        if !vector["id"].as_str().unwrap().contains("inv") {
            equal("price", sqrt_price_at(tick), price)?;
        }
        equal("tick", tick_at(price), tick)
    });
}

#[test]
fn single_steps_of_the_arithmetic_are_those_of_the_core_package() {
    let Some(vectors) = vectors("whirlpool/step_math.json") else { return };
    check_all(&vectors, |vector| {
        let get = |name: &str| number::<u128>(&vector[name]);
        let small = |name: &str| number::<u64>(&vector[name]);
        let fee = || TransferFee { bps: number(&vector["fee_bps"]), max: small("max_fee") };
        let in_range = |price: u128| (MIN_SQRT_PRICE..=MAX_SQRT_PRICE).contains(&price);
        let atoms = |amount| match amount {
            Ok(Amount::Atoms(atoms)) => Some(u128::from(atoms)),
            Ok(Amount::TooMany(_)) | Err(_) => None,
        };
        let up = |name: &str| vector[name].as_bool().unwrap_or_default();
        let got = match vector["fn"].as_str().unwrap() {
            "amount_delta_a" => atoms(amount_a(
                get("sqrt_price_1"),
                get("sqrt_price_2"),
                get("liquidity"),
                up("round_up"),
            )),
            "amount_delta_b" => atoms(Ok(amount_b(
                get("sqrt_price_1"),
                get("sqrt_price_2"),
                get("liquidity"),
                up("round_up"),
            ))),
            "next_sqrt_price_from_a" => price_after_a(
                get("sqrt_price"),
                get("liquidity"),
                small("amount"),
                up("specified_input"),
            )
            .ok(),
            // The core package checks the range here, the program where it uses the price.
            "next_sqrt_price_from_b" => price_after_b(
                get("sqrt_price"),
                get("liquidity"),
                small("amount"),
                up("specified_input"),
            )
            .ok()
            .filter(|price| in_range(*price)),
            "apply_transfer_fee" => Some((small("amount") - fee().on(small("amount"))).into()),
            "reverse_apply_transfer_fee" => gross_or_maximum(fee(), small("amount")),
            other => return Err(format!("unknown function {other}")),
        };
        let expected = &vector["expected"];
        let want = flag(&expected["ok"]).then(|| number::<u128>(&expected["value"]));
        equal("value", got, want)
    });
}

/// The core package leaves out the program's last check of the fee on the gross amount.
fn gross_or_maximum(fee: TransferFee, net: u64) -> Option<u128> {
    match gross(fee, net) {
        Ok(gross) => Some(gross.into()),
        Err(_) => Some(net.checked_add(fee.to_deliver(net)?)?.into()),
    }
}

fn named(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Custom(number) => error::name(number).unwrap(),
        Refusal::Abort => "abort",
    }
}

#[test]
fn every_case_of_the_programs_own_tests_ends_as_it_does_there() {
    let Some(vectors) = vectors("whirlpool/program_test_cases.json") else { return };
    check_all(&vectors, |vector| {
        let mut data = vec![0; POOL_LEN];
        data[..8].copy_from_slice(&POOL_DISCRIMINATOR);
        data[41] = 1;
        let (spacing, tick) = (number(&vector["tick_spacing"]), number(&vector["tick_current"]));
        let a_to_b = flag(&vector["a_to_b"]);
        let pool = Whirlpool {
            tick_spacing: spacing,
            fee_tier: spacing,
            fee_rate: number(&vector["fee_rate"]),
            protocol_fee_rate: number(&vector["protocol_fee_rate"]),
            liquidity: number(&vector["liquidity"]),
            sqrt_price: sqrt_price_at(tick),
            tick,
            ..Whirlpool::decode(&data).unwrap()
        };
        let span = 88 * i32::from(spacing) * if a_to_b { -1 } else { 1 };
        let first = start_of(tick, spacing);
        let arrays = [0, 1, 2].map(|nth| TickArray::empty(Address::default(), first + nth * span));
        let request = Request {
            amount: number(&vector["amount"]),
            sqrt_price_limit: number(&vector["sqrt_price_limit"]),
            way: Way { a_to_b, exact_in: flag(&vector["amount_is_input"]) },
        };
        let result = swap(&pool, &arrays, &request, 0);
        let expected = &vector["expected"];
        if !flag(&expected["ok"]) {
            let refusal = result.err().ok_or("accepted")?;
            return equal("error", named(refusal), expected["error"].as_str().unwrap());
        }
        let done = result.map_err(|refusal| format!("refused {}", named(refusal)))?;
        let (a, b) = if a_to_b {
            (done.amount_in, done.amount_out)
        } else {
            (done.amount_out, done.amount_in)
        };
        let growth = if a_to_b { done.pool.fee_growth_a } else { done.pool.fee_growth_b };
        equal("a", a, number(&expected["amount_a"]))?;
        equal("b", b, number(&expected["amount_b"]))?;
        equal("liquidity", done.pool.liquidity, number(&expected["next_liquidity"]))?;
        equal("tick", done.pool.tick, number(&expected["next_tick"]))?;
        equal("price", done.pool.sqrt_price, number(&expected["next_sqrt_price"]))?;
        equal("growth", growth, number(&expected["next_fee_growth_global_in"]))?;
        equal("protocol", done.protocol_fee, number(&expected["next_protocol_fee"]))
    });
}

/// The program's names of what the SDK says.
fn means(error: &str) -> &[&str] {
    match error {
        "TickArraySequenceInvalid" => {
            &["InvalidTickArraySequence", "TickArraySequenceInvalidIndex"]
        }
        "The total amount and fees overflow" => &["TransferFeeCalculationError"],
        "MultiplicationShiftRightOverflow" => &["MultiplicationShiftRightOverflow"],
        "InvalidSqrtPriceLimitDirection" => &["InvalidSqrtPriceLimitDirection"],
        "ZeroTradableAmount" => &["ZeroTradableAmount"],
        "TokenMaxExceeded" => &["TokenMaxExceeded"],
        "AmountCalcOverflow" => &["AmountCalcOverflow"],
        other => panic!("unknown error {other}"),
    }
}

struct State {
    pool: Whirlpool,
    arrays: Vec<TickArray>,
    fees: [TransferFee; 2],
}

impl State {
    fn of(state: &Value) -> Self {
        let arrays = state["tick_arrays"].as_array().unwrap();
        let decode = |array: &Value| TickArray::decode(&bytes(&array["data_b64"])).unwrap();
        let fee = |name: &str| match state.get(name) {
            Some(fee) => TransferFee { bps: number(&fee["bps"]), max: number(&fee["max"]) },
            None => TransferFee::default(),
        };
        Self {
            pool: Whirlpool::decode(&bytes(&state["whirlpool_data_b64"])).unwrap(),
            arrays: arrays.iter().map(decode).collect(),
            fees: [fee("mint_a_transfer_fee"), fee("mint_b_transfer_fee")],
        }
    }
}

fn check_swap(vector: &Value, state: &State) -> Result<(), String> {
    let (a_to_b, exact_in) = (flag(&vector["a_to_b"]), flag(&vector["amount_is_input"]));
    let wanted: Vec<i32> = vector["tick_arrays"].as_array().unwrap().iter().map(number).collect();
    let given: Vec<TickArray> =
        state.arrays.iter().filter(|array| wanted.contains(&array.start)).cloned().collect();
    let [fee_a, fee_b] = state.fees;
    let fees = if a_to_b { (fee_a, fee_b) } else { (fee_b, fee_a) };
    let mut request = Request {
        amount: number(&vector["amount"]),
        sqrt_price_limit: number(&vector["sqrt_price_limit"]),
        way: Way { a_to_b, exact_in },
    };
    let now = number(&vector["timestamp"]);
    let run = |request: &Request| {
        let arrays = sequence(&state.pool, a_to_b, &given)?;
        swap_with_transfer_fees(&state.pool, &arrays, request, fees, now)
    };
    let expected = &vector["expected"];
    let result = run(&request);
    if !flag(&expected["ok"]) {
        let want = expected["error"].as_str().unwrap();
        let got = match result {
            Err(refusal) => named(refusal),
            // The SDK refuses a limit at the price itself; the program lets it through and moves nothing.
            Ok(done) if request.sqrt_price_limit == state.pool.sqrt_price => {
                equal("moved", (done.user_pays, done.user_receives), (0, 0))?;
                "InvalidSqrtPriceLimitDirection"
            }
            Ok(_) => "accepted",
        };
        // The program reckons the transfer fee before it looks at the limit.
        let first = got == "TransferFeeCalculationError" && fees != Default::default();
        let limit = want == "InvalidSqrtPriceLimitDirection";
        let allowed = means(want).contains(&got) || (first && limit);
        return if allowed { Ok(()) } else { Err(format!("{got}, not {want}")) };
    }
    // The program refuses what the SDK calls a partial fill; it fills as far with a limit.
    let done = if !exact_in && result == Err(error::PARTIAL_FILL) {
        request.sqrt_price_limit = if a_to_b { MIN_SQRT_PRICE } else { MAX_SQRT_PRICE };
        let done = run(&request);
        if done.as_ref().is_ok_and(|done| done.user_receives >= request.amount) {
            return Err("refused as partial, but full".into());
        }
        done
    } else {
        result
    };
    let done = done.map_err(|refusal| format!("refused {}", named(refusal)))?;
    equal("in", done.user_pays, number(&expected["amount_in"]))?;
    equal("out", done.user_receives, number(&expected["amount_out"]))?;
    equal("fee", done.swap.fee, number(&expected["fee"]))?;
    equal("fee in", done.input_transfer_fee, number(&expected["transfer_fee_in"]))?;
    equal("fee out", done.output_transfer_fee, number(&expected["transfer_fee_out"]))?;
    equal("price", done.swap.pool.sqrt_price, number(&expected["end_sqrt_price"]))?;
    equal("tick", done.swap.pool.tick, number(&expected["end_tick"]))
}

#[test]
fn every_swap_of_a_plain_pool_equals_what_the_sdk_says() {
    let Some(document) = document("whirlpool/swap.json") else { return };
    let all = document["vectors"].as_array().unwrap();
    let state = |vector: &Value| &document["states"][vector["state"].as_str().unwrap()];
    let (adaptive, plain): (Vec<_>, Vec<_>) =
        all.iter().cloned().partition(|vector| state(vector).get("oracle_data_b64").is_some());
    check_all(&plain, |vector| check_swap(vector, &State::of(state(vector))));
    assert!(plain.len() > 500);
    say(&format!("skipped: {} swaps of pools with adaptive fees, not mounted", adaptive.len()));
}
