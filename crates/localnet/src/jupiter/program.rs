//! The aggregator as a native program of the runtime.

use litesvm::LiteSVM;
use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction, error::InstructionError};
use solana_program_runtime::invoke_context::InvokeContext;
use solana_program_runtime::solana_sbpf::program::BuiltinFunctionDefinition;
use solana_program_runtime::stable_log;

use super::instruction::{DecodeError, RouteArgs, Step, Swap, WHOLE};
use super::{EVENT_AUTHORITY, PROGRAM_ID};
use crate::anchor::{
    self, CONSTRAINT_ADDRESS, CONSTRAINT_TOKEN_MINT, CONSTRAINT_TOKEN_OWNER, DID_NOT_DESERIALIZE,
    FALLBACK_NOT_FOUND, Given, INVALID_PROGRAM_ID, custom,
};
use crate::cpmm::instruction::SwapArgs as ConstantArgs;
use crate::cpmm::token::is_token_program;
use crate::whirlpool::instruction::{SwapArgs as ConcentratedArgs, Version};
use crate::whirlpool::math::Way;
use crate::whirlpool::swap::Request;
use crate::{cpmm, whirlpool};

/// Compute units of one call besides those of the swap that it passes on.
pub const COMPUTE_UNITS: u64 = 20_000;

// Error numbers of the program.
const SLIPPAGE_EXCEEDED: u32 = 6001;
const INVALID_SLIPPAGE: u32 = 6004;
const NOT_ENOUGH_PERCENT: u32 = 6005;
const NOT_ENOUGH_KEYS: u32 = 6008;
const INVALID_ROUTE_PLAN: u32 = 6010;
const SWAP_NOT_SUPPORTED: u32 = 6016;

// Positions in the instruction's account list.
const OWNER: u16 = 0;
const SOURCE: u16 = 1;
const DESTINATION: u16 = 2;
const MINTS: [u16; 2] = [3, 4];
const PROGRAMS: [u16; 2] = [5, 6];
const INSTEAD: u16 = 7;
const EVENTS: u16 = 8;
const SELF: u16 = 9;
const FIXED: u16 = 10;

mod entrypoint {
    #![allow(missing_docs, reason = "the macro's type takes no doc comment")]
    #![allow(unreachable_pub, reason = "the macro makes its type public")]

    solana_program_runtime::declare_process_instruction!(
        Entrypoint,
        super::COMPUTE_UNITS,
        |invoke_context| { super::process(invoke_context) }
    );
}

/// Mounts the aggregator in `svm`.
pub fn mount(svm: &mut LiteSVM) {
    svm.add_builtin(PROGRAM_ID, entrypoint::Entrypoint::register);
}

fn process(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    let outcome = execute(context);
    // Numbers that are not its own come from a program that it called, which has printed its own line.
    if let Err(InstructionError::Custom(number)) = outcome
        && let Some(name) = error_name(number)
    {
        let log = context.get_log_collector();
        stable_log::program_log(
            &log,
            &format!("AnchorError occurred. Error Code: {name}. Error Number: {number}."),
        );
    }
    outcome
}

fn execute(context: &mut InvokeContext<'_, '_>) -> Result<(), InstructionError> {
    let args = {
        let instruction = context.transaction_context.get_current_instruction_context()?;
        RouteArgs::decode(instruction.get_instruction_data()).map_err(|error| {
            custom(match error {
                DecodeError::UnknownInstruction => FALLBACK_NOT_FOUND,
                DecodeError::BadArguments => DID_NOT_DESERIALIZE,
                DecodeError::UnknownSwap => SWAP_NOT_SUPPORTED,
            })
        })?
    };
    let log = context.get_log_collector();
    stable_log::program_log(&log, "Instruction: RouteV2");
    if args.slippage_bps > WHOLE {
        return Err(custom(INVALID_SLIPPAGE));
    }
    // Fees would go to accounts that this aggregator does not have.
    let [step] = args.steps.as_slice() else { return Err(custom(INVALID_ROUTE_PLAN)) };
    if args.platform_fee_bps != 0 || args.positive_slippage_bps != 0 {
        return Err(custom(SWAP_NOT_SUPPORTED));
    }
    if step.bps != WHOLE {
        return Err(custom(NOT_ENOUGH_PERCENT));
    }
    let given = Given(context);
    let owner = check(&given)?;
    let before = given.token_account(DESTINATION)?.amount;
    let call = call(&given, step, owner, args.in_amount)?;
    context.native_invoke_signed(call, &[])?;
    let came = Given(context).token_account(DESTINATION)?.amount.saturating_sub(before);
    if came < args.least() {
        return Err(custom(SLIPPAGE_EXCEEDED));
    }
    Ok(())
}

