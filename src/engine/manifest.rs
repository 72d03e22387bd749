//! Model manifests: `models/*.toml` says what each model file is, where it comes from and how to check it.
//!
//! Those of this repository are built into the binary; manifests in the models directory add to them or
//! replace them by name. `fetch` makes the files, `installed` checks them, `load` opens them. A manifest names packages
//! and members, never the host they are served from: that is the machine's own setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::result::ModelRef;
use crate::error::{Code, Error, Result};

/// The manifests of this repository: file name and text.
const BUILT_IN: [(&str, &str); 7] = [
    ("moments.toml", include_str!("../../models/moments.toml")),
    ("onnxruntime-linux-aarch64.toml", include_str!("../../models/onnxruntime-linux-aarch64.toml")),
    ("onnxruntime-linux-x86_64.toml", include_str!("../../models/onnxruntime-linux-x86_64.toml")),
    ("silero-vad.toml", include_str!("../../models/silero-vad.toml")),
    ("ge2e-voice.toml", include_str!("../../models/ge2e-voice.toml")),
    ("whisper-base.toml", include_str!("../../models/whisper-base.toml")),
    ("whisper-base-q8_0.toml", include_str!("../../models/whisper-base-q8_0.toml")),
];

/// The manifest of the runtime library that every ONNX model needs.
pub const RUNTIME: &str = "onnxruntime";

/// What sort of file it is, hence which engine opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A Whisper model in whisper.cpp's own format, run by whisper.cpp.
    WhisperGgml,
    /// The same, run by ONNX Runtime.
    WhisperOnnx,
    /// Silero VAD as an ONNX graph.
    SileroVad,
    /// The GE2E voice encoder in torch's old format, run by ONNX Runtime.
    VoiceEncoder,
    /// The shared library that runs ONNX graphs.
    Onnxruntime,
    /// The moment classifier as an ONNX graph; its input is made as `models/moments/SPEC.md` says.
    MomentClassifier,
}

/// One model file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What pipelines and commands call it.
    pub name: String,
    /// What sort of file it is.
    pub kind: Kind,
    /// Version of the weights; goes into every result.
    pub version: String,
    /// SPDX licence of the weights.
    pub licence: String,
    /// Fetched only when named.
    #[serde(default)]
    pub optional: bool,
    /// `linux-x86_64`, ...: left out on other machines. Absent: any.
    pub platform: Option<String>,
    /// Path of the file inside the models directory.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: Sha256,
    /// Where its makers publish the same bytes.
    pub upstream: Option<String>,
    /// How it came to be, if it is our own.
    pub source: Option<String>,
    /// How the parts become the file. Absent: the file comes with its manifest.
    pub assemble: Option<Assemble>,
    /// What it is made of.
    #[serde(default, rename = "part")]
    pub parts: Vec<Part>,
    /// Inputs an ONNX graph must have.
    #[serde(default)]
    pub inputs: Vec<Tensor>,
    /// Outputs an ONNX graph must have.
    #[serde(default)]
    pub outputs: Vec<Tensor>,

    /// Of a classifier: the document that says how text becomes input.
    pub spec: Option<PathBuf>,
    /// Of a classifier: inputs and the outputs they must give.
    pub golden: Option<PathBuf>,
    /// Of a classifier: kinds in the order of its outputs.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Of a classifier: objection categories in the order of its outputs.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Of a classifier: intent levels in the order of its outputs.
    #[serde(default)]
    pub levels: Vec<String>,
    /// Of a classifier: the constants of its preprocessing.
    pub features: Option<Features>,
    /// Of a classifier: decision threshold by label.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f32>,
    /// What was measured of it; for readers.
    pub measured: Option<toml::Table>,

    /// Whether it is one of this repository's own.
    #[serde(skip)]
    pub built_in: bool,
}

/// How parts become the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Assemble {
    /// The one part is the file.
    Copy,
    /// Concatenated, the parts are a CTranslate2 Whisper model, which is rewritten for whisper.cpp.
    ConcatCt2ToGgml {
        /// How matrices are stored.
        dtype: WeightType,
    },
}

