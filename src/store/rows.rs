//! Between rows and values: columns, times, JSON, and what a database failure looks like from outside.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, ColumnIndex, Decode, Row, Type};

use super::Store;
use crate::domain::access::TenantId;
use crate::domain::ids::VisitId;
use crate::error::{Code, Error, Result};

impl Store {
    /// The row that `sql` finds by tenant ($1) and visit ($2), if any. `NotFound` if there is no such visit.
    pub(super) async fn row_of_visit(
        &self,
        sql: &'static str,
        tenant: &TenantId,
        visit: &VisitId,
    ) -> Result<Option<AnyRow>> {
        let query = sqlx::query(sql).bind(tenant.as_str()).bind(visit.as_str());
        let row = query.fetch_optional(&self.reader).await.map_err(away)?;
        if row.is_none() {
            self.visit(tenant, visit).await?;
        }
        Ok(row)
    }

    /// The rows that `sql` finds by tenant ($1).
    pub(super) async fn rows_of_tenant(&self, sql: &'static str, tenant: &TenantId) -> Result<Vec<AnyRow>> {
        sqlx::query(sql).bind(tenant.as_str()).fetch_all(&self.reader).await.map_err(away)
    }
}

/// A column's value.
pub(super) fn col<'r, T>(row: &'r AnyRow, name: &'static str) -> Result<T>
where
    T: Decode<'r, Any> + Type<Any>,
    &'static str: ColumnIndex<AnyRow>,
{
    row.try_get(name).map_err(Error::internal)
}

/// A time column.
pub(super) fn time(row: &AnyRow, name: &'static str) -> Result<Timestamp> {
    Timestamp::from_millisecond(col(row, name)?).map_err(Error::internal)
}

/// A time column that may be NULL.
pub(super) fn opt_time(row: &AnyRow, name: &'static str) -> Result<Option<Timestamp>> {
    let ms: Option<i64> = col(row, name)?;
    ms.map(Timestamp::from_millisecond).transpose().map_err(Error::internal)
}

/// A time as a column takes it.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A JSON column.
pub(super) fn json<T: DeserializeOwned>(row: &AnyRow, name: &'static str) -> Result<T> {
    serde_json::from_str(col(row, name)?).map_err(Error::internal)
}

/// A value as a JSON column takes it.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// A word of ours read back from a column, such as a state; a foreign one is our own fault.
pub(super) fn word<T>(row: &AnyRow, name: &'static str, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text: &str = col(row, name)?;
    parse(text).ok_or_else(|| Error::internal(anyhow::anyhow!("column {name} holds an unknown word")))
}

/// The database refused or is away. Nothing was written.
pub(super) fn away(cause: sqlx::Error) -> Error {
    Error::caused(Code::StorageUnavailable, "the database does not answer right now; try again", cause)
}

/// The one answer for absent and for another tenant's.
pub(super) fn absent(what: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no such {what}"))
}
