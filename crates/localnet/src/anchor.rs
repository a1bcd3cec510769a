//! What the mounted programs share: the account framework's checks and their error numbers.

use solana_address::Address;
use solana_instruction::error::InstructionError;
use solana_program_runtime::invoke_context::InvokeContext;
use solana_system_interface::instruction as system;

use crate::cpmm::token::{TokenAccount, is_token_program};

// Error numbers of the account framework the real programs are built on.
pub(crate) const FALLBACK_NOT_FOUND: u32 = 101;
pub(crate) const DID_NOT_DESERIALIZE: u32 = 102;
pub(crate) const CONSTRAINT_MUT: u32 = 2000;
pub(crate) const CONSTRAINT_RAW: u32 = 2003;
pub(crate) const CONSTRAINT_SEEDS: u32 = 2006;
pub(crate) const CONSTRAINT_ADDRESS: u32 = 2012;
pub(crate) const CONSTRAINT_TOKEN_MINT: u32 = 2014;
pub(crate) const CONSTRAINT_TOKEN_OWNER: u32 = 2015;
pub(crate) const CONSTRAINT_MINT_PROGRAM: u32 = 2022;
pub(crate) const REQUIRE_EQ: u32 = 2501;
pub(crate) const DISCRIMINATOR_MISMATCH: u32 = 3002;
pub(crate) const NOT_ENOUGH_KEYS: u32 = 3005;
pub(crate) const NOT_MUTABLE: u32 = 3006;
pub(crate) const OWNED_BY_WRONG_PROGRAM: u32 = 3007;
pub(crate) const INVALID_PROGRAM_ID: u32 = 3008;
pub(crate) const NOT_SIGNER: u32 = 3010;
pub(crate) const NOT_INITIALIZED: u32 = 3012;
pub(crate) const SYSVAR_MISMATCH: u32 = 3015;

/// The framework's name of an error number, if it has one.
pub(crate) fn error_name(number: u32) -> Option<&'static str> {
    Some(match number {
        FALLBACK_NOT_FOUND => "InstructionFallbackNotFound",
        DID_NOT_DESERIALIZE => "InstructionDidNotDeserialize",
        CONSTRAINT_MUT => "ConstraintMut",
        CONSTRAINT_RAW => "ConstraintRaw",
        CONSTRAINT_SEEDS => "ConstraintSeeds",
        CONSTRAINT_ADDRESS => "ConstraintAddress",
        CONSTRAINT_TOKEN_MINT => "ConstraintTokenMint",
        CONSTRAINT_TOKEN_OWNER => "ConstraintTokenOwner",
        CONSTRAINT_MINT_PROGRAM => "ConstraintMintTokenProgram",
        REQUIRE_EQ => "RequireEqViolated",
        2505 => "RequireGtViolated",
        2506 => "RequireGteViolated",
        DISCRIMINATOR_MISMATCH => "AccountDiscriminatorMismatch",
        NOT_ENOUGH_KEYS => "AccountNotEnoughKeys",
        NOT_MUTABLE => "AccountNotMutable",
        OWNED_BY_WRONG_PROGRAM => "AccountOwnedByWrongProgram",
        INVALID_PROGRAM_ID => "InvalidProgramId",
        NOT_SIGNER => "AccountNotSigner",
        NOT_INITIALIZED => "AccountNotInitialized",
        SYSVAR_MISMATCH => "AccountSysvarMismatch",
        _ => return None,
    })
}

pub(crate) fn custom(number: u32) -> InstructionError {
    InstructionError::Custom(number)
}

/// Reads the instruction's accounts, each with a check of who owns it.
pub(crate) struct Given<'a, 'b, 'c>(pub(crate) &'a InvokeContext<'b, 'c>);

