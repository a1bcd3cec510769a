//! `new-config` and `show-config`.

use std::path::PathBuf;

use serde_json::json;

use super::Global;
use super::output::{print, report};
use crate::config::{Config, Layers, Sources, to_json, to_toml, write_new};

/// Arguments of `new-config`.
#[derive(Debug, clap::Args)]
pub struct NewConfigArgs {
    /// Where to write it; a file that exists is never replaced.
    #[arg(default_value = "sniperforge.toml", value_name = "FILE")]
    path: PathBuf,
}

pub(super) fn new_config(args: &NewConfigArgs, global: &Global) -> anyhow::Result<()> {
    write_new(&args.path)?;
    let path = args.path.display().to_string();
    report(global.json, &json!({ "written": path }), || {
        format!("wrote {path}; edit it, then check it with `sniperforge doctor -c {path}`")
    })
}

/// Shows what holds, once it has been checked: a page about a configuration that cannot be used would mislead.
pub(super) fn show_config(global: &Global) -> anyhow::Result<()> {
    let layers = Layers::read(&Sources::of_process(global.config.clone()))?;
    Config::from_layers(&layers)?;
    if global.json {
        return report(true, &to_json(&layers), String::new);
    }
    print(&to_toml(&layers))
}
