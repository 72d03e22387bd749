//! Choosing the classifier while the service runs: what is chosen is kept in the database, and every service on
//! it looks there and follows.
//!
//! It is the operator's to choose, at the command line: one classifier judges for all tenants, so no tenant's key
//! may exchange it. A choice that a service cannot load is refused in the database too, with the reason; the
//! choice before it counts again, there and after a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::hearing::Hearing;
use crate::error::{Code, Error, Result};
use crate::store::{Choice, Settled, Store};

/// How often a service looks for a new choice.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the chooser looks whether a service took it.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What an operator may want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// This classifier judges.
    Switch(String),
    /// The one that judged before judges again.
    Rollback,
    /// This one judges beside it, or none does.
    Shadow(Option<String>),
}

/// What comes of a wish: the names that judge from then on. `own` is the classifier that the pipeline names; it
/// judges while nothing else was chosen. `InvalidRequest` if nothing would change.
pub async fn next(store: &Store, own: &str, wish: &Wish) -> Result<Choice> {
    let now = store.classifier_choice().await?;
    let refuse = |why: String| Err(Error::new(Code::InvalidRequest, why));
    let judging = now.active.as_deref().unwrap_or(own);
    let mut choice = now.clone();
    match wish {
        Wish::Switch(name) if name == judging => return refuse(format!("{name} is active already")),
        Wish::Switch(name) => choice.active = Some(name.clone()).filter(|name| name != own),
        Wish::Rollback => match store.classifier_before(&now).await? {
            Some(before) => choice.active = before,
            None => return refuse("there is no classifier to go back to: none was switched".to_owned()),
        },
        Wish::Shadow(Some(name)) if name == judging => {
            return refuse(format!("{name} is active; a shadow is another classifier"));
        }
        Wish::Shadow(name) => choice.shadow = name.clone(),
    }
    let judging = choice.active.as_deref().unwrap_or(own).to_owned();
    choice.shadow = choice.shadow.filter(|shadow| *shadow != judging);
    if (&choice.active, &choice.shadow) == (&now.active, &now.shadow) {
        return refuse("that is so already".to_owned());
    }
    Ok(choice)
}

/// Waits until a service has taken a choice, at most so long. False if none has: it will when one starts. The
/// error of a service that could not.
pub async fn taken(store: &Store, choice: &Choice, patience: Duration) -> Result<bool> {
    let until = tokio::time::Instant::now() + patience;
    loop {
        match store.classifier_settled(choice).await? {
            Settled::Taken => return Ok(true),
            Settled::Refused(why) => {
                let detail = format!("the service could not take it, and goes on as before: {why}");
                return Err(Error::new(Code::EngineFailed, detail));
            }
            Settled::Waiting if tokio::time::Instant::now() >= until => return Ok(false),
            Settled::Waiting => tokio::time::sleep(ASK_EVERY).await,
        }
    }
}

/// Takes what was chosen before the service started. A choice that cannot be loaded any more keeps nobody from
/// working: the pipeline's own classifier judges, and the log says why.
pub(super) async fn take_first(store: &Store, hearing: &Arc<Hearing>) -> Result<Choice> {
    let choice = store.classifier_choice().await?;
    match take(hearing, &choice).await {
        Ok(()) => store.settle_classifier(&choice, None).await?,
        Err(error) => tell(&error, "the chosen classifier was not taken; the pipeline's own judges"),
    }
    Ok(choice)
}

/// Follows what is chosen until the service goes down.
pub(super) async fn follow(
    store: Store,
    hearing: Arc<Hearing>,
    mut seen: Choice,
    closing: CancellationToken,
) {
    while closing.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        // A database that is away is told by whoever needs it more.
        let Ok(choice) = store.classifier_choice().await else { continue };
        if choice.seq == seen.seq {
            continue;
        }
        let refused = take(&hearing, &choice).await.err();
        if let Some(error) = &refused {
            tell(error, "a chosen classifier was not taken; nothing has changed");
        }
        if let Err(error) =
            store.settle_classifier(&choice, refused.as_ref().map(|e| e.detail.as_str())).await
        {
            tell(&error, "what became of a chosen classifier was not recorded");
        }
        let now = hearing.now();
        tracing::info!(active = now.classifier, shadow = now.shadow_name(), "the classifier was chosen");
        seen = choice;
    }
}

async fn take(hearing: &Arc<Hearing>, choice: &Choice) -> Result<()> {
    let (hearing, choice) = (hearing.clone(), choice.clone());
    tokio::task::spawn_blocking(move || hearing.take(&choice)).await.map_err(Error::internal)?
}

fn tell(error: &Error, what: &str) {
    tracing::error!(code = error.code.as_str(), cause = ?error.source, detail = error.detail, "{what}");
}

#[cfg(test)]
mod tests;
