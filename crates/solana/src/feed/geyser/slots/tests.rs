use super::*;
use proptest::prelude::*;

fn address(byte: u8) -> Address {
    Address::new_from_array([byte; 32])
}

fn write(account: u8, version: u64, lamports: u64) -> Write {
    Write {
        address: address(account),
        version,
        owner: Address::default(),
        lamports,
        data: vec![account],
        of: Of { account: true, programs: Vec::new() },
    }
}

fn told(ended: &Ended) -> Vec<(u8, u64)> {
    ended.tell.iter().map(|write| (write.data[0], write.lamports)).collect()
}

fn these(accounts: &[u8]) -> Again {
    let accounts = accounts.iter().copied().map(address).collect();
    Again::These(Told { accounts, programs: BTreeSet::new() })
}

fn too_late(account: u8) -> Kept {
    let accounts = BTreeSet::from([address(account)]);
    Kept::TooLate(Told { accounts, programs: BTreeSet::new() })
}

#[test]
fn of_each_account_the_last_write_of_a_slot_is_told_in_the_order_of_writing() {
    let mut slots = Slots::new(true);
    assert_eq!(slots.write(7, write(1, 10, 100)), Kept::Waits);
    assert_eq!(slots.write(7, write(2, 11, 200)), Kept::Waits);
    assert_eq!(slots.write(7, write(1, 12, 101)), Kept::Waits);
    assert_eq!(slots.write(7, write(1, 12, 101)), Kept::Duplicate);
    assert_eq!(slots.write(7, write(1, 10, 100)), Kept::Older);
    assert_eq!(slots.write(8, write(1, 5, 300)), Kept::Waits, "versions count within a slot alone");
    let ended = slots.end(7, Some(6));
    assert!(ended.advances);
    assert_eq!(told(&ended), [(2, 200), (1, 101)]);
    assert_eq!(told(&slots.end(8, Some(7))), [(1, 300)]);
    assert_eq!((slots.writes, slots.bytes, slots.open.len()), (0, 0, 0));
}

#[test]
fn a_slot_that_ends_twice_is_told_once_and_what_comes_after_its_end_is_to_be_read() {
    let mut slots = Slots::new(true);
    slots.write(7, write(1, 10, 100));
    slots.end(7, Some(6));
    assert_eq!(told(&slots.end(7, Some(6))), []);
    assert_eq!(slots.write(7, write(1, 11, 101)), too_late(1));
}

#[test]
fn what_was_told_of_a_branch_that_is_left_or_come_back_to_is_read_again() {
    let mut slots = Slots::new(true);
    slots.end(90, Some(89));
    slots.write(91, write(1, 1, 1));
    slots.end(91, Some(90));
    slots.write(92, write(2, 2, 2));
    assert_eq!(slots.end(92, Some(90)).again, these(&[1]), "92 leaves 91 out");
    assert_eq!(slots.end(93, Some(91)).again, these(&[1, 2]), "91 holds again, and 92 does not");
    assert_eq!(slots.end(94, Some(93)).again, these(&[]));
    assert_eq!(slots.end(95, Some(80)).again, Again::All, "80 was never seen");
    assert_eq!(slots.end(96, None).again, Again::All);
}

#[test]
fn what_ends_below_the_highest_slot_is_not_told_unless_the_chain_comes_back_to_it() {
    let mut slots = Slots::new(true);
    slots.end(90, Some(89));
    slots.write(92, write(1, 2, 2));
    slots.end(92, Some(90));
    slots.write(91, write(1, 3, 1));
    let late = slots.end(91, Some(90));
    assert_eq!((late.advances, told(&late), late.again), (false, vec![], these(&[])));
    assert_eq!(slots.end(93, Some(91)).again, these(&[1]));
    let mut sure = Slots::new(false);
    sure.end(92, None);
    sure.write(91, write(1, 3, 1));
    let late = sure.end(91, None);
    assert_eq!((told(&late), late.again), (vec![], these(&[1])), "nothing is undone: told late");
}

#[test]
fn what_is_final_dead_or_too_much_takes_no_memory() {
    let mut slots = Slots::new(true);
    for slot in 1..100 {
        slots.write(slot, write(1, slot, slot));
        if slot % 3 == 0 {
            slots.give_up(slot);
        } else if slot % 2 == 0 {
            slots.end(slot, Some(slot - 1));
        }
    }
    let mut unended = Told::default();
    unended.accounts.insert(address(1));
    assert_eq!(slots.settle(100), unended, "what never ended is read");
    assert_eq!(slots.settle(100), Told::default());
    assert_eq!((slots.writes, slots.bytes, slots.open.len(), slots.ended.len()), (0, 0, 0, 0));
    assert_eq!(slots.write(50, write(1, 1, 1)), too_late(1));
    let large = || Write { data: vec![0; BYTES_MAX / 2], ..write(9, 1, 1) };
    assert_eq!(slots.write(101, large()), Kept::Waits);
    assert_eq!(slots.write(102, large()), Kept::Waits);
    assert_eq!(slots.write(103, write(1, 1, 1)), Kept::Full);
    for slot in 200..200 + 2 * BLOCKS_MAX as u64 {
        slots.end(slot, Some(slot - 1));
    }
    assert_eq!(slots.ended.len(), BLOCKS_MAX);
}

