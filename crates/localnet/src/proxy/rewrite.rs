//! Lies inside an answer: lower slots, another genesis, higher blocks, and answers kept from before.

use std::collections::HashMap;

use serde_json::Value;

use super::plan::Rewrite;

/// Longest answer that is kept, and how much is kept in all.
const ENTRY_MAX: usize = 1 << 20;
const TOTAL_MAX: usize = 16 << 20;
/// Longest question whose answer is kept.
const KEY_MAX: usize = 4 << 10;
/// Another chain's hash: 32 bytes of 0x2a, base58.
const OTHER_GENESIS: &str = "3pH7BVKCTTgYzcRZcDmEvHJ7Vm6MnJ9bMHYDCmNWWBAB";

/// Changes one answer, or one notification; `method` is that of the request, or of the notification. Tells whether a
/// slot was changed.
pub(super) fn rewrite(message: &mut Value, method: &str, what: Rewrite) -> bool {
    let notified = message.pointer("/params/result").is_some();
    let result = if notified { "/params/result" } else { "/result" };
    let Some(result) = message.pointer_mut(result) else { return false };
    if what.genesis && method == "getGenesisHash" && result.is_string() {
        *result = Value::from(OTHER_GENESIS);
    }
    if what.blocks > 0 {
        match method {
            "getBlockHeight" => raise(Some(result), what.blocks),
            "getEpochInfo" => raise(result.get_mut("blockHeight"), what.blocks),
            "getLatestBlockhash" => {
                raise(result.pointer_mut("/value/lastValidBlockHeight"), what.blocks);
            }
            _ => {}
        }
    }
    what.slots > 0 && lower_slots(result, method, what.slots)
}

fn lower_slots(result: &mut Value, method: &str, slots: u64) -> bool {
    match method {
        "getSlot" | "rootNotification" => lower(Some(result), slots),
        "getEpochInfo" => lower(result.get_mut("absoluteSlot"), slots),
        "slotNotification" => {
            let mut any = false;
            for key in ["slot", "parent", "root"] {
                any |= lower(result.get_mut(key), slots);
            }
            any
        }
        _ => lower(result.pointer_mut("/context/slot"), slots),
    }
}

fn lower(value: Option<&mut Value>, by: u64) -> bool {
    match value.and_then(|value| value.as_u64().map(|old| (value, old))) {
        Some((value, old)) => {
            *value = Value::from(old.saturating_sub(by));
            true
        }
        None => false,
    }
}

fn raise(value: Option<&mut Value>, by: u64) {
    if let Some((value, old)) = value.and_then(|value| value.as_u64().map(|old| (value, old))) {
        *value = Value::from(old.saturating_add(by));
    }
}

/// Answers kept for as long as one script runs.
#[derive(Default)]
pub(super) struct Kept {
    generation: u64,
    answers: HashMap<String, Value>,
    bytes: usize,
}

impl Kept {
    /// What this question is known by; none if it is too long to be kept.
    pub(super) fn key(request: &Value) -> Option<String> {
        let key =
            format!("{}{}", request.get("method")?, request.get("params").unwrap_or_default());
        (key.len() <= KEY_MAX).then_some(key)
    }

    /// The kept answer, under the id of this request.
    pub(super) fn get(&mut self, generation: u64, key: &str, id: &Value) -> Option<Value> {
        self.renew(generation);
        let mut answer = self.answers.get(key)?.clone();
        if let Some(slot) = answer.get_mut("id") {
            *slot = id.clone();
        }
        Some(answer)
    }

    /// Keeps an answer of this many bytes, if there is room; a refusal is not worth keeping.
    pub(super) fn put(&mut self, generation: u64, key: String, answer: &Value, bytes: usize) {
        self.renew(generation);
        let cost = bytes.saturating_add(key.len());
        let fits = bytes <= ENTRY_MAX && self.bytes.saturating_add(cost) <= TOTAL_MAX;
        if fits && answer.get("result").is_some() && !self.answers.contains_key(&key) {
            self.bytes += cost;
            self.answers.insert(key, answer.clone());
        }
    }

    fn renew(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn slots_are_lowered_wherever_a_node_tells_them_and_nowhere_else() {
        let what = Rewrite { slots: 10, ..Rewrite::default() };
        let changed = |method: &str, mut message: Value| {
            let any = rewrite(&mut message, method, what);
            (any, message)
        };
        assert_eq!(changed("getSlot", json!({"result": 25})), (true, json!({"result": 15})));
        assert_eq!(changed("getSlot", json!({"result": 5})), (true, json!({"result": 0})));
        let (any, told) = changed(
            "accountNotification",
            json!({"params": {"result": {"context": {"slot": 50}, "value": {"lamports": 50}}}}),
        );
        assert!(any);
        assert_eq!(told["params"]["result"]["context"]["slot"], 40);
        assert_eq!(told["params"]["result"]["value"]["lamports"], 50);
        let (any, told) = changed(
            "slotNotification",
            json!({"params": {"result": {"slot": 50, "parent": 49, "root": 20}}}),
        );
        assert!(any);
        assert_eq!(told["params"]["result"], json!({"slot": 40, "parent": 39, "root": 10}));
        assert!(!changed("getGenesisHash", json!({"result": "x"})).0);
        assert!(!changed("getSlot", json!({"error": {"code": 1}})).0);
    }

    #[test]
    fn what_is_kept_is_bounded_and_let_go_with_its_script() {
        let mut kept = Kept::default();
        let answer = json!({"id": 1, "result": "x"});
        for nth in 0..100 {
            kept.put(0, nth.to_string(), &answer, ENTRY_MAX);
        }
        assert!(kept.answers.len() <= TOTAL_MAX / ENTRY_MAX && kept.bytes <= TOTAL_MAX);
        assert_eq!(kept.get(0, "3", &json!(9)), Some(json!({"id": 9, "result": "x"})));
        assert_eq!(kept.get(1, "3", &json!(9)), None);
        kept.put(1, "3".to_owned(), &json!({"id": 1, "error": {}}), 10);
        assert_eq!(kept.get(1, "3", &json!(9)), None);
    }
}