impl Given<'_, '_, '_> {
    pub(crate) fn key(&self, index: u16) -> Result<Address, InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        instruction.get_key_of_instruction_account(index).copied()
    }

    /// How many accounts there are.
    pub(crate) fn len(&self) -> Result<u16, InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        Ok(instruction.get_number_of_instruction_accounts())
    }

    /// Reads an account that must exist and belong to `owner`.
    pub(crate) fn owned<T>(
        &self,
        index: u16,
        owner: impl FnOnce(&Address) -> bool,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        let account = instruction.try_borrow_instruction_account(index)?;
        if account.get_lamports() == 0 {
            return Err(custom(NOT_INITIALIZED));
        }
        if !owner(account.get_owner()) {
            return Err(custom(OWNED_BY_WRONG_PROGRAM));
        }
        Ok(read(account.get_data()))
    }

    /// Reads an account whoever owns it.
    pub(crate) fn any<T>(
        &self,
        index: u16,
        read: impl FnOnce(&Address, &[u8]) -> T,
    ) -> Result<T, InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        let account = instruction.try_borrow_instruction_account(index)?;
        Ok(read(account.get_owner(), account.get_data()))
    }

    pub(crate) fn lamports(&self, index: u16) -> Result<u64, InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        let account = instruction.try_borrow_instruction_account(index)?;
        Ok(account.get_lamports())
    }

    pub(crate) fn token_account(&self, index: u16) -> Result<TokenAccount, InstructionError> {
        self.owned(index, is_token_program, TokenAccount::decode)?.ok_or(custom(NOT_INITIALIZED))
    }

    pub(crate) fn check_count(&self, least: u16) -> Result<(), InstructionError> {
        if self.len()? < least { Err(custom(NOT_ENOUGH_KEYS)) } else { Ok(()) }
    }

    pub(crate) fn check_signer(&self, index: u16) -> Result<(), InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        let signed = instruction.is_instruction_account_signer(index)?;
        if signed { Ok(()) } else { Err(custom(NOT_SIGNER)) }
    }

    pub(crate) fn is_writable(&self, index: u16) -> Result<bool, InstructionError> {
        let instruction = self.0.transaction_context.get_current_instruction_context()?;
        instruction.is_instruction_account_writable(index)
    }

    /// Whether an account is this one; `number` is what is said when it is not.
    pub(crate) fn check_key(
        &self,
        index: u16,
        wanted: &Address,
        number: u32,
    ) -> Result<(), InstructionError> {
        if self.key(index)? == *wanted { Ok(()) } else { Err(custom(number)) }
    }

    pub(crate) fn check_writable(&self, index: u16) -> Result<(), InstructionError> {
        if self.is_writable(index)? { Ok(()) } else { Err(custom(CONSTRAINT_MUT)) }
    }
}

/// An account that a program makes for itself or for a token program.
pub(crate) struct New<'a> {
    pub(crate) payer: Address,
    pub(crate) address: Address,
    pub(crate) space: usize,
    pub(crate) owner: Address,
    /// What the program signs for the address with; none if the address signs itself.
    pub(crate) seeds: &'a [&'a [u8]],
}

impl New<'_> {
    fn sized(&self, context: &InvokeContext<'_, '_>) -> Result<(u64, u64), InstructionError> {
        let rent = context.environment_config.sysvar_cache().get_rent()?;
        let space =
            u64::try_from(self.space).map_err(|_| InstructionError::ProgramFailedToComplete)?;
        Ok((rent.minimum_balance(self.space), space))
    }

    /// Makes it by one instruction of the system program, which refuses an address that holds lamports.
    pub(crate) fn create(
        &self,
        context: &mut InvokeContext<'_, '_>,
    ) -> Result<(), InstructionError> {
        let (rent, space) = self.sized(context)?;
        let create = system::create_account(&self.payer, &self.address, rent, space, &self.owner);
        context.native_invoke_signed(create, &[self.seeds])
    }

    /// Makes it whether or not somebody has sent lamports there before: `held` of them.
    pub(crate) fn init(
        &self,
        context: &mut InvokeContext<'_, '_>,
        held: u64,
    ) -> Result<(), InstructionError> {
        if held == 0 {
            return self.create(context);
        }
        let (rent, space) = self.sized(context)?;
        if let Some(missing) = rent.checked_sub(held).filter(|missing| *missing > 0) {
            let pay = system::transfer(&self.payer, &self.address, missing);
            context.native_invoke_signed(pay, &[])?;
        }
        context.native_invoke_signed(system::allocate(&self.address, space), &[self.seeds])?;
        context.native_invoke_signed(system::assign(&self.address, &self.owner), &[self.seeds])
    }
}
