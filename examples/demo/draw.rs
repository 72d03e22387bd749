//! How the demo looks on a terminal. Widths are counted in columns: a Chinese character takes two.

use console::{measure_text_width, pad_str, style};
use serde_json::Value;
use visitscribe::domain::card::{Card, CardField, REQUIRED_FIELDS};

/// Columns inside the card's frame.
const CARD_COLUMNS: usize = 58;
/// Columns that JSON may take.
const JSON_COLUMNS: usize = 110;
/// Below this a field is marked for a look.
const SURE: f32 = 0.6;

/// A heading.
pub fn chapter(title: &str) {
    println!("\n{}", style(title).bold().underlined());
}

/// A command as it would be typed.
pub fn command(line: &str) {
    println!("{} {line}", style("$").green());
}

/// A remark.
pub fn note(text: &str) {
    println!("  {}", style(text).dim());
}

/// An HTTP call and its answer.
pub fn call(method: &str, path: &str, status: u16, what: &str) {
    let status = if status < 400 { style(status).green() } else { style(status).red() };
    println!("{method:>4} {path}  {status}  {what}");
}

/// An event, as it came; what fits on a line stays on one.
pub fn json(value: &Value) {
    println!("  {}", folded(value, 2));
}

fn folded(value: &Value, indent: usize) -> String {
    let flat = value.to_string();
    let inner = " ".repeat(indent + 2);
    let members: Vec<String> = match value {
        _ if indent + measure_text_width(&flat) <= JSON_COLUMNS => return flat,
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{inner}{key:?}: {}", folded(value, indent + 2))).collect()
        }
        Value::Array(items) => {
            items.iter().map(|item| format!("{inner}{}", folded(item, indent + 2))).collect()
        }
        _ => return flat,
    };
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    format!("{open}\n{}\n{}{close}", members.join(",\n"), " ".repeat(indent))
}

/// Names and figures.
pub fn table(rows: &[(String, String)]) {
    let columns = rows.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or_default();
    for (name, figure) in rows {
        println!("  {}  {figure}", style(pad_str(name, columns, console::Alignment::Left, None)).dim());
    }
}

/// The card: headline, the three required fields, chips.
pub fn card(card: &Card) {
    let rule = "─".repeat(CARD_COLUMNS + 2);
    println!("  ╭{rule}╮");
    framed(&style(&card.headline).bold().to_string());
    println!("  ├{rule}┤");
    for (name, label) in REQUIRED_FIELDS.iter().zip(["客户阶段", "下一步", "预计日期"]) {
        framed(&field(label, card.fields.get(*name)));
    }
    println!("  ├{rule}┤");
    for line in chips(card) {
        framed(&line);
    }
    println!("  ╰{rule}╯");
}

fn field(label: &str, field: Option<&CardField>) -> String {
    let label = style(pad_str(label, 10, console::Alignment::Left, None).into_owned()).dim();
    let Some((value, field)) = field.and_then(|field| Some((field.value.as_str()?, field))) else {
        return format!("{label}{}", style("待填写").yellow());
    };
    let look =
        if field.confidence < SURE { style("  ? 请确认").yellow().to_string() } else { String::new() };
    format!("{label}{value}{look}")
}

/// As many chips on a line as fit.
fn chips(card: &Card) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for chip in &card.chips {
        let colour = visitscribe::cli::replay::colour(chip.kind);
        let text = format!("{} {}", colour.apply_to("◆"), chip.label);
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 2 + measure_text_width(&text) <= CARD_COLUMNS => {
                line.push_str("  ");
                line.push_str(&text);
            }
            _ => lines.push(text),
        }
    }
    lines
}

fn framed(line: &str) {
    let line = pad_str(line, CARD_COLUMNS, console::Alignment::Left, Some("…"));
    println!("  │ {line} │");
}
