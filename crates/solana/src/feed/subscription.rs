//! What can be followed, and how a node is asked for it.

use std::sync::Arc;

use sniper_core::ids::{Address, Signature};

use super::watch::Watch;
use crate::json::Encoding;
use crate::rpc::methods::{base58, raw_filter};
use crate::rpc::{AccountFilter, Commitment};

/// Something to follow. Slots need not be asked for: every connection tells them, and
/// [`FeedEvent::Slot`](super::FeedEvent::Slot) always comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// An account, read in its role. It is read by request whenever notices of it may have been missed.
    Account(Watch),
    /// Every account of a program that passes all filters, at most four. All of them are read by request whenever
    /// notices may have been missed; that an account was closed is told by nobody.
    Program {
        /// The program that owns them.
        program: Address,
        /// Which of its accounts.
        filters: Vec<AccountFilter>,
    },
    /// What the transactions print that mention an address. What was printed during a gap is not fetched.
    Logs {
        /// The address.
        mentions: Address,
    },
    /// The end of a transaction, told once at `confirmed` or better, whatever the feed's commitment; then the watch is gone. Its status is read by request when it may have
    /// ended unheard. One that never lands is followed until it is let go.
    Signature(Signature),
    /// The newest slot that can no longer be undone.
    Root,
}

impl From<Watch> for Subscription {
    fn from(watch: Watch) -> Self {
        Self::Account(watch)
    }
}

/// What is less sure is no end of a transaction.
pub(super) const END: Commitment = Commitment::Confirmed;

/// What a node is asked for. Watches of the same share one subscription.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Account(Address),
    /// A program, and its filters as the wire has them.
    Program(Address, Arc<str>),
    Logs(Address),
    Signature(Box<Signature>),
    Root,
}

impl Subject {
    pub(super) fn of(subscription: &Subscription) -> Self {
        match subscription {
            Subscription::Account(watch) => Self::Account(watch.address),
            Subscription::Program { program, filters } => {
                let raw: Vec<_> = filters.iter().map(raw_filter).collect();
                // Numbers and base58 can always be written.
                let text = serde_json::to_string(&raw).unwrap_or_default();
                Self::Program(*program, text.into())
            }
            Subscription::Logs { mentions } => Self::Logs(*mentions),
            Subscription::Signature(signature) => Self::Signature(Box::new(*signature)),
            Subscription::Root => Self::Root,
        }
    }

    /// What its methods begin with.
    pub(super) const fn noun(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Program(..) => "program",
            Self::Logs(_) => "logs",
            Self::Signature(_) => "signature",
            Self::Root => "root",
        }
    }

    /// The request for it.
    pub(super) fn request(&self, id: u64, asked: Commitment, encoding: Encoding) -> String {
        let (noun, commitment, encoding) = (self.noun(), asked.as_str(), encoding.as_str());
        let params = match self {
            Self::Account(address) => {
                format!(r#""{address}",{{"encoding":"{encoding}","commitment":"{commitment}"}}"#)
            }
            Self::Program(program, filters) => format!(
                r#""{program}",{{"encoding":"{encoding}","commitment":"{commitment}","filters":{filters}}}"#
            ),
            Self::Logs(mentions) => {
                format!(r#"{{"mentions":["{mentions}"]}},{{"commitment":"{commitment}"}}"#)
            }
            Self::Signature(signature) => {
                let commitment = END.max(asked).as_str();
                format!(r#""{}",{{"commitment":"{commitment}"}}"#, base58(signature))
            }
            Self::Root => String::new(),
        };
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{noun}Subscribe","params":[{params}]}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn each_kind_is_asked_for_as_documented() {
        let ask = |subscription: Subscription| {
            let subject = Subject::of(&subscription);
            let text = subject.request(7, Commitment::Confirmed, Encoding::Base64Zstd);
            let request: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&request["jsonrpc"], &request["id"]), (&json!("2.0"), &json!(7)));
            (request["method"].as_str().unwrap().to_owned(), request["params"].clone())
        };
        let address = Address::new_from_array([7; 32]);
        let options = json!({"encoding": "base64+zstd", "commitment": "confirmed"});
        let at = json!({"commitment": "confirmed"});
        let account = ask(Watch::own_lamports(address).into());
        assert_eq!(account, ("accountSubscribe".into(), json!([address.to_string(), options])));
        let filters = vec![
            AccountFilter::DataSize(165),
            AccountFilter::Memcmp { offset: 32, bytes: vec![1, 2] },
        ];
        let (method, params) = ask(Subscription::Program { program: address, filters });
        assert_eq!(
            (method.as_str(), &params[0]),
            ("programSubscribe", &json!(address.to_string()))
        );
        let filters = json!([{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": "5T"}}]);
        assert_eq!(params[1]["filters"], filters);
        assert_eq!(params[1]["encoding"], "base64+zstd");
        let logs = ask(Subscription::Logs { mentions: address });
        let mentions = json!({"mentions": [address.to_string()]});
        assert_eq!(logs, ("logsSubscribe".into(), json!([mentions, at])));
        let signature = Signature([9; 64]);
        let subject = Subject::of(&Subscription::Signature(signature));
        let early = subject.request(7, Commitment::Processed, Encoding::Base64Zstd);
        assert!(early.contains(r#"{"commitment":"confirmed"}"#), "{early}");
        let asked = ask(Subscription::Signature(signature));
        assert_eq!(asked, ("signatureSubscribe".into(), json!([base58(&signature), at])));
        assert_eq!(ask(Subscription::Root), ("rootSubscribe".into(), json!([])));
    }
}
