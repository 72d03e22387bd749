//! One file over HTTP, resumed where an earlier try stopped.
//!
//! What has arrived lies in `NAME.part` until its hash is right. A server that cannot resume starts over; a
//! resumed file whose hash is wrong is fetched once more from its beginning, as its first bytes may be from
//! another file.

use std::path::{Path, PathBuf};

use reqwest::{Client, StatusCode, Url, header};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::{FetchError, Progress, at_disk};
use crate::engine::installed;

/// Broken connections that are taken up again within one run.
const TRIES: u32 = 4;

/// Fetches `url` into `directory` as `name` and returns its path; what is already there and right is kept.
pub async fn download(
    client: &Client,
    url: &Url,
    (directory, name): (&Path, &str),
    sha256: Option<&str>,
    progress: &dyn Progress,
) -> Result<PathBuf, FetchError> {
    let done = directory.join(name);
    // Without a hash to check, only the members' hashes can tell; those are always checked.
    let right = |path: &Path| -> Result<bool, FetchError> {
        Ok(sha256.is_none() || Some(at_disk(path, installed::hash(path))?.as_str()) == sha256)
    };
    if done.exists() && right(&done)? {
        return Ok(done);
    }
    let part = directory.join(format!("{name}.part"));
    let resumed = part.exists();
    progress.start(name);
    until_complete(client, url, &part, progress).await?;
    if !right(&part)? && resumed {
        at_disk(&part, std::fs::remove_file(&part))?;
        until_complete(client, url, &part, progress).await?;
    }
    if !right(&part)? {
        at_disk(&part, std::fs::remove_file(&part))?;
        return Err(FetchError::WrongHash(name.to_owned()));
    }
    at_disk(&done, std::fs::rename(&part, &done))?;
    progress.finish(name);
    Ok(done)
}

async fn until_complete(
    client: &Client,
    url: &Url,
    part: &Path,
    progress: &dyn Progress,
) -> Result<(), FetchError> {
    for _ in 1..TRIES {
        match attempt(client, url, part, progress).await {
            Err(FetchError::Network(e)) if e.is_body() || e.is_timeout() || e.is_decode() => {
                tracing::debug!(error = %e.without_url(), "the connection broke; it is taken up again");
            }
            other => return other,
        }
    }
    attempt(client, url, part, progress).await
}

/// One request, from where the part ends.
async fn attempt(client: &Client, url: &Url, part: &Path, progress: &dyn Progress) -> Result<(), FetchError> {
    let options = OpenOptions::new().create(true).append(true).clone();
    let mut file: File = at_disk(part, options.open(part).await)?;
    let held = at_disk(part, file.metadata().await)?.len();
    let mut request = client.get(url.clone());
    if held > 0 {
        request = request.header(header::RANGE, format!("bytes={held}-"));
    }
    let response = request.send().await?;
    let resumes = response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(header::CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {held}-")));
    // Nothing lies after what is held: it is complete, or of another file, which its hash will tell.
    if response.status() == StatusCode::RANGE_NOT_SATISFIABLE && held > 0 {
        return Ok(());
    }
    let mut response = response.error_for_status()?;
    let before = if resumes { held } else { 0 };
    if !resumes {
        at_disk(part, file.set_len(0).await)?;
    }
    progress.at(before, response.content_length().map(|rest| before + rest));
    let mut received = before;
    while let Some(chunk) = response.chunk().await? {
        at_disk(part, file.write_all(&chunk).await)?;
        received += chunk.len() as u64;
        progress.at(received, None);
    }
    at_disk(part, file.flush().await)
}
