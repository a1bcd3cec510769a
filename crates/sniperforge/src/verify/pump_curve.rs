//! The pump.fun bonding curve.

use serde_json::Value;
use sniper_core::amm::pump_curve::{
    self, Config, ConfigAccount, Curve, CurveState, DecodedKeys, Inputs, Keys, Swap, decode_config,
    decode_config_account, decode_curve,
};
use sniper_core::amm::pump_fees::{
    FEE_PROGRAM_ID, FeeConfig, Recipients, Schedule, WRAPPED_SOL, associated_token,
    decode_fee_config,
};
use sniper_core::amm::{Clock, QuoteError, SwapAccounts, pump_swap};
use sniper_core::ids::Address;
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

use super::case::{
    Difference, Outcome, Verdict, address, bytes, flag, number, same, same_instruction, text,
};
use super::pump_swap::{addresses, atoms, refused, shared};

pub(super) fn check(file: &str, header: &Value, vector: &Value) -> Verdict {
    match file {
        "swap" => swap(header, vector),
        "layout" | "real_accounts" => account(vector),
        "instructions" => instruction(vector),
        "pda" => derived(vector),
        _ => Ok(Outcome::Skipped("unknown group")),
    }
}

struct Case {
    state: CurveState,
    supply: Atoms,
    config: Config,
    fee_config: Option<FeeConfig>,
    schedule: Schedule,
}

impl Case {
    fn of(header: &Value, vector: &Value) -> Result<Self, Difference> {
        let (state, keys) = decode_curve(&bytes(vector, "curve_data_b64")?).map_err(refused)?;
        let config = shared(header, "globals", text(vector, "global")?)?;
        let fee_config = match text(vector, "fee_config")? {
            "none" => None,
            name => {
                let data = shared(header, "fee_configs", name)?;
                Some(decode_fee_config(&data).map_err(refused)?.config)
            }
        };
        Ok(Self {
            state,
            supply: atoms(vector, "mint_supply")?,
            config: decode_config(&config).map_err(refused)?,
            fee_config,
            schedule: Schedule::of_coin(&keys.quote_mint),
        })
    }

    fn run(&self, function: &str, amount: Atoms) -> Result<Swap, QuoteError> {
        let curve = self.curve()?;
        let clock = Clock::default();
        match function {
            "buy_exact_quote_in" => curve.swap_exact_in(false, amount, &clock),
            "sell_exact_token_in" => curve.swap_exact_in(true, amount, &clock),
            _ => curve.swap_exact_out(false, amount, &clock),
        }
    }

    fn curve(&self) -> Result<Curve, QuoteError> {
        Curve::new(&Inputs {
            state: &self.state,
            supply: self.supply,
            config: &self.config,
            fee_config: self.fee_config.as_ref(),
            schedule: self.schedule,
        })
    }
}

fn swap(header: &Value, vector: &Value) -> Verdict {
    let (function, expected) = (text(vector, "fn")?, &vector["expected"]);
    let Some(field) = [
        ("buy_exact_quote_in", "tokens_out"),
        ("sell_exact_token_in", "quote_out"),
        ("buy_exact_token_out", "quote_in"),
    ]
    .into_iter()
    .find_map(|(name, field)| (name == function).then_some(field)) else {
        return Ok(Outcome::Skipped("unknown function"));
    };
    let mut case = Case::of(header, vector)?;
    let mut amount = atoms(vector, "amount")?;
    // The SDK quotes a complete curve like any other; the program does not trade on it.
    if case.state.complete {
        same("complete", Err(QuoteError::Complete), case.run(function, amount))?;
        case.state.complete = false;
    }
    if case.state.virtual_token == Atoms::ZERO {
        same("expected", 0_u64, number(expected, field)?)?;
        same("expected", Err(QuoteError::NoLiquidity), case.run(function, amount))?;
        return Ok(Outcome::Passed);
    }
    let [by_supply, others] = case.curve().map_err(refused)?.fees();
    let fees = if function == "buy_exact_quote_in" { by_supply } else { others };
    if !vector["fee_bps"].is_null() {
        let of = &vector["fee_bps"];
        same("protocolFeeBps", number(of, "protocolFeeBps")?, fees.protocol_bps)?;
        let creator = if case.state.has_creator { number(of, "creatorFeeBps")? } else { 0 };
        same("creatorFeeBps", creator, fees.creator_bps)?;
    }
    // The SDK takes what is left for what was asked.
    if function == "buy_exact_token_out" && amount > case.state.real_token {
        same("more than is left", Err(QuoteError::NoLiquidity), case.run(function, amount))?;
        amount = case.state.real_token;
    }
    let mut got = case.run(function, amount);
    // The SDK does not ask whether the curve can pay a sale; the program does.
    if function == "sell_exact_token_in" && got == Err(QuoteError::NoLiquidity) {
        let payable = std::mem::replace(&mut case.state.real_quote, Atoms::MAX);
        got = case.run(function, amount);
        if let Ok(swap) = got {
            same("the curve can pay it", false, swap.quote_before_fees <= payable)?;
        }
    }
    if !flag(expected, "ok")? {
        same("expected.error", Err(QuoteError::NoLiquidity), got)?;
        return Ok(Outcome::Passed);
    }
    let value: i128 = number(expected, field)?;
    same("degenerate", value < 0, expected["degenerate"] == true)?;
    if value <= 0 {
        same("expected", Err(QuoteError::TooSmall), got)?;
        return Ok(Outcome::Passed);
    }
    let swap = got.map_err(refused)?;
    let got = if field == "tokens_out" { swap.tokens } else { swap.user_quote };
    same(field, value, got.get().into())?;
    let given = if function == "buy_exact_quote_in" { swap.user_quote } else { swap.tokens };
    same("amount", amount, given)?;
    Ok(Outcome::Passed)
}

