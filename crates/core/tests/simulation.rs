//! A short run of the simulator: `cargo xtask simulate` lives through as many worlds as one has patience for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use sniper_core::sim::world::{Bug, Fault, Options, run, shrink};

#[test]
fn no_hostile_world_breaks_a_law_and_every_fault_strikes() {
    let mut faults = vec![0; Fault::ALL.len()];
    let (mut orders, mut refused) = (0, 0);
    let mut standing = BTreeMap::new();
    for seed in 0..150 {
        let outcome = run(seed, &Options::default());
        assert_eq!(outcome.violation, None, "cargo xtask simulate --seed {seed} --trace");
        for (sum, count) in faults.iter_mut().zip(&outcome.faults) {
            *sum += count;
        }
        for (kind, count) in outcome.standing {
            *standing.entry(kind).or_insert(0) += count;
        }
        orders += outcome.orders;
        refused += u64::from(outcome.refused);
    }
    assert!(orders > 1_500, "{orders} orders");
    assert_eq!(standing.len(), 9, "the operator had orders of every kind: {standing:?}");
    assert!(refused < 15, "{refused} journals were refused: too few worlds came to their end");
    // The rarest strikes in one world of a hundred or two: then further ones are looked at, until it has.
    for seed in 150..1_500 {
        if faults.iter().all(|count| *count > 0) {
            break;
        }
        let outcome = run(seed, &Options::default());
        assert_eq!(outcome.violation, None, "cargo xtask simulate --seed {seed} --trace");
        for (sum, count) in faults.iter_mut().zip(&outcome.faults) {
            *sum += count;
        }
    }
    for (fault, count) in Fault::ALL.iter().zip(&faults) {
        assert!(*count > 0, "{} never struck", fault.name());
    }
}

#[test]
fn the_same_seed_is_the_same_world_byte_for_byte() {
    let options = Options { trace: true, ..Options::default() };
    for seed in [3, 25, 77] {
        let (one, two) = (run(seed, &options), run(seed, &options));
        assert_eq!(one.hash, two.hash);
        assert_eq!(one.story, two.story);
        assert!(one.story.len() > 50);
    }
    assert_ne!(run(3, &options).hash, run(4, &options).hash);
}

#[test]
fn a_world_that_breaks_a_law_is_made_small_and_still_breaks_it() {
    let options = Options { bug: Some(Bug::SkipBarrier), ..Options::default() };
    let seed = (0..100).find(|seed| run(*seed, &options).violation.is_some()).unwrap();
    let whole = run(seed, &options);
    let found = shrink(seed, &options).unwrap();
    assert!(found.outcome.violation.is_some());
    assert!(found.outcome.micros <= whole.micros);
    assert!(found.options.without.len() > 20, "{:?}", found.options.without);
    assert!(found.outcome.story.last().unwrap().contains("VIOLATION"));
    let sound = Options { bug: None, ..found.options };
    assert_eq!(run(seed, &sound).violation, None, "it is the bug that breaks it");
    assert!(shrink(seed, &Options::default()).is_none());
}

#[test]
fn bugs_that_show_often_are_found_within_a_few_worlds() {
    // These show in one world of hundreds: `cargo xtask simulate --planted` looks for all of them.
    const RARE: &[Bug] = &[Bug::SilenceIsNo, Bug::SkipDamage];
    assert!(Bug::ALL.len() - RARE.len() >= 30);
    for bug in Bug::ALL.iter().filter(|bug| !RARE.contains(bug)) {
        let options = Options { bug: Some(*bug), ..Options::default() };
        let found = (0..100).any(|seed| run(seed, &options).violation.is_some());
        assert!(found, "{} is not found", bug.name());
    }
}
