//! Rust as far as the rules need it: code without comments and text, and the paths it names.

/// The code of a file: comments, text and characters in quotes are blanked out, lines stay where they are.
#[must_use]
pub fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => end_of_line(&chars, i),
            ('/', '*') => end_of_comment(&chars, i),
            ('"', _) => end_of_text(&chars, i),
            ('r', '"' | '#') | ('b', 'r') if !continues_word(&chars, i) => {
                end_of_raw(&chars, i).unwrap_or(i)
            }
            ('\'', _) => end_of_char(&chars, i).unwrap_or(i),
            _ => i,
        };
        if end == i {
            out.push(at(i));
            i += 1;
        } else {
            out.extend((i..end).map(|k| if at(k) == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

fn continues_word(chars: &[char], i: usize) -> bool {
    i.checked_sub(1)
        .and_then(|before| chars.get(before))
        .is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

fn end_of_line(chars: &[char], start: usize) -> usize {
    (start..chars.len()).find(|i| chars.get(*i) == Some(&'\n')).unwrap_or(chars.len())
}

/// Block comments nest.
fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0_usize, start);
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
            (Some('*'), Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn end_of_text(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while let Some(c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// `r"…"`, `r#"…"#`, `br"…"`; `None` for a name such as `r#type`.
fn end_of_raw(chars: &[char], start: usize) -> Option<usize> {
    let mut i = start + if chars.get(start) == Some(&'b') { 2 } else { 1 };
    let opening = i;
    while chars.get(i) == Some(&'#') {
        i += 1;
    }
    let hashes = i - opening;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    i += 1;
    while i < chars.len() {
        if chars.get(i) == Some(&'"') && (1..=hashes).all(|k| chars.get(i + k) == Some(&'#')) {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(chars.len())
}

/// `'a'` and `'\n'`; `None` for a lifetime.
fn end_of_char(chars: &[char], start: usize) -> Option<usize> {
    if chars.get(start + 1) == Some(&'\\') {
        return (start + 3..start + 13).find(|i| chars.get(*i) == Some(&'\'')).map(|end| end + 1);
    }
    (chars.get(start + 2) == Some(&'\'')).then_some(start + 3)
}

/// A path named in code, such as `crate::market::Market`, with the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its parts.
    pub parts: Vec<String>,
    /// From 1.
    pub line: usize,
}

/// Every path in code, `use` trees spelt out: `use std::{fs, net::{self, IpAddr}}` names three.
#[must_use]
pub fn paths_in(code: &str) -> Vec<Named> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        i = path(&tokens, i, &[], &mut out).max(i + 1);
    }
    out
}

/// A name, `::`, or a single other character.
fn tokens(code: &str) -> Vec<(String, usize)> {
    let mut out = Vec::new();
    let mut chars = code.chars().peekable();
    let mut line = 1;
    while let Some(c) = chars.next() {
        if c == '\n' {
            line += 1;
        }
        if c.is_alphanumeric() || c == '_' {
            let mut name = String::from(c);
            while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                name.push(c);
            }
            out.push((name, line));
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            out.push(("::".to_owned(), line));
        } else if !c.is_whitespace() {
            out.push((c.to_string(), line));
        }
    }
    out
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one path that starts at `i`, adds what it names, and tells where it ends.
fn path(
    tokens: &[(String, usize)],
    start: usize,
    prefix: &[String],
    out: &mut Vec<Named>,
) -> usize {
    let token = |i: usize| tokens.get(i).map_or("", |(token, _)| token.as_str());
    let line = tokens.get(start).map_or(0, |(_, line)| *line);
    let mut parts = prefix.to_vec();
    let mut i = start;
    loop {
        if is_name(token(i)) {
            parts.push(token(i).to_owned());
            i += 1;
        } else if token(i) == "*" && i > start {
            parts.push("*".to_owned());
            i += 1;
            break;
        } else if token(i) == "{" && parts.len() > prefix.len() && i > start {
            return group(tokens, i, &parts, out);
        } else {
            break;
        }
        if token(i) != "::" {
            break;
        }
        i += 1;
    }
    if parts.len() > prefix.len() {
        out.push(Named { parts, line });
    }
    i
}

/// Reads `{a, b::c, …}` behind `prefix::`.
fn group(
    tokens: &[(String, usize)],
    open: usize,
    prefix: &[String],
    out: &mut Vec<Named>,
) -> usize {
    let token = |i: usize| tokens.get(i).map_or("", |(token, _)| token.as_str());
    let mut i = open + 1;
    while i < tokens.len() && token(i) != "}" {
        if is_name(token(i)) {
            i = path(tokens, i, prefix, out);
            // `as name` renames; the new name is not a path.
            if token(i) == "as" {
                i += 2;
            }
        } else {
            i += 1;
        }
    }
    i + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(code: &str) -> Vec<String> {
        paths_in(code).iter().map(|named| named.parts.join("::")).collect()
    }

    #[test]
    fn comments_and_quoted_text_are_not_code() {
        let text = "a // tokio\n/* b /* c */ d */ e \"f\\\"g\" r#\"h\"# 'i' '\\'' &'static str br\"x\" r#type";
        let code = code_of(text);
        assert_eq!(
            code.split_whitespace().collect::<Vec<_>>(),
            ["a", "e", "&'static", "str", "r#type"]
        );
        assert_eq!(code.lines().count(), text.lines().count());
        assert_eq!(code.len(), text.len());
    }

    #[test]
    fn a_use_tree_is_spelt_out() {
        assert_eq!(
            named("use std::{fs, net::{self, IpAddr as Ip}, collections::*};"),
            ["use", "std::fs", "std::net::self", "std::net::IpAddr", "std::collections::*"]
        );
        assert_eq!(named("crate::market::Market::new(a)"), ["crate::market::Market::new", "a"]);
        assert_eq!(named("Quote { amount_in, fee }"), ["Quote", "amount_in", "fee"]);
    }
}