fn account(vector: &Value) -> Verdict {
    let data = bytes(vector, "data_b64")?;
    same("data_len", number(vector, "data_len")?, data.len())?;
    same("owner", address(vector, "owner")?, pump_curve::PROGRAM_ID)?;
    match text(vector, "account")? {
        "BondingCurve" => curve(&data, &vector["expected"])?,
        "Global" => config(&data, &vector["expected"])?,
        _ => return Ok(Outcome::Skipped("unknown account")),
    }
    Ok(Outcome::Passed)
}

fn curve(data: &[u8], e: &Value) -> Result<(), Difference> {
    let creator = address(e, "creator")?;
    let state = CurveState {
        virtual_token: atoms(e, "virtualTokenReserves")?,
        virtual_quote: atoms(e, "virtualQuoteReserves")?,
        real_token: atoms(e, "realTokenReserves")?,
        real_quote: atoms(e, "realQuoteReserves")?,
        creator_fee_bps: number(e, "creatorFeeBps")?,
        complete: flag(e, "complete")?,
        has_creator: creator != Address::default(),
        mayhem: flag(e, "isMayhemMode")?,
    };
    let keys = DecodedKeys {
        total_supply: atoms(e, "tokenTotalSupply")?,
        creator,
        cashback: flag(e, "isCashbackCoin")?,
        quote_mint: address(e, "quoteMint")?,
        can_edit_creator_fee: flag(e, "canEditCreatorFee")?,
        holder_reward: flag(e, "isHolderReward")?,
    };
    same("curve", Ok((state, keys)), decode_curve(data))
}

fn config(data: &[u8], e: &Value) -> Result<(), Difference> {
    let a = |field: &str| address(e, field);
    let n = |field: &str| number(e, field);
    let f = |field: &str| flag(e, field);
    let eight = |first: &str, others: &str| -> Result<[Address; 8], Difference> {
        let [b, c, d, e1, f, g, h] = addresses(e, others)?;
        Ok([a(first)?, b, c, d, e1, f, g, h])
    };
    let expected = ConfigAccount {
        config: Config {
            fee_bps: n("feeBasisPoints")?,
            creator_fee_bps: n("creatorFeeBasisPoints")?,
            creator_fee_configurable: f("creatorFeeConfigurable")?,
        },
        initialized: f("initialized")?,
        authority: a("authority")?,
        initial_virtual_token: n("initialVirtualTokenReserves")?,
        initial_virtual_sol: n("initialVirtualSolReserves")?,
        initial_real_token: n("initialRealTokenReserves")?,
        token_total_supply: n("tokenTotalSupply")?,
        withdraw_authority: a("withdrawAuthority")?,
        enable_migrate: f("enableMigrate")?,
        pool_migration_fee: n("poolMigrationFee")?,
        fee_recipients: eight("feeRecipient", "feeRecipients")?,
        set_creator_authority: a("setCreatorAuthority")?,
        admin_set_creator_authority: a("adminSetCreatorAuthority")?,
        create_v2_enabled: f("createV2Enabled")?,
        whitelist: a("whitelistPda")?,
        reserved_recipients: eight("reservedFeeRecipient", "reservedFeeRecipients")?,
        mayhem_enabled: f("mayhemModeEnabled")?,
        cashback_enabled: f("isCashbackEnabled")?,
        buyback_recipients: addresses(e, "buybackFeeRecipients")?,
        buyback_bps: n("buybackBasisPoints")?,
        initial_virtual_quote: n("initialVirtualQuoteReserves")?,
        quote_mints: addresses(e, "whitelistedQuoteMints")?,
        max_creator_fee_bps: n("maxConfigurableCreatorFeeBps")?,
        holder_reward_authority: a("holderRewardClaimAuthority")?,
        holder_reward_enabled: f("isHolderRewardEnabled")?,
    };
    same("config", Ok(expected), decode_config_account(data))
}

