//! The instructions of the aggregator that may be signed, read out of their bytes.

use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Bps};

/// The aggregator.
pub const JUPITER: Address = Address::from_str_const("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4");
/// The address it signs its events with.
pub const EVENT_AUTHORITY: Address =
    Address::from_str_const("D8cy77BBepLMngZx6ZukaTff5hCt1HrWyKk3Hnd9oitf");

/// First eight bytes of each: of the hash of its name.
const ROUTE_V2: [u8; 8] = [0xbb, 0x64, 0xfa, 0xcc, 0x31, 0xc4, 0xaf, 0x14];
const SHARED_ACCOUNTS_ROUTE_V2: [u8; 8] = [0xd1, 0x98, 0x53, 0x93, 0x7c, 0xfe, 0xd8, 0xe9];

/// Which instruction it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Between our own accounts all the way.
    Own,
    /// What lies between passes through accounts of the aggregator.
    Shared,
}

/// What an instruction says of the swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which instruction it is.
    pub kind: RouteKind,
    /// What goes in.
    pub amount_in: Atoms,
    /// What should come out.
    pub quoted_out: Atoms,
    /// How much less is still taken.
    pub slippage: Bps,
    /// What the integrator takes of what comes out, in hundredths of a percent.
    pub platform_fee_bps: u16,
    /// What is taken of what comes out above the quote.
    pub positive_slippage_bps: u16,
    /// Pools on the way.
    pub steps: u32,
}

/// Where accounts stand in an instruction's list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) owner: usize,
    pub(crate) source: usize,
    pub(crate) destination: usize,
    pub(crate) mints: [usize; 2],
    pub(crate) programs: [usize; 2],
    /// Where the output goes instead, if not to `destination`; the aggregator's own address for nowhere.
    pub(crate) instead: Option<usize>,
    pub(crate) event_authority: usize,
    pub(crate) program: usize,
}

impl RouteKind {
    pub(crate) const fn places(self) -> Places {
        match self {
            Self::Own => Places {
                owner: 0,
                source: 1,
                destination: 2,
                mints: [3, 4],
                programs: [5, 6],
                instead: Some(7),
                event_authority: 8,
                program: 9,
            },
            Self::Shared => Places {
                owner: 1,
                source: 2,
                destination: 5,
                mints: [6, 7],
                programs: [8, 9],
                instead: None,
                event_authority: 10,
                program: 11,
            },
        }
    }
}

impl Route {
    /// Reads the data of an instruction; none if it is another one, or cut short.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        let (tag, rest) = data.split_first_chunk()?;
        let (kind, rest) = match *tag {
            ROUTE_V2 => (RouteKind::Own, rest),
            // Which of the aggregator's accounts it uses.
            SHARED_ACCOUNTS_ROUTE_V2 => (RouteKind::Shared, rest.get(1..)?),
            _ => return None,
        };
        let (amount_in, rest) = rest.split_first_chunk()?;
        let (quoted_out, rest) = rest.split_first_chunk()?;
        let (slippage, rest) = rest.split_first_chunk()?;
        let (platform_fee, rest) = rest.split_first_chunk()?;
        let (positive_slippage, rest) = rest.split_first_chunk()?;
        let (steps, _) = rest.split_first_chunk()?;
        Some(Self {
            kind,
            amount_in: Atoms::new(u64::from_le_bytes(*amount_in)),
            quoted_out: Atoms::new(u64::from_le_bytes(*quoted_out)),
            slippage: Bps::new(u16::from_le_bytes(*slippage))?,
            platform_fee_bps: u16::from_le_bytes(*platform_fee),
            positive_slippage_bps: u16::from_le_bytes(*positive_slippage),
            steps: u32::from_le_bytes(*steps),
        })
    }

    /// The least that it takes: rounded down, for so does the program at worst.
    #[must_use]
    pub fn min_out(&self) -> Atoms {
        let kept = u128::from(Bps::WHOLE.saturating_sub(self.slippage.get()));
        let least = u128::from(self.quoted_out.get()) * kept / u128::from(Bps::WHOLE);
        Atoms::new(u64::try_from(least).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data of an instruction, written apart from what reads it.
    fn written(kind: RouteKind, numbers: (u64, u64, u16, u16, u16, u32)) -> Vec<u8> {
        let (amount, out, slippage, platform, positive, steps) = numbers;
        let mut data = match kind {
            RouteKind::Own => ROUTE_V2.to_vec(),
            RouteKind::Shared => [&SHARED_ACCOUNTS_ROUTE_V2[..], &[7]].concat(),
        };
        data.extend(amount.to_le_bytes());
        data.extend(out.to_le_bytes());
        data.extend([slippage, platform, positive].iter().flat_map(|number| number.to_le_bytes()));
        data.extend(steps.to_le_bytes());
        data
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_a_cut_is_no_route(
            data in prop::collection::vec(any::<u8>(), 0..80), shared in any::<bool>(), cut in 0_usize..35,
        ) {
            let _read = Route::decode(&data);
            let kind = if shared { RouteKind::Shared } else { RouteKind::Own };
            let whole = written(kind, (1, 2, 3, 4, 5, 6));
            let cut = cut.min(whole.len() - 1);
            prop_assert_eq!(Route::decode(&whole[..cut]), None);
        }

        #[test]
        fn every_number_is_read_and_the_least_is_never_above_what_the_program_holds_to(
            amount in any::<u64>(), out in any::<u64>(), slippage in 0_u16..=10_000,
            fees in any::<(u16, u16)>(), steps in any::<u32>(), shared in any::<bool>(),
            more in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let kind = if shared { RouteKind::Shared } else { RouteKind::Own };
            let mut data = written(kind, (amount, out, slippage, fees.0, fees.1, steps));
            // Whatever follows changes nothing of what was read.
            data.extend(more);
            let route = Route::decode(&data).unwrap();
            prop_assert_eq!((route.amount_in.get(), route.quoted_out.get()), (amount, out));
            prop_assert_eq!((route.platform_fee_bps, route.positive_slippage_bps), fees);
            prop_assert_eq!((route.steps, route.kind), (steps, kind));
            let (least, whole) = (u128::from(route.min_out().get()), u128::from(out));
            let kept = 10_000 - u128::from(slippage);
            prop_assert!(least * 10_000 <= whole * kept && (least + 1) * 10_000 > whole * kept);
        }
    }

    #[test]
    fn a_slippage_above_the_whole_and_the_older_instructions_are_no_route() {
        assert_eq!(Route::decode(&written(RouteKind::Own, (1, 1, 10_001, 0, 0, 1))), None);
        for older in [
            [0xe5, 0x17, 0xcb, 0x97, 0x7a, 0xe3, 0xad, 0x2a],
            [0xc1, 0x20, 0x9b, 0x33, 0x41, 0xd6, 0x9c, 0x81],
        ] {
            let mut data = written(RouteKind::Own, (1, 1, 1, 0, 0, 1));
            data[..8].copy_from_slice(&older);
            assert_eq!(Route::decode(&data), None);
        }
    }
}
