//! Which kinds of rows have changed, and how often.

use super::row::StoreRow;

/// Kinds of rows that change together, in the order of their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Runs, strategies and mints.
    Runs,
    /// Orders and fills.
    Orders,
    /// Trades and their sums.
    Trades,
    Positions,
    Equity,
    Refusals,
    Verdicts,
    Logs,
}

/// How many there are.
pub(super) const SUBJECTS: usize = 8;

impl Subject {
    /// What a row changes first of all.
    pub(super) const fn of(row: &StoreRow) -> Self {
        match row {
            StoreRow::Run { .. } | StoreRow::Strategy { .. } | StoreRow::Mint { .. } => Self::Runs,
            StoreRow::Submitted { .. }
            | StoreRow::Signed { .. }
            | StoreRow::Closed { .. }
            | StoreRow::RolledBack { .. } => Self::Orders,
            StoreRow::Trade { .. } => Self::Trades,
            StoreRow::Position { .. } => Self::Positions,
            StoreRow::Equity { .. } => Self::Equity,
            StoreRow::Refusals { .. } => Self::Refusals,
            StoreRow::Verdict { .. } => Self::Verdicts,
            StoreRow::Log { .. } => Self::Logs,
        }
    }

    const fn column(self) -> usize {
        self as usize
    }
}

/// What a transaction touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched([bool; SUBJECTS]);

impl Touched {
    pub(super) const fn everything() -> Self {
        Self([true; SUBJECTS])
    }

    pub(super) fn add(&mut self, subject: Subject) {
        if let Some(touched) = self.0.get_mut(subject.column()) {
            *touched = true;
        }
    }

    /// What each generation is raised by.
    pub(super) fn raises(self) -> impl Iterator<Item = i64> {
        self.0.into_iter().map(i64::from)
    }
}

/// The generations at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generations(pub(super) [i64; SUBJECTS]);

impl Generations {
    /// Whether nothing of these kinds has changed between the two.
    pub(super) fn agree(&self, other: &Self, subjects: &[Subject]) -> bool {
        subjects.iter().all(|subject| {
            let column = subject.column();
            self.0.get(column) == other.0.get(column)
        })
    }
}
