//! A pool of one kind through `Live`: any accounts in any order, then questions.

use sniper_core::amm::pump_fees::{Recipients, Schedule};
use sniper_core::amm::{
    AccountUpdate, Kind, Live, Part, PoolKind, amm_v4, clmm, cpmm, dlmm, pump_curve, pump_swap,
    whirlpool,
};
use sniper_core::ids::Address;
use sniper_core::units::Slot;

use super::input::{ASKS, Ask, Input, SLOT};
use super::laws::{self, Known};
use super::shape::{Shape, shapes};

/// More accounts than any pool has.
const FRAMES_MAX: usize = 48;

/// What the low four bits of a frame's tag mean beyond the accounts of the kind, which come first.
pub mod tag {
    /// An update as the journal has it: of any kind, with values no decoder lets through.
    pub const TYPED: u8 = 13;
    /// The chain reached the frame's slot.
    pub const SETTLE: u8 = 14;
    /// The first question, asked in between.
    pub const ASK: u8 = 15;
    /// Added to an account's tag: take the bytes as they are.
    pub const RAW: u8 = 0x80;
    /// Added to an array's tag: the array of that start does not exist.
    pub const ABSENT: u8 = 0x40;
}

/// Bits of the first byte.
pub mod flag {
    /// A Whirlpool's fee adapts.
    pub const ADAPTIVE: u8 = 1 << 4;
    /// A mint is not plain.
    pub const NOT_PLAIN: u8 = 1 << 7;
}

/// Feeds a pool and asks it: never a panic, and the laws of [`laws::hold`] as long as all came out of decoders.
pub fn pool(kind: Kind, data: &[u8]) {
    let mut input = Input(data);
    let flags = input.u8();
    let asks: [Ask; ASKS] = std::array::from_fn(|_| input.ask());
    let plain = flags & flag::NOT_PLAIN == 0;
    let spec = pool_kind(kind, flags);
    let mut live = Live::new(&spec, plain);
    let mut known = Known::new(kind);
    let shapes = shapes(kind);
    for _ in 0..FRAMES_MAX {
        if input.0.is_empty() {
            break;
        }
        let (tag, late) = (input.u8(), input.u8());
        let length = usize::from(input.u16());
        let bytes = input.take(length);
        let slot = Slot::new(SLOT.saturating_add(u64::from(late)));
        let update = match tag & 0x0f {
            tag::TYPED => {
                let update = postcard::from_bytes(bytes).ok();
                known.untrusted |= update.is_some();
                update
            }
            tag::SETTLE => {
                live.settle_before(slot);
                known.timed = true;
                None
            }
            tag::ASK => {
                laws::hold(&live, &known, asks[0], asks[1]);
                None
            }
            account => shapes
                .get(usize::from(account) % shapes.len())
                .and_then(|shape| decoded(kind, shape, tag, bytes)),
        };
        if let Some(update) = update {
            known.take(&update, slot);
            live.apply(&update, slot);
        }
    }
    laws::hold(&live, &known, asks[0], asks[1]);
    laws::hold(&live, &known, asks[1], asks[2]);
    laws::hold(&live, &known, asks[2], asks[0]);
    if plain {
        laws::grown_is_made_anew(&live, &known, &spec, &asks);
    } else {
        let answer = live.quote_exact_in(true, asks[0].atoms(), &asks[0].clock());
        assert!(answer.is_err(), "a mint that is not plain is not quoted");
    }
}

fn decoded(kind: Kind, shape: &Shape, tag: u8, bytes: &[u8]) -> Option<AccountUpdate> {
    if tag & tag::ABSENT != 0
        && let Part::Array(start) = shape.part_of(bytes)
    {
        return kind.decode(Part::Array(start), &[]).ok();
    }
    if tag & tag::RAW != 0 {
        shape.decode(kind, bytes)
    } else {
        shape.decode(kind, &shape.fit(bytes))
    }
}

/// A pool of a kind, whose fixed part the first byte decides.
pub fn pool_kind(kind: Kind, flags: u8) -> PoolKind {
    let key = |nth: u8| Address::new_from_array([nth; 32]);
    let (vaults, token_programs) = ([key(1), key(2)], [key(3); 2]);
    let schedule = match flags & 3 {
        0 => Schedule::Sol,
        1 => Schedule::Flat,
        2 => Schedule::Stable,
        _ => Schedule::Exotic,
    };
    let recipients = Recipients { protocol: key(4), buyback: key(5) };
    let recipient_accounts = [key(6), key(7)];
    let cashback = flags & 4 != 0;
    match kind {
        Kind::Cpmm => PoolKind::Cpmm(cpmm::Keys {
            config: key(8),
            observation: key(9),
            vaults,
            token_programs,
        }),
        Kind::AmmV4 => PoolKind::AmmV4(amm_v4::Keys { vaults }),
        Kind::Clmm => PoolKind::Clmm {
            keys: clmm::Keys { config: key(8), observation: key(9), vaults },
            bitmap_extension: cashback.then(|| key(10)),
        },
        Kind::Whirlpool => PoolKind::Whirlpool {
            keys: whirlpool::Keys { oracle: key(8), vaults, token_programs },
            adaptive: flags & flag::ADAPTIVE != 0,
        },
        Kind::Dlmm => PoolKind::Dlmm(dlmm::Keys {
            vaults,
            token_programs,
            oracle: key(8),
            bitmap_extension: cashback.then(|| key(10)),
        }),
        Kind::PumpSwap => PoolKind::PumpSwap(pump_swap::Keys {
            vaults,
            token_programs,
            schedule,
            recipients,
            recipient_accounts,
            creator_authority: key(8),
            creator_vault: key(9),
            pool_v2: (flags & 8 != 0).then(|| key(10)),
            cashback,
        }),
        Kind::PumpCurve => PoolKind::PumpCurve(pump_curve::Keys {
            vaults,
            token_programs,
            schedule,
            recipients,
            recipient_accounts,
            creator_vault: key(8),
            creator_account: key(9),
            sharing_config: key(10),
            curve_v2: key(11),
            cashback,
        }),
    }
}
