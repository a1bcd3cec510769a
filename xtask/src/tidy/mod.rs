//! House rules as a program: who may import whom, what the core never mentions, how long a file may be.
//!
//! Every rule is a function from texts to findings, so that a test can plant a breach and see it found. It reads files,
//! never runs anything, and knows Rust only as far as it must: comments and text in quotes are not code, `use` trees are
//! paths.

mod imports;
mod manifests;
mod source;
mod text;

use std::path::{Path, PathBuf};

pub use imports::check_imports;
pub use manifests::{check_lock, check_manifest};
pub use source::{code_of, paths_in};
pub use text::{check_crate_docs, check_length, check_links, check_unfinished};

/// Most lines of one source file.
pub const LINES_MAX: usize = 600;

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the root of the workspace.
    pub path: PathBuf,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The rule, and what to do.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.what),
        }
    }
}

/// All that the workspace under `root` does wrong.
///
/// # Errors
///
/// A file or folder cannot be read.
pub fn check_workspace(root: &Path) -> std::io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files(root)? {
        let relative = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let name = relative.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let extension = relative.extension().and_then(|extension| extension.to_str());
        match (name, extension) {
            ("Cargo.toml", _) => findings.extend(check_manifest(&relative, &read(&path)?)),
            ("Cargo.lock", _) => findings.extend(check_lock(&relative, &read(&path)?)),
            (_, Some("rs")) => findings.extend(check_rust(&relative, &read(&path)?)),
            (_, Some("md")) => findings.extend(check_links(root, &relative, &read(&path)?)),
            _ => {}
        }
    }
    Ok(findings)
}

/// Every rule about one Rust file.
#[must_use]
pub fn check_rust(path: &Path, text: &str) -> Vec<Finding> {
    let mut findings = check_length(path, text);
    findings.extend(check_crate_docs(path, text));
    findings.extend(check_unfinished(path, text));
    findings.extend(check_imports(path, text));
    findings
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The files of the project in a fixed order, without what is built, downloaded or recorded.
fn files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let built = name.starts_with("target")
                || name == "node_modules"
                || name == "data" && folder == root;
            let kind = entry.file_type()?;
            if kind.is_dir() && !built && name != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
