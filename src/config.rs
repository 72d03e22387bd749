//! Configuration: the documented defaults, then a TOML file, then the environment.
//!
//! Read once at start by the commands and handed down as values; nothing else reads the environment. The
//! defaults file declares every key *and its type*: an overlay may replace a value and never invent a key,
//! so a misspelt one is refused by name instead of being ignored.

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use toml::{Table, Value};

use crate::error::{Code, Error, Result};

/// The defaults, which are also the documentation of every key.
pub const DEFAULTS: &str = include_str!("config.default.toml");

/// What environment variables for us begin with. Those without a `__` are not configuration.
const ENV_PREFIX: &str = "VISITSCRIBE_";

/// The whole configuration; `config.default.toml` tells what each key means.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Config {
    pub server: Server,
    pub data: Data,
    pub models: Models,
    pub database: Database,
    pub objects: Objects,
    pub webhook: Webhook,
    pub engine: Engine,
    pub pipeline: Pipeline,
    pub limits: Limits,
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Server {
    pub listen: String,
    pub timezone: String,
    pub drain_seconds: u64,
}

/// `[data]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Data {
    pub dir: PathBuf,
}

/// `[models]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Models {
    pub dir: PathBuf,
    pub index: String,
}

/// `[database]`
#[derive(Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Database {
    pub url: String,
}

/// A database address can hold a password, so it is never printed.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database(..)")
    }
}

/// `[objects]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Objects {
    pub url: String,
}

/// `[webhook]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Webhook {
    pub allow_networks: Vec<IpNet>,
}

/// `[engine]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Engine {
    pub workers: usize,
}

