//! Who may name whom, read from the sources.

use std::path::Path;

use super::Finding;
use super::source::{Named, code_of, paths_in};

/// Modules of the core from the ground up: none may name one above it.
const ORDER: &[&[&str]] = &[
    &["units", "ids"],
    &["amm"],
    &["market"],
    &["route"],
    &["stats", "signal"],
    &["strategy"],
    &["engine"],
];

/// Modules of the core that must work whoever trades.
const BLIND_TO_STRATEGIES: &[&str] = &["risk", "ledger", "portfolio", "execution", "standing"];

/// What the core never names: everything by which the world could get in other than as an event.
const CORE_NEVER: &[(&str, &str)] = &[
    ("tokio", "the core runs to completion; the shell waits"),
    ("sqlx", "storage belongs to the store"),
    ("rusqlite", "storage belongs to the store"),
    ("rand", "chance is an input: seed a generator of the simulator"),
    ("tracing", "the core does not log: return an effect"),
    ("log", "the core does not log: return an effect"),
    ("std::fs", "files belong to the shell and the store"),
    ("std::net", "the network belongs to the shell"),
    ("std::env", "settings are inputs"),
    ("std::process", "processes belong to the shell"),
    ("std::thread", "the core is one thread's"),
    ("std::io", "IO belongs to the shell"),
    ("std::time::SystemTime", "time is an input: use `Stamped::at`"),
    ("std::time::Instant", "time is an input: use `Stamped::at`"),
    ("std::time::*", "time is an input: use `Stamped::at`"),
    ("std::collections::HashMap", "random order: use a BTreeMap"),
    ("std::collections::HashSet", "random order: use a BTreeSet"),
    ("std::collections::hash_map", "random order: use a BTreeMap"),
    ("std::collections::*", "name what is used, so that no hashed collection slips in"),
];

/// Names that no path needs in order to do harm.
const CORE_NEVER_BARE: &[&str] =
    &["SystemTime", "HashMap", "HashSet", "println", "eprintln", "print", "eprint"];

/// What the wallet never names: a way out for a key.
const WALLET_NEVER: &[(&str, &str)] = &[
    ("std::net", "a key must have no way out"),
    ("std::os::unix::net", "a key must have no way out"),
    ("tokio", "a key must have no way out"),
    ("reqwest", "a key must have no way out"),
    ("std::process::Command", "a key must have no way out"),
    ("tracing", "a secret must not reach a log"),
];

/// What the dashboard never names: it reads a snapshot and holds nothing.
const DASHBOARD_NEVER: &[(&str, &str)] = &[
    ("sniper_core::engine", "the page reads a `View`, never the engine"),
    ("crate::live", "the page reads a `View`, never the live loop"),
    ("sniper_wallet", "the page must not be able to sign"),
    ("sniper_solana", "the page must not be able to send"),
    ("sniper_store", "the page reads a `View`, never the journal"),
];

/// What one file names and may not. What stands below `#[cfg(test)]` is a test's business.
#[must_use]
pub fn check_imports(path: &Path, text: &str) -> Vec<Finding> {
    let place = path.to_string_lossy().replace('\\', "/");
    let code = code_of(text);
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    if let Some(inside) = place.strip_prefix("crates/core/src/") {
        let module = module_of(inside);
        let named: Vec<Named> =
            paths_in(code).into_iter().map(|named| absolute(named, &module)).collect();
        let mut findings = never(path, &named, CORE_NEVER);
        findings.extend(bare(path, &named));
        findings.extend(module.first().into_iter().flat_map(|module| order(path, module, &named)));
        findings
    } else if place.starts_with("crates/wallet/src/") {
        never(path, &paths_in(code), WALLET_NEVER)
    } else if place.starts_with("crates/sniperforge/src/dashboard") {
        never(path, &paths_in(code), DASHBOARD_NEVER)
    } else {
        Vec::new()
    }
}

/// `a/b.rs` is `a::b`, `a/mod.rs` is `a`, `lib.rs` is the crate itself.
fn module_of(inside: &str) -> Vec<String> {
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// Rewrites a leading `super` or `self` to start at `crate`.
fn absolute(mut named: Named, module: &[String]) -> Named {
    let supers = named.parts.iter().take_while(|part| *part == "super").count();
    let selfs = usize::from(
        supers == 0 && named.parts.len() > 1 && named.parts.first().is_some_and(|p| p == "self"),
    );
    if supers + selfs > 0 {
        let kept = module.len().saturating_sub(supers);
        let base = std::iter::once("crate".to_owned()).chain(module.iter().take(kept).cloned());
        named.parts = base.chain(named.parts.drain(supers + selfs..)).collect();
    }
    named
}

fn never(path: &Path, named: &[Named], rules: &[(&str, &str)]) -> Vec<Finding> {
    let breaks = |named: &Named, rule: &str| {
        let rule: Vec<&str> = rule.split("::").collect();
        // A single foreign crate counts only as the start of a path, or as the whole of one in a `use`.
        named.parts.len() >= rule.len()
            && named.parts.iter().zip(&rule).all(|(part, rule)| part == rule)
            && (rule.len() > 1 || named.parts.len() > 1)
    };
    let mut findings = Vec::new();
    for named in named {
        for (rule, reason) in rules {
            if breaks(named, rule) {
                let what = format!("names `{}`: {reason}", named.parts.join("::"));
                findings.push(Finding { path: path.to_owned(), line: named.line, what });
            }
        }
    }
    findings
}

fn bare(path: &Path, named: &[Named]) -> Vec<Finding> {
    let bare = named
        .iter()
        .filter(|named| named.parts.iter().any(|part| CORE_NEVER_BARE.contains(&part.as_str())));
    bare.map(|named| {
        let what = format!("names `{}`: not in the core", named.parts.join("::"));
        Finding { path: path.to_owned(), line: named.line, what }
    })
    .collect()
}

fn order(path: &Path, module: &str, named: &[Named]) -> Vec<Finding> {
    let rank = |module: &str| ORDER.iter().position(|floor| floor.contains(&module));
    let mut findings = Vec::new();
    for named in named {
        let (Some(root), Some(other)) = (named.parts.first(), named.parts.get(1)) else { continue };
        if root != "crate" || other == module {
            continue;
        }
        let upwards =
            matches!((rank(module), rank(other)), (Some(own), Some(theirs)) if theirs >= own);
        // The simulator drives the engine from outside, as the shell does.
        let engine = other == "engine" && module != "sim";
        let blind = BLIND_TO_STRATEGIES.contains(&module) && other == "strategy";
        if upwards && !same_floor(module, other) || engine || blind {
            let what = format!(
                "`{module}` names `crate::{other}`: the order is units <- amm <- market <- route <- stats <- strategy, risk and books never see a strategy, and only the engine sees all"
            );
            findings.push(Finding { path: path.to_owned(), line: named.line, what });
        }
    }
    findings
}

/// Ids are written in units: the ground floor may use itself.
fn same_floor(one: &str, other: &str) -> bool {
    ORDER.first().is_some_and(|ground| ground.contains(&one) && ground.contains(&other))
}
