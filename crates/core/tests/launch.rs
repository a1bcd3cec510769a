//! What the lines of captured transactions tell, and what lines of every other sort do not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sniper_core::amm::{Kind, cpmm};
use sniper_core::ids::Address;
use sniper_core::launch::{
    Detected, Detector, Fetch, Launch, Program, Stage, Why, read_account, scan,
};
use sniper_core::market::WRAPPED_SOL;

const PUMP: &str = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P";
const SWAP: &str = "pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA";
const AMM: &str = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8";
const CPMM: &str = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C";
const CLMM: &str = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK";
const TOKEN: &str = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";

/// `create`, mainnet, June 2025: the layout that ended with the supply.
const CREATE_2025: &str = "G3KpTd7rY3YJAAAASGF3ayBUdWFoBQAAACRIQVdLQwAAAGh0dHBzOi8vaXBmcy5pby9pcGZzL1FtZXdVS1h5U21KdHFkaVlWS3VhWmEyOTZoSEV1c0NSRnA5dWl2VTlrQ3FvR1RIw6A0Ls+ejAFty+W3liPAPubySR95Ta0Afaw752NjD5eJAlE5CDi7/aafF+Nfr434eCxU63bzPvpkvBZaUBXAPaHBn2oHQGNMbcbcQO4l/0wkIiyIZGlIpXWcdJMW5VE9ocGfagdAY0xtxtxA7iX/TCQiLIhkaUildZx0kxblUVw+hWgAAAAAABDYR+PPAwAArCP8BgAAAAB4xftR0QIAAIDGpH6NAwA=";
/// `create_v2`, mainnet, 3ssTh78rz8SbQJNTnGVTQLDDQ5bfHc55rgT9ARZ4xhKKfYSN4EHfoDXPMot2r16V6GDdDQMdShaAPnNch4gQ31Eq.
const CREATE_V2: &str = "G3KpTd7rY3YEAAAAMTAwawQAAAAxMDBrUAAAAGh0dHBzOi8vaXBmcy5pby9pcGZzL2JhZmtyZWlkcHh5NWkyNXJ2M3Ezb2VvaG5mbXJhZDN2cmJndDVrYWtsbW9ucnI0ZTN3eWxtbmd0Nmg0K+T3P/I+e0zWu6OEE56W088qbp3nm/YbCPoxqcqnl58AAAvh7GU8u74DNCowKDSNy9q8qObVSiwzKs3NxZsNDo7lsMJuRMrT6KfN5AuRku0L5eWtl+NXbyxEgyJtONGfjuWwwm5EytPop83kC5GS7Qvl5a2X41dvLESDIm040Z8NWSpqAAAAAAAQ2EfjzwMAAKwj/AYAAAAAeMX7UdECAACAxqR+jQMABt324e51j94YQl285GzN2rYa/E2DuQ0n/r35KNihi/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAKwj/AYAAAA=";
/// The last purchase, mainnet, 5QdfLUr9xwBHQ6LQZtU7ksRbGGeuMkRGcv7y4CsnGjWNmENkAiWmkVd5rZDccSnRs1GDggCAgTk9Kw5kCeeAKsL.
const COMPLETE: &str = "X3JhnNQumAgVfWPULgCfjRKK3R2Dglx1t4NZb28o7w2//1tP0kZSRDr84TXbXA0jyAcB2CgSU1LmHI5ekjqDl3WJQ9mIt9If8ZglL/EODgEWy3HpdwBDrNTbGwWid0frBi+cbejg871JmohqAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// `migrate_v2`, mainnet, slot 443670052.
const MIGRATION: &str = "velduVyU6pTt/dS9z5GV1V2An/vwmiJT/SBGCX4TfaaTo5fq0YvldWkHDee3AXTVxLJ+nZKGupl2VTP3pCF1Plei8OeAmcKvAAgBqSy8AAAQ9tHJEwAAAMHh5AAAAAAAfkJSvdx/4k9PAlKvxW0ZVMqCKS9XHqufppaP6fo0D/GH9ZdqAAAAADoqx/A4CO6gYDJzNiY5gv65nicLfkcophw1WpEPpSpyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// `create_pool`, mainnet, 4u3ZVmp4addMApwXHVtRqyawfkArCPAdMZVUJ2roqxPtzcTPgY1Fatu8oNCyKkjTeYgmrXWxCvsmBqrRJRxeUT5E.
const CREATE_POOL: &str = "sTEM0qB2p3TnmYhqAAAAAAAA8EtDhVFpuI0LhlAYp8Ez30aC81gwNL9APNh4IP7WY2oGm4hX/quBhPtof2NGGMA12sQ53BrrO1WYoPAAAAAAAfskbpTzcG/jiCaYABBdWsFNdiCpojv/70dyqVYA6NVACQaA+B/jEAAAAAAgPYh5LQAAgPgf4xAAAAAAID2IeS0AAGQAAAAAAAAAzvNWY7sBAABq81ZjuwEAAPs5AlZd65ScxVl2YVdsfdqEAUqXAvRQkRVd+mXElPbJJLUqDzy3uiHUSxMyiTlB7FOxBHznAKv185xATOvoF8kTgw7qI/DADgDgW9cmhEeA56BwdY7gw7gOkfv+4DHKT0vxhrmBCCiaHCfEygxAIAgaWh7lUkoKF0xY7ZS4yfne2/BLQ4VRabiNC4ZQGKfBM99GgvNYMDS/QDzYeCD+1mNqAA==";
/// CLMM `create_pool` of a pool of tick spacing 120, mainnet.
const POOL_CREATED: &str = "GV5LL3BjNT8Gm4hX/quBhPtof2NGGMA12sQ53BrrO1WYoPAAAAAAATxAC5Lho3BivvSqHd1opmKh+SHf03DO77chQFijFPN/eAB+wn62iylTTb7dKCrlYq7tKXMZwEACmNAc8FafeQaCkoQFj5DvFLESOQAAAAAAAAD6OwEAqQWJ6MMnGbxO3RtiO7H2m0/3VtsdjctcDkxxeDwJMkI1oW4983FaaYJCvWFpZqSDRDsJ2Qd4t+bz/5+g/cGqmw==";
/// AMM v4 `initialize2`, mainnet, slot 309997280,
/// JG8oSrW9ByJMX6SZZpXnpBTSYdUWQQgab9aSJFQuXL99EtL4q1aWriX5QDfe2RQFVzoNuXkF5FGJEyhuXZo5ZGV.
const RAY_LOG: &str = "AAAAAAAAAAAABglkAAAAAAAAAICWmAAAAAAAAAgBqSy8AACrIxZlEgAAAFnM0QDR0E2khV5PwCZ9TkffBACX+24K5sZlyqyK+ldc";