/// How matrices are stored in a ggml file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum WeightType {
    /// 16-bit floats.
    #[serde(rename = "f16")]
    F16,
    /// Blocks of 32 signed bytes with one 16-bit scale.
    #[serde(rename = "q8_0")]
    Q8_0,
}

/// A file inside a Python wheel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The package.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// How the wheel's file name ends, before `.whl`: its platform, with or without the Python tags.
    pub wheel: String,
    /// Path inside the wheel.
    pub member: String,
    /// Size of the member.
    pub bytes: u64,
    /// Hash of the member.
    pub sha256: Sha256,
    /// What it is for.
    #[serde(default)]
    pub role: Role,
}

/// What a part is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Goes into the file, after the parts of this role before it.
    #[default]
    Weights,
    /// The list of tokens.
    Vocabulary,
}

/// An input or output of an ONNX graph.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// Its name in the graph.
    pub name: String,
    /// Its element type.
    pub dtype: ElementType,
    /// Its dimensions.
    pub shape: Vec<Dim>,
    /// What it means; for readers.
    pub meaning: Option<String>,
}

/// Element types our graphs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum ElementType {
    Float32,
    Int64,
}

/// One dimension.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// This many.
    Fixed(u32),
    /// Any number; the name is for readers.
    Any(String),
}

/// The constants of the classifier's preprocessing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// The table of syllables, beside the manifest.
    pub pinyin: PathBuf,
    /// Its hash.
    pub pinyin_sha256: Sha256,
    /// The vocabulary of pieces, beside the manifest.
    pub tokenizer: PathBuf,
    /// Its hash.
    pub tokenizer_sha256: Sha256,
    /// Number of rows an n-gram is hashed into.
    pub table: u32,
    /// The salt of each row of n-grams: the utterance, the one before, the one before that.
    pub roles: Vec<char>,
    /// Characters of an utterance that n-grams are made of, counted from its end.
    pub max_chars: usize,
}

/// A SHA-256 as 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256(String);

impl TryFrom<String> for Sha256 {
    type Error = &'static str;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        let digits = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if digits { Ok(Self(hex)) } else { Err("a sha256 is 64 lower-case hex digits") }
    }
}

impl Sha256 {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Manifest {
    /// Where the file lies, given the models directory.
    pub fn path(&self, models_dir: &Path) -> PathBuf {
        models_dir.join(&self.file)
    }

    /// Whether its bytes are part of the binary.
    pub fn is_embedded(&self) -> bool {
        self.built_in && self.assemble.is_none()
    }

    /// What a result says about this model.
    pub fn model_ref(&self) -> ModelRef {
        ModelRef { version: self.version.clone(), sha256: self.sha256.0.clone() }
    }

    /// Whether it belongs on this machine.
    fn fits_here(&self) -> bool {
        let here = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        self.platform.as_ref().is_none_or(|platform| *platform == here)
    }

    fn parse(file: &str, text: &str, built_in: bool) -> Result<Self> {
        let wrong = |line: usize, message: &str| {
            let message = message.lines().next().unwrap_or("unreadable");
            Error::new(Code::InvalidManifest, format!("{file}, line {line}: {message}"))
        };
        let mut manifest: Self = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            wrong(before.matches('\n').count() + 1, e.message())
        })?;
        manifest.built_in = built_in;
        manifest.check().map_err(|(key, message)| {
            let line = text.lines().position(|l| l.starts_with(key)).map_or(1, |n| n + 1);
            wrong(line, message)
        })?;
        Ok(manifest)
    }

    /// What types cannot say; the error names the key at fault.
    fn check(&self) -> Result<(), (&'static str, &'static str)> {
        let inside = |path: &Path| path.components().all(|c| matches!(c, std::path::Component::Normal(_)));
        let of = |role| self.parts.iter().filter(move |p| p.role == role).count();
        if self.file.as_os_str().is_empty() || !inside(&self.file) {
            return Err(("file", "file must be a relative path without `..`"));
        }
        match self.assemble {
            Some(Assemble::Copy) if self.parts.len() != 1 => Err(("assemble", "copy takes exactly one part")),
            Some(Assemble::ConcatCt2ToGgml { .. }) if of(Role::Weights) == 0 || of(Role::Vocabulary) != 1 => {
                Err(("assemble", "concat-ct2-to-ggml takes weights and one vocabulary"))
            }
            None if !self.parts.is_empty() => Err(("name", "there are parts, but no `assemble`")),
            _ if self.kind == Kind::MomentClassifier && self.features.is_none() => {
                Err(("kind", "a moment-classifier needs [features]"))
            }
            _ => Ok(()),
        }
    }
}

