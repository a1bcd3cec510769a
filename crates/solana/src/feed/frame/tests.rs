//! Frames as they are documented, and as they should never be.

use super::*;
use proptest::prelude::*;

const ACCOUNT: &str = r#"{"jsonrpc":"2.0","method":"accountNotification","params":{"result":{"context":{"slot":123},"value":{"lamports":18446744073709551615,"data":["AQID","base64"],"owner":"11111111111111111111111111111111","executable":false,"rentEpoch":18446744073709551615,"space":3}},"subscription":42}}"#;
const PROGRAM: &str = r#"{"jsonrpc":"2.0","method":"programNotification","params":{"result":{"context":{"slot":5},"value":{"pubkey":"So11111111111111111111111111111111111111112","account":{"data":["AQID","base64"],"executable":false,"lamports":1,"owner":"x","rentEpoch":0,"space":3}}},"subscription":7}}"#;
const LOGS: &str = r#"{"jsonrpc":"2.0","method":"logsNotification","params":{"result":{"context":{"slot":5208469},"value":{"signature":"5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv","err":null,"logs":["SBF program 83astBRguLMdt2h5U1Tpdq5tjFoJ6noeGwaY3mDLVcri success"]}},"subscription":24040}}"#;
const SIGNATURE: &str = r#"{"jsonrpc":"2.0","method":"signatureNotification","params":{"result":{"context":{"slot":5207624},"value":{"err":null}},"subscription":24006}}"#;
const SLOT: &str = r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":76,"parent":75,"root":44},"subscription":7}}"#;
const ROOT: &str =
    r#"{"jsonrpc":"2.0","method":"rootNotification","params":{"result":42,"subscription":3}}"#;

fn fault(text: &str) -> Fault {
    FrameReader::default().read(text).unwrap_err().fault
}

#[test]
fn the_documented_notifications_are_read_without_copying() {
    let mut reader = FrameReader::default();
    let account = reader.read(ACCOUNT).unwrap();
    let Frame::Account { subscription: 42, slot: 123, account } = account else {
        panic!("{account:?}")
    };
    assert_eq!((account.lamports, account.data), (u64::MAX, &[1, 2, 3][..]));
    assert!(matches!(account.owner, Cow::Borrowed("11111111111111111111111111111111")));
    let program = reader.read(PROGRAM).unwrap();
    let Frame::Program { subscription: 7, slot: 5, address, account } = program else {
        panic!("{program:?}")
    };
    assert_eq!(address.to_string(), "So11111111111111111111111111111111111111112");
    assert_eq!((&*account.owner, account.data), ("x", &[1, 2, 3][..]));
    let logs = reader.read(LOGS).unwrap();
    let Frame::Logs { subscription: 24_040, slot: 5_208_469, signature, succeeded, logs } = logs
    else {
        panic!("{logs:?}")
    };
    assert!(succeeded && bs58::encode(signature.0).into_string().starts_with("5h6xBEauJ3PK6S"));
    assert!(matches!(logs.as_slice(), [Cow::Borrowed(line)] if line.ends_with("success")));
    let done = Frame::Signature { subscription: 24_006, slot: 5_207_624, succeeded: Some(true) };
    assert_eq!(reader.read(SIGNATURE), Ok(done));
    assert_eq!(reader.read(SLOT), Ok(Frame::Slot { slot: 76, parent: 75, root: 44 }));
    assert_eq!(reader.read(ROOT), Ok(Frame::Root { subscription: 3, slot: 42 }));
}

