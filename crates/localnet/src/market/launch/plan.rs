//! What a launch will be, drawn from the seed before anything of it is on the chain.

use serde::Serialize;
use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer;
use spl_associated_token_account_interface::address::get_associated_token_address_with_program_id;

use super::worth::Life;
use crate::chain::genesis::{Token, to_atoms};
use crate::cpmm::PoolAddresses;
use crate::cpmm::math::TransferFee;
use crate::market::rng::Rng;
use crate::metaplex::Data;

/// What is wrong with a new coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchKind {
    /// Nothing: no authority left, liquidity burnt, holders spread, metadata final.
    Sound,
    /// Its creator may make more of it.
    MintAuthority,
    /// Its creator may freeze anybody's account.
    FreezeAuthority,
    /// Every transfer costs three in a hundred.
    TransferFee,
    /// Its creator may take everybody's tokens.
    PermanentDelegate,
    /// Its creator keeps the liquidity tokens.
    LiquidityKept,
    /// One wallet holds more than half of it.
    OneHolder,
    /// It may change its name, which now is made of control characters and markup.
    HostileName,
}

impl LaunchKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Sound,
        Self::MintAuthority,
        Self::FreezeAuthority,
        Self::TransferFee,
        Self::PermanentDelegate,
        Self::LiquidityKept,
        Self::OneHolder,
        Self::HostileName,
    ];

    /// Whether nothing is wrong with it.
    #[must_use]
    pub const fn is_sound(self) -> bool {
        matches!(self, Self::Sound)
    }
}

/// Of twelve launches so many are sound; each other kind comes once.
const SOUND_OF_DECK: usize = 5;
/// Cards of the deck.
const DECK: usize = SOUND_OF_DECK + LaunchKind::ALL.len() - 1;

/// Kinds in a mix that is even over every twelve launches, however they are shuffled.
#[derive(Debug, Default)]
pub(super) struct Deck(Vec<LaunchKind>);

impl Deck {
    pub(super) fn draw(&mut self, rng: &mut Rng) -> LaunchKind {
        if self.0.is_empty() {
            self.0 = (0..DECK)
                .map(|card| {
                    let kind = card.saturating_sub(SOUND_OF_DECK - 1);
                    LaunchKind::ALL.get(kind).copied().unwrap_or(LaunchKind::Sound)
                })
                .collect();
            for last in (1..self.0.len()).rev() {
                let other = rng.below(as_u64(last) + 1);
                self.0.swap(last, usize::try_from(other).unwrap_or(last));
            }
        }
        self.0.pop().unwrap_or(LaunchKind::Sound)
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Parts of the supply, in thousandths.
const POOL_PART: u64 = 600;
const CREATOR_PART: u64 = 20;
/// Of a coin of which one wallet holds most.
const POOL_PART_LITTLE: u64 = 300;
const WHALE_PART: u64 = 550;
/// What a coin with a fee on transfers takes.
pub(super) const FEE_BPS: u16 = 300;

/// A coin and its pool, as they will be.
pub(super) struct Plan {
    pub(super) number: u64,
    pub(super) kind: LaunchKind,
    pub(super) life: Life,
    pub(super) mint: Keypair,
    pub(super) creator: Keypair,
    /// Who holds most of it, where somebody does.
    pub(super) whale: Option<Keypair>,
    pub(super) program: Address,
    pub(super) decimals: u8,
    pub(super) supply: u64,
    pub(super) data: Data,
    /// What it is paid with.
    pub(super) quote: Token,
    pub(super) quote_atoms: u64,
    /// What each wallet of the crowd gets, in thousandths of the supply times a thousand.
    pub(super) shares: Vec<u64>,
    /// Decides what its traders do.
    pub(super) seed: u64,
}

impl Plan {
    /// Draws the next one. `quote_value` is what a whole token of `quote` is worth in dollars.
    pub(super) fn draw(
        number: u64,
        kind: LaunchKind,
        quote: Token,
        quote_value: f64,
        crowd: usize,
        rng: &mut Rng,
    ) -> Self {
        let (mint, creator) = (key(rng), key(rng));
        let whale = key(rng);
        let newer = match kind {
            LaunchKind::TransferFee | LaunchKind::PermanentDelegate => true,
            _ => rng.chance(0.34),
        };
        let program = if newer { spl_token_2022_interface::ID } else { spl_token_interface::ID };
        let decimals = if rng.chance(0.7) { 6 } else { 9 };
        let whole = if rng.chance(0.5) { 1e9 } else { 1e8 };
        let depth = rng.between(20_000.0, 60_000.0);
        let life = Life::draw(kind, rng);
        let data = Data {
            name: name(kind, rng),
            symbol: symbol(kind, rng),
            uri: format!("https://coins.invalid/{number}.json"),
            mutable: kind == LaunchKind::HostileName,
        };
        let weights: Vec<f64> = (0..crowd).map(|_| rng.between(0.7, 1.3)).collect();
        let all: f64 = weights.iter().sum();
        let plan = Self {
            number,
            kind,
            life,
            mint,
            creator,
            whale: (kind == LaunchKind::OneHolder).then_some(whale),
            program,
            decimals,
            supply: to_atoms(whole, decimals),
            data,
            quote,
            quote_atoms: to_atoms(depth / quote_value, quote.decimals),
            shares: Vec::new(),
            seed: rng.next(),
        };
        let part = 1_000 - plan.pool_part() - CREATOR_PART - plan.whale_part();
        let shares = weights.iter().map(|weight| plan.portion(weight / all, part)).collect();
        Self { shares, ..plan }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a supply below 2^60, rounded down"
    )]
    fn portion(&self, share: f64, part: u64) -> u64 {
        (self.of_supply(part) as f64 * share) as u64
    }

    /// So many thousandths of the supply.
    fn of_supply(&self, thousandths: u64) -> u64 {
        self.supply / 1_000 * thousandths
    }

    const fn pool_part(&self) -> u64 {
        if self.whale.is_some() { POOL_PART_LITTLE } else { POOL_PART }
    }

    const fn whale_part(&self) -> u64 {
        if self.whale.is_some() { WHALE_PART } else { 0 }
    }

    /// Atoms of the coin that go into the pool.
    pub(super) fn pool_atoms(&self) -> u64 {
        self.of_supply(self.pool_part())
    }

    /// Atoms that the great holder gets.
    pub(super) fn whale_atoms(&self) -> u64 {
        self.of_supply(self.whale_part())
    }

    /// What is withheld of a transfer of the coin.
    pub(super) fn transfer_fee(&self) -> TransferFee {
        match self.kind {
            LaunchKind::TransferFee => TransferFee { bps: FEE_BPS, max: u64::MAX },
            _ => TransferFee::default(),
        }
    }

    /// The pool's mints and their programs, in its order, and whether the coin is the first.
    pub(super) fn sides(&self) -> ([Address; 2], [Address; 2], bool) {
        let (coin, quote) = (self.mint.pubkey(), self.quote.mint);
        if coin < quote {
            ([coin, quote], [self.program, self.quote.program], true)
        } else {
            ([quote, coin], [self.quote.program, self.program], false)
        }
    }

    /// The addresses of its pool under the first fee schedule.
    pub(super) fn pool(&self, config: &Address) -> PoolAddresses {
        let ([mint_0, mint_1], ..) = self.sides();
        PoolAddresses::derive(config, [&mint_0, &mint_1])
    }

    /// A wallet's account of the coin.
    pub(super) fn holding(&self, owner: &Address) -> Address {
        let mint = self.mint.pubkey();
        get_associated_token_address_with_program_id(owner, &mint, &self.program)
    }

    /// A wallet's account of what it is paid with.
    pub(super) fn quote_holding(&self, owner: &Address) -> Address {
        crate::chain::genesis::holding_address(owner, &self.quote)
    }

    /// Whole tokens of the quote that a whole coin costs at first.
    #[allow(clippy::cast_precision_loss, reason = "a price for a market, not for books")]
    pub(super) fn first_price(&self) -> f64 {
        let pool = self.pool_atoms();
        let arrived = pool - self.transfer_fee().on(pool);
        let whole = |atoms: u64, decimals: u8| atoms as f64 / 10f64.powi(decimals.into());
        whole(self.quote_atoms, self.quote.decimals) / whole(arrived, self.decimals)
    }
}

fn key(rng: &mut Rng) -> Keypair {
    Keypair::new_from_array(rng.bytes())
}

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    let at = usize::try_from(rng.below(as_u64(of.len()))).unwrap_or(0);
    of.get(at).copied().unwrap_or_default()
}

