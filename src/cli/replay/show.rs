//! What a person sees while a visit is streamed: finals and moments as lines, the segment being spoken on one
//! line that is rewritten (on a terminal only).

use std::io::Write as _;

use console::{Style, Term, measure_text_width, style, truncate_str};

use serde::Deserialize as _;

use super::message::FromServer;
use crate::domain::moment::{
    IntentLevel, Moment, MomentKind, NextStepSlots, Owner, Period, QuoteSlots, SigningSlots, Slots, Unit,
};
use crate::domain::time::Millis;

/// Prints to stdout.
pub struct Show {
    term: Term,
    json: bool,
}

impl Show {
    /// Lines for a person, or with `json` the server's messages as they are.
    pub fn new(json: bool) -> Self {
        Self { term: Term::stdout(), json }
    }

    /// The server said this; `raw` is how.
    pub fn message(&self, raw: &str, message: &FromServer) {
        if self.json {
            return self.line(raw);
        }
        match message {
            FromServer::Partial { text, stable_chars, start_ms, .. } => {
                self.partial(*start_ms, text, *stable_chars);
            }
            FromServer::Final { text, start_ms, .. } => self.line(&format!("{}  {text}", clock(*start_ms))),
            FromServer::Corrected { text, start_ms } => {
                self.line(&format!("{}  {}", clock(*start_ms), style(format!("→ {text}")).dim()));
            }
            FromServer::Retracted { moment_id } => {
                self.line(&style(format!("        ◇ {moment_id} is none")).dim().to_string());
            }
            FromServer::Moment { moment } => match Moment::deserialize(moment) {
                Ok(moment) => self.line(&moment_line(&moment)),
                // Of a kind, or with slots, that this client does not know.
                Err(_) => self.line(&format!("        ◆ {}", moment["kind"].as_str().unwrap_or_default())),
            },
            FromServer::Gap { start_ms, end_ms, reason } => {
                let ms = end_ms.since(*start_ms).0;
                self.line(&format!(
                    "{}  {}",
                    clock(*start_ms),
                    style(format!("gap of {ms} ms: {reason}")).red()
                ));
            }
            FromServer::Degraded { level, reason } => {
                let reason = reason.as_deref().unwrap_or_default();
                self.line(&style(format!("        service level: {level} {reason}")).yellow().to_string());
            }
            _ => {}
        }
    }

    /// Something this side has to say.
    pub fn note(&self, text: &str) {
        if self.json {
            eprintln!("{text}");
        } else {
            self.line(&style(format!("        {text}")).yellow().to_string());
        }
    }

    /// A whole line, in place of the partial if there is one.
    fn line(&self, text: &str) {
        self.clear();
        // A closed pipe ends the program elsewhere; a line that cannot be shown is no reason to stop sending.
        let _ = writeln!(&self.term, "{text}");
    }

    fn partial(&self, start_ms: Millis, text: &str, stable_chars: usize) {
        if !self.term.is_term() {
            return;
        }
        let stable: String = text.chars().take(stable_chars).collect();
        let rest: String = text.chars().skip(stable_chars).collect();
        let line = format!("{}  {stable}{}", clock(start_ms), style(rest).dim());
        let columns = usize::from(self.term.size().1).saturating_sub(1);
        self.clear();
        let _ = write!(&self.term, "{}", truncate_str(&line, columns, "…"));
        let _ = self.term.flush();
    }

    fn clear(&self) {
        if self.term.is_term() {
            let _ = self.term.clear_line();
        }
    }
}

/// `m:ss`, right-aligned to six columns.
fn clock(at: Millis) -> String {
    let seconds = at.0 / 1000;
    style(format!("{:>6}", format!("{}:{:02}", seconds / 60, seconds % 60))).dim().to_string()
}

