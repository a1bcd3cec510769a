//! The swap instruction of the aggregator: what callers send and what the program reads.
//!
//! By the program's published interface description: the numbers first, the steps after them.

use solana_address::Address;
use solana_instruction::{AccountMeta, Instruction};

use super::{EVENT_AUTHORITY, PROGRAM_ID};

const ROUTE_V2: [u8; 8] = [0xbb, 0x64, 0xfa, 0xcc, 0x31, 0xc4, 0xaf, 0x14];
/// Places of the two exchanges of this chain in the program's list of swaps.
const RAYDIUM_CP: u8 = 46;
const WHIRLPOOL_SWAP_V2: u8 = 47;
/// All of what goes in, in the unit of a step's share.
pub const WHOLE: u16 = 10_000;

/// A swap of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// On the constant-product exchange.
    RaydiumCp,
    /// On the concentrated one.
    Whirlpool {
        /// Token A goes in.
        a_to_b: bool,
    },
}

/// One pool on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub swap: Swap,
    /// Which share of what there is goes in.
    pub bps: u16,
    /// Which token goes in, by its number on the way.
    pub input: u8,
    /// Which comes out.
    pub output: u8,
}

/// What a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteArgs {
    /// Atoms paid.
    pub in_amount: u64,
    /// Atoms that should come.
    pub quoted_out_amount: u64,
    /// How much less is accepted.
    pub slippage_bps: u16,
    /// What an integrator takes.
    pub platform_fee_bps: u16,
    /// What is taken of what comes above the quote.
    pub positive_slippage_bps: u16,
    /// The way.
    pub steps: Vec<Step>,
}

/// Instruction data that is not a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The first eight bytes name no instruction known here.
    UnknownInstruction,
    /// The arguments are cut short or impossible.
    BadArguments,
    /// A step is done on an exchange that this chain does not have.
    UnknownSwap,
}

impl RouteArgs {
    /// Reads instruction data. What follows the steps is not looked at, as the real program does not.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let (tag, rest) = data.split_first_chunk::<8>().ok_or(DecodeError::UnknownInstruction)?;
        if *tag != ROUTE_V2 {
            return Err(DecodeError::UnknownInstruction);
        }
        let mut r = Reader(rest);
        let head = r.head().ok_or(DecodeError::BadArguments)?;
        let (mut args, count) = head;
        for _ in 0..count {
            let swap = match r.u8().ok_or(DecodeError::BadArguments)? {
                RAYDIUM_CP => Swap::RaydiumCp,
                WHIRLPOOL_SWAP_V2 => {
                    let a_to_b = r.flag().ok_or(DecodeError::BadArguments)?;
                    // Remaining accounts with a meaning of their own.
                    match r.flag() {
                        Some(false) => Swap::Whirlpool { a_to_b },
                        Some(true) => return Err(DecodeError::UnknownSwap),
                        None => return Err(DecodeError::BadArguments),
                    }
                }
                _ => return Err(DecodeError::UnknownSwap),
            };
            args.steps.push(r.step(swap).ok_or(DecodeError::BadArguments)?);
        }
        Ok(args)
    }

    /// Writes instruction data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut data = ROUTE_V2.to_vec();
        data.extend(self.in_amount.to_le_bytes());
        data.extend(self.quoted_out_amount.to_le_bytes());
        data.extend(self.slippage_bps.to_le_bytes());
        data.extend(self.platform_fee_bps.to_le_bytes());
        data.extend(self.positive_slippage_bps.to_le_bytes());
        data.extend(u32::try_from(self.steps.len()).unwrap_or(u32::MAX).to_le_bytes());
        for step in &self.steps {
            match step.swap {
                Swap::RaydiumCp => data.push(RAYDIUM_CP),
                Swap::Whirlpool { a_to_b } => data.extend([WHIRLPOOL_SWAP_V2, u8::from(a_to_b), 0]),
            }
            data.extend(step.bps.to_le_bytes());
            data.extend([step.input, step.output]);
        }
        data
    }

    /// The least that the caller accepts.
    #[must_use]
    pub fn least(&self) -> u64 {
        let kept = u128::from(WHOLE.saturating_sub(self.slippage_bps));
        u64::try_from(u128::from(self.quoted_out_amount) * kept / u128::from(WHOLE)).unwrap_or(0)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        self.u8().filter(|byte| *byte < 2).map(|byte| byte == 1)
    }

    fn head(&mut self) -> Option<(RouteArgs, u32)> {
        let args = RouteArgs {
            in_amount: self.take().map(u64::from_le_bytes)?,
            quoted_out_amount: self.take().map(u64::from_le_bytes)?,
            slippage_bps: self.u16()?,
            platform_fee_bps: self.u16()?,
            positive_slippage_bps: self.u16()?,
            steps: Vec::new(),
        };
        Some((args, self.take().map(u32::from_le_bytes)?))
    }

    fn step(&mut self, swap: Swap) -> Option<Step> {
        Some(Step { swap, bps: self.u16()?, input: self.u8()?, output: self.u8()? })
    }
}

/// The accounts that every route has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteAccounts {
    /// Who signs and owns both token accounts.
    pub owner: Address,
    /// What is paid from.
    pub source: Address,
    /// What is paid into.
    pub destination: Address,
    /// The mints of both.
    pub mints: [Address; 2],
    /// Their token programs.
    pub programs: [Address; 2],
}

/// Builds the instruction; `step` is the swap as its own program would be called.
#[must_use]
pub fn route(accounts: &RouteAccounts, args: &RouteArgs, step: &Instruction) -> Instruction {
    let read = |address| AccountMeta::new_readonly(address, false);
    let mut metas = vec![
        AccountMeta::new_readonly(accounts.owner, true),
        AccountMeta::new(accounts.source, false),
        AccountMeta::new(accounts.destination, false),
    ];
    metas.extend(accounts.mints.map(read));
    metas.extend(accounts.programs.map(read));
    // The program itself stands for an account that is not given: the output goes to `destination`.
    metas.extend([PROGRAM_ID, EVENT_AUTHORITY, PROGRAM_ID].map(read));
    metas.push(read(step.program_id));
    metas.extend(step.accounts.iter().cloned());
    Instruction { program_id: PROGRAM_ID, accounts: metas, data: args.encode() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_is_not() {
        let args = RouteArgs {
            in_amount: 5,
            quoted_out_amount: 1_001,
            slippage_bps: 50,
            platform_fee_bps: 1,
            positive_slippage_bps: 2,
            steps: vec![
                Step { swap: Swap::RaydiumCp, bps: WHOLE, input: 0, output: 1 },
                Step { swap: Swap::Whirlpool { a_to_b: true }, bps: 7, input: 1, output: 2 },
            ],
        };
        let data = args.encode();
        assert_eq!(RouteArgs::decode(&data), Ok(args.clone()));
        assert_eq!(args.least(), 995, "rounded down");
        for length in 8..data.len() {
            assert_eq!(RouteArgs::decode(&data[..length]), Err(DecodeError::BadArguments));
        }
        let mut other = data.clone();
        other[34] = 0;
        assert_eq!(RouteArgs::decode(&other), Err(DecodeError::UnknownSwap));
        other[0] = 0;
        assert_eq!(RouteArgs::decode(&other), Err(DecodeError::UnknownInstruction));
    }
}
