//! What can be asked, in a person's units.

use serde::{Deserialize, Serialize};

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Place orders.
    Place {
        /// What they are to each other.
        link: LinkName,
        /// The strategy whose position is sold; the operator's own without.
        #[serde(default)]
        owner: Option<String>,
        /// The orders.
        legs: Vec<Leg>,
    },
    /// Tell of all that stand, and of those that were over last.
    List {},
    /// Cancel what stands.
    Cancel {
        /// The ticket.
        ticket: u64,
        /// One order of it.
        #[serde(default)]
        leg: Option<u8>,
    },
    /// Order nothing more.
    Pause {},
    /// Go on.
    Resume {},
}

/// See [`sniper_core::standing::Link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkName {
    Alone,
    Oco,
    Bracket,
}

/// See [`sniper_core::standing::Side`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SideName {
    Buy,
    Sell,
}

/// One order: prices in dollars for a whole token, amounts in whole tokens, each as decimal text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Leg {
    /// Which way; to sell without.
    pub(crate) side: Option<SideName>,
    /// A mint's address, or a symbol that names one mint.
    pub(crate) mint: String,
    /// Which dollars; the first that count as such without.
    pub(crate) dollars: Option<String>,
    /// Dollars to buy for, or tokens to sell; all that is held without.
    pub(crate) amount: Option<String>,
    /// At this price or better.
    pub(crate) limit: Option<String>,
    /// When it is worse than this.
    pub(crate) stop: Option<String>,
    /// When it has fallen so far from its best.
    pub(crate) trail_bps: Option<u16>,
    /// After so long.
    pub(crate) after_ms: Option<u64>,
    /// In parts, each at its price: prices, and shares of the whole.
    pub(crate) ladder: Vec<(String, u16)>,
    /// In so many equal parts.
    pub(crate) split: Option<u16>,
    /// So many times.
    pub(crate) repeat: Option<u16>,
    /// Time between two.
    pub(crate) every_ms: Option<u64>,
    /// Room below the quote.
    pub(crate) slippage_bps: Option<u16>,
    /// How far the independent price may be away.
    pub(crate) agree_bps: Option<u16>,
    /// Slots through which a price must hold.
    pub(crate) slots: Option<u8>,
    /// From now on, how long it is wanted.
    pub(crate) expires_ms: Option<u64>,
}
