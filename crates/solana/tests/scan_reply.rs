//! The one-pass reader against `serde_json`, on answers as nodes write them and as nobody should.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod scan_node;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use sniper_core::ids::Address;
use sniper_solana::scan::{ReplyError, ReplyReader, Summary};

/// An account with nothing borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    address: Option<Address>,
    owner: String,
    lamports: u64,
    space: Option<u64>,
    data: Vec<u8>,
}

type Read = (Vec<Option<Owned>>, Summary);

/// Reads an answer that comes in pieces of these lengths, by turns.
fn read(reader: &mut ReplyReader, text: &[u8], pieces: &[usize]) -> Result<Read, ReplyError> {
    let mut all = Vec::new();
    reader.restart();
    let mut rest = text;
    for length in pieces.iter().cycle() {
        let (piece, after) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
        reader.feed::<ReplyError>(piece, |number, _, account| {
            assert_eq!(number, all.len());
            all.push(account.map(|a| Owned {
                address: a.address,
                owner: a.owner.to_owned(),
                lamports: a.lamports,
                space: a.space,
                data: a.data.to_vec(),
            }));
            Ok(())
        })?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let summary = reader.finish()?;
    assert_eq!(summary.accounts, all.len());
    Ok((all, summary))
}

/// The same by a tree of JSON; none where it is no such answer.
fn by_tree(text: &[u8]) -> Option<Read> {
    let tree: Value = serde_json::from_slice(text).ok()?;
    let result = tree.get("result")?;
    let list = result.get("value").unwrap_or(result).as_array()?;
    let slot = result.get("context").and_then(|context| context["slot"].as_u64());
    let accounts = list.iter().map(one_by_tree).collect::<Option<Vec<_>>>()?;
    let summary = Summary { slot, accounts: accounts.len() };
    Some((accounts, summary))
}

fn one_by_tree(account: &Value) -> Option<Option<Owned>> {
    if account.is_null() {
        return Some(None);
    }
    let address = match account.get("pubkey") {
        Some(key) => Some(key.as_str()?.parse().ok()?),
        None => None,
    };
    let account = account.get("account").unwrap_or(account);
    let bytes = STANDARD.decode(account["data"][0].as_str()?).ok()?;
    let data = match account["data"][1].as_str()? {
        "base64" => bytes,
        "base64+zstd" if bytes.is_empty() => bytes,
        "base64+zstd" => zstd::decode_all(&bytes[..]).ok()?,
        _ => return None,
    };
    let (owner, lamports) = (account["owner"].as_str()?.to_owned(), account["lamports"].as_u64()?);
    Some(Some(Owned { address, owner, lamports, space: account["space"].as_u64(), data }))
}

#[derive(Clone, Debug)]
struct Made {
    data: Vec<u8>,
    zstd: bool,
    lamports: u64,
    space: Option<u64>,
    owner: u64,
    extra: Option<Value>,
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |x| x.is_finite().then(|| json!(x))),
        ".{0,8}".prop_map(Value::from),
        r#"["\\\\{}\[\],:a]{0,8}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{0,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn made() -> impl Strategy<Value = Option<Made>> {
    let data = prop::collection::vec(any::<u8>(), 0..700);
    let made = (
        data,
        any::<bool>(),
        any::<u64>(),
        any::<Option<u64>>(),
        0_u64..3,
        prop::option::of(value()),
    )
        .prop_map(|(data, zstd, lamports, space, owner, extra)| {
            Some(Made { data, zstd, lamports, space, owner, extra })
        });
    prop_oneof![8 => made, 1 => Just(None)]
}

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
struct Style {
    wrapped: bool,
    keyed: bool,
    pretty: bool,
    escaped: bool,
    /// The order of members.
    turn: usize,
}

fn style() -> impl Strategy<Value = Style> {
    (any::<[bool; 4]>(), 0_usize..8).prop_map(|([wrapped, keyed, pretty, escaped], turn)| Style {
        wrapped,
        keyed,
        pretty,
        escaped,
        turn,
    })
}

const AS_AGAVE: usize = 7;

