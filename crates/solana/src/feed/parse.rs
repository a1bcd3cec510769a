//! Frames of a subscription connection, read without copying.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rpc::raw::Text;

/// What a frame says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    /// An account changed.
    Account {
        subscription: u64,
        slot: u64,
        lamports: u64,
        owner: std::borrow::Cow<'a, str>,
        base64: std::borrow::Cow<'a, str>,
    },
    /// The node started a slot.
    Slot { slot: u64, parent: u64, root: u64 },
    /// A subscription was accepted.
    Accepted { id: u64, subscription: u64 },
    /// A subscription that was to end did, or was not there.
    Released { id: u64, done: bool },
    /// A request was refused.
    Refused { id: Option<u64>, code: i64 },
    /// Something we did not ask for.
    Other,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
}

#[derive(Deserialize)]
struct Params<'a> {
    subscription: u64,
    #[serde(borrow)]
    result: Body<'a>,
}

/// Union of the bodies we subscribe to, so that one pass over the text is enough.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    context: Option<Context>,
    #[serde(borrow, default)]
    value: Option<Account<'a>>,
    #[serde(default)]
    slot: Option<u64>,
    #[serde(default)]
    parent: Option<u64>,
    #[serde(default)]
    root: Option<u64>,
}

#[derive(Deserialize)]
struct Context {
    slot: u64,
}

#[derive(Deserialize)]
struct Account<'a> {
    lamports: u64,
    #[serde(borrow)]
    owner: Text<'a>,
    #[serde(borrow)]
    data: (Text<'a>, Text<'a>),
}

/// Reads a frame.
pub(crate) fn parse(text: &str) -> Result<Incoming<'_>, serde_json::Error> {
    let frame: Frame<'_> = serde_json::from_str(text)?;
    if let Some(error) = frame.error {
        return Ok(Incoming::Refused { id: frame.id, code: error.code });
    }
    if let (Some(id), Some(result)) = (frame.id, frame.result) {
        return Ok(match result.get() {
            "true" => Incoming::Released { id, done: true },
            "false" => Incoming::Released { id, done: false },
            number => Incoming::Accepted { id, subscription: serde_json::from_str(number)? },
        });
    }
    let (Some(method), Some(params)) = (frame.method, frame.params) else {
        return Ok(Incoming::Other);
    };
    Ok(match (&*method.0, params.result) {
        (
            "accountNotification",
            Body { context: Some(context), value: Some(Account { lamports, owner, data }), .. },
        ) if data.1.0 == "base64" => Incoming::Account {
            subscription: params.subscription,
            slot: context.slot,
            lamports,
            owner: owner.0,
            base64: data.0.0,
        },
        (
            "slotNotification",
            Body { slot: Some(slot), parent: Some(parent), root: Some(root), .. },
        ) => Incoming::Slot { slot, parent, root },
        _ => Incoming::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: &str = r#"{"jsonrpc":"2.0","method":"accountNotification","params":{"result":{"context":{"slot":123},"value":{"lamports":18446744073709551615,"data":["AQID","base64"],"owner":"11111111111111111111111111111111","executable":false,"rentEpoch":18446744073709551615,"space":3}},"subscription":42}}"#;
    const SLOT: &str = r#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":76,"parent":75,"root":44},"subscription":7}}"#;

    #[test]
    fn the_documented_notifications_are_read() {
        let Incoming::Account { subscription: 42, slot: 123, lamports, owner, base64 } =
            parse(ACCOUNT).unwrap()
        else {
            panic!("an account");
        };
        assert_eq!(lamports, u64::MAX);
        assert_eq!(owner, "11111111111111111111111111111111");
        assert!(matches!(base64, std::borrow::Cow::Borrowed("AQID")), "not copied");
        assert_eq!(parse(SLOT).unwrap(), Incoming::Slot { slot: 76, parent: 75, root: 44 });
    }

    #[test]
    fn acknowledgements_and_refusals_are_told_apart() {
        let ack = parse(r#"{"jsonrpc":"2.0","result":23784,"id":1}"#).unwrap();
        assert_eq!(ack, Incoming::Accepted { id: 1, subscription: 23784 });
        let no = r#"{"jsonrpc":"2.0","error":{"code":-32603,"message":"full"},"id":9}"#;
        assert_eq!(parse(no).unwrap(), Incoming::Refused { id: Some(9), code: -32603 });
        let released = parse(r#"{"jsonrpc":"2.0","result":true,"id":1}"#).unwrap();
        assert_eq!(released, Incoming::Released { id: 1, done: true });
        assert!(parse(r#"{"jsonrpc":"2.0","result":"true","id":1}"#).is_err());
    }

    #[test]
    fn another_encoding_is_not_taken_for_base64() {
        let text = ACCOUNT.replace("base64", "base58");
        assert_eq!(parse(&text).unwrap(), Incoming::Other);
    }

    #[test]
    fn escaped_text_is_read_as_well() {
        let text = ACCOUNT.replace("AQID", r"A\/ID");
        let Incoming::Account { base64, .. } = parse(&text).unwrap() else {
            panic!("an account");
        };
        assert_eq!(base64, "A/ID");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text: String) {
            drop(parse(&text));
        }

        #[test]
        fn a_damaged_notification_never_panics(at in 0_usize..300, with: char) {
            let mut text: Vec<char> = ACCOUNT.chars().collect();
            let at = at % text.len();
            text[at] = with;
            drop(parse(&text.into_iter().collect::<String>()));
        }
    }
}
