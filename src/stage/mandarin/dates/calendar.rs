//! Turns what was said into dates, and chooses the day that a promise is for.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use super::{Day, DayOfMonth, Mention, Month, Year, mentions};
use crate::error::Error;
use crate::stage::mandarin::words::{ends_before, is_at};
use crate::stage::rules;

/// `pipelines/rules/calendar.toml`; its comments say what each part is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    turned_down_before: Vec<String>,
    turned_down_after: Vec<String>,
    festival: Vec<Festival>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Festival {
    names: Vec<String>,
    /// Year of the first entry of `first`; a festival without it is on one day every year.
    since: Option<i16>,
    first: Vec<(i8, i8)>,
    off: i64,
    /// People work on it, so 节后 alone does not mean it.
    #[serde(default)]
    worked: bool,
}

impl Festival {
    fn on(&self, year: i16) -> Option<Date> {
        let entry = match self.since {
            Some(since) => usize::try_from(year.checked_sub(since)?).ok()?,
            None => 0,
        };
        let (month, day) = self.first.get(entry)?;
        Date::new(year, *month, *day).ok()
    }
}

impl Calendar {
    /// Loads the festivals.
    pub fn load() -> Result<Self, Error> {
        rules::parse("calendar.toml", include_str!("../../../../pipelines/rules/calendar.toml"))
    }

    /// The festival whose name stands at `at`, and where the name ends; the longest name wins.
    pub(super) fn festival_at(&self, text: &[char], at: usize) -> Option<(usize, usize)> {
        let names =
            self.festival.iter().enumerate().flat_map(|(i, f)| f.names.iter().map(move |name| (i, name)));
        let here =
            names.filter(|(_, name)| is_at(text, at, name)).map(|(i, name)| (i, at + name.chars().count()));
        here.max_by_key(|(_, end)| *end)
    }

    pub(super) fn lunar_new_year(&self) -> Option<usize> {
        self.festival.iter().position(|f| f.names.iter().any(|name| name == "春节"))
    }

    /// The day that a text promises something for: the first day in it that is to come and not turned down.
    ///
    /// Today yields to another day (今天先这样，周五发您), since it is mostly no promise; a festival or a week
    /// yields to a day after it.
    pub fn promised(&self, text: &[char], on: Date) -> Option<(Mention, Date)> {
        let candidates = self.candidates(text, on);
        let to_come = || candidates.iter().filter(|(mention, _)| mention.day != Day::InDays(0));
        let first = to_come().next().or(candidates.first())?;
        // 国庆回来，十月十号: the day says which of the days after.
        let wide = matches!(first.0.day, Day::Festival { .. } | Day::Week(_));
        let exact = to_come().find(|(mention, date)| {
            matches!(mention.day, Day::InMonth { .. } | Day::Weekday { .. }) && *date >= first.1
        });
        exact.filter(|_| wide).or(Some(first)).copied()
    }

    /// All days in a text that are to come and not turned down, with their dates.
    pub fn candidates(&self, text: &[char], on: Date) -> Vec<(Mention, Date)> {
        let kept = mentions(text, self).into_iter().filter(|mention| !self.turned_down(text, mention));
        kept.filter_map(|mention| Some((mention, self.resolve(mention.day, on)?))).collect()
    }

    /// The words for the day that a text promises something for (周五 of 周五下午之前), without knowing today: the
    /// first that may mean `date`, else the first.
    pub fn spoken(&self, text: &[char], date: Option<Date>) -> Option<String> {
        let kept = mentions(text, self).into_iter().filter(|m| !self.turned_down(text, m));
        let days: Vec<Mention> = kept.filter(|m| !matches!(m.day, Day::Past | Day::Vague)).collect();
        let may_mean = |mention: &&Mention| match (mention.day, date) {
            (Day::Weekday { day, .. }, Some(date)) => date.weekday().to_monday_one_offset() == day,
            (Day::InMonth { day: DayOfMonth::Nth(day), .. }, Some(date)) => date.day() == day,
            _ => true,
        };
        let to_come = || days.iter().filter(|m| m.day != Day::InDays(0));
        let mention = to_come().find(may_mean).or_else(|| to_come().next()).or(days.first())?;
        Some(text.get(mention.start..mention.day_end)?.iter().collect())
    }

    fn turned_down(&self, text: &[char], mention: &Mention) -> bool {
        let after = text.get(mention.end..).unwrap_or_default();
        let clause = after.iter().take_while(|c| !"，。；！？,;!?".contains(**c)).count().min(8);
        let behind = (mention.end..mention.end + clause)
            .any(|at| self.turned_down_after.iter().any(|w| is_at(text, at, w)));
        behind || ends_before(text, mention.start, &self.turned_down_before)
    }