/// `[pipeline]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Pipeline {
    pub name: String,
    pub dir: PathBuf,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Limits {
    pub live_visits: usize,
    pub message_bytes: usize,
    pub live_bytes_per_second: u64,
    pub idle_seconds: u64,
    pub detached_seconds: u64,
    pub body_bytes: usize,
    pub stream_bytes: u64,
    pub request_seconds: u64,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Log {
    pub json: bool,
    pub level: String,
}

impl Config {
    /// Defaults, then `file` if given, then the process's environment.
    ///
    /// Fails with [`Code::InvalidConfig`], naming the key, where it stands, and an example of a good value.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        let text = match file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|e| {
                invalid(format!("cannot read the configuration file {}: {e}", path.display()))
            })?),
            None => None,
        };
        Self::from_parts(text.as_deref(), std::env::vars())
    }

    /// The same from given parts: the text of a file and environment variables. Tests start here.
    pub fn from_parts(file: Option<&str>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let defaults: Table = DEFAULTS.parse().map_err(|e| invalid(format!("config.default.toml: {e}")))?;
        let mut merged = defaults.clone();
        if let Some(text) = file {
            let table = text.parse::<Table>().map_err(|e| invalid(format!("the configuration file: {e}")))?;
            overlay_file(&mut merged, &defaults, table)?;
        }
        for (name, text) in env {
            let key = name.strip_prefix(ENV_PREFIX).and_then(|rest| rest.split_once("__"));
            if let Some((section, key)) = key {
                let (section, key) = (section.to_lowercase(), key.to_lowercase());
                let default = known(&defaults, &section, &key, &name)?;
                set(&mut merged, &section, &key, from_text(default, &text, &name)?);
            }
        }
        let config: Self = Value::Table(merged).try_into().map_err(|e| invalid(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// What types alone cannot tell.
    fn check(&self) -> Result<()> {
        if self.server.listen.parse::<std::net::SocketAddr>().is_err() {
            return Err(bad_value("server.listen", "an address and a port", "\"127.0.0.1:8080\""));
        }
        if jiff::tz::TimeZone::get(&self.server.timezone).is_err() {
            return Err(bad_value("server.timezone", "an IANA time zone", "\"Asia/Shanghai\""));
        }
        let url = &self.database.url;
        if !(url.is_empty() || ["sqlite:", "postgres:", "postgresql:"].iter().any(|s| url.starts_with(s))) {
            return Err(bad_value("database.url", "a sqlite: or postgres: address", "\"sqlite:/srv/vs.db\""));
        }
        if !(self.objects.url.is_empty() || self.objects.url.starts_with("file:")) {
            return Err(bad_value(
                "objects.url",
                "a file: address (other stores are not built in yet)",
                "\"file:/srv/visitscribe/audio\"",
            ));
        }
        let limits = &self.limits;
        for (key, value, least) in [
            ("limits.live_visits", limits.live_visits as u64, 1),
            ("limits.message_bytes", limits.message_bytes as u64, 1024),
            ("limits.live_bytes_per_second", limits.live_bytes_per_second, 32_000),
            ("limits.idle_seconds", limits.idle_seconds, 1),
            ("limits.body_bytes", limits.body_bytes as u64, 1024),
            ("limits.request_seconds", limits.request_seconds, 1),
        ] {
            if value < least {
                return Err(bad_value(key, "a larger number", &format!("{least} or more")));
            }
        }
        Ok(())
    }

    /// Where weights and the runtime library live: `models.dir`, else the user's cache directory.
    pub fn models_dir(&self) -> Result<PathBuf> {
        if !self.models.dir.as_os_str().is_empty() {
            return Ok(self.models.dir.clone());
        }
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .ok_or_else(|| {
                bad_value(
                    "models.dir",
                    "a folder, as neither XDG_CACHE_HOME nor HOME is set",
                    "\"/srv/models\"",
                )
            })?;
        Ok(cache.join("visitscribe").join("models"))
    }

    /// The folder with further pipeline files, if one is configured.
    pub fn pipeline_dir(&self) -> Option<&Path> {
        Some(self.pipeline.dir.as_path()).filter(|dir| !dir.as_os_str().is_empty())
    }

    /// The database's address: `database.url`, else SQLite in `data.dir`.
    pub fn database_url(&self) -> String {
        if self.database.url.is_empty() {
            format!("sqlite:{}", self.data.dir.join("visitscribe.db").display())
        } else {
            self.database.url.clone()
        }
    }

    /// Where stored audio lives: `objects.url`, else `audio` in `data.dir`.
    pub fn audio_dir(&self) -> PathBuf {
        let given = self.objects.url.strip_prefix("file:").unwrap_or_default();
        // `file:///srv/x` and `file:/srv/x` are the same place.
        let path = given.strip_prefix("//").unwrap_or(given);
        if path.is_empty() { self.data.dir.join("audio") } else { PathBuf::from(path) }
    }

    /// The time zone that relative dates are resolved in.
    pub fn timezone(&self) -> Result<jiff::tz::TimeZone> {
        jiff::tz::TimeZone::get(&self.server.timezone).map_err(Error::internal)
    }
}

fn overlay_file(merged: &mut Table, defaults: &Table, file: Table) -> Result<()> {
    for (section, keys) in file {
        let Value::Table(keys) = keys else {
            return Err(invalid(format!(
                "`{section}` stands outside a section; write it under one of {}",
                sections(defaults)
            )));
        };
        for (key, value) in keys {
            let name = format!("{section}.{key}");
            let default = known(defaults, &section, &key, &name)?;
            if !default.same_type(&value) {
                return Err(bad_value(&name, type_name(default), &example(default)));
            }
            set(merged, &section, &key, value);
        }
    }
    Ok(())
}

fn known<'a>(defaults: &'a Table, section: &str, key: &str, name: &str) -> Result<&'a Value> {
    let Some(Value::Table(keys)) = defaults.get(section) else {
        return Err(invalid(format!(
            "{name}: there is no section `{section}`; there are {}",
            sections(defaults)
        )));
    };
    keys.get(key).ok_or_else(|| {
        let there_are = keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        invalid(format!("{name}: there is no key `{key}` in [{section}]; there are {there_are}"))
    })
}

fn set(merged: &mut Table, section: &str, key: &str, value: Value) {
    if let Some(Value::Table(keys)) = merged.get_mut(section) {
        keys.insert(key.to_owned(), value);
    }
}

/// Reads an environment variable as the type that the default has. Lists take commas or TOML's brackets.
fn from_text(default: &Value, text: &str, name: &str) -> Result<Value> {
    let text = text.trim();
    let parsed = match default {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) if text.starts_with('[') => format!("v = {text}")
            .parse::<Table>()
            .ok()
            .and_then(|mut t| t.remove("v"))
            .filter(Value::is_array),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => None,
    };
    parsed.ok_or_else(|| bad_value(name, type_name(default), &example(default)))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list",
        _ => "text",
    }
}

