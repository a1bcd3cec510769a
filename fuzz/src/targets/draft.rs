//! From a pool's state account to its swap instruction.

use sniper_core::amm::pump_fees::Recipients;
use sniper_core::amm::{
    Draft, Kind, Live, Part, PoolKind, PoolSpec, SwapAccounts, pump_curve, swap_instruction,
};
use sniper_core::ids::{Address, MintId};
use sniper_core::order::LegAmount;
use sniper_core::units::Atoms;

use super::computed;
use super::input::{Ask, Input};
use super::quote::pool_kind;
use super::shape::shapes;

/// A transaction cannot name more accounts.
const METAS_MAX: usize = 64;

/// Reads any bytes as any kind's state, with any bytes beside it; what can be described can be followed and asked
/// for a swap.
pub fn describe(data: &[u8]) {
    let mut input = Input(data);
    let (which, flags) = (usize::from(input.u8()), input.u8());
    let (address, programs) = (input.address(), [input.address(), input.address()]);
    let ask = input.ask();
    let length = usize::from(input.u16());
    let (state, extra) = (input.take(length), input.0);
    let kind = Kind::ALL[which % Kind::ALL.len()];
    let shapes = shapes(kind);
    let fit = |part: Part, bytes: &[u8]| {
        let shape = shapes.iter().find(|shape| shape.part == part).filter(|_| flags & 1 == 0);
        shape.map_or_else(|| bytes.to_vec(), |shape| shape.fit(bytes))
    };
    let state = fit(Part::State, state);
    let extra = fit(if kind == Kind::PumpSwap { Part::Config } else { Part::Bitmap }, extra);
    let Ok(draft) = Draft::read(kind, address, &state) else { return };
    let mints = draft.mints();
    computed(draft.extra());
    let Ok(described) = draft.finish(programs, (flags & 2 == 0).then_some(&extra)) else { return };
    assert_eq!(described.kind.kind(), kind);
    assert!(described.arrays.len() <= 16, "{} arrays to follow", described.arrays.len());
    assert!(described.arrays.is_sorted_by(|one, two| one < two), "{:?}", described.arrays);
    let live = Live::new(&described.kind, true);
    assert_eq!((live.kind(), live.is_settled()), (kind, false));
    let spec = PoolSpec { address, mints: [MintId(1), MintId(2)], kind: described.kind };
    let few = described.arrays.get(..3).unwrap_or(&described.arrays);
    let followed = spec.followed(mints, programs, few);
    assert!(followed.iter().any(|followed| followed.part == Part::State));
    let addresses: Vec<Address> = few.iter().filter_map(|start| spec.array(*start)).collect();
    assert!(addresses.len() == few.len());
    swap(&spec, mints, ask, &addresses);
}

/// The swap instruction of any pool that a journal can hold, or of one kind with keys of one byte each.
pub fn instruction(data: &[u8]) {
    let mut input = Input(data);
    let (which, flags, arrays) = (usize::from(input.u8()), input.u8(), input.u8() % 12);
    let ask = input.ask();
    let mints = [input.address(), input.address()];
    let arrays: Vec<Address> = (0..arrays).map(|_| input.address()).collect();
    let kind = Kind::ALL[which % Kind::ALL.len()];
    let mut spec = PoolSpec {
        address: input.address(),
        mints: [MintId(1), MintId(2)],
        kind: pool_kind(kind, flags),
    };
    if flags & 0x40 != 0
        && let Ok(typed) = postcard::from_bytes::<PoolKind>(input.0)
    {
        spec.kind = typed;
    } else if flags & 0x20 != 0
        && let Ok((_, keys)) = pump_curve::decode_curve(input.0)
    {
        let recipients = Recipients { protocol: mints[0], buyback: mints[1] };
        let keys = pump_curve::Keys::new(&keys, &mints[0], mints, recipients);
        spec.kind = PoolKind::PumpCurve(keys);
    }
    swap(&spec, mints, ask, &arrays);
}

/// Asks for all four swaps: each names the trader as its one signer and holds both amounts.
fn swap(spec: &PoolSpec, mints: [Address; 2], ask: Ask, arrays: &[Address]) {
    let owner = Address::new_from_array([0xee; 32]);
    let accounts = SwapAccounts {
        owner,
        source: Address::new_from_array([0xed; 32]),
        destination: Address::new_from_array([0xec; 32]),
    };
    let (first, second) = (ask.atoms(), Atoms::new(ask.now.cast_unsigned()));
    let kind = spec.kind.kind();
    for forward in [true, false] {
        let exact_in = LegAmount::ExactIn { amount_in: first, min_out: second };
        let exact_out = LegAmount::ExactOut { amount_out: first, max_in: second };
        for amount in [exact_in, exact_out] {
            let made = swap_instruction(spec, mints, forward, amount, accounts, arrays);
            let Some(made) = made else {
                let walks = matches!(kind, Kind::Clmm | Kind::Whirlpool | Kind::Dlmm);
                let lacks = walks && arrays.is_empty();
                let sale = matches!(kind, Kind::PumpSwap | Kind::PumpCurve) && forward;
                assert!(lacks || sale && amount == exact_out, "{kind:?} refused {amount:?}");
                continue;
            };
            assert_eq!(made.program_id, kind.program());
            let signers = made.accounts.iter().filter(|meta| meta.is_signer);
            assert!(signers.clone().all(|meta| meta.pubkey == owner) && signers.count() == 1);
            assert!(made.accounts.len() <= METAS_MAX, "{} accounts", made.accounts.len());
            for atoms in [first, second] {
                let bytes = atoms.get().to_le_bytes();
                assert!(made.data.windows(8).any(|held| held == bytes), "{kind:?} without {atoms}");
            }
        }
    }
}
