//! Which classifier was chosen to judge. The one thing here that belongs to no tenant: a model is the service's.

use sqlx::any::AnyRow;

use super::Store;
use super::rows::{away, col};
use crate::error::Result;

/// A choice of classifiers, by their manifests' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Counts the choices from 1; 0 while there was none.
    pub seq: i64,
    /// The one that judges; none: the one that the pipeline names.
    pub active: Option<String>,
    /// The one that judges beside it without any effect.
    pub shadow: Option<String>,
}

/// What became of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// No service has looked at it.
    Waiting,
    /// A service judges by it.
    Taken,
    /// A service could not, and why; the choice before it counts.
    Refused(String),
}

impl Store {
    /// The choice that counts: the last one that was not refused.
    pub async fn classifier_choice(&self) -> Result<Choice> {
        let sql = "SELECT * FROM classifier_choices WHERE refused IS NULL ORDER BY seq DESC LIMIT 1";
        let row = sqlx::query(sql).fetch_optional(&self.reader).await.map_err(away)?;
        row.as_ref().map_or(Ok(Choice::default()), choice)
    }

    /// Keeps a choice; its own number is not read. Returns it with its number.
    pub async fn choose_classifier(&self, wanted: &Choice) -> Result<Choice> {
        let mut write = self.write().await?;
        let row = sqlx::query(
            "INSERT INTO classifier_choices (seq, active, shadow, chosen_ms) \
             SELECT COALESCE(MAX(seq), 0) + 1, $1, $2, $3 FROM classifier_choices RETURNING *",
        )
        .bind(wanted.active.as_deref())
        .bind(wanted.shadow.as_deref())
        .bind(write.now_ms())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(away)?;
        let chosen = choice(&row)?;
        write.commit().await?;
        Ok(chosen)
    }

    /// Which classifier judged before the one that judges by `now`: the pipeline's own as an inner `None`. `None`
    /// if there was no other.
    pub async fn classifier_before(&self, now: &Choice) -> Result<Option<Option<String>>> {
        let sql = "SELECT * FROM classifier_choices WHERE refused IS NULL ORDER BY seq DESC";
        let rows = sqlx::query(sql).fetch_all(&self.reader).await.map_err(away)?;
        for row in &rows {
            let earlier = choice(row)?;
            if earlier.seq < now.seq && earlier.active != now.active {
                return Ok(Some(earlier.active));
            }
        }
        // Before the first choice the pipeline's own judged.
        Ok(now.active.is_some().then_some(None))
    }

    /// Notes that a service took a choice, or why it could not: then it counts no more.
    pub async fn settle_classifier(&self, choice: &Choice, refused: Option<&str>) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE classifier_choices SET taken_ms = COALESCE(taken_ms, $2), refused = COALESCE(refused, $3) \
             WHERE seq = $1",
        )
        .bind(choice.seq)
        .bind(write.now_ms())
        .bind(refused)
        .execute(&mut *write.tx)
        .await
        .map_err(away)?;
        write.commit().await
    }

    /// What became of a choice.
    pub async fn classifier_settled(&self, choice: &Choice) -> Result<Settled> {
        let sql = "SELECT taken_ms, refused FROM classifier_choices WHERE seq = $1";
        let row = sqlx::query(sql).bind(choice.seq).fetch_optional(&self.reader).await.map_err(away)?;
        let Some(row) = row else { return Ok(Settled::Waiting) };
        let (taken_ms, refused): (Option<i64>, Option<String>) =
            (col(&row, "taken_ms")?, col(&row, "refused")?);
        Ok(match (taken_ms, refused) {
            (_, Some(why)) => Settled::Refused(why),
            (Some(_), None) => Settled::Taken,
            (None, None) => Settled::Waiting,
        })
    }
}

fn choice(row: &AnyRow) -> Result<Choice> {
    Ok(Choice { seq: col(row, "seq")?, active: col(row, "active")?, shadow: col(row, "shadow")? })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Desk;
    use super::*;

    fn wanted(active: Option<&str>, shadow: Option<&str>) -> Choice {
        Choice { seq: 0, active: active.map(str::to_owned), shadow: shadow.map(str::to_owned) }
    }

    #[tokio::test]
    async fn the_last_choice_counts_and_a_refused_one_does_not() {
        let desk = Desk::new().await;
        let store = &desk.store;
        assert_eq!(store.classifier_choice().await.unwrap(), Choice::default());
        let first = store.choose_classifier(&wanted(Some("a"), None)).await.unwrap();
        assert_eq!(store.classifier_settled(&first).await.unwrap(), Settled::Waiting);
        store.settle_classifier(&first, None).await.unwrap();
        assert_eq!(store.classifier_settled(&first).await.unwrap(), Settled::Taken);
        let second = store.choose_classifier(&wanted(Some("b"), Some("c"))).await.unwrap();
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_eq!(store.classifier_choice().await.unwrap(), second);
        // One service took it, another could not: none of them may judge by it.
        store.settle_classifier(&second, None).await.unwrap();
        store.settle_classifier(&second, Some("no such file")).await.unwrap();
        assert_eq!(store.classifier_settled(&second).await.unwrap(), Settled::Refused("no such file".into()));
        assert_eq!(store.classifier_choice().await.unwrap(), first);
        assert_eq!(store.choose_classifier(&wanted(None, None)).await.unwrap().seq, 3);
    }

    #[tokio::test]
    async fn the_one_before_is_the_last_other_that_judged() {
        let desk = Desk::new().await;
        let store = &desk.store;
        let before = async || {
            let now = store.classifier_choice().await.unwrap();
            store.classifier_before(&now).await.unwrap()
        };
        assert_eq!(before().await, None);
        store.choose_classifier(&wanted(None, Some("a"))).await.unwrap();
        assert_eq!(before().await, None, "only a shadow was chosen");
        store.choose_classifier(&wanted(Some("a"), None)).await.unwrap();
        assert_eq!(before().await, Some(None), "the pipeline's own");
        let refused = store.choose_classifier(&wanted(Some("b"), None)).await.unwrap();
        store.settle_classifier(&refused, Some("broken")).await.unwrap();
        store.choose_classifier(&wanted(Some("a"), Some("c"))).await.unwrap();
        assert_eq!(before().await, Some(None));
        store.choose_classifier(&wanted(None, None)).await.unwrap();
        assert_eq!(before().await, Some(Some("a".to_owned())));
    }
}
