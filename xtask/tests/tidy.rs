//! The house rules hold, and a breach of each is found.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use xtask::tidy::{
    Finding, LINES_MAX, check_crate_docs, check_links, check_lock, check_manifest, check_rust,
    check_workspace,
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_workspace_keeps_every_house_rule() {
    let findings = check_workspace(root()).unwrap();
    let list: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(list.is_empty(), "{} house rules are broken:\n{}", list.len(), list.join("\n"));
}

/// That this source, were it there, would be found on this line.
#[track_caller]
fn found(path: &str, text: &str, line: usize, word: &str) {
    let findings = check_rust(Path::new(path), text);
    assert!(
        findings.iter().any(|finding| finding.line == line && finding.what.contains(word)),
        "{path}: {text:?} gave {findings:?}"
    );
}

#[track_caller]
fn fine(path: &str, text: &str) {
    assert_eq!(check_rust(Path::new(path), text), [], "{path}: {text:?}");
}

#[test]
fn a_lower_module_of_the_core_that_names_a_higher_one_is_found() {
    found("crates/core/src/units.rs", "//! Doc.\nuse crate::market::Market;\n", 2, "crate::market");
    found(
        "crates/core/src/amm/cpmm.rs",
        "use crate::{units::Bps, strategy};\n",
        1,
        "crate::strategy",
    );
    found("crates/core/src/amm/cpmm.rs", "use super::super::market::Market;\n", 1, "crate::market");
    found("crates/core/src/market.rs", "fn f() -> super::stats::Ema {}\n", 1, "crate::stats");
    found("crates/core/src/strategy/trend.rs", "use crate::engine::X;\n", 1, "crate::engine");
    found(
        "crates/core/src/stats/ema.rs",
        "type X = crate::strategy::Context;\n",
        1,
        "crate::strategy",
    );
    fine(
        "crates/core/src/strategy/trend.rs",
        "use crate::{market::Market, stats::Ema};\nuse super::common::Bar;\n",
    );
    fine("crates/core/src/ids.rs", "use crate::units::Seq;\n");
    fine(
        "crates/core/src/engine/mod.rs",
        "use crate::strategy::Strategy;\nuse crate::engine::apply;\n",
    );
}

#[test]
fn a_book_that_knows_a_strategy_is_found() {
    for module in ["risk/review", "ledger", "portfolio", "execution"] {
        found(
            &format!("crates/core/src/{module}.rs"),
            "use crate::strategy::Strategy;\n",
            1,
            "crate::strategy",
        );
    }
    found("crates/core/src/risk/mod.rs", "use super::strategy::Strategy;\n", 1, "crate::strategy");
    fine("crates/core/src/risk/review.rs", "use crate::ids::StrategyId;\nfn strategy() {}\n");
}

#[test]
fn a_core_that_touches_the_world_is_found() {
    for text in [
        "use std::time::SystemTime;\n",
        "use std::time::{Duration, Instant};\n",
        "use std::time::*;\n",
        "let t = std::time::SystemTime::now();\n",
        "use std::{fs, fmt};\n",
        "use std::net::IpAddr;\n",
        "let x = std::env::var(y);\n",
        "std::thread::sleep(x);\n",
        "tokio::spawn(x);\n",
        "use rand::Rng;\n",
        "tracing::info!();\n",
        "use std::collections::HashMap;\n",
        "use std::collections::{BTreeMap, HashSet};\n",
        "use std::collections::*;\n",
        "println!();\n",
    ] {
        assert!(!check_rust(Path::new("crates/core/src/market.rs"), text).is_empty(), "{text:?}");
    }
    fine(
        "crates/core/src/market.rs",
        "//! Not tokio, not `std::fs`.\nuse std::time::Duration;\nlet a = \"SystemTime\";\n",
    );
    fine("crates/core/src/market.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }\n");
    fine("crates/store/src/journal.rs", "use std::fs;\nuse tokio::fs as f;\n");
}

#[test]
fn a_wallet_with_a_way_out_and_a_page_with_the_engine_are_found() {
    found("crates/wallet/src/signer.rs", "use std::net::TcpStream;\n", 1, "no way out");
    found(
        "crates/wallet/src/signer.rs",
        "use std::{io, os::unix::net::UnixStream};\n",
        1,
        "no way out",
    );
    found(
        "crates/sniperforge/src/dashboard/page.rs",
        "use sniper_core::{engine::X, ids};\n",
        1,
        "never the engine",
    );
    found(
        "crates/sniperforge/src/dashboard/mod.rs",
        "crate::live::demo(x);\n",
        1,
        "never the live loop",
    );
    fine("crates/sniperforge/src/dashboard/page.rs", "use crate::telemetry::View;\n");
    fine("crates/sniperforge/src/live/mod.rs", "use sniper_core::engine::X;\n");
}

