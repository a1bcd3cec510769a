//! What strangers call their coins, made fit to be shown.

use serde::{Deserialize, Serialize};

/// Most characters kept: pump.fun takes 32 of a name.
const CHARS_MAX: usize = 40;

/// A name or ticker, cleaned: for people to look at, never for decisions.
///
/// Controls, marks that turn the direction of writing and characters without a shape are left out, white space becomes
/// a space, and what is too long is cut. Letters that look alike stay: a name proves nothing. Markup must still be
/// escaped where it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Cleans a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let shown = text.chars().filter_map(shown).take(CHARS_MAX).collect::<String>();
        Self(shown.trim().to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing is left of it, or nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn shown(c: char) -> Option<char> {
    if c.is_whitespace() {
        return Some(' ');
    }
    (!c.is_control() && !is_unseen(c)).then_some(c)
}

/// Formats, bidirectional marks, fillers, variation selectors, private use and tags: the characters by which one text
/// shows as another.
const fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

impl From<String> for Label {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl std::fmt::Display for Label {
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
        assert_eq!(Label::new("Bonk").as_str(), "Bonk");
        assert_eq!(Label::new("\u{202e}CDSU\u{1b}[2J\u{7}").as_str(), "CDSU[2J");
        assert_eq!(Label::new("U\u{200b}S\u{2066}DC\u{e0041}").as_str(), "USDC");
        assert_eq!(Label::new(" a\r\n\tb\u{2028}c ").as_str(), "a   b c");
        assert_eq!(Label::new("日本 🚀").as_str(), "日本 🚀");
        assert!(Label::new("\u{200f}\u{feff}").is_empty());
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_short_one_that_stays_as_it_is(text: String) {
            let label = Label::new(&text);
            prop_assert!(label.as_str().chars().count() <= CHARS_MAX);
            prop_assert!(label.as_str().chars().all(|c| shown(c) == Some(c)));
            prop_assert_eq!(Label::new(label.as_str()), label);
        }
    }
}
