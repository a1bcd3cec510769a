//! The effective configuration as a person reads it: what holds, where it was written, no secrets.

use figment::value::Value;
use serde_json::json;

use super::error::Place;
use super::layers::Layers;

/// As TOML, each value with its origin in a comment.
#[must_use]
pub fn to_toml(layers: &Layers) -> String {
    let mut rows = Vec::new();
    let mut table = String::new();
    let mut out = String::new();
    for (key, value, place) in layers.flattened() {
        let (parent, name) = key.rsplit_once('.').unwrap_or(("", &key));
        if parent != table {
            append(&mut out, &table, &rows);
            table = parent.to_owned();
            rows.clear();
        }
        let text = serde_json_to_toml(&redacted(&key, &value, &place));
        rows.push((format!("{name} = {text}"), place.to_string()));
    }
    append(&mut out, &table, &rows);
    out
}

/// Appends one table with its origins aligned.
fn append(out: &mut String, table: &str, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&format!("[{table}]\n"));
    // A long list does not push every other origin to the right.
    let width =
        rows.iter().map(|(text, _)| text.len()).filter(|width| *width <= 60).max().unwrap_or(0);
    for (text, place) in rows {
        out.push_str(&format!("{text:<width$}  # {place}\n"));
    }
}

/// As JSON: `values` by section, and `sources` by key.
#[must_use]
pub fn to_json(layers: &Layers) -> serde_json::Value {
    let mut values = serde_json::Map::new();
    let mut sources = serde_json::Map::new();
    for (key, value, place) in layers.flattened() {
        let mut parts: Vec<&str> = key.split('.').collect();
        let name = parts.pop().unwrap_or_default();
        let mut table = &mut values;
        for part in parts {
            let entry = table.entry(part).or_insert_with(|| json!({}));
            match entry {
                serde_json::Value::Object(inner) => table = inner,
                // A plain value never has keys below it.
                _ => return json!({}),
            }
        }
        table.insert(name.to_owned(), redacted(&key, &value, &place));
        sources.insert(key, json!(place.to_string()));
    }
    json!({ "values": values, "sources": sources })
}

/// The value, with URLs cut down to their scheme, and amounts of dollars as the numbers they are.
fn redacted(key: &str, value: &Value, place: &Place) -> serde_json::Value {
    let mut value = serde_json::to_value(value).unwrap_or(serde_json::Value::Null);
    if key.ends_with("_usd") {
        let number = value.as_str().and_then(|text| text.parse::<serde_json::Number>().ok());
        // Only where the number says to the last digit what the text says.
        if let Some(number) = number.filter(|number| value.as_str() == Some(&number.to_string())) {
            value = serde_json::Value::Number(number);
        }
    }
    // Our own defaults hold no key.
    if *place != Place::Default {
        redact_urls(&mut value);
    }
    value
}

/// Any text with a scheme, wherever it stands.
fn redact_urls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Some((scheme, _)) = text.split_once("://") {
                *text = format!("{scheme}://<redacted>");
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(redact_urls),
        serde_json::Value::Object(map) => map.values_mut().for_each(redact_urls),
        _ => {}
    }
}

/// One value as TOML writes it on a line.
fn serde_json_to_toml(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let inner: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key} = {}", serde_json_to_toml(value)))
                .collect();
            format!("{{ {} }}", inner.join(", "))
        }
        serde_json::Value::Array(items) => {
            let inner: Vec<String> = items.iter().map(serde_json_to_toml).collect();
            format!("[{}]", inner.join(", "))
        }
        // JSON and TOML write text, numbers and truth alike.
        other => other.to_string(),
    }
}
