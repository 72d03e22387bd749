//! The figures by name: what a requirement asks for and a row shows.

use super::fields::{SLOTS, SUMMARY};
use super::report::{Measured, Report};
use crate::domain::moment::MomentKind;

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Cer,
    Core,
    All,
    F1(MomentKind),
    Precision(MomentKind),
    Recall(MomentKind),
    Slot(&'static str),
    Summary(&'static str),
    Categories,
    SpeakersTold,
    SpeakersRight,
    Realtime,
    P50,
    P95,
    Memory,
    Failed,
}

impl Figure {
    /// All of them, in the order of the table.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Self::Cer, Self::Core, Self::All];
        for kind in MomentKind::ALL {
            all.extend([Self::F1(kind), Self::Precision(kind), Self::Recall(kind)]);
        }
        all.extend(SLOTS.map(Self::Slot));
        all.extend(SUMMARY.map(Self::Summary));
        all.extend([
            Self::Categories,
            Self::SpeakersTold,
            Self::SpeakersRight,
            Self::Realtime,
            Self::P50,
            Self::P95,
            Self::Memory,
            Self::Failed,
        ]);
        all
    }

    /// What it is called in a requirement.
    pub(super) fn name(self) -> String {
        match self {
            Self::Cer => "cer".into(),
            Self::Core => "moments.core".into(),
            Self::All => "moments.all".into(),
            Self::F1(kind) => format!("moments.{}", kind.as_str()),
            Self::Precision(kind) => format!("moments.{}.precision", kind.as_str()),
            Self::Recall(kind) => format!("moments.{}.recall", kind.as_str()),
            Self::Slot(name) => format!("slots.{name}"),
            Self::Summary(name) => format!("summary.{name}"),
            Self::Categories => "summary.objection_categories".into(),
            Self::SpeakersTold => "speakers.told".into(),
            Self::SpeakersRight => "speakers.right".into(),
            Self::Realtime => "realtime".into(),
            Self::P50 => "latency.p50".into(),
            Self::P95 => "latency.p95".into(),
            Self::Memory => "memory".into(),
            Self::Failed => "failed".into(),
        }
    }

    /// Its value for a whole set; `None` where there is none.
    pub(super) fn of(self, report: &Report) -> Option<f64> {
        match self {
            Self::Memory => report.peak_memory_mib,
            Self::Failed => Some(report.failed as f64),
            figure => figure.within(&report.pooled),
        }
    }

    /// Its value for some of the visits.
    pub(super) fn within(self, measured: &Measured) -> Option<f64> {
        let score = &measured.score;
        match self {
            Self::Cer => (score.characters > 0).then_some(score.cer),
            Self::Core => score.core_f1,
            Self::All => score.all_f1,
            Self::F1(kind) => score.f1.get(&kind).copied(),
            Self::Precision(kind) => score.moments.get(&kind).and_then(|r| r.precision),
            Self::Recall(kind) => score.moments.get(&kind).and_then(|r| r.recall),
            Self::Slot(name) => score.slots.get(name).map(|s| s.accuracy),
            Self::Summary(name) => score.summary.get(name).map(|s| s.accuracy),
            Self::Categories => score.objection_categories_f1,
            Self::SpeakersTold => score.speakers.map(|s| s.told),
            Self::SpeakersRight => score.speakers.map(|s| s.right),
            Self::Realtime => measured.realtime,
            Self::P50 => measured.latency.map(|l| l.p50_s),
            Self::P95 => measured.latency.map(|l| l.p95_s),
            Self::Memory | Self::Failed => None,
        }
    }

    /// A value for people, with its unit.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Cer => format!("{:.2} %", value * 100.0),
            Self::P50 | Self::P95 => format!("{value:.2} s"),
            Self::Memory => format!("{value:.0} MiB"),
            Self::Failed => format!("{value:.0}"),
            _ => format!("{value:.3}"),
        }
    }
}
