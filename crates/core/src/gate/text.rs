//! What strangers wrote, made fit to be shown.

use serde::{Deserialize, Serialize};

/// Most characters kept.
const CHARS_MAX: usize = 48;

/// A name or symbol as a token's metadata has it, cleaned: for people to look at, never for decisions.
///
/// Characters that steer a terminal, turn the direction of writing or show nothing become U+FFFD. Markup is still
/// escaped where it is shown, and letters that look alike still do: a name proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Untrusted(String);

impl Untrusted {
    /// Cleans bytes that should be UTF-8, padded with zeros.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let end =
            bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
        Self(text.chars().take(CHARS_MAX).map(|c| if hides(c) { '\u{fffd}' } else { c }).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Controls, bidirectional marks, and what takes no room: the characters by which a text shows as another.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<Untrusted> for String {
    fn from(text: Untrusted) -> Self {
        text.0
    }
}

impl std::fmt::Display for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_cannot_turn_the_line_it_stands_in_or_hide_in_it() {
        assert_eq!(Untrusted::new(b"Bonk\0\0\0").as_str(), "Bonk");
        assert_eq!(
            Untrusted::new("\u{202e}CDSU\u{1b}[2J".as_bytes()).as_str(),
            "\u{fffd}CDSU\u{fffd}[2J"
        );
        assert_eq!(Untrusted::new("U\u{200b}SDC".as_bytes()).as_str(), "U\u{fffd}SDC");
        assert_eq!(Untrusted::new("日本 🚀".as_bytes()).as_str(), "日本 🚀");
        assert_eq!(Untrusted::new(&[0xff, b'a', 0, b'b']).as_str(), "\u{fffd}a\u{fffd}b");
        assert_eq!(Untrusted::new(&[b'x'; 1_000]).as_str().len(), CHARS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_short_text_that_stays_as_it_is(bytes: Vec<u8>) {
            let text = Untrusted::new(&bytes);
            prop_assert!(text.as_str().chars().count() <= CHARS_MAX);
            prop_assert!(!text.as_str().chars().any(hides));
            prop_assert_eq!(Untrusted::new(text.as_str().as_bytes()), text);
        }
    }
}
