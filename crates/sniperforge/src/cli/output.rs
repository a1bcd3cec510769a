//! What goes to standard output and standard error.

use std::io::Write;

use serde::Serialize;

/// Prints a report: `value` as one JSON document, or `text`.
///
/// # Errors
///
/// Standard output cannot be written, unless its reader has merely gone away.
pub(crate) fn report<T: Serialize>(
    json: bool,
    value: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let mut out = if json { serde_json::to_string_pretty(value)? } else { text() };
    if !out.ends_with('\n') {
        out.push('\n');
    }
    print(&out)
}

/// Prints text to standard output.
///
/// # Errors
///
/// As [`report`].
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Tells on standard error what went wrong. When even that fails, the exit code is all that is left.
pub(crate) fn complain(error: &anyhow::Error) {
    writeln!(std::io::stderr().lock(), "sniperforge: {}", message(error)).ok();
}

/// The chain of causes as one message, each said once: some errors already repeat their cause.
fn message(error: &anyhow::Error) -> String {
    let mut out = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if out.contains(&text) {
            continue;
        }
        if !out.is_empty() {
            out.push_str(": ");
        }
        out.push_str(&text);
    }
    out
}

/// Aligns `name  value` rows.
pub(crate) fn aligned<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_message_says_each_cause_once() {
        let cause = std::io::Error::other("disk full");
        let error = anyhow::Error::from(cause)
            .context("a.toml: disk full; free some space")
            .context("start");
        assert_eq!(message(&error), "start: a.toml: disk full; free some space");
        let error =
            Err::<(), _>(std::io::Error::other("disk full")).context("write journal").unwrap_err();
        assert_eq!(message(&error), "write journal: disk full");
    }
}
