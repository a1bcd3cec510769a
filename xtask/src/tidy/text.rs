//! Rules about files as text.

use std::path::Path;

use super::source::{code_of, paths_in};
use super::{Finding, LINES_MAX};

/// A source file that nobody reads to its end.
#[must_use]
pub fn check_length(path: &Path, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= LINES_MAX {
        return Vec::new();
    }
    let what = format!("has {lines} lines, more than {LINES_MAX}: split it where a reader would");
    vec![Finding { path: path.to_owned(), line: 0, what }]
}

/// A crate opens with a page that says what it is for and what it must never do.
#[must_use]
pub fn check_crate_docs(path: &Path, text: &str) -> Vec<Finding> {
    let place = path.to_string_lossy();
    if !place.ends_with("src/lib.rs") {
        return Vec::new();
    }
    let docs: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let said = docs.join(" ").to_lowercase();
    let problem = if docs.len() < 3 {
        "opens with fewer than three lines of `//!`: say what the crate is for"
    } else if !said.contains("never") {
        "does not say what the crate must never do"
    } else {
        return Vec::new();
    };
    vec![Finding { path: path.to_owned(), line: 1, what: problem.to_owned() }]
}

/// What was left for later.
#[must_use]
pub fn check_unfinished(path: &Path, text: &str) -> Vec<Finding> {
    const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];
    let code = code_of(text);
    let lines: Vec<&str> = code.lines().collect();
    let is_macro = |line: usize, name: &str| {
        lines
            .get(line.saturating_sub(1))
            .is_some_and(|text| text.replace(' ', "").contains(&format!("{name}!")))
    };
    let mut findings = Vec::new();
    for named in paths_in(&code) {
        if let Some(name) = named
            .parts
            .last()
            .filter(|name| UNFINISHED.contains(&name.as_str()) && is_macro(named.line, name))
        {
            let what = format!("`{name}!` is unfinished work: finish it or leave it out");
            findings.push(Finding { path: path.to_owned(), line: named.line, what });
        }
    }
    findings
}

/// Links to files that are not there. Links out of the workspace are the world's business.
#[must_use]
pub fn check_links(root: &Path, path: &Path, text: &str) -> Vec<Finding> {
    let folder = root.join(path.parent().unwrap_or(Path::new("")));
    let mut findings = Vec::new();
    let mut in_code = false;
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            let foreign = target.contains("://") || target.starts_with("mailto:");
            if !file.is_empty() && !foreign && !folder.join(file).exists() {
                let what = format!("links to `{target}`, which is not there");
                findings.push(Finding { path: path.to_owned(), line: n + 1, what });
            }
        }
    }
    findings
}

/// The targets of `[text](target)`, `![text](target)`, `src="target"` and `srcset="target"` on one line, without what
/// stands in backticks.
fn targets(line: &str) -> Vec<&str> {
    let mut out = Vec::new();
    // Every other part stands outside of backticks.
    for part in line.split('`').step_by(2) {
        for opening in ["](", "src=\"", "srcset=\"", "href=\""] {
            let closing = if opening == "](" { ')' } else { '"' };
            for rest in part.split(opening).skip(1) {
                let target = rest.split(closing).next().unwrap_or_default();
                // A title may follow the target.
                out.extend(target.split_whitespace().next());
            }
        }
    }
    out
}