/// Members in an order of choice.
fn object(mut members: Vec<(&str, String)>, turn: usize) -> String {
    let count = members.len();
    // By name, as Agave does, or any way round.
    if turn == AS_AGAVE {
        members.sort_unstable()
    } else {
        members.rotate_left(turn % count)
    }
    let text: Vec<String> = members.iter().map(|(k, v)| format!("{}:{v}", json!(k))).collect();
    format!("{{{}}}", text.join(","))
}

fn write(accounts: &[Option<Made>], style: Style) -> Vec<u8> {
    let text = |text: &str| {
        let plain = json!(text).to_string();
        if style.escaped { plain.replace('/', "\\/").replace('A', "\\u0041") } else { plain }
    };
    let one = |(n, made): (usize, &Option<Made>)| {
        let Some(made) = made else { return "null".to_owned() };
        let bytes = if made.zstd {
            zstd::encode_all(&made.data[..], 3).unwrap()
        } else {
            made.data.clone()
        };
        let encoding = if made.zstd { "base64+zstd" } else { "base64" };
        let mut members = vec![
            ("lamports", made.lamports.to_string()),
            ("owner", text(&scan_node::address(5, made.owner).to_string())),
            ("data", format!("[{},{}]", text(&STANDARD.encode(bytes)), text(encoding))),
            ("executable", "false".to_owned()),
            ("rentEpoch", u64::MAX.to_string()),
            ("space", made.space.map_or("null".to_owned(), |space| space.to_string())),
        ];
        members.extend(made.extra.iter().map(|extra| ("new", extra.to_string())));
        let account = object(members, style.turn);
        if style.keyed {
            let key = scan_node::address(6, n as u64).to_string();
            object(vec![("pubkey", text(&key)), ("account", account)], style.turn)
        } else {
            account
        }
    };
    let list: Vec<String> = accounts.iter().enumerate().map(one).collect();
    let list = format!("[{}]", list.join(","));
    let context = r#"{"apiVersion":"3.0.1","slot":77,"x":[1.5e3,{"y":"}"}]}"#.to_owned();
    let result = if style.wrapped {
        object(vec![("context", context), ("value", list)], style.turn)
    } else {
        list
    };
    let members =
        vec![("jsonrpc", "\"2.0\"".to_owned()), ("result", result), ("id", "1".to_owned())];
    let text = object(members, style.turn);
    if style.pretty {
        // The tree sorts members and loses none.
        let tree: Value = serde_json::from_str(&text).unwrap();
        return serde_json::to_vec_pretty(&tree).unwrap();
    }
    text.into_bytes()
}

