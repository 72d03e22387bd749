//! Rules and lexicons that are data: `pipelines/rules/*.toml`, embedded so that the binary stands alone.
//!
//! Each stage names its own file and shape; unknown fields are refused, so a slip in a file cannot pass.

use serde::de::DeserializeOwned;

use crate::error::{Code, Error};

/// Reads an embedded rule file; `name` is for the message only.
pub fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Error> {
    toml::from_str(text)
        .map_err(|e| Error::caused(Code::InvalidConfig, format!("the rules in {name} cannot be read"), e))
}