fn key(text: &str) -> Address {
    text.parse().unwrap()
}

fn scanned<L: AsRef<str>>(logs: &[L]) -> Vec<Detected> {
    let mut found = vec![];
    scan(logs, true, &mut found);
    found
}

fn one(logs: &[String]) -> Launch {
    match scanned(logs).as_slice() {
        [Detected::Launch(launch)] => launch.clone(),
        other => panic!("one launch, not {other:?}"),
    }
}

fn fetched(logs: &[String]) -> Fetch {
    match scanned(logs).as_slice() {
        [Detected::Fetch(fetch)] => *fetch,
        other => panic!("one to fetch, not {other:?}"),
    }
}

fn line(text: impl Into<String>) -> Vec<String> {
    vec![text.into()]
}

fn said(instruction: &str) -> Vec<String> {
    line(format!("Program log: Instruction: {instruction}"))
}

fn data(base64: &str) -> Vec<String> {
    line(format!("Program data: {base64}"))
}

/// An invocation at a depth, with what happens in it.
fn call(program: &str, depth: usize, inner: &[Vec<String>]) -> Vec<String> {
    let mut lines = line(format!("Program {program} invoke [{depth}]"));
    lines.extend(inner.concat());
    lines.extend(line(format!("Program {program} consumed 2009 of 133176 compute units")));
    lines.extend(line(format!("Program {program} success")));
    lines
}

/// A creation as pump.fun prints it: a token is made, the event is printed, and told by a call to itself as well.
fn creation(instruction: &str, event: &str) -> Vec<String> {
    let token = call(TOKEN, 2, &[said("InitializeMint2")]);
    let inner = [said(instruction), token, data(event), call(PUMP, 2, &[])];
    let budget = call("ComputeBudget111111111111111111111111111111", 1, &[]);
    [budget, call(PUMP, 1, &inner)].concat()
}

#[test]
fn the_programs_are_who_the_pools_say() {
    for program in Program::ALL {
        assert_eq!(program.address(), key(program.text()));
        assert_eq!(program.address(), program.kind().program());
    }
}