/// Whose swap it is, once the fixed accounts are what they must be.
fn check(given: &Given<'_, '_, '_>) -> Result<Address, InstructionError> {
    given.check_count(FIXED)?;
    given.check_signer(OWNER)?;
    let owner = given.key(OWNER)?;
    for (account, (mint, program)) in
        [SOURCE, DESTINATION].into_iter().zip(MINTS.into_iter().zip(PROGRAMS))
    {
        given.check_writable(account)?;
        let token_program = given.key(program)?;
        if !is_token_program(&token_program) {
            return Err(custom(INVALID_PROGRAM_ID));
        }
        given
            .any(account, |of, _| *of == token_program)
            .and_then(|is| if is { Ok(()) } else { Err(custom(CONSTRAINT_TOKEN_OWNER)) })?;
        let token = given.token_account(account)?;
        given.check_key(mint, &token.mint, CONSTRAINT_TOKEN_MINT)?;
        if account == SOURCE && token.owner != owner {
            return Err(custom(CONSTRAINT_TOKEN_OWNER));
        }
    }
    // Paying somebody else is not offered here.
    given.check_key(INSTEAD, &PROGRAM_ID, CONSTRAINT_ADDRESS)?;
    given.check_key(EVENTS, &EVENT_AUTHORITY, CONSTRAINT_ADDRESS)?;
    given.check_key(SELF, &PROGRAM_ID, CONSTRAINT_ADDRESS)?;
    Ok(owner)
}

/// The swap as the pool's own program is called, with the accounts behind the fixed ones.
fn call(
    given: &Given<'_, '_, '_>,
    step: &Step,
    owner: Address,
    amount: u64,
) -> Result<Instruction, InstructionError> {
    let (program_id, count, data) = match step.swap {
        Swap::RaydiumCp => {
            let args = ConstantArgs::BaseInput { amount_in: amount, minimum_amount_out: 0 };
            (cpmm::PROGRAM_ID, 13, args.encode())
        }
        Swap::Whirlpool { a_to_b } => {
            let way = Way { a_to_b, exact_in: true };
            let request = Request { amount, sqrt_price_limit: 0, way };
            let version = Version::Two(None);
            let args = ConcentratedArgs { request, other_amount_threshold: 0, version };
            (whirlpool::PROGRAM_ID, 15, args.encode())
        }
    };
    let first = FIXED.saturating_add(1);
    if given.len()? < first.saturating_add(count) {
        return Err(custom(NOT_ENOUGH_KEYS));
    }
    given.check_key(FIXED, &program_id, INVALID_PROGRAM_ID)?;
    let meta = |index| {
        let pubkey = given.key(index)?;
        let (is_signer, is_writable) = (pubkey == owner, given.is_writable(index)?);
        Ok(AccountMeta { pubkey, is_signer, is_writable })
    };
    let accounts = (first..first.saturating_add(count)).map(meta);
    let accounts = accounts.collect::<Result<_, InstructionError>>()?;
    Ok(Instruction { program_id, accounts, data })
}

fn error_name(number: u32) -> Option<&'static str> {
    Some(match number {
        SLIPPAGE_EXCEEDED => "SlippageToleranceExceeded",
        INVALID_SLIPPAGE => "InvalidSlippage",
        NOT_ENOUGH_PERCENT => "NotEnoughPercent",
        NOT_ENOUGH_KEYS => "NotEnoughAccountKeys",
        INVALID_ROUTE_PLAN => "InvalidRoutePlan",
        SWAP_NOT_SUPPORTED => "SwapNotSupported",
        _ => return anchor::error_name(number),
    })
}
