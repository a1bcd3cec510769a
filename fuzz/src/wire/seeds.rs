//! Frames as nodes send them, and some that none should.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const OWNER: &str = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C";
const KEY: &str = "So11111111111111111111111111111111111111112";
const NAME: &str =
    "5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv";

/// An account as Agave writes it.
fn account(data: &str, encoding: &str, space: usize) -> String {
    format!(
        r#"{{"data":["{data}","{encoding}"],"executable":false,"lamports":2039280,"owner":"{OWNER}","rentEpoch":18446744073709551615,"space":{space}}}"#
    )
}

fn notice(kind: &str, result: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{kind}Notification","params":{{"result":{result},"subscription":23784}}}}"#
    )
}

fn at(value: &str) -> String {
    format!(r#"{{"context":{{"slot":351234567}},"value":{value}}}"#)
}

/// Inputs by target.
pub fn seeds() -> &'static BTreeMap<String, Vec<Vec<u8>>> {
    static SEEDS: OnceLock<BTreeMap<String, Vec<Vec<u8>>>> = OnceLock::new();
    SEEDS.get_or_init(make)
}

fn make() -> BTreeMap<String, Vec<Vec<u8>>> {
    let pool: Vec<u8> = (0..637_u32).map(|at| at.wrapping_mul(151).to_le_bytes()[0]).collect();
    let plain = STANDARD.encode(&pool);
    let packed = STANDARD.encode(zstd::bulk::compress(&pool, 3).unwrap_or_default());
    let vault = STANDARD.encode([7; 165]);
    let zeros = STANDARD.encode(zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap_or_default());
    let keyed = |account: &str| format!(r#"{{"pubkey":"{KEY}","account":{account}}}"#);
    let lines = |err: &str| {
        format!(
            r#"{{"signature":"{NAME}","err":{err},"logs":["Program {OWNER} invoke [1]","Program data: \u00e9\n","Program {OWNER} success"]}}"#
        )
    };
    let failed = r#"{"InstructionError":[2,{"Custom":6005}]}"#;
    let whole = notice("account", &at(&account(&plain, "base64", 637)));
    let moved = format!(
        r#"{{"params":{{"subscription":1,"result":{{"value":{{"space":null,"owner":"{OWNER}","lamports":0,"data":["","base64"]}},"context":{{"apiVersion":"4.2.2","slot":9}}}}}},"method":"accountNotification"}}"#
    );
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let all = [
        whole.clone(),
        notice("program", &at(&keyed(&account(&vault, "base64", 165)))),
        notice("logs", &at(&lines("null"))),
        notice("logs", &at(&lines(failed))),
        notice("account", &at(&account(&packed, "base64+zstd", 637))),
        notice("account", &at(&account(&zeros, "base64+zstd", 64 << 20))),
        notice("account", &at(&account("", "base64", 0))),
        notice("account", &at("null")),
        notice("signature", &at(r#"{"err":null}"#)),
        notice("signature", &at(&format!(r#"{{"err":{failed}}}"#))),
        notice("signature", &at("\"receivedSignature\"")),
        notice("slot", r#"{"slot":76,"parent":75,"root":44}"#),
        notice("root", "42"),
        moved,
        whole.replace("\"slot\"", "\"slot\":1,\"slot\""),
        whole.replace("637}", &format!("637,\"more\":{deep}}}")),
        whole.replace("351234567", "18446744073709551616"),
        whole.replace("\"slot\"", "\"sl\\u006ft\""),
        r#"{"jsonrpc":"2.0","result":23784,"id":1}"#.to_owned(),
        r#"{"jsonrpc":"2.0","result":true,"id":7}"#.to_owned(),
        r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"full"},"id":9}"#.to_owned(),
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}"#.to_owned(),
        "{}".to_owned(),
    ];
    BTreeMap::from([("frame".to_owned(), all.map(String::into_bytes).to_vec())])
}