#[test]
fn pump_fun_tells_of_a_coin_of_either_generation() {
    let old = one(&creation("Create", CREATE_2025));
    assert_eq!((old.kind, old.stage), (Kind::PumpCurve, Stage::Created));
    assert_eq!((old.name.as_str(), old.symbol.as_str()), ("Hawk Tuah", "$HAWK"));
    assert_eq!((old.mints[1], old.at), (WRAPPED_SOL, Some(1_753_562_716)));

    let new = one(&creation("CreateV2", CREATE_V2));
    assert_eq!(new.pool, key("113P6U1rwkHf69wyGT4qc9JNJfW1fXrKHYsU2Yy4goF"));
    assert_eq!(new.mints, [key("3xM2iMg4RZBuzdFpvwYab9cUaVpniuHgLUZRg33ipump"), WRAPPED_SOL]);
    assert_eq!(new.creator, Some(key("Acp2tKDySe79AsxokjeEy7VdrvWD8bR4V9rLSFkvo6sx")));
    assert_eq!((new.name.as_str(), new.symbol.as_str()), ("100k", "100k"));
}

#[test]
fn pump_fun_tells_when_a_curve_is_complete() {
    let done = one(&call(PUMP, 1, &[said("BuyV2"), data(COMPLETE)]));
    assert_eq!((done.kind, done.stage), (Kind::PumpCurve, Stage::Complete));
    assert_eq!(done.pool, key("HG5pAcVqdrixHnTVa2fRLSgGvezeM79twufgZABqPjT2"));
    assert_eq!(done.mints[0], key("4yGJ5ynrB4QX7AiRps1DTAzdXwEf15NvrRF5gouEpump"));
    assert_eq!(done.at, Some(1_787_337_289));
}

#[test]
fn pump_swap_tells_of_a_pool() {
    let made = one(&call(SWAP, 1, &[said("CreatePool"), data(CREATE_POOL)]));
    assert_eq!((made.kind, made.stage), (Kind::PumpSwap, Stage::Created));
    assert_eq!(made.pool, key("4qYJkETMAnGmzbeWakoED8im3q9mesAMUFjfUsJdJxSw"));
    assert_eq!(made.mints, [WRAPPED_SOL, key("HuMZ4SrjXc75NGbe62ReD9yHF6EHgFPWmLeGY3nn3oxK")]);
    assert_eq!(made.creator, Some(key("HB1QqxzPVNs7m5PeWbxfsCDDXwccTrgjqpmUfsTe9rAm")));
}

#[test]
fn a_coin_that_moves_to_a_pool_comes_out_once() {
    let pool = key("4v4UyAGCyLDqE6Us2PSrZbJjmZPBqEhjkJSQYYYKV12R");
    let mint = key("84z3jaJh5KbcpL2o3WjUoTLMVyRQS72dPKAfUxd3pump");
    // The two captures are of two pools; in one transaction both name one.
    let mut event = STANDARD.decode(CREATE_POOL).unwrap();
    event[173..205].copy_from_slice(pool.as_ref());
    event[50..82].copy_from_slice(mint.as_ref());
    event[82..114].copy_from_slice(WRAPPED_SOL.as_ref());
    let made = call(SWAP, 2, &[said("CreatePool"), data(&STANDARD.encode(event))]);
    let alone = one(&call(PUMP, 1, &[said("MigrateV2"), data(MIGRATION)]));
    assert_eq!((alone.pool, alone.mints), (pool, [mint, WRAPPED_SOL]));
    assert_eq!((alone.kind, alone.stage, alone.creator), (Kind::PumpSwap, Stage::Migrated, None));

    let orders = [
        [said("MigrateV2"), made.clone(), data(MIGRATION)],
        [said("MigrateV2"), data(MIGRATION), made],
    ];
    for inner in orders {
        let moved = one(&call(PUMP, 1, &inner));
        assert_eq!((moved.stage, moved.pool, moved.mints), (Stage::Migrated, pool, alone.mints));
        assert!(moved.creator.is_some(), "what PumpSwap tells is kept");
    }
}

#[test]
fn raydium_clmm_tells_of_a_pool() {
    let made = one(&call(CLMM, 1, &[said("CreatePool"), data(POOL_CREATED)]));
    assert_eq!((made.kind, made.stage), (Kind::Clmm, Stage::Created));
    assert_eq!(made.mints, [WRAPPED_SOL, key("54C726ZerpSMYkmks6gGKFxsnbpziNkR13TqDdnzpump")]);
    assert_eq!(made.pool, key("9XpPAv79tumf7VDxqPGBjrz7DueZXqj2PuCpzHLxMCTs"));
}

