//! Names of things: dense indices inside the engine, 32 and 64 byte keys outside.

use serde::{Deserialize, Serialize};

use crate::units::Seq;

/// A key of an account on the chain.
pub use solana_address::Address;

macro_rules! index {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Position in the dense table.
            #[must_use]
            pub fn index(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }
        }
    };
}

index!(
    /// A mint, by position in the market's table. Position 0 is native SOL, which has no mint account.
    MintId(u16)
);
index!(
    /// A pool, by position in the market's table.
    PoolId(u32)
);
index!(
    /// A pair of mints that some pools trade, by position in the market's table.
    PairId(u32)
);
index!(
    /// A strategy, by order of registration.
    StrategyId(u8)
);

impl MintId {
    /// Native SOL: what fees and rent are paid in.
    pub const SOL: Self = Self(0);

    /// The mint at a place of the table, if there can be one.
    #[inline]
    #[must_use]
    pub(crate) fn at(index: usize) -> Option<Self> {
        u16::try_from(index).ok().map(Self)
    }
}

/// What makes two orders the same order: the event that caused it and its place among that event's orders.
///
/// The same journal gives the same ids, so a replay finds its own orders again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct OrderId {
    /// The event that caused it.
    pub cause: Seq,
    /// Its place among the orders of that event.
    pub nth: u16,
}

impl std::fmt::Display for OrderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.cause, self.nth)
    }
}

impl std::str::FromStr for OrderId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (cause, nth) = text.split_once('.')?;
            Some(Self { cause: Seq::new(cause.parse().ok()?), nth: nth.parse().ok()? })
        };
        parse().ok_or("an order id is written CAUSE.NTH")
    }
}

/// The first signature of a transaction: its name on the chain, known before it is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (a, b) = self.0.split_at(32);
        (<[u8; 32]>::try_from(a).unwrap_or_default(), <[u8; 32]>::try_from(b).unwrap_or_default())
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (a, b) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        let (low, high) = bytes.split_at_mut(32);
        low.copy_from_slice(&a);
        high.copy_from_slice(&b);
        Ok(Self(bytes))
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Signature({:02x}{:02x}{:02x}{:02x}..)",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}

/// A short label such as a token's symbol, made safe for logs and pages: printable ASCII only.
///
/// Token names are written by strangers. What is not plain printable ASCII becomes `?` here, once, so that no
/// later reader has to think of it; markup is still escaped where it is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "[u8; 12]", into = "[u8; 12]")]
pub struct Symbol([u8; 12]);

impl Symbol {
    /// The first twelve characters of `text`, cleaned.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; 12];
        for (slot, c) in bytes.iter_mut().zip(text.chars()) {
            *slot = clean(u8::try_from(c).unwrap_or(0));
        }
        Self(bytes)
    }

    /// The label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        self.0.get(..end).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

fn clean(byte: u8) -> u8 {
    if byte.is_ascii_graphic() { byte } else { b'?' }
}

impl From<[u8; 12]> for Symbol {
    fn from(bytes: [u8; 12]) -> Self {
        Self(bytes.map(|b| if b == 0 { 0 } else { clean(b) }))
    }
}

impl From<Symbol> for [u8; 12] {
    fn from(symbol: Symbol) -> Self {
        symbol.0
    }
}

impl std::fmt::Debug for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl std::fmt::Display for Symbol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_printable_whatever_the_token_calls_itself() {
        assert_eq!(Symbol::new("BONK").as_str(), "BONK");
        assert_eq!(Symbol::new("a\u{1b}[31m<\n").as_str(), "a?[31m<?");
        assert_eq!(Symbol::new("0123456789abcdef").as_str(), "0123456789ab");
        assert_eq!(Symbol::new("\u{0}x").as_str(), "?x");
    }

    #[test]
    fn an_order_id_reads_back_what_it_prints() {
        let id = OrderId { cause: Seq::new(71), nth: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("71".parse::<OrderId>().is_err());
    }
}