/// The colour of a kind, on the terminal.
pub fn colour(kind: MomentKind) -> Style {
    match kind {
        MomentKind::Quote => Style::new().cyan(),
        MomentKind::Objection => Style::new().red(),
        MomentKind::ObjectionHandling => Style::new().blue(),
        MomentKind::SigningIntent => Style::new().green(),
        MomentKind::NextStep => Style::new().magenta(),
    }
}

/// With the time of its segment: a moment is told after the next one.
fn moment_line(moment: &Moment) -> String {
    let at = clock(moment.start_ms);
    let kind = colour(moment.kind).bold().apply_to(format!("◆ {}", moment.kind.label_zh()));
    let slots = slots_zh(&moment.slots);
    if slots.is_empty() {
        return format!("{at}  {kind}");
    }
    let pad = " ".repeat(10_usize.saturating_sub(measure_text_width(moment.kind.label_zh())));
    format!("{at}  {kind}{pad}{}", colour(moment.kind).apply_to(slots))
}

/// The slots in the words a salesperson uses.
fn slots_zh(slots: &Slots) -> String {
    let parts = match slots {
        Slots::Quote(quote) => quote_zh(quote),
        Slots::Objection(objection) => vec![objection.category.label_zh().to_owned()],
        Slots::Signing(SigningSlots { level, condition, date }) => {
            let level = match level {
                IntentLevel::Strong => "明确",
                IntentLevel::Conditional => "有条件",
                IntentLevel::None => "",
            };
            vec![level.to_owned(), condition.clone().unwrap_or_default(), text_of(*date)]
        }
        Slots::NextStep(NextStepSlots { owner, action, date }) => {
            let owner = match owner {
                Some(Owner::Rep) => "我方",
                Some(Owner::Customer) => "客户",
                None => "",
            };
            vec![owner.to_owned(), action.clone().unwrap_or_default(), text_of(*date)]
        }
        Slots::None {} => Vec::new(),
    };
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn quote_zh(quote: &QuoteSlots) -> Vec<String> {
    let per = match (quote.unit, quote.period) {
        (Some(Unit::Seat), _) => "/账号",
        (Some(Unit::Device), _) => "/台",
        (Some(Unit::Box), _) => "/盒",
        (Some(Unit::Vehicle), _) => "/辆",
        (None, Some(Period::PerUnit)) => "/件",
        _ => "",
    };
    let every = match quote.period {
        Some(Period::Year) => "/年",
        Some(Period::Month) => "/月",
        _ => "",
    };
    let amount = quote.amount_cny.map(|amount| {
        let yuan = amount.to_f64();
        if yuan >= 10_000.0 { format!("{}万元", yuan / 10_000.0) } else { format!("{yuan}元") }
    });
    vec![
        amount.map(|amount| format!("{amount}{per}{every}")).unwrap_or_default(),
        quote.discount.map(|d| format!("{}折", (d * 1000.0).round() / 100.0)).unwrap_or_default(),
        quote.payment_terms.clone().unwrap_or_default(),
    ]
}

fn text_of(date: Option<jiff::civil::Date>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Yuan;

    #[test]
    fn a_quote_reads_as_it_is_said() {
        let quote = |yuan, period, unit, discount| {
            let amount_cny = Some(Yuan::whole(yuan));
            slots_zh(&Slots::Quote(QuoteSlots { amount_cny, period, unit, discount, payment_terms: None }))
        };
        assert_eq!(quote(285, Some(Period::PerUnit), Some(Unit::Box), None), "285元/盒");
        assert_eq!(quote(368_000, Some(Period::Year), None, Some(0.95)), "36.8万元/年 · 9.5折");
        assert_eq!(slots_zh(&Slots::None {}), "");
    }

    #[test]
    fn a_step_names_who_what_and_when() {
        let slots = Slots::NextStep(NextStepSlots {
            owner: Some(Owner::Rep),
            action: Some("送合同".into()),
            date: Some(jiff::civil::date(2026, 11, 25)),
        });
        assert_eq!(slots_zh(&slots), "我方 · 送合同 · 2026-11-25");
    }
}
