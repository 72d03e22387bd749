//! Rules and lexicons that are data: `pipelines/rules/*.toml`, embedded so that the binary stands alone.
//!
//! Each stage names its own file and shape; unknown fields are refused, so a slip in a file cannot pass.

use regex::Regex;
use serde::de::DeserializeOwned;

use crate::error::{Code, Error};

/// Reads an embedded rule file; `name` is for the message only.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Error> {
    toml::from_str(text)
        .map_err(|e| Error::caused(Code::InvalidConfig, format!("the rules in {name} cannot be read"), e))
}

/// The regular expressions of a list in an embedded rule file; `name` is for the message only.
pub fn patterns(name: &str, list: &[String]) -> Result<Vec<Regex>, Error> {
    let unreadable = |e| Error::caused(Code::InvalidConfig, format!("a pattern in {name} cannot be read"), e);
    list.iter().map(|pattern| Regex::new(pattern).map_err(unreadable)).collect()
}
