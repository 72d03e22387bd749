//! The headline: outcome and next step in at most twenty characters, in words that were said.

use super::{Field, Intent};
use crate::domain::moment::{IntentLevel, Moment, NextStepSlots, ObjectionCategory, QuoteSlots, Slots};
use crate::domain::summary::Stage;
use crate::stage::mandarin::dates::Calendar;

use super::card::short_price;

/// Longest headline, in characters.
pub const LONGEST: usize = 20;
/// Fewest characters of an action that still say something.
const SHORTEST_ACTION: usize = 3;

/// Outcome, comma, day and action; what does not fit is left out, never cut inside a word of figures.
pub fn write(
    calendar: &Calendar,
    stage: &Field<Stage>,
    quote: &Option<QuoteSlots>,
    intent: &Field<Intent<'_>>,
    moments: &[Moment],
    step: Option<(&Moment, &NextStepSlots)>,
) -> String {
    let spoken = |moment: &Moment| {
        let chars: Vec<char> = moment.evidence.chars().collect();
        calendar.spoken(&chars).filter(|day| day.chars().count() <= 7)
    };
    let outcome =
        outcome(stage.value, quote.as_ref().and_then(short_price), intent, because(stage, moments), spoken);
    let Some((moment, slots)) = step else { return outcome };
    let day = slots.date.and_then(|_| spoken(moment)).unwrap_or_default();
    let room = LONGEST.saturating_sub(outcome.chars().count() + 1 + day.chars().count());
    let action = slots.action.as_deref().and_then(|action| fitted(action, room));
    match (action, day.is_empty()) {
        (Some(action), _) => format!("{outcome}，{day}{action}"),
        (None, false) if room > 2 => format!("{outcome}，{day}跟进"),
        _ => outcome,
    }
}

fn outcome(
    stage: Stage,
    price: Option<String>,
    intent: &Field<Intent<'_>>,
    because: Option<ObjectionCategory>,
    spoken: impl Fn(&Moment) -> Option<String>,
) -> String {
    let price = price.filter(|price| price.chars().count() <= 9).unwrap_or_default();
    let because = because.map(|category| format!("（{}）", category.label_zh())).unwrap_or_default();
    match stage {
        Stage::Signed if price.is_empty() => "同意签约".to_owned(),
        Stage::Signed => format!("{price}签约"),
        Stage::Negotiating if intent.value.summary.level == IntentLevel::None => {
            if price.is_empty() {
                "条件在谈".to_owned()
            } else {
                format!("{price}在谈")
            }
        }
        Stage::Negotiating => {
            let day = intent.value.summary.date.and(intent.value.moment).and_then(spoken);
            match day {
                Some(day) => format!("{price}{day}可签"),
                None => format!("{price}有条件可签"),
            }
        }
        Stage::Quoted if price.is_empty() => "已报价".to_owned(),
        Stage::Quoted => format!("已报{price}"),
        Stage::OnHold => format!("暂搁置{because}"),
        Stage::Lost => format!("已流失{because}"),
        Stage::NeedConfirmed => format!("有需求{because}"),
        Stage::FirstContact => "初步接触".to_owned(),
    }
}

/// What the last objection that decided the stage is about.
fn because(stage: &Field<Stage>, moments: &[Moment]) -> Option<ObjectionCategory> {
    moments.iter().rev().filter(|m| stage.evidence.contains(&m.id)).find_map(|m| match &m.slots {
        Slots::Objection(slots) => Some(slots.category),
        _ => None,
    })
}

/// The action, or its last clause, or its beginning, within `room` characters.
fn fitted(action: &str, room: usize) -> Option<String> {
    if room < SHORTEST_ACTION {
        return None;
    }
    let last = action.rsplit('，').next().unwrap_or(action);
    let whole = [action, last].into_iter().find(|words| words.chars().count() <= room);
    // A figure cut in half would be another figure.
    let cut = || {
        let cut: String = last.chars().take(room).collect();
        let next = last.chars().nth(room);
        let in_figure = next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
            && cut.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let open = cut.contains('[') && !cut.contains(']');
        (!in_figure && !open).then_some(cut)
    };
    whole.map(str::to_owned).or_else(cut)
}
