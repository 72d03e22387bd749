//! What a candidate must reach for the command to succeed: `cer<=0.08`, or `trial:cer<=0.08` for one of several.

use super::figures::Figure;
use super::report::Report;
use crate::error::{Code, Error, Result};

/// One requirement.
#[derive(Debug)]
pub(super) struct Requirement {
    /// As it was given.
    text: String,
    /// The candidate it is for; all if `None`.
    of: Option<String>,
    figure: Figure,
    operator: Operator,
    bound: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtMost,
    AtLeast,
    Below,
    Above,
}

/// Longer ones first, since they begin with the shorter.
const OPERATORS: [(&str, Operator); 4] =
    [("<=", Operator::AtMost), (">=", Operator::AtLeast), ("<", Operator::Below), (">", Operator::Above)];

impl Requirement {
    /// Reads `[NAME:]FIGURE OPERATOR NUMBER`; NAME must be one of `candidates`.
    pub(super) fn parse(text: &str, candidates: &[&str]) -> Result<Self> {
        let wrong = |why: String| Error::new(Code::InvalidRequest, format!("--require {text:?}: {why}"));
        let cut = |(sign, operator): (&str, Operator)| text.split_once(sign).map(|(l, r)| (l, operator, r));
        let (left, operator, bound) = OPERATORS
            .into_iter()
            .find_map(cut)
            .ok_or_else(|| wrong("give FIGURE, one of <= >= < >, and a number, such as cer<=0.08".into()))?;
        let bound: f64 =
            bound.trim().parse().map_err(|_| wrong(format!("{:?} is no number", bound.trim())))?;
        if !bound.is_finite() {
            return Err(wrong(format!("{bound} is no number to compare with")));
        }
        // A candidate's name may hold a colon, a figure's does not.
        let (of, name) = match left.rsplit_once(':') {
            Some((of, name)) => (Some(of.trim()), name.trim()),
            None => (None, left.trim()),
        };
        if let Some(of) = of.filter(|of| !candidates.contains(of)) {
            return Err(wrong(format!("{of:?} is not compared here; there are: {}", candidates.join(", "))));
        }
        let figure = Figure::all().into_iter().find(|f| f.name() == name).ok_or_else(|| {
            let names: Vec<String> = Figure::all().into_iter().map(Figure::name).collect();
            wrong(format!("there is no figure {name:?}; there are: {}", names.join(", ")))
        })?;
        Ok(Self { text: text.to_owned(), of: of.map(str::to_owned), figure, operator, bound })
    }

    /// Who does not reach it, and what they reach: `trial: cer<=0.08 (is 0.1023)`.
    pub(super) fn failures(&self, reports: &[Report]) -> Vec<String> {
        let asked = reports.iter().filter(|r| self.of.as_ref().is_none_or(|of| *of == r.pipeline));
        let failure = |r: &Report| {
            let value = self.figure.of(r);
            let told = value.map_or_else(|| "has no figure".to_owned(), |v| format!("is {v:.4}"));
            let text = self.text.rsplit_once(':').map_or(self.text.as_str(), |(_, t)| t);
            (!value.is_some_and(|v| self.holds(v))).then(|| format!("{}: {text} ({told})", r.pipeline))
        };
        asked.filter_map(failure).collect()
    }

    fn holds(&self, value: f64) -> bool {
        match self.operator {
            Operator::AtMost => value <= self.bound,
            Operator::AtLeast => value >= self.bound,
            Operator::Below => value < self.bound,
            Operator::Above => value > self.bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::MomentKind;

    fn parse(text: &str) -> Result<Requirement> {
        Requirement::parse(text, &["visit", "a:b"])
    }

    #[test]
    fn a_requirement_is_read() {
        let read = |text| {
            let r = parse(text).unwrap();
            (r.of, r.figure, r.operator, r.bound)
        };
        assert_eq!(read("cer<=0.08"), (None, Figure::Cer, Operator::AtMost, 0.08));
        assert_eq!(read(" moments.core >= 0.7 "), (None, Figure::Core, Operator::AtLeast, 0.7));
        assert_eq!(
            read("visit:realtime<1e-1"),
            (Some("visit".into()), Figure::Realtime, Operator::Below, 0.1)
        );
        assert_eq!(read("a:b:memory>0"), (Some("a:b".into()), Figure::Memory, Operator::Above, 0.0));
        let recall = Figure::Recall(MomentKind::NextStep);
        assert_eq!(read("moments.next_step.recall>=0.5").1, recall);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_what_there_is() {
        for (text, word) in [
            ("cer", "<="),
            ("", "<="),
            ("cer=0.1", "<="),
            ("cer<=", "no number"),
            ("cer<=8%", "no number"),
            ("cer<=nan", "no number"),
            ("wer<=0.1", "latency.p95"),
            ("<=0.1", "there are: cer"),
            ("trial:cer<=0.1", "there are: visit, a:b"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.code == Code::InvalidRequest && error.detail.contains(word), "{text}: {error}");
            assert_eq!(error.detail.lines().count(), 1);
        }
    }

    #[test]
    fn names_of_figures_are_different() {
        let mut names: Vec<String> = Figure::all().into_iter().map(Figure::name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|n| !n.contains(':')));
    }

    #[test]
    fn a_figure_that_is_not_there_does_not_reach_anything() {
        let report = Report::of("visit", Vec::new(), Some(120.0));
        let told = |text| parse(text).unwrap().failures(std::slice::from_ref(&report));
        assert_eq!(told("memory<=200"), [""; 0]);
        assert_eq!(told("visit:memory<=100"), ["visit: memory<=100 (is 120.0000)"]);
        assert_eq!(told("cer<=1"), ["visit: cer<=1 (has no figure)"]);
        assert_eq!(told("a:b:cer<=1"), [""; 0], "not asked of this one");
    }
}