fn example(default: &Value) -> String {
    match default {
        Value::Array(_) => "[\"10.1.0.0/16\"]".to_owned(),
        Value::String(text) if text.is_empty() => "\"...\"".to_owned(),
        other => other.to_string(),
    }
}

fn sections(defaults: &Table) -> String {
    defaults.keys().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(" ")
}

fn bad_value(key: &str, expected: &str, example: &str) -> Error {
    invalid(format!("{key}: expected {expected}, for example {example}"))
}

fn invalid(detail: String) -> Error {
    Error::new(Code::InvalidConfig, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn refusal(file: Option<&str>, pairs: &[(&str, &str)]) -> String {
        let error = Config::from_parts(file, env(pairs)).expect_err("refused");
        assert_eq!(error.code, Code::InvalidConfig);
        error.detail
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file =
            "[server]\nlisten = \"127.0.0.1:1\"\n[data]\ndir = \"/srv/vs\"\n[limits]\nidle_seconds = 5\n";
        let vars = env(&[
            ("VISITSCRIBE_SERVER__LISTEN", "0.0.0.0:2"),
            ("VISITSCRIBE_WEBHOOK__ALLOW_NETWORKS", "127.0.0.0/8, 10.0.0.0/8"),
            ("VISITSCRIBE_LOG__JSON", "true"),
            ("VISITSCRIBE_KEY", "not ours: no section"),
            ("PATH", "/bin"),
        ]);
        let config = Config::from_parts(Some(file), vars).unwrap();
        assert_eq!(config.server.listen, "0.0.0.0:2");
        assert_eq!(config.database_url(), "sqlite:/srv/vs/visitscribe.db");
        assert_eq!(config.audio_dir(), PathBuf::from("/srv/vs/audio"));
        assert_eq!((config.limits.idle_seconds, config.limits.live_visits), (5, 256));
        assert_eq!(config.webhook.allow_networks.len(), 2);
        assert!(config.log.json);
    }

    #[test]
    fn a_list_may_be_written_as_toml() {
        let vars = env(&[("VISITSCRIBE_WEBHOOK__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]")]);
        assert_eq!(Config::from_parts(None, vars).unwrap().webhook.allow_networks.len(), 1);
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        assert!(refusal(Some("[server]\nlissen = \"x\""), &[]).contains("lissen"));
        assert!(refusal(Some("[sever]\nlisten = \"x\""), &[]).contains("sever"));
        assert!(refusal(Some("listen = \"x\""), &[]).contains("`listen` stands outside"));
        assert!(refusal(None, &[("VISITSCRIBE_SERVER__PORT", "1")]).contains("VISITSCRIBE_SERVER__PORT"));
    }

    #[test]
    fn bad_values_name_the_key_and_an_example() {
        for (file, vars, key, example) in [
            (Some("[limits]\nidle_seconds = \"x\""), &[][..], "limits.idle_seconds", "30"),
            (None, &[("VISITSCRIBE_ENGINE__WORKERS", "many")][..], "VISITSCRIBE_ENGINE__WORKERS", "0"),
            (None, &[("VISITSCRIBE_SERVER__LISTEN", "8080")][..], "server.listen", "127.0.0.1:8080"),
            (None, &[("VISITSCRIBE_SERVER__TIMEZONE", "Mars/Base")][..], "server.timezone", "Asia/Shanghai"),
            (None, &[("VISITSCRIBE_DATABASE__URL", "mysql://x")][..], "database.url", "sqlite:"),
            (None, &[("VISITSCRIBE_OBJECTS__URL", "s3://bucket")][..], "objects.url", "file:"),
            (Some("[limits]\nlive_visits = -1"), &[][..], "live_visits", ""),
            (None, &[("VISITSCRIBE_WEBHOOK__ALLOW_NETWORKS", "home")][..], "allow_networks", ""),
        ] {
            let detail = refusal(file, vars);
            assert!(detail.contains(key) && detail.contains(example), "{detail}");
        }
    }
}
