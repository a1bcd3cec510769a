//! One figure, what is held against it, and what came of that.

use serde::{Serialize, Serializer};

/// What came of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Nothing is held against it.
    Told,
    /// What must hold does.
    Ok,
    /// It does not.
    Missed,
    /// Times of a build without optimisation say nothing of the product.
    NotJudged,
    /// There is no figure; the row says why.
    NotMeasured,
}

impl Verdict {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Told => "",
            Self::Ok => "ok",
            Self::Missed => "MISSED",
            Self::NotJudged => "not judged",
            Self::NotMeasured => "not measured",
        }
    }
}

/// On which side of its limit a figure has to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Side {
    /// Smaller is better.
    #[serde(rename = "at_most")]
    AtMost,
    /// Greater is better.
    #[serde(rename = "at_least")]
    AtLeast,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) metric: String,
    /// None where it was not measured.
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) side: Side,
    /// What is wished for.
    target: Option<f64>,
    /// What must hold.
    pub(crate) limit: Option<f64>,
    /// What nobody can do without, measured in turns with the figure, in the same unit.
    pub(crate) floor: Option<f64>,
    /// How many times the floor it may be.
    pub(crate) floor_times: Option<f64>,
    /// Why there is no figure, or what is to be known of the one that there is.
    pub(crate) why: Option<String>,
    /// A failed attempt leaves a limit unproven; what was never attempted does not.
    attempted: bool,
    /// Held to its limit in a build without optimisation too.
    any_build: bool,
}

impl Row {
    /// A figure that nothing is held against.
    pub(super) fn told(metric: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            metric: metric.into(),
            value: Some(value).filter(|value| value.is_finite()),
            unit,
            side: Side::AtMost,
            target: None,
            limit: None,
            floor: None,
            floor_times: None,
            why: (!value.is_finite()).then(|| "nothing was timed".to_owned()),
            attempted: true,
            any_build: false,
        }
    }

    /// There is no figure, since it was not asked for or cannot be had here.
    pub(super) fn absent(metric: impl Into<String>, why: impl Into<String>) -> Self {
        let why = Some(why.into());
        Self { why, attempted: false, ..Self::told(metric, f64::NAN, "") }
    }

    /// There is no figure, since the attempt failed: what was to hold was not shown to hold.
    pub(super) fn failed(metric: impl Into<String>, why: impl Into<String>) -> Self {
        Self { attempted: true, ..Self::absent(metric, why) }
    }

    /// Of the same kind as one that has a figure. Without anything held against it, nothing was left unproven.
    pub(super) fn like(self, row: &Self) -> Self {
        let Self { unit, side, target, limit, floor_times, any_build, .. } = *row;
        let attempted = self.attempted && row.is_held();
        Self { unit, side, target, limit, floor_times, any_build, attempted, ..self }
    }

    /// At most that much may it be; without a limit it is told.
    pub(super) fn at_most(mut self, limit: Option<f64>) -> Self {
        (self.side, self.limit) = (Side::AtMost, limit);
        self
    }

    /// At least that much must it be.
    pub(super) fn at_least(mut self, limit: f64) -> Self {
        (self.side, self.limit) = (Side::AtLeast, Some(limit));
        self
    }

    pub(super) fn wished(mut self, target: f64) -> Self {
        self.target = Some(target);
        self
    }

    /// The floor beside it, in the same unit.
    pub(super) fn beside(mut self, floor: f64) -> Self {
        self.floor = Some(floor).filter(|floor| floor.is_finite());
        self
    }

    /// More is better, with nothing held against it: how it compares with its floor is told the right way round.
    pub(super) const fn more_is_better(mut self) -> Self {
        self.side = Side::AtLeast;
        self
    }

    /// So many times as long as the floor it may take.
    pub(super) const fn floor_times(mut self, times: f64) -> Self {
        self.floor_times = Some(times);
        self
    }

    /// Says something of the figure.
    pub(super) fn note(mut self, text: impl Into<String>) -> Self {
        self.why = Some(text.into());
        self
    }

    /// Its limit is one of behaviour, not of speed: any build is held to it.
    pub(super) const fn in_any_build(mut self) -> Self {
        self.any_build = true;
        self
    }

    /// What is wished for, or without a wish what must hold.
    pub(crate) fn target(&self) -> Option<f64> {
        self.target.or(self.limit)
    }

    /// Above one, the limit does not hold.
    pub(crate) fn ratio_to_limit(&self) -> Option<f64> {
        let (value, limit) = (self.value?, self.limit?);
        Some(match self.side {
            // None at all is within any limit.
            Side::AtMost if value <= limit && limit <= 0.0 => 0.0,
            Side::AtMost => value / limit,
            Side::AtLeast => limit / value,
        })
    }

    /// How many times as much as the floor it takes: above one, the floor is better.
    pub(crate) fn ratio_to_floor(&self) -> Option<f64> {
        let (value, floor) = (self.value?, self.floor?);
        let ratio = match self.side {
            Side::AtMost => value / floor,
            Side::AtLeast => floor / value,
        };
        Some(ratio).filter(|ratio| ratio.is_finite())
    }

    const fn is_held(&self) -> bool {
        self.limit.is_some() || self.floor_times.is_some()
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.value.is_none() {
            return Verdict::NotMeasured;
        }
        if !self.is_held() {
            return Verdict::Told;
        }
        if cfg!(debug_assertions) && !self.any_build {
            return Verdict::NotJudged;
        }
        let within = |ratio: Option<f64>, most: f64| ratio.is_none_or(|ratio| ratio <= most);
        let holds = within(self.ratio_to_limit(), 1.0)
            && self.floor_times.is_none_or(|times| within(self.ratio_to_floor(), times));
        if holds { Verdict::Ok } else { Verdict::Missed }
    }

    /// Nothing that was to hold is broken, or was tried in vain.
    pub(crate) fn ok(&self) -> bool {
        match self.verdict() {
            Verdict::Missed => false,
            Verdict::NotMeasured => !self.attempted,
            _ => true,
        }
    }

    /// The part before the first full stop: what was measured with it.
    pub(crate) fn group(&self) -> &str {
        self.metric.split('.').next().unwrap_or_default()
    }
}

