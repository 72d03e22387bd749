//! The report as one page: the tables, and the worst utterances to listen to.
//!
//! It holds its own style and no script. The sound stays where it is: the page plays stretches of the visits'
//! files by their path from the page's own folder, so the two must be moved together.

use std::path::{Component, Path, PathBuf};

use super::report::Report;
use super::set::{Labelled, Utterance};
use super::table;

/// Utterances that are shown.
const WORST: usize = 40;

/// Sound before and after an utterance, seconds.
const AROUND_S: f64 = 0.3;

/// An utterance and the most edits that a candidate needs on it.
struct Worst<'a> {
    visit: &'a Labelled,
    utterance: &'a Utterance,
    /// Its place in its visit.
    at: usize,
    /// The visit's place in the set.
    n: usize,
    edits: usize,
}

/// The page. `folder` is where it will lie, as an absolute path.
pub(super) fn page(reports: &[Report], set: &[Labelled], folder: &Path, live: bool) -> String {
    let names: Vec<&str> = reports.iter().map(|r| r.pipeline.as_str()).collect();
    let title = escape(&format!("visitscribe eval: {}", names.join(", ")));
    let mut body = format!("<h1>{title}</h1>\n");
    for versus in reports.iter().filter_map(|r| r.versus.as_ref()) {
        body += &format!("<p class=\"verdict\">{}</p>\n", escape(&versus.verdict));
    }
    for report in reports {
        for visit in &report.visits {
            if let Some(why) = &visit.failed {
                let told =
                    format!("{}: {} failed and counts as nothing heard: {why}", report.pipeline, visit.id);
                body += &format!("<p class=\"failed\">{}</p>\n", escape(&told));
            }
        }
    }
    for table in table::tables(reports, live) {
        body += &drawn(&table);
    }
    let worst = worst(reports, set);
    if !worst.is_empty() {
        body +=
            "<h2>Worst utterances</h2>\n<p class=\"soft\">By edits of the candidate that needs most.</p>\n";
    }
    for w in &worst {
        body += &article(w, reports, folder);
    }
    let style = include_str!("report.css");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn drawn(table: &table::Table) -> String {
    let cells =
        |values: &[String]| -> String { values.iter().map(|v| format!("<td>{}</td>", escape(v))).collect() };
    let heads: String =
        table.columns.iter().map(|c| format!("<th scope=\"col\">{}</th>", escape(c))).collect();
    let row = |(name, values): &(String, Vec<String>)| {
        format!("<tr><th scope=\"row\">{}</th>{}</tr>\n", escape(name), cells(values))
    };
    let rows: String = table.rows.iter().map(row).collect();
    format!(
        "<h2>{}</h2>\n<div class=\"table\"><table>\n<thead><tr><th></th>{heads}</tr></thead>\n<tbody>\n{rows}\
         </tbody></table></div>\n",
        escape(&table.title)
    )
}

/// The utterances with the most edits, those of the same number in the order of the set.
fn worst<'a>(reports: &[Report], set: &'a [Labelled]) -> Vec<Worst<'a>> {
    let mut all = Vec::new();
    for (n, visit) in set.iter().enumerate() {
        for (at, utterance) in visit.utterances.iter().enumerate() {
            let heard = reports.iter().filter_map(|r| r.visits.get(n)?.utterances.get(at));
            let edits = heard.map(|h| h.edits).max().unwrap_or_default();
            if edits > 0 {
                all.push(Worst { visit, utterance, at, n, edits });
            }
        }
    }
    all.sort_by_key(|w| std::cmp::Reverse(w.edits));
    all.truncate(WORST);
    all
}

fn article(worst: &Worst<'_>, reports: &[Report], folder: &Path) -> String {
    let span = worst.utterance.span();
    let place = span.map_or_else(String::new, |(start, end)| format!(", {start:.1} to {end:.1} s"));
    let room = worst.visit.acoustics.as_ref().map_or_else(String::new, |a| format!(" ({a})"));
    let head = format!("{}{room}, utterance {}{place}", worst.visit.id, worst.utterance.i);
    let mut out = format!("<article>\n<p class=\"soft\">{}</p>\n", escape(&head));
    if let Some(path) = worst.visit.audio.as_ref().and_then(|a| a.canonicalize().ok()) {
        let stretch = span.map_or_else(String::new, |(start, end)| {
            format!("#t={:.2},{:.2}", (start - AROUND_S).max(0.0), end + AROUND_S)
        });
        let address = address(&path, folder) + &stretch;
        out += &format!("<audio controls preload=\"none\" src=\"{}\"></audio>\n", escape(&address));
    }
    out += &format!("<dl>\n<dt>said</dt><dd>{}</dd>\n", escape(&worst.utterance.text));
    for report in reports {
        let Some(heard) = report.visits.get(worst.n).and_then(|v| v.utterances.get(worst.at)) else {
            continue;
        };
        let name = format!("{} ({})", report.pipeline, heard.edits);
        let text = if heard.text.is_empty() { "-" } else { &heard.text };
        out += &format!("<dt>{}</dt><dd>{}</dd>\n", escape(&name), escape(text));
    }
    out + "</dl>\n</article>\n"
}

/// The address of a file from a folder, both absolute.
fn address(path: &Path, folder: &Path) -> String {
    let shared = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let relative: PathBuf = up.chain(path.components().skip(shared)).collect();
    let encode = |b: &u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(*b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    relative.as_os_str().as_encoded_bytes().iter().map(encode).collect()
}

/// Text as it may stand in an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::{Heard, VisitReport};
    use super::super::score::Tally;
    use super::*;

    #[test]
    fn addresses_lead_from_the_page_to_the_sound() {
        let address = |path: &str, folder: &str| address(Path::new(path), Path::new(folder));
        assert_eq!(address("/data/set/a.ogg", "/data"), "set/a.ogg");
        assert_eq!(address("/data/set/a.ogg", "/home/me/out"), "../../../data/set/a.ogg");
        assert_eq!(address("/data/a.ogg", "/data"), "a.ogg");
        assert_eq!(address("/data/拜访 #1?\".ogg", "/data"), "%E6%8B%9C%E8%AE%BF%20%231%3F%22.ogg");
    }

    #[test]
    fn nothing_that_was_said_or_named_is_markup() {
        let evil = "<script>alert('x')</script>&\"";
        let set: Labelled = serde_json::from_value(serde_json::json!({
            "id": evil, "visit_at": "2026-11-23T10:00:00+08:00", "acoustics": evil,
            "utterances": [{"i": 0, "text": evil}, {"i": 1, "text": "好"}]
        }))
        .unwrap();
        let heard = |edits| Heard { edits, text: evil.to_owned() };
        let failed = Some(evil.to_owned());
        let visit =
            VisitReport::new(&set, Tally::default(), None, Vec::new(), failed, vec![heard(7), heard(0)]);
        let page = page(&[Report::of(evil, vec![visit], None)], &[set], Path::new("/"), false);
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
        assert_eq!(page.matches("<article>").count(), 1, "what was heard right is not shown");
        assert!(!page.contains("<audio"), "there is no sound");
    }
}
