//! The difference between two candidates, and whether it is more than chance.
//!
//! The interval is a percentile bootstrap over visits: visits are drawn with replacement, the same ones for both
//! candidates, and the difference of the pooled figures is taken each time. Visits, not utterances, since one
//! voice in one room makes its utterances alike. The draws are seeded, so the same set gives the same interval.

use serde::Serialize;

use super::report::{Report, VisitReport};
use super::score::Basic;

/// Draws of a whole set.
const DRAWS: usize = 2_000;

/// With fewer visits not even all of them pointing one way would be rare enough by chance: 2 / 2^5 > 5 %.
pub(super) const MIN_VISITS: usize = 6;

/// How one candidate differs from another.
#[derive(Debug, Serialize)]
pub(super) struct Versus {
    /// The other.
    pub(super) pipeline: String,
    /// Visits that both ran over.
    pub(super) visits: usize,
    pub(super) cer: Option<Difference>,
    pub(super) core_f1: Option<Difference>,
    pub(super) all_f1: Option<Difference>,
    /// Which is better, as a sentence.
    pub(super) verdict: String,
}

/// This candidate's figure less the other's.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub(super) struct Difference {
    pub(super) difference: f64,
    /// Lower end of the 95 % interval; one visit gives none.
    pub(super) low: Option<f64>,
    /// Upper end.
    pub(super) high: Option<f64>,
    /// What it means for this candidate.
    pub(super) is: Finding,
}

/// What a difference means.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finding {
    Better,
    Worse,
    NotShown,
}

/// Compares `report` with the first one.
pub(super) fn versus(first: &Report, report: &Report) -> Versus {
    let basics = |r: &Report| r.visits.iter().map(|v: &VisitReport| v.tally.basic).collect::<Vec<_>>();
    let pairs: Vec<(Basic, Basic)> = basics(first).into_iter().zip(basics(report)).collect();
    let cer = difference(&pairs, |b| (b.reference > 0).then(|| b.cer()), true);
    let core_f1 = difference(&pairs, Basic::core_f1, false);
    let all_f1 = difference(&pairs, Basic::all_f1, false);
    let named = [("CER", cer), ("moments core", core_f1), ("moments all", all_f1)];
    let verdict = verdict(&report.pipeline, &first.pipeline, pairs.len(), &named);
    Versus { pipeline: first.pipeline.clone(), visits: pairs.len(), cer, core_f1, all_f1, verdict }
}

/// Difference of a figure over pairs (other, this) of the same visits, with its interval. `None` where the
/// figure is missing, or in most draws. `lower` is whether less is better.
fn difference(
    pairs: &[(Basic, Basic)],
    figure: impl Fn(&Basic) -> Option<f64>,
    lower: bool,
) -> Option<Difference> {
    let of = |visits: &mut dyn Iterator<Item = usize>| {
        let (mut other, mut this) = (Basic::default(), Basic::default());
        for (a, b) in visits.filter_map(|n| pairs.get(n)) {
            other.add(a);
            this.add(b);
        }
        figure(&this).zip(figure(&other)).map(|(this, other)| this - other)
    };
    let whole = of(&mut (0..pairs.len()))?;
    let mut random = Random(0x5EED);
    let mut draws: Vec<f64> =
        (0..DRAWS).filter_map(|_| of(&mut (0..pairs.len()).map(|_| random.below(pairs.len())))).collect();
    if draws.len() < DRAWS / 2 {
        return None;
    }
    draws.sort_by(f64::total_cmp);
    let at = |share: f64| draws.get((share * (draws.len() - 1) as f64).round() as usize).copied();
    let (low, high) = (at(0.025)?, at(0.975)?);
    let is = match (low > 0.0, high < 0.0) {
        _ if pairs.len() < MIN_VISITS => Finding::NotShown,
        (false, false) => Finding::NotShown,
        (more, _) if more != lower => Finding::Better,
        _ => Finding::Worse,
    };
    let several = pairs.len() > 1;
    Some(Difference { difference: whole, low: several.then_some(low), high: several.then_some(high), is })
}