/// As scripts rely on it.
#[derive(Serialize)]
struct Told<'a> {
    group: &'a str,
    metric: &'a str,
    value: Option<f64>,
    unit: &'a str,
    side: Side,
    target: Option<f64>,
    limit: Option<f64>,
    ratio_to_limit: Option<f64>,
    floor: Option<f64>,
    ratio_to_floor: Option<f64>,
    floor_times: Option<f64>,
    verdict: Verdict,
    ok: bool,
    why: Option<&'a str>,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let told = Told {
            group: self.group(),
            metric: &self.metric,
            value: self.value,
            unit: self.unit,
            side: self.side,
            target: self.target(),
            limit: self.limit,
            ratio_to_limit: self.ratio_to_limit(),
            floor: self.floor,
            ratio_to_floor: self.ratio_to_floor(),
            floor_times: self.floor_times,
            verdict: self.verdict(),
            ok: self.ok(),
            why: self.why.as_deref(),
        };
        told.serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_held_against_its_limit_and_against_nothing_else() {
        let row = Row::told("x", 3.0, "ms").wished(1.0);
        assert!(row.ok() && row.ratio_to_limit().is_none() && row.verdict() == Verdict::Told);
        let row = row.at_most(Some(2.0)).in_any_build();
        assert_eq!((row.ok(), row.ratio_to_limit()), (false, Some(1.5)));
        assert_eq!(row.target(), Some(1.0));
        assert!(Row::told("x", 2.0, "ms").at_most(Some(2.0)).in_any_build().ok());
        assert!(Row::told("x", 2.0, "ms").at_most(None).in_any_build().ok());
    }

    #[test]
    fn what_must_be_great_is_held_the_other_way_round() {
        let row = |value| Row::told("x", value, "M/s").at_least(20.0).beside(40.0).in_any_build();
        assert!(row(20.0).ok() && !row(10.0).ok());
        assert_eq!(
            (row(10.0).ratio_to_limit(), row(10.0).ratio_to_floor()),
            (Some(2.0), Some(4.0))
        );
    }

    #[test]
    fn a_row_may_take_only_so_many_times_its_floor() {
        let row =
            |value| Row::told("x", value, "us").beside(10.0).floor_times(1.5).at_most(Some(90.0));
        assert!(row(15.0).in_any_build().ok());
        let over = row(15.1).in_any_build();
        assert_eq!((over.ok(), over.verdict()), (false, Verdict::Missed));
        let build = if cfg!(debug_assertions) { Verdict::NotJudged } else { Verdict::Missed };
        assert_eq!(row(15.1).verdict(), build, "speed is judged of a release build alone");
    }

    #[test]
    fn what_failed_is_not_ok_and_what_was_not_asked_for_is() {
        let (failed, absent) = (Row::failed("a.x", "no room"), Row::absent("a.x", "needs --full"));
        assert_eq!((failed.verdict(), failed.ok()), (Verdict::NotMeasured, false));
        assert_eq!((absent.verdict(), absent.ok()), (Verdict::NotMeasured, true));
        let json = serde_json::to_value(&failed).unwrap();
        assert_eq!((&json["group"], &json["why"]), (&"a".into(), &"no room".into()));
        assert!(json["value"].is_null());
    }
}
