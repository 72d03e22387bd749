//! Reads a pipeline file: which stages in which order, with which settings and models; every mistake is told
//! with its line.

use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::case::Case;
use super::{ModelNames, StageConfigs};
use crate::error::{Code, Error, Result};

/// The version of the file format that this code reads.
const FORMAT: u32 = 1;

/// What each stage eats and gives, in the only order that works today. A stage that is replaced keeps its
/// two words; a new stage brings a new line. `diarize` may be left out: it adds to speech whose it is.
const GRAPH: [(&str, &str, &str); 10] = [
    ("decode", "bytes", "pcm"),
    ("resample", "pcm", "samples"),
    ("vad", "samples", "speech"),
    ("diarize", "speech", "speech"),
    ("recognize", "speech", "words"),
    ("normalize", "words", "text"),
    ("mask", "text", "masked text"),
    ("classify", "masked text", "detections"),
    ("extract", "detections", "moments"),
    ("summarize", "moments", "summary"),
];

pub(super) struct Declared {
    pub(super) version: u32,
    pub(super) description: String,
    pub(super) stages: StageConfigs,
    pub(super) models: ModelNames,
    pub(super) cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    version: u32,
    description: String,
    stage: Vec<Spanned<toml::Value>>,
    #[serde(default)]
    case: Vec<Case>,
}

/// Reads and checks `text`; errors start with `file:line:`.
pub(super) fn parse(file: &str, text: &str) -> Result<Declared> {
    let at = Place { file, text };
    // A first reading for the outer shape, a second one that keeps the place of every key.
    let outer: File = toml::from_str(text).map_err(|e| at.toml(&e))?;
    if outer.format != FORMAT {
        let why = format!("format = {} is not known; this program reads format = {FORMAT}", outer.format);
        return Err(at.line_of("format", &why));
    }
    let document = DeTable::parse(text).map_err(|e| at.toml(&e))?.into_inner();
    let stages = document.get("stage").and_then(|v| v.get_ref().as_array()).into_iter().flatten();
    let mut declared = Declared {
        version: outer.version,
        description: outer.description,
        stages: StageConfigs::default(),
        models: ModelNames {
            vad: String::new(),
            voiceprints: None,
            recognizer: String::new(),
            moments: String::new(),
        },
        cases: outer.case,
    };
    let mut given = "bytes";
    for (n, stage) in stages.enumerate() {
        let place = outer.stage.get(n).map_or(stage.span(), Spanned::span);
        given = read_stage(&at, stage, place, given, &mut declared)?;
    }
    if given != "summary" {
        let next = GRAPH.iter().find(|g| g.1 == given && g.2 != given).map_or("?", |g| g.0);
        return Err(at.error(
            text.len().saturating_sub(1)..text.len(),
            &format!("the graph ends with {given}; the next stage must be {next:?}"),
        ));
    }
    Ok(declared)
}

