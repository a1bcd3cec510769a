//! Who may depend on whom, read from manifests and the lock file.

use std::path::Path;

use super::Finding;

/// For each crate, which of ours it may be built on, and which more its tests may use.
const OURS: &[(&str, &[&str], &[&str])] = &[
    ("sniper-core", &[], &[]),
    ("sniper-wallet", &[], &[]),
    ("sniper-solana", &["sniper-core", "sniper-wallet"], &["sniper-localnet"]),
    ("sniper-store", &["sniper-core"], &[]),
    ("sniper-localnet", &["sniper-core"], &["sniper-core"]),
    (
        "sniperforge",
        &["sniper-core", "sniper-wallet", "sniper-solana", "sniper-store", "sniper-localnet"],
        &[],
    ),
    ("xtask", &[], &[]),
    // Workspaces of their own: what they need no crate of the product ever sees.
    ("sniper-fuzz", &["sniper-core", "sniper-solana"], &[]),
    ("sniper-benches", &["sniper-core", "sniper-solana"], &[]),
];

/// All that the core is built on. A name is added here only when it brings no clock, no IO and no chance.
const CORE_MAY: &[&str] = &[
    "arrayvec",
    "base64",
    "blake3",
    "crc32fast",
    "kand",
    "postcard",
    "ruint",
    "serde",
    "solana-address",
    "solana-instruction",
    "thiserror",
];

/// What may be a dependency of these crates alone.
const ONLY: &[(&str, &[&str])] = &[
    ("sqlx", &["sniper-store"]),
    ("rusqlite", &["sniper-store"]),
    ("redis", &["sniper-store"]),
    ("async-nats", &["sniper-store"]),
    ("litesvm", &["sniper-localnet"]),
    ("age", &["sniper-wallet"]),
];

/// Ways to the network, none of which the wallet may have.
const NETWORK: &[&str] = &[
    "reqwest",
    "hyper",
    "hyper-util",
    "ureq",
    "tokio",
    "tokio-tungstenite",
    "tungstenite",
    "axum",
    "tonic",
    "quinn",
    "rustls",
    "socket2",
    "solana-client",
    "solana-rpc-client",
    "async-nats",
    "redis",
    "sqlx",
];

/// Packages that must never be built: a second TLS library makes the first panic at run time.
const LOCK_NEVER: &[&str] = &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];

/// What one manifest depends on and may not.
#[must_use]
pub fn check_manifest(path: &Path, text: &str) -> Vec<Finding> {
    let at = |line: usize, what: String| Finding { path: path.to_owned(), line, what };
    let manifest: toml::Table = match toml::from_str(text) {
        Ok(manifest) => manifest,
        Err(error) => return vec![at(0, format!("is not TOML: {}", error.message()))],
    };
    let Some(name) = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
    else {
        return Vec::new();
    };
    let Some((_, built_on, tested_with)) = OURS.iter().find(|(known, ..)| *known == name) else {
        return vec![at(
            0,
            format!(
                "`{name}` is not one of the crates of the house; say in the tidy rules what it may import"
            ),
        )];
    };
    let mut findings = Vec::new();
    for (kind, dependency) in dependencies(&manifest) {
        let line = line_of(text, &dependency);
        let is_ours = OURS.iter().any(|(ours, ..)| *ours == dependency);
        let test_only = kind == "dev-dependencies";
        if is_ours
            && !built_on.contains(&dependency.as_str())
            && !(test_only && tested_with.contains(&dependency.as_str()))
        {
            findings.push(at(line, format!("`{name}` may not depend on `{dependency}`")));
        }
        if name == "sniper-core"
            && !test_only
            && !is_ours
            && !CORE_MAY.contains(&dependency.as_str())
        {
            findings.push(at(
                line,
                format!("`{dependency}` is not on the short list of what the core is built on"),
            ));
        }
        if name == "sniper-wallet" && NETWORK.contains(&dependency.as_str()) {
            findings.push(at(
                line,
                format!("`{dependency}` reaches the network: a key must have no way out"),
            ));
        }
        if let Some((_, owners)) = ONLY.iter().find(|(only, _)| *only == dependency)
            && !owners.contains(&name)
        {
            findings
                .push(at(line, format!("`{dependency}` belongs to {} alone", owners.join(", "))));
        }
    }
    if manifest.get("lints").and_then(|lints| lints.get("workspace"))
        != Some(&toml::Value::Boolean(true))
    {
        findings.push(at(
            0,
            "does not take the workspace's lints: write `[lints] workspace = true`".to_owned(),
        ));
    }
    findings
}

/// Every dependency of every table, those for one platform included, under the name of its package.
fn dependencies(manifest: &toml::Table) -> Vec<(&'static str, String)> {
    let mut tables: Vec<&toml::Table> = vec![manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(
        targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table),
    );
    let mut out = Vec::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in
                table.get(kind).and_then(toml::Value::as_table).into_iter().flatten()
            {
                let renamed = value.get("package").and_then(toml::Value::as_str);
                out.push((kind, renamed.unwrap_or(name).to_owned()));
            }
        }
    }
    out
}

fn line_of(text: &str, name: &str) -> usize {
    text.lines()
        .position(|line| line.starts_with(name) || line.contains(&format!("\"{name}\"")))
        .map_or(0, |line| line + 1)
}

/// Packages in the lock file that must not be there.
#[must_use]
pub fn check_lock(path: &Path, text: &str) -> Vec<Finding> {
    let banned =
        |line: &str| LOCK_NEVER.iter().find(|name| line == format!("name = \"{name}\"")).copied();
    let found = text.lines().enumerate().filter_map(|(n, line)| Some((n + 1, banned(line)?)));
    found
        .map(|(line, name)| Finding {
            path: path.to_owned(),
            line,
            what: format!("`{name}` must not be in the tree: TLS is rustls with ring; find who brings it with `cargo tree -i {name}`"),
        })
        .collect()
}