#[test]
fn the_end_of_a_transaction_is_told_from_its_arrival_and_failure_from_silence() {
    let read = |value: &str| {
        let text = SIGNATURE.replace(r#"{"err":null}"#, value);
        match FrameReader::default().read(&text) {
            Ok(Frame::Signature { succeeded, .. }) => Ok(succeeded),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.fault),
        }
    };
    assert_eq!(read(r#""receivedSignature""#), Ok(None));
    assert_eq!(read(r#"{"err":{"InstructionError":[0,{"Custom":1}]}}"#), Ok(Some(false)));
    assert_eq!(read("{}"), Err(Fault::Missing { field: "err" }), "no word is no success");
    assert!(matches!(read(r#""received""#), Err(Fault::Json { .. })));
}

#[test]
fn acknowledgements_and_refusals_are_told_apart() {
    let mut reader = FrameReader::default();
    let ack = reader.read(r#"{"jsonrpc":"2.0","result":23784,"id":1}"#).unwrap();
    assert_eq!(ack, Frame::Accepted { id: 1, subscription: 23_784 });
    let no = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"full"},"id":9}"#;
    assert_eq!(reader.read(no), Ok(Frame::Refused { id: Some(9), code: -32_603 }));
    let unread = r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"?"},"id":null}"#;
    assert_eq!(reader.read(unread), Ok(Frame::Refused { id: None, code: -32_700 }));
    let released = reader.read(r#"{"jsonrpc":"2.0","result":true,"id":1}"#).unwrap();
    assert_eq!(released, Frame::Released { id: 1, done: true });
    assert!(reader.read(r#"{"jsonrpc":"2.0","result":"true","id":1}"#).is_err());
    assert_eq!(reader.read("{}"), Ok(Frame::Other));
    assert_eq!(reader.read(r#"{"method":"voteNotification","params":[7]}"#), Ok(Frame::Other));
}

#[test]
fn the_order_of_members_does_not_matter() {
    let moved = r#"{"params":{"subscription":42,"result":{"value":{"owner":"x","data":["AQID","base64"],"lamports":5},"context":{"apiVersion":"4.2.2","slot":123}}},"method":"accountNotification"}"#;
    let mut reader = FrameReader::default();
    let Ok(Frame::Account { subscription: 42, slot: 123, account }) = reader.read(moved) else {
        panic!("an account")
    };
    assert_eq!((account.lamports, account.data), (5, &[1, 2, 3][..]));
}

#[test]
fn what_is_wrong_is_said_with_what_was_told_and_to_whom() {
    let mut reader = FrameReader::default();
    let broken = ACCOUNT.replace("AQID", "AQ!D");
    let error = reader.read(&broken).unwrap_err();
    assert_eq!((error.method, error.subscription), ("accountNotification", Some(42)));
    assert_eq!(error.to_string(), "accountNotification: its data are not base64");
    assert!(matches!(fault(&ACCOUNT.replace("base64", "base58")), Fault::Data { .. }));
    let missing = |field| Fault::Missing { field };
    assert_eq!(fault(&ACCOUNT.replace("\"slot\":123", "")), missing("slot"));
    assert_eq!(fault(&ACCOUNT.replace("\"subscription\":42", "\"x\":1")), missing("subscription"));
    let no_value = r#"{"method":"accountNotification","params":{"result":{"context":{"slot":1},"value":null},"subscription":4}}"#;
    assert_eq!(fault(no_value), missing("value"));
    assert_eq!(fault(&PROGRAM.replace("So1111", "So1110")), Fault::Key);
    for name in ["5h6x", "", "0OIl", &"1".repeat(65), &"z".repeat(88)] {
        let from = LOGS.find("5h6xBE").unwrap();
        let end = LOGS.find("\",\"err").unwrap();
        let text = format!("{}{name}{}", &LOGS[..from], &LOGS[end..]);
        assert_eq!(fault(&text), Fault::Signature, "{name}");
    }
    assert_eq!(fault(&LOGS.replace("\"err\":null,", "")), missing("err"));
}

#[test]
fn hostile_text_is_a_fault_and_nothing_more() {
    let json = |text: &str| assert!(matches!(fault(text), Fault::Json { .. }), "{text:.100}");
    for (from, to) in [
        ("123", "18446744073709551616"),
        ("123", "-1"),
        ("123", "1.0"),
        ("123", "1e3"),
        ("123", "01"),
        ("123", "\"123\""),
        (":42", ":{}"),
        ("\"subscription\":42", "\"subscription\":42,\"subscription\":43"),
        ("\"lamports\"", "\"lamports\":1,\"lamports\""),
        ("[\"AQID\",\"base64\"]", "[\"AQID\",\"base64\",1]"),
        ("[\"AQID\",\"base64\"]", "\"AQID\""),
        ("{\"jsonrpc\"", "{\"params\":null,\"jsonrpc\""),
    ] {
        json(&ACCOUNT.replacen(from, to, 1));
    }
    json(&format!("{ACCOUNT}{{}}"));
    json("[]");
    json("");
    for length in 0..ACCOUNT.len() {
        json(&ACCOUNT[..length]);
    }
    let deep = "[".repeat(1 << 20);
    json(&deep);
    json(&ACCOUNT.replace("\"space\":3", &format!("\"space\":3,\"more\":{deep}")));
    let closed = format!("{deep}{}", "]".repeat(1 << 20));
    let nested = ACCOUNT.replace("\"space\":3", &format!("\"more\":{closed}"));
    assert!(FrameReader::default().read(&nested).is_ok(), "passed over, not followed");
    let lines = "\"\",".repeat(LINES_MAX + 1);
    json(&LOGS.replace("[\"SBF", &format!("[{lines}\"SBF")));
}

#[test]
fn escaped_text_is_read_as_well() {
    let text = ACCOUNT.replace("AQID", r"A\/ID").replace("\"slot\"", r#""sl\u006ft""#);
    let mut reader = FrameReader::default();
    let Ok(Frame::Account { slot: 123, account, .. }) = reader.read(&text) else {
        panic!("an account");
    };
    assert_eq!(account.data, [3, 242, 3]);
}

proptest! {
    #[test]
    fn any_text_and_any_damage_is_read_or_refused_without_panic(
        text: String, which in 0_usize..6, at in 0_usize..400, with: char,
    ) {
        let mut reader = FrameReader::default();
        drop(reader.read(&text));
        let whole = [ACCOUNT, PROGRAM, LOGS, SIGNATURE, SLOT, ROOT][which];
        let mut damaged: Vec<char> = whole.chars().collect();
        let at = at % damaged.len();
        damaged[at] = with;
        drop(reader.read(&damaged.into_iter().collect::<String>()));
    }
}
