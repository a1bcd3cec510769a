//! The fuzzer's targets and seeds against this core, without a fuzzer: they stay in step, and every law that is fuzzed
//! holds for every seed.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "the fuzzer's own modules, and a test may panic"
)]

use sniper_core::amm::{Kind, Live};
use sniper_core::units::{Atoms, Slot};

#[path = "../../../fuzz/src/seeds/mod.rs"]
mod seeds;
#[path = "../../../fuzz/src/targets/mod.rs"]
mod targets;

use targets::input::{ASKS, Ask, Input};
use targets::{KINDS, TARGETS};

#[test]
fn every_seed_holds_to_the_laws_of_its_target() {
    let seeds = seeds::synthetic();
    for (name, target) in TARGETS {
        let own = seeds.get(name).unwrap_or_else(|| panic!("{name} has no seed"));
        assert!(own.len() > 2, "{name}");
        for seed in own {
            target(seed);
        }
    }
    assert_eq!(seeds.len(), TARGETS.len(), "a seed without a target");
}

#[test]
fn every_prefix_of_a_seed_is_an_input() {
    for (name, target) in TARGETS {
        let seeds = seeds::synthetic();
        let seed = seeds.get(name).and_then(|own| own.last()).unwrap();
        let step = (seed.len() / 64).max(1);
        for length in (0..seed.len()).step_by(step) {
            target(&seed[..length]);
        }
    }
}

/// A seed that gives no quote would leave the fuzzer at the door.
#[test]
fn the_seeds_of_every_kind_reach_a_quote() {
    let seeds = seeds::synthetic();
    for (name, kind) in KINDS {
        let seed = &seeds[&format!("quote-{name}")][1];
        let live = fed(kind, seed);
        assert_eq!(live.state(), Ok(()), "{kind:?}");
        assert!(live.is_settled(), "{kind:?}");
        let mut input = Input(seed);
        input.u8();
        let asks: [Ask; ASKS] = std::array::from_fn(|_| input.ask());
        for forward in [true, false] {
            let clock = asks[0].clock();
            let sold = [5_000, 10_000_000]
                .map(|amount| live.quote_exact_in(forward, Atoms::new(amount), &clock));
            assert!(sold.iter().any(Result::is_ok), "{kind:?} {forward}: {sold:?}");
            let bought = live.quote_exact_out(forward, Atoms::new(100), &clock);
            assert!(bought.is_ok(), "{kind:?} {forward}: {bought:?}");
        }
    }
}

fn fed(kind: Kind, seed: &[u8]) -> Live {
    let mut input = Input(seed);
    let flags = input.u8();
    let _: [Ask; ASKS] = std::array::from_fn(|_| input.ask());
    let mut live = Live::new(&targets::quote::pool_kind(kind, flags), true);
    let shapes = targets::shape::shapes(kind);
    while !input.0.is_empty() {
        let (tag, _, length) = (input.u8(), input.u8(), input.u16());
        let bytes = input.take(usize::from(length));
        let shape = &shapes[usize::from(tag & 0x0f)];
        let data = if tag & 0x80 == 0 { shape.fit(bytes) } else { bytes.to_vec() };
        live.apply(&shape.decode(kind, &data).unwrap(), Slot::new(7));
    }
    live
}