/// All manifests that apply on this machine, by name.
#[derive(Debug, Clone)]
pub struct Manifests(BTreeMap<String, Manifest>);

impl Manifests {
    /// The built-in ones, then those of the models directory (`*.toml`), which replace built-in ones of the
    /// same name. Fails with [`Code::InvalidManifest`], naming file and line.
    pub fn read(models_dir: &Path) -> Result<Self> {
        let mut all = Self(BTreeMap::new());
        for (file, text) in BUILT_IN {
            all.add(Manifest::parse(&format!("models/{file}"), text, true)?);
        }
        // A models directory that is not there yet holds no manifests.
        let entries = std::fs::read_dir(models_dir).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for path in files {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(&path).map_err(|e| {
                Error::caused(Code::InvalidManifest, format!("cannot read the manifest {file}: {e}"), e)
            })?;
            all.add(Manifest::parse(&file, &text, false)?);
        }
        Ok(all)
    }

    fn add(&mut self, manifest: Manifest) {
        if manifest.fits_here() {
            self.0.insert(manifest.name.clone(), manifest);
        }
    }

    /// The manifest of that name.
    pub fn get(&self, name: &str) -> Result<&Manifest> {
        self.0.get(name).ok_or_else(|| {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::new(Code::InvalidManifest, format!("no model is called {name}; there are: {known}"))
        })
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Manifest> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../models/silero-vad.toml");

    fn refusal(text: &str) -> String {
        let error = Manifest::parse("x.toml", text, false).expect_err("refused");
        assert_eq!(error.code, Code::InvalidManifest);
        error.detail
    }

    #[test]
    fn built_in_manifests_are_sound() {
        for (file, text) in BUILT_IN {
            Manifest::parse(file, text, true).unwrap();
        }
        let all = Manifests::read(Path::new("/nowhere")).unwrap();
        assert_eq!(all.get("whisper-base").unwrap().bytes, 147_951_465);
        assert_eq!(all.iter().filter(|m| m.kind == Kind::Onnxruntime).count(), 1);
        assert!(all.get("whisper-huge").unwrap_err().detail.contains("whisper-base-q8_0"));
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        let line_of = |key: &str| GOOD.lines().position(|l| l.starts_with(key)).unwrap() + 1;
        let unknown = GOOD.replacen("licence =", "license =", 1);
        assert!(refusal(&unknown).starts_with(&format!("x.toml, line {}: unknown", line_of("licence"))));
        let hash = GOOD.replacen("sha256 = \"1a", "sha256 = \"1A", 1);
        assert!(refusal(&hash).contains(&format!("line {}: a sha256 is", line_of("sha256"))));
        let escape = GOOD.replacen("file = \"", "file = \"../", 1);
        assert!(refusal(&escape).contains(&format!("line {}: file must be", line_of("file"))));
        let parts = GOOD.replacen("how = \"copy\"", "how = \"concat-ct2-to-ggml\", dtype = \"f16\"", 1);
        assert!(refusal(&parts).contains(&format!("line {}: concat-ct2", line_of("assemble"))));
        assert!(refusal("name = ").contains("line 1"));
    }

    #[test]
    fn a_manifest_in_the_models_directory_replaces_the_built_in_one() {
        let dir = tempfile::tempdir().unwrap();
        let text = GOOD.replacen("version = \"6.2.3\"", "version = \"7\"", 1);
        std::fs::write(dir.path().join("vad.toml"), text).unwrap();
        let all = Manifests::read(dir.path()).unwrap();
        assert_eq!(all.get("silero-vad").unwrap().version, "7");
        assert!(!all.get("silero-vad").unwrap().built_in);
    }
}