    /// The date of a spoken day, seen from `on`; none for what is past, vague or does not exist.
    pub fn resolve(&self, day: Day, on: Date) -> Option<Date> {
        match day {
            Day::InDays(days) => on.checked_add(days.days()).ok(),
            Day::InWorkdays(days) => workdays_after(on, days),
            Day::InMonths(months) => on.checked_add(months.months()).ok(),
            Day::Weekday { week: None, day } => {
                let ahead = i64::from(day) - i64::from(on.weekday().to_monday_one_offset());
                on.checked_add((if ahead > 0 { ahead } else { ahead + 7 }).days()).ok()
            }
            Day::Weekday { week: Some(week), day } => {
                monday(on, week)?.checked_add((i64::from(day) - 1).days()).ok()
            }
            // On a weekend 这周 has only Sunday left.
            Day::Week(week) => {
                let friday = monday(on, week)?.checked_add(4.days()).ok()?;
                if friday < on { monday(on, week)?.checked_add(6.days()).ok() } else { Some(friday) }
            }
            Day::InMonth { year, month, day } => in_month(year, month, day, on),
            Day::QuarterEnd(on_quarters) => {
                let months = on_quarters * 3 + i64::from(2 - (on.month() - 1) % 3);
                Some(on.first_of_month().checked_add(months.months()).ok()?.last_of_month())
            }
            Day::NamedQuarterEnd(quarter) => {
                in_month(None, Some(Month::Named(quarter * 3)), DayOfMonth::Last, on)
            }
            Day::Festival { festival, after } => self.around(festival, after, on),
            Day::FromFestival { festival, days } => (0..2).find_map(|ahead| {
                let first = self.festival.get(festival)?.on(on.year() + ahead)?;
                first.checked_add(days.days()).ok().filter(|date| *date >= on)
            }),
            Day::ThatDay | Day::Vague | Day::Past => None,
        }
    }

    /// The day before a festival, or the first working day after it.
    fn around(&self, festival: Option<usize>, after: bool, on: Date) -> Option<Date> {
        let wanted = |(i, f): &(usize, &Festival)| festival.map_or(!f.worked, |wanted| wanted == *i);
        let festivals = self.festival.iter().enumerate().filter(wanted);
        festivals
            .flat_map(|(_, f)| (0..2).filter_map(move |ahead| Some((f.on(on.year() + ahead)?, f.off))))
            .filter_map(|(first, off)| first.checked_add((if after { off } else { -1 }).days()).ok())
            .filter(|date| *date >= on)
            .min()
    }
}

fn monday(on: Date, weeks: i64) -> Option<Date> {
    let since = i64::from(on.weekday().to_monday_zero_offset());
    on.checked_add((weeks * 7 - since).days()).ok()
}

fn workdays_after(on: Date, days: i64) -> Option<Date> {
    let mut date = on;
    let mut left = days;
    while left > 0 {
        date = date.tomorrow().ok()?;
        left -= i64::from(!matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday));
    }
    Some(date)
}

/// A day of a month; what was not said is the nearest to come.
fn in_month(year: Option<Year>, month: Option<Month>, day: DayOfMonth, on: Date) -> Option<Date> {
    let of = |first: Date| match day {
        DayOfMonth::Nth(day) => Date::new(first.year(), first.month(), day).ok(),
        DayOfMonth::Last => Some(first.last_of_month()),
    };
    let this = on.first_of_month();
    let year_of = |year: Year| match year {
        Year::Relative(years) => i16::try_from(i64::from(on.year()) + years).ok(),
        Year::Named(year) => Some(year),
    };
    match (year, month) {
        (_, Some(Month::Relative(months))) => of(this.checked_add(months.months()).ok()?),
        (Some(year), Some(Month::Named(month))) => of(Date::new(year_of(year)?, month, 1).ok()?),
        (None, Some(Month::Named(month))) => (0..2)
            .find_map(|ahead| of(Date::new(on.year() + ahead, month, 1).ok()?).filter(|date| *date >= on)),
        // The next such day: 三十一号 may skip a month.
        (_, None) => (0..3)
            .find_map(|ahead: i64| of(this.checked_add(ahead.months()).ok()?).filter(|date| *date >= on)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_dates_holds() {
        let calendar = Calendar::load().unwrap();
        let mut wrong = Vec::new();
        let table = include_str!("../../../../tests/data/cases/dates.tsv");
        for line in table.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let mut cells = line.split('\t');
            let (on, text, wanted) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
            let chars: Vec<char> = text.chars().collect();
            let got =
                calendar.promised(&chars, on.parse().unwrap()).map_or("-".to_owned(), |(_, d)| d.to_string());
            if got != wanted {
                wrong.push(format!("{on} {text}: {got} instead of {wanted}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn any_text_is_read_without_panic(
            text in "[0-9一二三十两半个天周月年号日季度下上这本明后今国庆春节末底初前内过完:点./-]{0,20}|.{0,20}",
            year in 1990i16..2110, day in 1i16..=366,
        ) {
            let chars: Vec<char> = text.chars().collect();
            let on = Date::new(year, 1, 1).unwrap().saturating_add((i64::from(day) - 1).days());
            let calendar = Calendar::load().unwrap();
            for mention in mentions(&chars, &calendar) {
                prop_assert!(mention.start < mention.end && mention.end <= chars.len());
            }
            if let Some((_, date)) = calendar.promised(&chars, on) {
                prop_assert!(date.year() >= 1989);
            }
        }
    }
}