#[test]
fn raydium_amm_v4_tells_which_pool_but_not_of_what() {
    let says = "Program log: initialize2: InitializeInstruction2 { nonce: 254, open_time: 0, init_pc_amount: 206900000000000, init_coin_amount: 79005361067 }";
    let log = format!("Program log: ray_log: {RAY_LOG}");
    let fetch = fetched(&call(AMM, 1, &[line(says), call(TOKEN, 2, &[]), line(log)]));
    let pool = Some(key("A6iWRen7XbgqarjMPW1a9QQDurnEeN5H2Y4z3hmXTtYA"));
    assert_eq!(fetch, Fetch { program: Some(Program::AmmV4), pool, why: Why::Silent });
    // A swap, mainnet.
    let swap = "Program log: ray_log: A80hAAAAAAAAAQAAAAAAAAABAAAAAAAAAJjek2cBAAAAax/3CA8AAABgYGYrRzQBAAEAAAAAAAAA";
    assert_eq!(scanned(&call(AMM, 1, &[line(swap)])), []);
}

#[test]
fn raydium_cpmm_prints_nothing_so_the_transaction_is_needed() {
    for name in ["Initialize", "InitializeWithPermission"] {
        let fetch = fetched(&call(CPMM, 1, &[said(name)]));
        assert_eq!(fetch, Fetch { program: Some(Program::Cpmm), pool: None, why: Why::Silent });
    }
    assert_eq!(scanned(&call(CPMM, 1, &[said("SwapBaseInput")])), []);
    // Another program's instruction of that name, called by it.
    let other = call(TOKEN, 2, &[said("Initialize")]);
    assert_eq!(scanned(&call(CPMM, 1, &[said("SwapBaseInput"), other])), []);
}

#[test]
fn a_program_that_announces_and_does_not_tell_is_looked_into() {
    for (program, id, name) in [
        (Program::PumpFun, PUMP, "CreateV2"),
        (Program::PumpFun, PUMP, "Migrate"),
        (Program::PumpSwap, SWAP, "CreatePool"),
        (Program::Clmm, CLMM, "CreateCustomizablePool"),
        (Program::AmmV4, AMM, "x"),
    ] {
        let says = if program == Program::AmmV4 {
            line("Program log: initialize2: InitializeInstruction2 { nonce: 254 }")
        } else {
            said(name)
        };
        let fetch = fetched(&call(id, 1, &[says]));
        assert_eq!((fetch.program, fetch.why), (Some(program), Why::Silent));
    }
}

#[test]
fn a_program_that_merely_prints_look_alike_lines_is_not_believed() {
    let evil = "Evi1111111111111111111111111111111111111111";
    let lines = [
        said("Create"),
        data(CREATE_V2),
        line(format!("Program log: Program {PUMP} invoke [2]")),
        data(CREATE_V2),
        line(format!("Program log: Program {PUMP} success")),
        line(format!("Program log: ray_log: {RAY_LOG}")),
        // One line however many it shows as.
        line(format!("Program log: x\nProgram {PUMP} invoke [2]\nProgram data: {CREATE_V2}")),
        line("Program log: Log truncated"),
    ];
    assert_eq!(scanned(&call(evil, 1, &lines)), []);
    // Called by the real program, and after it has ended, it still is not the real one.
    let inner = call(evil, 2, &lines);
    assert_eq!(scanned(&call(PUMP, 1, &[said("Buy"), inner])), []);
    let after = call(evil, 1, &[call(PUMP, 2, &[said("Buy")]), lines.concat()]);
    assert_eq!(scanned(&after), []);
    // And lines that no program printed belong to none.
    assert_eq!(scanned(&[said("Create"), data(CREATE_V2)].concat()), []);
    // The same lines of the real one are believed.
    assert_eq!(one(&call(evil, 1, &[call(PUMP, 2, &[data(CREATE_V2)])])).name.as_str(), "100k");
}

#[test]
fn a_failed_transaction_has_made_nothing() {
    let mut logs = creation("CreateV2", CREATE_V2);
    let mut found = vec![];
    scan(&logs, false, &mut found);
    assert_eq!(found, []);
    logs.extend(line(format!("Program {TOKEN} invoke [1]")));
    logs.extend(line(format!("Program {TOKEN} failed: custom program error: 0x1")));
    assert_eq!(scanned(&logs), [], "and says so itself");
}

