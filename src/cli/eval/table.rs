//! The report as tables, a column a candidate: `text` for the terminal; `html` draws the same ones.

use super::compare::{Difference, Finding};
use super::figures::Figure;
use super::report::{Measured, Report};

/// One table.
pub(super) struct Table {
    pub(super) title: String,
    /// Above the columns of values.
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<(String, Vec<String>)>,
}

/// Told of every visit and room.
const SHORT: [Figure; 4] = [Figure::Cer, Figure::Core, Figure::All, Figure::Realtime];

/// All tables: the whole set, differences, rooms, visits.
pub(super) fn tables(reports: &[Report], live: bool) -> Vec<Table> {
    let Some(first) = reports.first() else { return Vec::new() };
    let columns: Vec<String> = reports.iter().map(|r| r.pipeline.clone()).collect();
    let visits = first.visits.len();
    let plural = if visits == 1 { "" } else { "s" };
    let whole = Figure::all().into_iter().filter_map(|f| {
        let values: Vec<Option<f64>> = reports.iter().map(|r| f.of(r)).collect();
        let known = values.iter().flatten().any(|v| f != Figure::Failed || *v > 0.0);
        known.then(|| (label(f, live), values.into_iter().map(|v| show(f, v)).collect()))
    });
    let title = format!("{visits} visit{plural}");
    let mut tables = vec![Table { title, columns: columns.clone(), rows: whole.collect() }];
    if reports.len() > 1 {
        tables.push(differences(reports, &first.pipeline));
    }
    let rooms: Vec<(String, Vec<&Measured>)> = (0..first.conditions.len())
        .filter_map(|n| {
            let same: Vec<_> = reports.iter().filter_map(|r| r.conditions.get(n)).collect();
            let room = same.first()?;
            Some((
                format!("{} ({})", room.acoustics, room.visits),
                same.iter().map(|c| &c.measured).collect(),
            ))
        })
        .collect();
    let each: Vec<(String, Vec<&Measured>)> = (0..visits)
        .filter_map(|n| {
            let same: Vec<_> = reports.iter().filter_map(|r| r.visits.get(n)).collect();
            Some((same.first()?.id.clone(), same.iter().map(|v| &v.measured).collect()))
        })
        .collect();
    for (title, groups) in [("By room", rooms), ("By visit", each)] {
        if !groups.is_empty() {
            tables.push(Table { title: title.into(), columns: columns.clone(), rows: short(&groups, live) });
        }
    }
    tables
}

/// The tables as text, then what was found.
pub(super) fn text(reports: &[Report], live: bool) -> String {
    let mut out = String::new();
    for table in tables(reports, live) {
        let names = table.rows.iter().map(|(name, _)| width(name)).chain([width(&table.title)]).max();
        let names = names.unwrap_or_default();
        let values = |n: usize| {
            let below = table.rows.iter().filter_map(|(_, v)| v.get(n));
            below.chain(table.columns.get(n)).map(|v| width(v)).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..table.columns.len()).map(values).collect();
        let line = |name: &str, values: &[String]| {
            let mut line = format!("{name}{}", " ".repeat(names - width(name)));
            for (value, wide) in values.iter().zip(&widths) {
                line += &format!("  {}{value}", " ".repeat(wide.saturating_sub(width(value))));
            }
            line + "\n"
        };
        out += &line(&table.title, &table.columns);
        for (name, values) in &table.rows {
            out += &line(name, values);
        }
        out += "\n";
    }
    for verdict in reports.iter().filter_map(|r| r.versus.as_ref()) {
        out += &format!("{}\n", verdict.verdict);
    }
    out.trim_end().to_owned() + "\n"
}

/// The figures of each group of visits that anybody has.
fn short(groups: &[(String, Vec<&Measured>)], live: bool) -> Vec<(String, Vec<String>)> {
    let mut rows = Vec::new();
    for (name, measured) in groups {
        let figures = SHORT.into_iter().chain([Figure::P50, Figure::P95].into_iter().filter(|_| live));
        for figure in figures {
            let values: Vec<Option<f64>> = measured.iter().map(|m| figure.within(m)).collect();
            if values.iter().any(Option::is_some) {
                let shown = values.into_iter().map(|v| show(figure, v)).collect();
                rows.push((format!("{name}  {}", label(figure, live)), shown));
            }
        }
    }
    rows
}

fn differences(reports: &[Report], first: &str) -> Table {
    let later: Vec<_> = reports.iter().filter_map(|r| Some((r, r.versus.as_ref()?))).collect();
    let row = |name: &str, scale: f64, of: &dyn Fn(usize) -> Option<Difference>| {
        let show = |d: Difference| {
            let found = match d.is {
                Finding::Better => "better",
                Finding::Worse => "worse",
                Finding::NotShown => "not shown",
            };
            let digits = if scale == 1.0 { 3 } else { 2 };
            let number = |x: f64| format!("{:+.digits$}", x * scale);
            let interval = d.low.zip(d.high).map(|(l, h)| format!(" ({} to {})", number(l), number(h)));
            format!("{}{} {found}", number(d.difference), interval.unwrap_or_default())
        };
        let shown = |n| of(n).map_or_else(|| "-".to_owned(), show);
        (name.to_owned(), (0..later.len()).map(shown).collect::<Vec<_>>())
    };
    let rows = vec![
        row("CER, points", 100.0, &|n| later.get(n)?.1.cer),
        row("moments core F1", 1.0, &|n| later.get(n)?.1.core_f1),
        row("moments all F1", 1.0, &|n| later.get(n)?.1.all_f1),
    ];
    let rows = rows.into_iter().filter(|(_, values)| values.iter().any(|v| v != "-")).collect();
    let columns = later.iter().map(|(r, _)| r.pipeline.clone()).collect();
    Table { title: format!("Difference to {first} (95 %)"), columns, rows }
}

fn label(figure: Figure, live: bool) -> String {
    match figure {
        Figure::Cer => "CER".into(),
        Figure::Core => "moments core F1".into(),
        Figure::All => "moments all F1".into(),
        Figure::Realtime => "real-time factor".into(),
        Figure::P50 | Figure::P95 => {
            let percent = if figure == Figure::P50 { "p50" } else { "p95" };
            format!("{percent} wait for {}", if live { "a final" } else { "a result" })
        }
        Figure::Memory => "peak memory".into(),
        Figure::Failed => "failed visits".into(),
        Figure::F1(kind) => format!("{} F1", kind.as_str()),
        Figure::Precision(kind) => format!("{} precision", kind.as_str()),
        Figure::Recall(kind) => format!("{} recall", kind.as_str()),
        Figure::Slot(_)
        | Figure::Summary(_)
        | Figure::Categories
        | Figure::SpeakersTold
        | Figure::SpeakersRight => figure.name(),
    }
}

fn show(figure: Figure, value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| figure.show(v))
}

/// Columns on a terminal, where a Chinese character takes two.
fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_side_by_side() {
        let reports = ["visit", "试验"].map(|name| Report::of(name, Vec::new(), Some(1234.4)));
        let text = text(&reports, false);
        assert_eq!(text.lines().next(), Some("0 visits        visit      试验"), "{text}");
        assert_eq!(text.lines().nth(1), Some("peak memory  1234 MiB  1234 MiB"), "{text}");
    }
}