fn verdict(this: &str, other: &str, visits: usize, figures: &[(&str, Option<Difference>)]) -> String {
    if visits < MIN_VISITS {
        let plural = if visits == 1 { "visit is" } else { "visits are" };
        return format!(
            "no difference shown between {this} and {other}: {visits} {plural} too few, {MIN_VISITS} are the least"
        );
    }
    let named = |finding| {
        let of = figures.iter().filter(|(_, d)| d.is_some_and(|d| d.is == finding));
        of.map(|(name, _)| *name).collect::<Vec<_>>().join(" and ")
    };
    match (named(Finding::Better), named(Finding::Worse)) {
        (better, worse) if better.is_empty() && worse.is_empty() => {
            format!("no difference shown between {this} and {other}")
        }
        (better, worse) if worse.is_empty() => format!("{this} is better than {other} in {better}"),
        (better, worse) if better.is_empty() => format!("{this} is worse than {other} in {worse}"),
        (better, worse) => format!("{this} is better than {other} in {better}, worse in {worse}"),
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    /// Evenly below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::score::Counts;
    use super::*;

    fn visit(edits: usize) -> Basic {
        Basic { edits, reference: 100, ..Basic::default() }
    }

    fn cer(pairs: &[(Basic, Basic)]) -> Difference {
        difference(pairs, |b| Some(b.cer()), true).unwrap()
    }

    #[test]
    fn the_same_on_every_visit_leaves_no_doubt() {
        let d = cer(&[(visit(10), visit(20)); 8]);
        assert!(
            [Some(d.difference), d.low, d.high].iter().flatten().all(|x| (x - 0.1).abs() < 1e-12),
            "{d:?}"
        );
        assert_eq!(d.is, Finding::Worse);
        assert_eq!(cer(&[(visit(20), visit(10)); 8]).is, Finding::Better);
        assert_eq!(cer(&[(visit(20), visit(20)); 8]).is, Finding::NotShown);
        assert_eq!(cer(&[(visit(20), visit(10)); 5]).is, Finding::NotShown, "five visits are too few");
        let one = cer(&[(visit(20), visit(10))]);
        assert_eq!((one.low, one.high), (None, None));
    }

    #[test]
    fn the_interval_is_the_known_one_and_the_same_each_time() {
        // 100 visits, half of which gain 10 points: mean 5 with a standard error of half a point.
        let pairs: Vec<_> = (0..100).map(|n| (visit(20), visit(20 + 10 * (n % 2)))).collect();
        let d = cer(&pairs);
        assert!((d.difference - 0.05).abs() < 1e-12, "{d:?}");
        let (low, high) = d.low.zip(d.high).unwrap();
        assert!((low - 0.0402).abs() < 0.0015 && (high - 0.0598).abs() < 0.0015, "{d:?}");
        assert_eq!(d, cer(&pairs));
        // Half better, half worse by as much.
        let even: Vec<_> = (0..20).map(|n| (visit(20), visit(10 + 20 * (n % 2)))).collect();
        assert_eq!(cer(&even).is, Finding::NotShown);
    }

    #[test]
    fn more_is_better_for_moments_and_a_missing_figure_has_no_difference() {
        let told = |found| {
            let c = Counts { hits: found, predicted: found, found, labelled: 4 };
            Basic { kinds: [c; 5], ..Basic::default() }
        };
        let d = difference(&[(told(2), told(4)); 6], Basic::core_f1, false).unwrap();
        assert_eq!(d.is, Finding::Better);
        assert_eq!(difference(&[(visit(1), visit(1)); 6], Basic::core_f1, false), None);
        assert_eq!(difference(&[], |b| Some(b.cer()), true).map(|d| d.is), Some(Finding::NotShown));
    }

    #[test]
    fn a_sentence_says_which_is_better() {
        let d = |is| Some(Difference { difference: 0.0, low: None, high: None, is });
        let say = |n, cer, core| verdict("new", "old", n, &[("CER", cer), ("moments core", core)]);
        let (better, worse, none) = (d(Finding::Better), d(Finding::Worse), d(Finding::NotShown));
        assert_eq!(say(8, better, better), "new is better than old in CER and moments core");
        assert_eq!(say(8, none, worse), "new is worse than old in moments core");
        assert_eq!(say(8, better, worse), "new is better than old in CER, worse in moments core");
        assert_eq!(say(8, none, None), "no difference shown between new and old");
        assert!(say(1, better, None).contains("1 visit is too few"));
    }
}