fn read_stage<'g>(
    at: &Place<'_>,
    stage: &Spanned<DeValue<'_>>,
    place: Range<usize>,
    given: &'g str,
    declared: &mut Declared,
) -> Result<&'g str>
where
    'static: 'g,
{
    let wrong = |why: &str| at.error(place.clone(), why);
    let Some(table) = stage.get_ref().as_table() else {
        return Err(wrong("a stage must be a table: [[stage]]"));
    };
    let mut table = table.clone();
    let mut text_of = |key: &str| table.remove(key).and_then(|v| v.get_ref().as_str().map(str::to_owned));
    let name = text_of("use").ok_or_else(|| wrong("a stage needs `use = \"...\"`"))?;
    let model = text_of("model");
    let Some((_, eats, gives)) = GRAPH.iter().find(|g| g.0 == name) else {
        let known = GRAPH.map(|g| g.0).join(" ");
        return Err(wrong(&format!("there is no stage {name:?}; the stages are: {known}")));
    };
    if *eats != given {
        return Err(wrong(&format!("{name} eats {eats}, but what comes before gives {given}")));
    }
    let needs_model = matches!(name.as_str(), "vad" | "diarize" | "recognize" | "classify");
    match (needs_model, &model) {
        (true, None) => {
            return Err(wrong(&format!("{name} needs `model = \"...\"`: see `visitscribe models list`")));
        }
        (false, Some(_)) => return Err(wrong(&format!("{name} takes no model"))),
        _ => {}
    }
    let model = model.unwrap_or_default();
    let settings = Spanned::new(stage.span(), DeValue::Table(table));
    let s = &mut declared.stages;
    match name.as_str() {
        "decode" => s.decode = at.read(settings)?,
        "resample" => s.resample = at.read(settings)?,
        "diarize" if s.diarize.is_some() => return Err(wrong("diarize stands there already")),
        "diarize" => (s.diarize, declared.models.voiceprints) = (Some(at.read(settings)?), Some(model)),
        "vad" => (s.vad, declared.models.vad) = (at.read(settings)?, model),
        "recognize" => (s.recognize, declared.models.recognizer) = (at.read(settings)?, model),
        "normalize" => s.normalize = at.read(settings)?,
        "mask" => s.mask = at.read(settings)?,
        "classify" => (s.classify, declared.models.moments) = (at.read(settings)?, model),
        "extract" => s.extract = at.read(settings)?,
        _ => s.summarize = at.read(settings)?,
    }
    Ok(gives)
}

/// Turns places in the text into lines.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn read<T: DeserializeOwned>(&self, value: Spanned<DeValue<'_>>) -> Result<T> {
        T::deserialize(ValueDeserializer::from(value)).map_err(|e| self.toml(&e))
    }

    fn toml(&self, e: &toml::de::Error) -> Error {
        self.error(e.span().unwrap_or(0..0), e.message())
    }

    fn error(&self, span: Range<usize>, why: &str) -> Error {
        let line = 1 + self.text.bytes().take(span.start).filter(|b| *b == b'\n').count();
        let why = why.lines().collect::<Vec<_>>().join(" ");
        Error::new(Code::InvalidPipeline, format!("{}:{line}: {why}", self.file))
    }

    fn line_of(&self, key: &str, why: &str) -> Error {
        let start = self.text.find(key).unwrap_or(0);
        self.error(start..start, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../pipelines/visit.toml");

    fn error(text: &str) -> String {
        parse("p.toml", text).err().unwrap().detail
    }

    fn line(needle: &str) -> usize {
        1 + GOOD.lines().position(|l| l.starts_with(needle)).unwrap()
    }

    #[test]
    fn the_shipped_pipeline_is_right() {
        let declared = parse("pipelines/visit.toml", GOOD).unwrap();
        assert_eq!(declared.models.vad, "silero-vad");
        assert!(!declared.cases.is_empty());
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let wrong = GOOD.replace("min_silence_ms =", "min_silense_ms =");
        let message = error(&wrong);
        assert!(message.starts_with(&format!("p.toml:{}: ", line("min_silence_ms"))), "{message}");
        assert!(message.contains("min_silense_ms"), "{message}");

        let wrong = GOOD.replace("pad_ms = 200", "pad_ms = \"long\"");
        let message = error(&wrong);
        assert!(message.starts_with(&format!("p.toml:{}: ", line("pad_ms"))), "{message}");
    }

    #[test]
    fn a_wrong_graph_is_told_with_its_line() {
        let at = line("use = \"mask\"") - 1;
        let wrong = GOOD.replacen("use = \"mask\"", "use = \"extract\"", 1);
        let message = error(&wrong);
        assert!(message.starts_with(&format!("p.toml:{at}: extract eats detections")), "{message}");
        let message = error(&GOOD.replacen("use = \"vad\"", "use = \"vat\"", 1));
        assert!(message.contains("there is no stage \"vat\"; the stages are: decode resample"), "{message}");
        let message = error(GOOD.split("[[stage]]\nuse = \"summarize\"").next().unwrap());
        assert!(message.contains("the next stage must be \"summarize\""), "{message}");
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        assert!(error("format = 1\nversion = \n").starts_with("p.toml:2: "));
    }
}