#[test]
fn truncated_lines_are_reported_and_what_came_before_is_kept() {
    let whole = creation("CreateV2", CREATE_V2);
    let cut = [whole.clone(), line(format!("Program {SWAP} invoke [1]")), line("Log truncated")];
    match scanned(&cut.concat()).as_slice() {
        [Detected::Launch(launch), Detected::Fetch(fetch)] => {
            assert_eq!(launch.name.as_str(), "100k");
            let program = Some(Program::PumpSwap);
            assert_eq!(*fetch, Fetch { program, pool: None, why: Why::Truncated });
        }
        other => panic!("{other:?}"),
    }
    let fetch = fetched(&["Log truncated".to_owned()]);
    assert_eq!(fetch, Fetch { program: None, pool: None, why: Why::Truncated });
    // Lines that end early without a word of it.
    let fetch = fetched(&whole[..4]);
    assert_eq!((fetch.program, fetch.why), (Some(Program::PumpFun), Why::Unbalanced));
}

#[test]
fn frames_that_do_not_nest_are_reported() {
    let broken = [
        vec![format!("Program {PUMP} invoke [2]")],
        vec![format!("Program {PUMP} success")],
        vec![format!("Program {PUMP} invoke [1]"), format!("Program {SWAP} success")],
        vec![format!("Program {PUMP} invoke [x]")],
        (1..40).map(|depth| format!("Program {PUMP} invoke [{depth}]")).collect(),
    ];
    for logs in broken {
        assert_eq!(fetched(&logs).why, Why::Unbalanced, "{logs:?}");
    }
}

#[test]
fn an_event_that_ends_in_the_middle_of_a_field_is_not_read_in_part() {
    let whole = STANDARD.decode(CREATE_V2).unwrap();
    let ends: Vec<usize> = (8..whole.len())
        .filter(|len| {
            let logs = call(PUMP, 1, &[data(&STANDARD.encode(&whole[..*len]))]);
            matches!(scanned(&logs).as_slice(), [Detected::Launch(_)])
        })
        .collect();
    // After the user, the creator, the time, the amounts, the token program, the flags and the quote mint.
    let strings = 8 + 4 + 4 + 4 + 4 + 4 + 80;
    let field = |before: usize, size: usize| before + size;
    let user = field(strings, 96);
    let creator = field(user, 32);
    let time = field(creator, 8);
    let amounts = field(time, 32);
    let program = field(amounts, 32);
    let flags = field(program, 2);
    let quote = field(flags, 32);
    let mut expected = vec![user, creator, time, amounts, program, flags];
    expected.extend(quote..whole.len());
    assert_eq!(ends, expected);
    let cut = call(PUMP, 1, &[said("CreateV2"), data(&STANDARD.encode(&whole[..150]))]);
    assert_eq!(fetched(&cut).why, Why::Unreadable);
    let odd = call(PUMP, 1, &[said("CreateV2"), data("not base64 at all!!")]);
    assert_eq!(fetched(&odd).why, Why::Unreadable);
}

#[test]
fn a_detector_lets_everything_through_once() {
    let mut detector = Detector::new(3);
    let mut news = |logs: &[String]| {
        let mut found = vec![];
        detector.logs(logs, true, &mut found);
        found.len()
    };
    let made = call(SWAP, 1, &[data(CREATE_POOL)]);
    assert_eq!((news(&made), news(&made)), (1, 0));
    // A rumour, once; then the pool itself; then the rumour no more.
    let rumour = call(AMM, 1, &[line(format!("Program log: ray_log: {RAY_LOG}"))]);
    assert_eq!((news(&rumour), news(&rumour)), (1, 0));
    // Complete after created is news, created after complete is not.
    let complete = call(PUMP, 1, &[data(COMPLETE)]);
    assert_eq!((news(&complete), news(&complete)), (1, 0));
    // A fourth pool, and the first is forgotten.
    assert_eq!(news(&call(CLMM, 1, &[data(POOL_CREATED)])), 1);
    assert_eq!(news(&made), 1);
}