/// What a coin without honour calls itself: at most 32 bytes, as its account has no room for more.
const HOSTILE: [&str; 5] = [
    "<script>alert(1)</script>\u{7}",
    "<img src=x onerror=alert(1)>\r\n",
    "\u{202e}CDSU\u{1b}[2J\u{1b}[31m<b>",
    "USD\u{200b}C\u{9b}2J</td></tr>\t&amp;",
    "';--\"<a href=javascript:1>\u{0}\u{1}x",
];

fn name(kind: LaunchKind, rng: &mut Rng) -> String {
    const FIRST: [&str; 12] = [
        "Moon", "Wild", "Tiny", "Royal", "Lazy", "Sunny", "Iron", "Swift", "Lucky", "Cosmic",
        "Quiet", "Mighty",
    ];
    const SECOND: [&str; 12] = [
        "Otter", "Badger", "Comet", "Pickle", "Walrus", "Falcon", "Noodle", "Turtle", "Rocket",
        "Panda", "Turnip", "Wizard",
    ];
    let (first, second) = (pick(rng, &FIRST), pick(rng, &SECOND));
    match kind {
        LaunchKind::HostileName => pick(rng, &HOSTILE).to_owned(),
        _ => format!("{first} {second}"),
    }
}

fn symbol(kind: LaunchKind, rng: &mut Rng) -> String {
    const LETTERS: &[u8; 20] = b"BCDFGHKLMNPRSTVWXZAO";
    let mut letter = || {
        let at = usize::try_from(rng.below(20)).unwrap_or(0);
        char::from(LETTERS.get(at).copied().unwrap_or(b'A'))
    };
    let plain: String = (0..4).map(|_| letter()).collect();
    match kind {
        LaunchKind::HostileName => "\u{202e}<i>\u{7}".to_owned(),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_twelve_launches_have_five_sound_ones_and_each_other_kind_once() {
        for seed in 0..50 {
            let (mut deck, mut rng) = (Deck::default(), Rng::new(seed));
            for _ in 0..3 {
                let mut drawn: Vec<LaunchKind> = (0..DECK).map(|_| deck.draw(&mut rng)).collect();
                drawn.sort_unstable();
                let sound = drawn.iter().filter(|kind| kind.is_sound()).count();
                assert_eq!(sound, SOUND_OF_DECK);
                drawn.dedup();
                assert_eq!(drawn, LaunchKind::ALL);
            }
        }
    }

    #[test]
    fn a_hostile_name_fits_its_account_and_is_hostile() {
        for name in HOSTILE {
            assert!(name.len() <= crate::metaplex::NAME_MAX, "{name:?}");
            assert!(name.chars().any(char::is_control) || name.contains('\u{202e}'), "{name:?}");
        }
    }
}