proptest! {
    #[test]
    fn an_answer_reads_as_its_tree_does_in_whatever_pieces_it_comes(
        accounts in prop::collection::vec(made(), 0..12),
        style in style(),
        pieces in prop::collection::vec(1_usize..9_000, 1..6),
    ) {
        let text = write(&accounts, style);
        let want = by_tree(&text).unwrap();

        let mut reader = ReplyReader::default();
        prop_assert_eq!(read(&mut reader, &text, &[text.len()]).unwrap(), want.clone());
        prop_assert_eq!(read(&mut reader, &text, &pieces).unwrap(), want.clone());
        prop_assert_eq!(read(&mut reader, &text, &[1]).unwrap(), want);
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error(
        accounts in prop::collection::vec(made(), 0..4), style in style(), cut: prop::sample::Index,
    ) {
        let text = write(&accounts, style);
        let text = &text[..cut.index(text.len())];
        let mut reader = ReplyReader::default();
        let got = read(&mut reader, text, &[text.len().max(1)]);
        prop_assert!(matches!(got, Err(ReplyError::Truncated { .. })), "{:?}", got);
    }

    #[test]
    fn a_damaged_answer_is_an_error_or_reads_as_its_tree_does(
        accounts in prop::collection::vec(made(), 0..4),
        style in style(),
        at: prop::sample::Index,
        with in prop_oneof![any::<u8>(), prop::sample::select(&b"\"\\{}[],:0-n "[..])],
    ) {
        let mut text = write(&accounts, style);
        let at = at.index(text.len());
        text[at] = with;
        let got = read(&mut ReplyReader::default(), &text, &[text.len()]);
        let pieces = read(&mut ReplyReader::default(), &text, &[7]);
        prop_assert_eq!(got.is_ok(), pieces.is_ok(), "pieces make no difference");
        if let Ok(got) = got {
            // A tree keeps the last of two members of one name, and text nobody looks at may be anything.
            if let Some(want) = by_tree(&text) {
                prop_assert_eq!(got, want);
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_an_answer_but_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        json in prop::collection::vec(
            prop::sample::select(&[
                "{", "}", "[", "]", ",", ":", "null", "true", "1", "-1.5e9", "\"result\"", "\"value\"",
                "\"context\"", "\"slot\"", "\"data\"", "\"error\"", "\"account\"", "\"pubkey\"", "\"\\u0041\"",
                "\"owner\"", "\"lamports\"", " ", "\"base64\"",
            ][..]),
            0..40,
        ),
    ) {
        for text in [bytes, json.concat().into_bytes(), [b"{\"result\":", json.concat().as_bytes()].concat()] {
            let whole = read(&mut ReplyReader::default(), &text, &[text.len().max(1)]);
            let parts = read(&mut ReplyReader::default(), &text, &[1]);
            prop_assert_eq!(whole.is_ok(), parts.is_ok());
        }
    }
}

fn whole(text: &str) -> Result<Read, ReplyError> {
    read(&mut ReplyReader::default(), text.as_bytes(), &[text.len()])
}

#[test]
fn a_nodes_no_is_told_with_its_number() {
    let text = r#"{"jsonrpc":"2.0","error":{"code":-32016,"message":"Minimum\u001b context slot","data":{"contextSlot":5}},"id":1}"#;
    let Err(ReplyError::Node { code: -32016, message }) = whole(text) else {
        panic!("a node's no")
    };
    assert_eq!(message, "Minimum  context slot");
    // Some nodes write both.
    assert!(whole(r#"{"error":null,"result":[]}"#).is_ok());
}

#[test]
fn what_is_missing_or_broken_is_named() {
    let account = |members: &str| whole(&format!(r#"{{"result":[{{{members}}}]}}"#)).unwrap_err();
    let owner = r#""owner":"11111111111111111111111111111111""#;
    let missing = |error| match error {
        ReplyError::Missing { field, .. } => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(account(r#""lamports":1"#)), "owner");
    assert_eq!(missing(account(owner)), "lamports");
    assert_eq!(missing(account(&format!(r#""lamports":1,{owner}"#))), "data");
    let data = |data: &str| account(&format!(r#""lamports":1,{owner},"data":{data}"#));
    let encoding = |error| match error {
        ReplyError::Data { encoding, .. } => encoding,
        other => panic!("{other:?}"),
    };
    assert_eq!(encoding(data(r#"["AQI=","base58"]"#)), "base64 or base64+zstd");
    assert_eq!(encoding(data(r#"["AQI","base64"]"#)), "base64");
    assert_eq!(encoding(data(r#"["AQI=","base64+zstd"]"#)), "base64+zstd");
    assert!(matches!(data(r#""AQI=""#), ReplyError::Shape { .. }));
    let key = format!(r#""pubkey":"1","account":{{"lamports":1,{owner},"data":["","base64"]}}"#);
    assert!(matches!(account(&key), ReplyError::Key { .. }));
    assert_eq!(whole("{}"), Err(ReplyError::Empty));
    assert_eq!(whole(r#"{"result":{}}"#), Err(ReplyError::Empty));
    assert!(matches!(whole("<html>"), Err(ReplyError::Shape { at: 0 })));
    assert!(matches!(whole(r#"{"result":[]} x"#), Err(ReplyError::Shape { at: 14 })));
    assert!(matches!(whole(r#"{"result":[],"result":[]}"#), Err(ReplyError::Shape { .. })));
}

#[test]
fn a_frame_that_claims_too_much_is_refused_before_any_memory_is_set_aside() {
    // A frame with an eight-byte size: four gigabytes of content.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    frame.extend_from_slice(&(1_u64 << 32).to_le_bytes());
    frame.extend_from_slice(&[1, 0, 0]);
    let text = format!(
        r#"{{"result":[{{"lamports":1,"owner":"1","data":["{}","base64+zstd"]}}]}}"#,
        STANDARD.encode(frame)
    );
    assert!(matches!(whole(&text), Err(ReplyError::Data { encoding: "base64+zstd", .. })));
}