const ACCOUNTS: usize = 4;

type State = [u64; ACCOUNTS];

#[derive(Clone, Debug)]
struct Step {
    /// How many ended blocks back the parent is.
    back: usize,
    skip: u64,
    writes: Vec<(usize, bool)>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let back = prop_oneof![4 => Just(0_usize), 1 => 0..4_usize];
    let writes = proptest::collection::vec((0..ACCOUNTS, any::<bool>()), 0..4);
    let step = (back, 1..3_u64, writes);
    let step = step.prop_map(|(back, skip, writes)| Step { back, skip, writes });
    proptest::collection::vec(step, 1..60)
}

proptest! {
    // Whatever branches come and go: who takes what is told, and reads again what is to be read, knows after every slot
    // what the branch that ends with it holds, and is never told a write that was overwritten within its slot.
    #[test]
    fn who_listens_and_reads_knows_the_branch_that_the_chain_is_on(steps in steps()) {
        let mut slots = Slots::new(true);
        let mut blocks: Vec<(u64, State)> = vec![(100, [0; ACCOUNTS])];
        slots.end(100, Some(99));
        let (mut known, mut slot, mut version) = ([0; ACCOUNTS], 100, 0);
        for step in steps {
            let (parent, mut state) = blocks[blocks.len() - 1 - step.back.min(blocks.len() - 1)];
            slot += step.skip;
            for (account, again) in step.writes {
                version += 1;
                state[account] = version;
                let mut new = write(account as u8, version, version);
                if again {
                    slots.write(slot, new.clone());
                }
                new.version = version;
                slots.write(slot, new);
            }
            let ended = slots.end(slot, Some(parent));
            prop_assert!(ended.advances);
            for told in &ended.tell {
                known[usize::from(told.data[0])] = told.lamports;
                prop_assert_eq!(told.lamports, state[usize::from(told.data[0])]);
            }
            match ended.again {
                Again::All => prop_assert!(false, "all of it is remembered"),
                Again::These(again) => for account in 0..ACCOUNTS {
                    if again.accounts.contains(&address(account as u8)) {
                        known[account] = state[account];
                    }
                }
            }
            prop_assert_eq!(known, state);
            blocks.push((slot, state));
        }
    }
}

proptest! {
    // Whatever a server says, in whatever order: what waits is counted, each slot is told once, rising, and of each
    // account its latest write.
    #[test]
    fn any_story_is_borne_and_its_slots_are_told_once_and_in_order(
        branches: bool,
        steps in proptest::collection::vec(
            (0..8_u8, 0..40_u64, (0..4_u8, 0..6_u64, 0..50_usize), proptest::option::of(0..40_u64)),
            1..200,
        ),
    ) {
        let mut slots = Slots::new(branches);
        let (mut latest, mut last) = (BTreeMap::new(), None);
        for (what, slot, (account, version, size), parent) in steps {
            match what {
                0..=4 => {
                    let new = Write { data: vec![account; size], ..write(account, version, version) };
                    if slots.write(slot, new) == Kept::Waits {
                        let before = latest.insert((slot, account), version);
                        prop_assert!(before < Some(version));
                    }
                }
                5 | 6 => {
                    let ended = slots.end(slot, parent);
                    prop_assert!(ended.advances || ended.tell.is_empty());
                    if ended.advances {
                        prop_assert!(last < Some(slot));
                        last = Some(slot);
                    }
                    for told in &ended.tell {
                        let account = told.address.to_bytes()[0];
                        prop_assert_eq!(latest.get(&(slot, account)), Some(&told.version));
                    }
                    latest.retain(|(of, _), _| *of != slot);
                }
                7 if version == 0 => {
                    slots.settle(slot);
                    let floor = slots.floor;
                    latest.retain(|(of, _), _| *of >= floor);
                }
                _ => {
                    slots.give_up(slot);
                    latest.retain(|(of, _), _| *of != slot);
                }
            }
            let waiting = slots.open.values().flat_map(HashMap::values);
            prop_assert_eq!(slots.writes, waiting.clone().count());
            prop_assert_eq!(slots.writes, latest.len());
            prop_assert_eq!(slots.bytes, waiting.map(|write| write.data.len()).sum::<usize>());
        }
    }
}
