//! The settings by key: what they are, and a configuration in which one is another.

use serde_json::{Value, json};

use crate::config::Config;

/// What holds.
pub(super) fn value_of(config: &Config, reserves: &[String], key: &str) -> Value {
    let tuning = &config.tuning;
    match key {
        "node.reserves" => json!(reserves),
        "node.hedge_percentile" => json!(tuning.hedge_percentile),
        "node.feed_replicas" => json!(tuning.feed_replicas),
        "store.table_batch" => json!(tuning.table_batch),
        "store.cached_answers" => json!(tuning.cached_answers),
        "store.journal_reserve_kb" => json!(tuning.journal_reserve >> 10),
        _ => Value::Null,
    }
}

/// The same configuration but for one setting; what is out of its range, or no setting of ours, changes nothing.
pub(super) fn with(config: &Config, key: &str, value: &Value) -> Config {
    let mut config = config.clone();
    let whole = value.as_u64().unwrap_or_default();
    let tuning = &mut config.tuning;
    let size = |known: &mut usize| *known = usize::try_from(whole).unwrap_or(*known).max(1);
    match key {
        "node.reserves" => {
            let reserves = names(value);
            let placed = |endpoint: sniper_solana::rpc::EndpointConfig| {
                let is_reserve = reserves.iter().any(|name| **name == **endpoint.name());
                endpoint.as_reserve(is_reserve)
            };
            config.node.endpoints = config.node.endpoints.into_iter().map(placed).collect();
        }
        "node.hedge_percentile" => {
            tuning.hedge_percentile = u8::try_from(whole).unwrap_or(tuning.hedge_percentile);
        }
        "node.feed_replicas" => size(&mut tuning.feed_replicas),
        "store.table_batch" => size(&mut tuning.table_batch),
        "store.cached_answers" => size(&mut tuning.cached_answers),
        "store.journal_reserve_kb" => tuning.journal_reserve = whole << 10,
        _ => {}
    }
    config
}

/// Names in a list.
pub(super) fn names(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, TUNABLE};

    #[test]
    fn every_setting_of_the_list_can_be_read_and_changed_and_no_other() {
        let config = Config::load(&Sources::default()).unwrap();
        for key in TUNABLE {
            assert_ne!(value_of(&config, &[], key), Value::Null, "{key}");
            if key != "node.reserves" {
                let to = value_of(&config, &[], key).as_u64().unwrap() - 1;
                let changed = with(&config, key, &json!(to));
                assert_eq!(value_of(&changed, &[], key), json!(to), "{key}");
                assert_eq!(changed.risk, config.risk);
            }
        }
        let same = with(&config, "risk.open_orders", &json!(1_000));
        assert_eq!((same.risk, same.tuning), (config.risk, config.tuning));
    }
}
