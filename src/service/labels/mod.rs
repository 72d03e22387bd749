//! Taking labels out for training: confirmed visits as the dialogues that `models/moments` is trained on.
//!
//! A file a visit, the same bytes each time. Only masked words leave, and only of visits whose consent stands;
//! every file is in the audit log before it is written.

mod corrected;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::domain::access::TenantId;
use crate::domain::hex::hex;
use crate::domain::ids::VisitId;
use crate::domain::transcript::Speaker;
use crate::error::{Code, Error, Result};
use crate::stage::mask::{Mask, MaskConfig};
use crate::store::{Labelled, Store};
use corrected::{Corrected, labelled};

/// What to take, and how.
pub struct Export<'a> {
    /// Whose visits.
    pub tenant: &'a TenantId,
    /// Those confirmed at this instant or later.
    pub since: Timestamp,
    /// The folder to write to; made if absent.
    pub out: &'a Path,
    /// Whether files that are there may be replaced. Those of visits that may not be taken any more are removed.
    pub overwrite: bool,
    /// Only counts what would be taken: nothing is written, not even to the audit log.
    pub dry_run: bool,
    /// What the visit's time is written in.
    pub timezone: TimeZone,
}

/// What was taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Names of the files, in order.
    pub files: Vec<String>,
    /// Labels that the model gave.
    pub labels: usize,
    /// How many of those a person corrected.
    pub by_hand: usize,
}

/// Writes the labels of all visits asked for. `InvalidRequest` if a file is there and may not be replaced: then
/// nothing was written.
pub async fn export(store: &Store, export: &Export<'_>) -> Result<Taken> {
    let visits = store.labelled_visits(export.tenant, export.since).await?;
    let names: BTreeSet<String> = visits.iter().map(file_name).collect();
    let there = names.iter().find(|name| export.out.join(name).exists());
    if let Some(name) = there.filter(|_| !export.overwrite) {
        let at = export.out.join(name);
        let detail = format!("{} is there already; give another --out, or --overwrite", at.display());
        return Err(Error::new(Code::InvalidRequest, detail));
    }
    let mask = Mask::new(&MaskConfig::default())?;
    if !export.dry_run {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(export.out);
        made.map_err(|e| unwritten(export.out, e))?;
        remove_withdrawn(store, export, &names).await?;
    }
    let mut taken = Taken::default();
    for id in visits {
        let Some(visit) = store.labelled(export.tenant, &id).await? else { continue };
        let corrected = Corrected::of(&visit.result, &visit.labels);
        let (given, by_hand) = (corrected.given, corrected.by_hand.len());
        let text = dialogue(export, &mask, &visit, &corrected);
        if !export.dry_run {
            let sha256 = hex(&Sha256::digest(&text));
            let detail = json!({"labels": given, "by_hand": by_hand, "sha256": sha256}).to_string();
            match store.record_export(export.tenant, &id, &detail).await {
                // The customer took the consent back a moment ago.
                Err(error) if matches!(error.code, Code::ConsentWithdrawn | Code::ConsentRequired) => {
                    continue;
                }
                recorded => recorded?,
            }
            write(&export.out.join(file_name(&id)), &text)?;
        }
        taken.files.push(file_name(&id));
        taken.labels += given;
        taken.by_hand += by_hand;
    }
    Ok(taken)
}

fn file_name(id: &VisitId) -> String {
    format!("{id}.tsv")
}

/// Removes what an earlier export wrote of this tenant's visits that may not be taken any more.
async fn remove_withdrawn(store: &Store, export: &Export<'_>, kept: &BTreeSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(export.out).map_err(|e| unwritten(export.out, e))? {
        let path = entry.map_err(|e| unwritten(export.out, e))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(id) = name.strip_suffix(".tsv").filter(|_| !kept.contains(name)) else { continue };
        match store.labelled(export.tenant, &VisitId(id.to_owned())).await {
            Ok(None) => std::fs::remove_file(&path).map_err(|e| unwritten(&path, e))?,
            Ok(Some(_)) => {}
            // No visit of this tenant: not ours to judge.
            Err(error) if error.code == Code::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A visit as `models/moments/dialogues.py` reads it: header lines, then speaker, labels and words. An unknown
/// speaker is an empty column, which that reader keeps out of what the model learns of speakers.
fn dialogue(export: &Export<'_>, mask: &Mask, visit: &Labelled, corrected: &Corrected) -> String {
    let segments = &visit.result.segments;
    let mut words: Vec<String> = segments.iter().map(|segment| one_line(&segment.raw_text)).collect();
    // They are masked already; this is by the rules of today.
    mask.run(&mut words);

    let mut body = String::new();
    let (mut lines, mut line_of) = (0, vec![0; segments.len()]);
    for (n, (segment, words)) in segments.iter().zip(&words).enumerate() {
        if words.is_empty() {
            continue;
        }
        lines += 1;
        if let Some(line) = line_of.get_mut(n) {
            *line = lines;
        }
        let speaker = match segment.speaker {
            Some(Speaker::Rep) => "rep",
            Some(Speaker::Customer) => "customer1",
            None => "",
        };
        let labels = corrected.labels.get(&n).into_iter().flatten();
        let labels = labels.map(|(kind, detail)| labelled(*kind, detail)).collect::<Vec<_>>().join(",");
        let labels = if labels.is_empty() { "-" } else { &labels };
        let _ = writeln!(body, "{speaker}\t{labels}\t{words}");
    }

    let mut head = String::new();
    let mut say = |key: &str, value: String| {
        let _ = writeln!(head, "# {key}: {value}");
    };
    say("industry", format!("tenant {}", export.tenant));
    let at = visit.visit.scheduled_at.or(visit.visit.started_at).unwrap_or(visit.visit.created_at);
    let at = at.to_zoned_datetime(export.timezone.clone());
    say("visit_at", at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    say("visit", visit.visit.id.to_string());
    let models = visit.result.models.iter().map(|(name, model)| format!("{name} {}", model.version));
    say("models", models.collect::<Vec<_>>().join(", "));
    say(
        "labels",
        "the model's, as the person who confirmed the card saw them; by_hand are that person's".into(),
    );
    let changes = corrected.by_hand.iter().map(|(n, model, person)| {
        let line = line_of.get(*n).copied().unwrap_or_default();
        let person = person.as_deref().map_or("dismissed".to_owned(), |person| format!("-> {person}"));
        format!("; line {line} {model} {person}")
    });
    let (by_hand, given) = (corrected.by_hand.len(), corrected.given);
    say("by_hand", format!("{by_hand} of {given}{}", changes.collect::<String>()));
    if !corrected.not_placed.is_empty() {
        say("not_placed", corrected.not_placed.join(" "));
    }
    head + &body
}

/// The words without anything that could end their line or column.
fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.chars().map(plain).collect::<String>().trim().to_owned()
}

/// Writes a file that only its owner reads; one that was there is replaced at once or not at all.
fn write(path: &Path, text: &str) -> Result<()> {
    let half = path.with_extension("tsv.part");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&half);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&half, path))
        .map_err(|e| unwritten(path, e))
}

fn unwritten(path: &Path, e: std::io::Error) -> Error {
    Error::caused(Code::StorageUnavailable, format!("cannot write {}: {e}", path.display()), e)
}

#[cfg(test)]
mod tests;