#[test]
fn unfinished_work_a_long_file_and_a_silent_crate_are_found() {
    for name in ["todo", "unimplemented", "dbg"] {
        found(
            "crates/store/src/a.rs",
            &format!("fn f() {{\n    {name}!(1)\n}}\n"),
            2,
            "unfinished",
        );
    }
    fine("crates/store/src/a.rs", "// todo!()\nfn todo() { let s = \"dbg!\"; }\n");
    found("crates/store/src/a.rs", &"fn f() {}\n".repeat(LINES_MAX + 1), 0, "lines");
    fine("crates/store/src/a.rs", &"fn f() {}\n".repeat(LINES_MAX));
    let lib = Path::new("crates/store/src/lib.rs");
    assert_eq!(check_crate_docs(lib, "//! One line.\n").len(), 1);
    assert_eq!(check_crate_docs(lib, "//! One.\n//!\n//! Three.\n").len(), 1);
    assert_eq!(check_crate_docs(lib, "//! One.\n//!\n//! Must never do this.\n"), []);
}

#[test]
fn a_dependency_against_the_house_is_found() {
    let manifest = |name: &str, rest: &str| {
        let text = format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true\n{rest}\n");
        check_manifest(Path::new("crates/x/Cargo.toml"), &text).len()
    };
    for (name, rest) in [
        ("sniper-core", "[dependencies]\nsniper-store.workspace = true"),
        ("sniper-core", "[dependencies]\ntokio.workspace = true"),
        ("sniper-core", "[dependencies]\nchrono = \"1\""),
        ("sniper-core", "[target.'cfg(unix)'.dependencies]\nlibc = \"1\""),
        ("sniper-core", "[dependencies]\nserde = { package = \"rand\", version = \"1\" }"),
        ("sniper-wallet", "[dependencies]\nsniper-core.workspace = true"),
        ("sniper-wallet", "[dev-dependencies]\nsniper-core.workspace = true"),
        ("sniper-wallet", "[dependencies]\nreqwest.workspace = true"),
        ("sniper-store", "[dependencies]\nsniper-solana.workspace = true"),
        ("sniper-store", "[dev-dependencies]\nsniper-solana.workspace = true"),
        ("sniper-solana", "[dependencies]\nsniper-store.workspace = true"),
        ("sniper-solana", "[dependencies]\nsniper-localnet.workspace = true"),
        ("sniper-solana", "[dependencies]\nsqlx.workspace = true"),
        ("sniper-solana", "[dependencies]\nrusqlite.workspace = true"),
        ("sniper-localnet", "[dependencies]\nsniper-solana.workspace = true"),
        ("sniper-other", ""),
    ] {
        assert_eq!(manifest(name, rest), 1, "{name} {rest}");
    }
    assert_eq!(
        manifest(
            "sniper-core",
            "[dependencies]\nserde.workspace = true\n[dev-dependencies]\nproptest = \"1\""
        ),
        0
    );
    assert_eq!(
        manifest("sniper-solana", "[dev-dependencies]\nsniper-localnet.workspace = true"),
        0
    );
    let without_lints = "[package]\nname = \"sniper-core\"\n";
    assert_eq!(check_manifest(Path::new("Cargo.toml"), without_lints).len(), 1);
}

#[test]
fn a_second_tls_library_in_the_tree_is_found() {
    let lock = "[[package]]\nname = \"ring\"\n[[package]]\nname = \"aws-lc-rs\"\nversion = \"1\"\n";
    let findings = check_lock(Path::new("Cargo.lock"), lock);
    assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [4]);
    assert_eq!(check_lock(Path::new("Cargo.lock"), "[[package]]\nname = \"openssl-probe\"\n"), []);
}

#[test]
fn a_dead_link_is_found() {
    let dead = |text: &str| check_links(root(), Path::new("docs/x.md"), text).len();
    assert_eq!(dead("See [a](none.md) and ![b](images/none.png).\n"), 2);
    assert_eq!(dead("<img src=\"none.png\">\n"), 1);
    assert_eq!(
        dead(
            "See [a](../Cargo.toml#part), [b](https://example.org/x), [c](#here), `[d](none.md)`.\n"
        ),
        0
    );
    assert_eq!(dead("```\n[a](none.md)\n```\n"), 0);
}
