//! `withdraw`: a holder of liquidity tokens takes its part of both vaults.
//!
//! Account order, checks, arithmetic, event and error numbers are those of raydium-io/raydium-cp-swap `840ddab9`
//! (`programs/cp-swap/src/instructions/withdraw.rs`).

use solana_address::{Address, address};
use solana_instruction::error::InstructionError;
use solana_instruction::{AccountMeta, Instruction};
use solana_program_runtime::invoke_context::InvokeContext;
use solana_program_runtime::stable_log;
use spl_token_2022_interface::instruction as token;

use super::math::{TransferFee, code};
use super::program::INCORRECT_LP_MINT;
use super::state::PoolState;
use super::token::{is_token_program, mint_decimals, transfer_fee};
use super::{AUTHORITY_SEED, PROGRAM_ID, authority};
use crate::anchor::{
    CONSTRAINT_ADDRESS, CONSTRAINT_RAW, CONSTRAINT_SEEDS, CONSTRAINT_TOKEN_MINT,
    CONSTRAINT_TOKEN_OWNER, DISCRIMINATOR_MISMATCH, Given, INVALID_PROGRAM_ID, NOT_INITIALIZED,
    custom,
};

/// First bytes of the instruction.
pub const WITHDRAW: [u8; 8] = [0xb7, 0x12, 0x46, 0x9c, 0x94, 0x6d, 0xa1, 0x22];
const LP_CHANGE_EVENT: [u8; 8] = [0x79, 0xa3, 0xcd, 0xc9, 0x39, 0xda, 0x75, 0x3c];
const MEMO: Address = address!("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
/// The status bit that switches withdrawals off.
const DISABLED_BIT: u8 = 1 << 1;

// Positions in the instruction's account list.
const OWNER: u16 = 0;
const AUTHORITY: u16 = 1;
const POOL: u16 = 2;
const OWNER_LP: u16 = 3;
const RECEIVERS: [u16; 2] = [4, 5];
const VAULTS: [u16; 2] = [6, 7];
const TOKEN_PROGRAM: u16 = 8;
const TOKEN_2022_PROGRAM: u16 = 9;
const MINTS: [u16; 2] = [10, 11];
const LP_MINT: u16 = 12;
const MEMO_PROGRAM: u16 = 13;
const ACCOUNTS: u16 = 14;

/// How much is given back for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithdrawArgs {
    /// Liquidity tokens burnt.
    pub lp_amount: u64,
    /// Fewest atoms of token 0 accepted.
    pub minimum_0: u64,
    /// Fewest atoms of token 1 accepted.
    pub minimum_1: u64,
}

impl WithdrawArgs {
    /// Reads what follows the first eight bytes; none if it is cut short.
    #[must_use]
    pub fn decode(rest: &[u8]) -> Option<Self> {
        let (lp_amount, rest) = rest.split_first_chunk()?;
        let (minimum_0, rest) = rest.split_first_chunk()?;
        let (minimum_1, _) = rest.split_first_chunk()?;
        let [lp_amount, minimum_0, minimum_1] =
            [lp_amount, minimum_0, minimum_1].map(|bytes| u64::from_le_bytes(*bytes));
        Some(Self { lp_amount, minimum_0, minimum_1 })
    }
}

/// Builds the instruction. `lp` and `receivers` are the owner's accounts of the liquidity token and of both tokens.
#[must_use]
pub fn withdraw(
    pool: (Address, &PoolState),
    owner: Address,
    lp: Address,
    receivers: [Address; 2],
    args: WithdrawArgs,
) -> Instruction {
    let read = |address| AccountMeta::new_readonly(address, false);
    let write = |address| AccountMeta::new(address, false);
    let (address, state) = pool;
    let numbers = [args.lp_amount, args.minimum_0, args.minimum_1].map(u64::to_le_bytes);
    Instruction {
        program_id: PROGRAM_ID,
        accounts: vec![
            AccountMeta::new_readonly(owner, true),
            read(authority().0),
            write(address),
            write(lp),
            write(receivers[0]),
            write(receivers[1]),
            write(state.vault_0),
            write(state.vault_1),
            read(spl_token_interface::ID),
            read(spl_token_2022_interface::ID),
            read(state.mint_0),
            read(state.mint_1),
            write(state.lp_mint),
            read(MEMO),
        ],
        data: [WITHDRAW.as_slice(), numbers.as_flattened()].concat(),
    }
}

/// One side of the pool.
struct Side {
    vault: Address,
    held: u64,
    receiver: Address,
    mint: Address,
    program: Address,
    decimals: u8,
    fee: TransferFee,
}

struct Accounts {
    owner: Address,
    pool_address: Address,
    pool: PoolState,
    authority: Address,
    owner_lp: Address,
    lp_mint: Address,
    sides: [Side; 2],
}

impl Given<'_, '_, '_> {
    fn withdrawn_side(
        &self,
        [receiver, vault, mint]: [u16; 3],
        expected: &Address,
        epoch: u64,
    ) -> Result<Side, InstructionError> {
        let (receives, held) = (self.token_account(receiver)?, self.token_account(vault)?);
        self.check_writable(receiver)?;
        if receives.mint != held.mint {
            return Err(custom(CONSTRAINT_TOKEN_MINT));
        }
        self.check_writable(vault)?;
        self.check_key(vault, expected, CONSTRAINT_RAW)?;
        self.check_key(mint, &held.mint, CONSTRAINT_ADDRESS)?;
        let (decimals, fee) = self.owned(mint, is_token_program, |data| {
            (mint_decimals(data), transfer_fee(data, epoch))
        })?;
        Ok(Side {
            vault: *expected,
            held: held.amount,
            receiver: self.key(receiver)?,
            mint: held.mint,
            program: self.any(mint, |owner, _| *owner)?,
            decimals: decimals.ok_or(custom(NOT_INITIALIZED))?,
            fee,
        })
    }
}

