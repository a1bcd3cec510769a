//! Real and synthetic accounts from a folder of reference vectors.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sniper_core::amm::{Kind, Part};

use super::super::targets::quote::flag;
use super::super::targets::shape::shapes;
use super::{Seeds, asks, draft, pool, recognised, whole};

/// The folder of each kind, and what its targets end in.
const FOLDERS: [(&str, &str, Kind); 7] = [
    ("raydium_cpmm", "cpmm", Kind::Cpmm),
    ("raydium_amm_v4", "amm-v4", Kind::AmmV4),
    ("raydium_clmm", "clmm", Kind::Clmm),
    ("whirlpool", "whirlpool", Kind::Whirlpool),
    ("meteora_dlmm", "dlmm", Kind::Dlmm),
    ("pumpswap", "pump-swap", Kind::PumpSwap),
    ("pump_curve", "pump-curve", Kind::PumpCurve),
];

/// Of vectors that each bring their own pool, this many.
const POOLS_MAX: usize = 60;

/// Adds what the vectors of every kind hold.
pub(super) fn add(seeds: &mut Seeds, folder: &Path) -> io::Result<()> {
    for (venue, name, kind) in FOLDERS {
        let Ok(files) = fs::read_dir(folder.join(venue)) else { continue };
        for file in files {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                add_file(seeds, name, kind, &serde_json::from_slice(&fs::read(path)?)?);
            }
        }
    }
    Ok(())
}

fn add_file(seeds: &mut Seeds, name: &str, kind: Kind, file: &Value) {
    let shared = accounts(kind, file.get("header").unwrap_or(&Value::Null));
    let vectors = file.get("vectors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let states = file.get("states").and_then(Value::as_object);
    let pools: Vec<&Value> = match states {
        Some(states) => states.values().collect(),
        None => vectors.iter().step_by((vectors.len() / POOLS_MAX).max(1)).collect(),
    };
    for one in pools {
        let mut own = accounts(kind, one);
        for data in &own {
            seeds.entry(format!("decode-{name}")).or_default().extend(whole(kind, data));
        }
        let states = own.iter().filter(|data| part(kind, data) == Some(Part::State)).cloned();
        for state in states.collect::<Vec<_>>() {
            let beside = own.iter().find(|data| part(kind, data) == Some(Part::Bitmap));
            let beside = beside.map_or(&[][..], Vec::as_slice);
            seeds.entry("draft".to_owned()).or_default().extend(draft(kind, &state, beside));
        }
        own.extend(vaults(one));
        own.extend(shared.iter().cloned());
        if own.iter().any(|data| part(kind, data) == Some(Part::State)) {
            let amount = number(one.get("amount")).unwrap_or(1_000_000);
            let flags = [0, flag::ADAPTIVE][usize::from(kind == Kind::Whirlpool)];
            let quotes = seeds.entry(format!("quote-{name}")).or_default();
            quotes.push(pool(kind, flags, asks(amount, 1_750_000_000), &own));
        }
    }
}

fn part(kind: Kind, data: &[u8]) -> Option<Part> {
    recognised(kind, data).map(|(_, shape)| shape.part)
}

fn number(value: Option<&Value>) -> Option<u64> {
    value?.as_str()?.parse().ok()
}

/// Every account in base64 under `value` that the kind knows.
fn accounts(kind: Kind, value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::String(text) => {
            let data = STANDARD.decode(text).ok().filter(|data| recognised(kind, data).is_some());
            data.into_iter().collect()
        }
        Value::Array(all) => all.iter().flat_map(|one| accounts(kind, one)).collect(),
        Value::Object(all) => all.values().flat_map(|one| accounts(kind, one)).collect(),
        _ => Vec::new(),
    }
}

/// Vaults and a mint with the amounts that a vector tells.
fn vaults(value: &Value) -> Vec<Vec<u8>> {
    let names: [(&[&str], Part, usize); 3] = [
        (
            &["vault_0_amount", "coin_vault_amount", "pool_base_amount"],
            Part::Vault { second: false },
            64,
        ),
        (
            &["vault_1_amount", "pc_vault_amount", "pool_quote_amount"],
            Part::Vault { second: true },
            64,
        ),
        (&["mint_supply", "base_mint_supply"], Part::Supply, 36),
    ];
    // PumpSwap has all three.
    let shapes = shapes(Kind::PumpSwap);
    let made = names.iter().filter_map(|(names, part, at)| {
        let amount = names.iter().find_map(|name| number(value.get(*name)))?;
        let shape = shapes.iter().find(|shape| shape.part == *part)?;
        let mut data = shape.fit(&[]);
        data.get_mut(*at..)?.get_mut(..8)?.copy_from_slice(&amount.to_le_bytes());
        Some(data)
    });
    made.collect()
}