fn instruction(vector: &Value) -> Verdict {
    let (kind, args) = (text(vector, "kind")?, &vector["args"]);
    let a = |field: &str| address(args, field);
    let (forward, amount) = match kind {
        "buy" | "buy_v2" => {
            let amount_out = atoms(args, "token_amount")?;
            (false, LegAmount::ExactOut { amount_out, max_in: atoms(args, "max_quote_cost")? })
        }
        "sell" | "sell_v2" => {
            let amount_in = atoms(args, "token_amount")?;
            (true, LegAmount::ExactIn { amount_in, min_out: atoms(args, "min_quote_out")? })
        }
        _ => return Ok(Outcome::Skipped("an instruction that the engine never sends")),
    };
    let legacy = !kind.ends_with("_v2");
    let (mint, program, owner) = (a("mint")?, a("token_program")?, a("user")?);
    let (quote_mint, quote_program) =
        if legacy { (WRAPPED_SOL, program) } else { (a("quote_mint")?, a("quote_token_program")?) };
    let curve = DecodedKeys {
        total_supply: Atoms::ZERO,
        creator: a("creator")?,
        cashback: legacy && forward && flag(args, "cashback")?,
        quote_mint,
        can_edit_creator_fee: false,
        holder_reward: false,
    };
    let recipients =
        Recipients { protocol: a("fee_recipient")?, buyback: a("buyback_fee_recipient")? };
    let keys = Keys::new(&curve, &mint, [program, quote_program], recipients);
    let token = associated_token(&owner, &mint, &program);
    let quote = associated_token(&owner, &quote_mint, &quote_program);
    let (source, destination) = if forward { (token, quote) } else { (quote, token) };
    let accounts = SwapAccounts { owner, source, destination };
    let pool = pump_curve::bonding_curve(&mint);
    let got = if legacy {
        pump_curve::legacy_swap_instruction(pool, &keys, mint, forward, amount, accounts)
    } else {
        let mints = [mint, quote_mint];
        pump_curve::swap_instruction(pool, &keys, mints, forward, amount, accounts)
    };
    let got = got.ok_or_else(|| Difference::new("instruction", "one", "none"))?;
    same_instruction(vector, &got)?;
    Ok(Outcome::Passed)
}

fn derived(vector: &Value) -> Verdict {
    let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
    let mint = address(inputs, "mint")?;
    let is = |field: &str, got: Address| same(field, address(expected, field)?, got);
    is("bonding_curve", pump_curve::bonding_curve(&mint))?;
    is("bonding_curve_v2", pump_curve::bonding_curve_v2(&mint))?;
    is("creator_vault", pump_curve::creator_vault(&address(inputs, "creator")?))?;
    is("user_volume_accumulator", pump_curve::user_volume(&address(inputs, "user")?))?;
    is("canonical_pool", pump_swap::canonical_pool([mint, WRAPPED_SOL]))?;
    let find = |seeds: &[&[u8]], program| Address::find_program_address(seeds, program).0;
    let own = |seed: &[u8]| find(&[seed], &pump_curve::PROGRAM_ID);
    for (field, got, constant) in [
        ("global", own(b"global"), pump_curve::GLOBAL),
        ("event_authority", own(b"__event_authority"), pump_curve::EVENT_AUTHORITY),
        (
            "fee_config",
            find(&[b"fee_config", pump_curve::PROGRAM_ID.as_ref()], &FEE_PROGRAM_ID),
            pump_curve::FEE_CONFIG,
        ),
    ] {
        is(field, got)?;
        is(field, constant)?;
    }
    same("volume", own(b"global_volume_accumulator"), pump_curve::GLOBAL_VOLUME)?;
    Ok(Outcome::Passed)
}