impl Accounts {
    fn load(context: &InvokeContext<'_, '_>, epoch: u64) -> Result<Self, InstructionError> {
        let given = Given(context);
        given.check_count(ACCOUNTS)?;
        given.check_signer(OWNER)?;
        let ours = |owner: &Address| *owner == PROGRAM_ID;
        let pool = given.owned(POOL, ours, PoolState::decode)?;
        let pool = pool.ok_or(custom(DISCRIMINATOR_MISMATCH))?;
        given.check_writable(POOL)?;
        let lp = given.token_account(OWNER_LP)?;
        for (index, program) in [
            (TOKEN_PROGRAM, spl_token_interface::ID),
            (TOKEN_2022_PROGRAM, spl_token_2022_interface::ID),
        ] {
            given.check_key(index, &program, INVALID_PROGRAM_ID)?;
        }
        let authority = authority().0;
        given.check_key(AUTHORITY, &authority, CONSTRAINT_SEEDS)?;
        given.check_writable(OWNER_LP)?;
        let owner = given.key(OWNER)?;
        if lp.owner != owner {
            return Err(custom(CONSTRAINT_TOKEN_OWNER));
        }
        let side = |nth: usize, vault: &Address| {
            let at = |places: [u16; 2]| if nth == 0 { places[0] } else { places[1] };
            given.withdrawn_side([at(RECEIVERS), at(VAULTS), at(MINTS)], vault, epoch)
        };
        let sides = [side(0, &pool.vault_0)?, side(1, &pool.vault_1)?];
        given.check_writable(LP_MINT)?;
        given.check_key(LP_MINT, &pool.lp_mint, INCORRECT_LP_MINT)?;
        given.check_key(MEMO_PROGRAM, &MEMO, CONSTRAINT_ADDRESS)?;
        Ok(Self {
            owner,
            pool_address: given.key(POOL)?,
            lp_mint: pool.lp_mint,
            pool,
            authority,
            owner_lp: given.key(OWNER_LP)?,
            sides,
        })
    }
}

/// What is taken out of a vault: the part of what it holds beyond fees owed, rounded down.
fn part(of: u64, lp: u64, supply: u64) -> Option<u64> {
    let share = u128::from(lp).checked_mul(of.into())?.checked_div(supply.into())?;
    u64::try_from(share.min(of.into())).ok()
}

pub(super) fn execute(
    context: &mut InvokeContext<'_, '_>,
    args: WithdrawArgs,
) -> Result<(), InstructionError> {
    let epoch = context.environment_config.sysvar_cache().get_clock()?.epoch;
    let mut accounts = Accounts::load(context, epoch)?;
    let pool = &accounts.pool;
    if pool.status & DISABLED_BIT != 0 {
        return Err(custom(code::NOT_APPROVED));
    }
    let [zero, one] = &accounts.sides;
    let (net_0, net_1) =
        pool.net_reserves(zero.held, one.held).ok_or(InstructionError::ProgramFailedToComplete)?;
    let out =
        |net| part(net, args.lp_amount, pool.lp_supply).ok_or(custom(code::ZERO_TRADING_TOKENS));
    let (out_0, out_1) = (out(net_0)?, out(net_1)?);
    let (fee_0, fee_1) = (zero.fee.on(out_0), one.fee.on(out_1));
    let (gets_0, gets_1) = (out_0.saturating_sub(fee_0), out_1.saturating_sub(fee_1));
    let mut event = LP_CHANGE_EVENT.to_vec();
    event.extend(accounts.pool_address.as_array());
    for number in [pool.lp_supply, net_0, net_1, gets_0, gets_1, fee_0, fee_1] {
        event.extend(number.to_le_bytes());
    }
    event.push(1);
    stable_log::program_data(&context.get_log_collector(), &[&event]);
    if gets_0 < args.minimum_0 || gets_1 < args.minimum_1 {
        return Err(custom(code::EXCEEDED_SLIPPAGE));
    }
    accounts.pool.lp_supply = accounts
        .pool
        .lp_supply
        .checked_sub(args.lp_amount)
        .ok_or(InstructionError::ProgramFailedToComplete)?;
    pay(context, &accounts, args.lp_amount, [out_0, out_1])?;
    accounts.pool.recent_epoch = epoch;
    let instruction = context.transaction_context.get_current_instruction_context()?;
    let mut account = instruction.try_borrow_instruction_account(POOL)?;
    accounts.pool.write(account.get_data_mut()?).ok_or(InstructionError::InvalidAccountData)
}

fn pay(
    context: &mut InvokeContext<'_, '_>,
    accounts: &Accounts,
    lp_amount: u64,
    out: [u64; 2],
) -> Result<(), InstructionError> {
    let unbuilt = |_| InstructionError::IncorrectProgramId;
    let burn = token::burn(
        &spl_token_interface::ID,
        &accounts.owner_lp,
        &accounts.lp_mint,
        &accounts.owner,
        &[],
        lp_amount,
    );
    context.native_invoke_signed(burn.map_err(unbuilt)?, &[])?;
    let seeds: &[&[u8]] = &[AUTHORITY_SEED, &[accounts.pool.auth_bump]];
    for (side, amount) in accounts.sides.iter().zip(out).filter(|(_, amount)| *amount > 0) {
        let give = token::transfer_checked(
            &side.program,
            &side.vault,
            &side.mint,
            &side.receiver,
            &accounts.authority,
            &[],
            amount,
            side.decimals,
        );
        context.native_invoke_signed(give.map_err(unbuilt)?, &[seeds])?;
    }
    Ok(())
}