#[test]
fn an_account_of_a_pool_tells_its_mints_and_one_that_is_known_is_no_news() {
    let mut bytes = vec![0; 637];
    bytes[..8].copy_from_slice(&cpmm::POOL_DISCRIMINATOR);
    bytes[40..72].copy_from_slice(&[9; 32]);
    bytes[168..200].copy_from_slice(WRAPPED_SOL.as_ref());
    let (owner, address) = (cpmm::PROGRAM_ID, Address::new_from_array([4; 32]));
    let mut detector = Detector::new(10);
    let detected = detector.account(&owner, address, &bytes).unwrap();
    let Some(Detected::Launch(launch)) = detected else { panic!("{detected:?}") };
    assert_eq!((launch.stage, launch.pool, launch.mints[0]), (Stage::Seen, address, WRAPPED_SOL));
    assert_eq!(launch.creator, Some(Address::new_from_array([9; 32])));
    assert_eq!(detector.account(&owner, address, &bytes), Ok(None));
    // Known before: an account that changes is not one that appears.
    let other = Address::new_from_array([5; 32]);
    detector.remember(other);
    assert_eq!(detector.account(&owner, other, &bytes), Ok(None));
    // Somebody else's bytes, another account of the program, and a pool's cut short.
    assert_eq!(read_account(&WRAPPED_SOL, address, &bytes), Ok(None));
    assert_eq!(read_account(&owner, address, &[1; 637]), Ok(None));
    assert!(read_account(&owner, address, &bytes[..100]).is_err());
}

#[test]
fn a_name_is_cleaned_on_its_way() {
    let mut event = STANDARD.decode(CREATE_V2).unwrap();
    event.splice(8..16, [&[9, 0, 0, 0][..], "\u{202e}1\u{7}0k".as_bytes(), b"!!"].concat());
    let launch = one(&call(PUMP, 1, &[data(&STANDARD.encode(event))]));
    assert_eq!(launch.name.as_str(), "\u{fffd}1\u{fffd}0k!!");
}

/// Lines as they come, with a taste for the ones that mean something.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let id = proptest::sample::select(vec![PUMP, SWAP, AMM, CPMM, CLMM, TOKEN]);
    let event = proptest::sample::select(vec![CREATE_V2, COMPLETE, MIGRATION, CREATE_POOL]);
    let line = prop_oneof![
        any::<String>(),
        (id.clone(), 0_usize..6).prop_map(|(id, depth)| format!("Program {id} invoke [{depth}]")),
        id.prop_map(|id| format!("Program {id} success")),
        event.prop_map(|event| format!("Program data: {event}")),
        any::<Vec<u8>>().prop_map(|bytes| format!("Program data: {}", STANDARD.encode(bytes))),
        any::<Vec<u8>>().prop_map(|b| format!("Program log: ray_log: {}", STANDARD.encode(b))),
        any::<String>().prop_map(|text| format!("Program {text}")),
        any::<String>().prop_map(|text| format!("Program log: Instruction: {text}")),
        Just("Program log: Instruction: CreatePool".to_owned()),
        Just("Log truncated".to_owned()),
    ];
    proptest::collection::vec(line, 0..30)
}

proptest! {
    #[test]
    fn any_lines_are_read_without_panic(logs in lines()) {
        let mut found = vec![];
        scan(&logs, true, &mut found);
        // Nothing is told of by lines of which no launch program printed any.
        let programs = Program::ALL.map(|p| format!("Program {} invoke [", p.text()));
        let invoked = logs.iter().any(|l| programs.iter().any(|p| l.starts_with(p)));
        if !invoked {
            prop_assert!(!found.iter().any(|d| matches!(d, Detected::Launch(_))));
        }
    }

    #[test]
    fn a_damaged_event_is_read_or_reported_without_panic(at in 8_usize..400, with: u8, cut in 8_usize..500) {
        for (id, event) in [(PUMP, CREATE_V2), (PUMP, MIGRATION), (SWAP, CREATE_POOL), (CLMM, POOL_CREATED)] {
            let mut bytes = STANDARD.decode(event).unwrap();
            let at = at.min(bytes.len() - 1);
            bytes[at] = with;
            bytes.truncate(cut);
            let found = scanned(&call(id, 1, &[data(&STANDARD.encode(bytes))]));
            prop_assert!(found.len() <= 1);
        }
    }

    #[test]
    fn any_account_is_read_or_refused_without_panic(which in 0_usize..5, head in any::<[u8; 8]>(), data: Vec<u8>, len in 0_usize..2_000) {
        let owner = Program::ALL[which].address();
        let mut bytes = [&head[..], &data].concat();
        bytes.resize(len, 7);
        drop(read_account(&owner, owner, &bytes));
        if bytes.len() > 8 {
            bytes[..8].copy_from_slice(&cpmm::POOL_DISCRIMINATOR);
            drop(read_account(&owner, owner, &bytes));
        }
    }
}
