//! Which pipelines there are: those built in, and those of a configured directory over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rust_embed::Embed;

use super::Pipeline;
use crate::error::{Code, Error, Result};

#[derive(Embed)]
#[folder = "pipelines/"]
struct BuiltIn;

/// The texts of all pipelines by name; each is parsed when it is asked for, so that a mistake in one does
/// not keep the others from running.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    files: BTreeMap<String, (String, String)>,
}

impl Catalog {
    /// The built-in pipelines, overridden by the `*.toml` files of `dir` if one is given.
    pub fn load(dir: Option<&Path>) -> Result<Self> {
        let mut files = BTreeMap::new();
        for file in BuiltIn::iter() {
            let Some(data) = BuiltIn::get(&file) else { continue };
            let text = String::from_utf8_lossy(&data.data).into_owned();
            // Folders below hold rules and lexicons.
            if let Some(name) = file.strip_suffix(".toml").filter(|n| !n.contains('/')) {
                files.insert(name.to_owned(), (format!("pipelines/{file}"), text));
            }
        }
        if let Some(dir) = dir {
            let unreadable = |e: std::io::Error| {
                Error::new(Code::InvalidConfig, format!("cannot read pipelines in {}: {e}", dir.display()))
            };
            for entry in std::fs::read_dir(dir).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.extension().is_some_and(|e| e == "toml")
                    && let Some(name) = path.file_stem().and_then(|s| s.to_str())
                {
                    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
                    files.insert(name.to_owned(), (path.display().to_string(), text));
                }
            }
        }
        Ok(Self { files })
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The file a pipeline comes from, for people.
    pub fn file(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(|(file, _)| file.as_str())
    }

    /// The text of a pipeline's file.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(|(_, text)| text.as_str())
    }

    /// The pipeline of that name, parsed and checked.
    pub fn get(&self, name: &str) -> Result<Arc<Pipeline>> {
        let (file, text) = self.files.get(name).ok_or_else(|| {
            let known = self.names().collect::<Vec<_>>().join(", ");
            Error::new(Code::UnknownPipeline, format!("there is no pipeline {name:?}; there are: {known}"))
        })?;
        Pipeline::parse(file, name, text).map(Arc::new)
    }
}
