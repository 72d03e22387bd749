//! Every refusal as a problem document (RFC 9457): what went wrong, in a stable code, in English for the
//! developer and in Chinese for the salesperson.
//!
//! All of `http` answers errors through [`Problem`]; nothing else here knows status codes of failures.

use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::error::{Code, Error, Kind};

/// What a refused request is answered with.
#[derive(Debug)]
pub struct Problem(Box<Fields>);

#[derive(Debug)]
struct Fields {
    status: StatusCode,
    code: &'static str,
    detail: String,
    detail_zh: &'static str,
    extras: Map<String, Value>,
    /// Seconds.
    retry_after: Option<u64>,
    cause: Option<anyhow::Error>,
}

/// Result of a handler.
pub type Answer<T> = Result<T, Problem>;

impl Problem {
    /// A failure that only exists in HTTP, such as a method that a path does not know.
    pub fn of_http(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail_zh = match status {
            StatusCode::NOT_FOUND => Code::NotFound.message_zh(),
            StatusCode::REQUEST_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => "请求超时，请稍后再试",
            _ => Code::InvalidRequest.message_zh(),
        };
        Self(Box::new(Fields {
            status,
            code,
            detail: detail.into(),
            detail_zh,
            extras: Map::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// A field of the request that cannot be taken as it is.
    pub fn of_field(field: &str, detail: impl Into<String>) -> Self {
        Self::from(Error::new(Code::InvalidRequest, detail)).with("field", json!(field))
    }

    /// The same with one more member in the document.
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.0.extras.insert(member.to_owned(), value);
        self
    }

    /// The same under another status code.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// What went wrong, for a developer.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, retry_after) = match (error.code, error.code.kind()) {
            (Code::TooFast, _) => (StatusCode::TOO_MANY_REQUESTS, Some(1)),
            (_, Kind::BadInput) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            (_, Kind::Unauthenticated) => (StatusCode::UNAUTHORIZED, None),
            (_, Kind::Forbidden) => (StatusCode::FORBIDDEN, None),
            (_, Kind::NotFound) => (StatusCode::NOT_FOUND, None),
            (_, Kind::Conflict) => (StatusCode::CONFLICT, None),
            (_, Kind::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            (_, Kind::Busy | Kind::Unavailable) => (StatusCode::SERVICE_UNAVAILABLE, Some(2)),
            (_, Kind::Internal) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        Self(Box::new(Fields {
            status,
            code: error.code.as_str(),
            detail: error.detail,
            detail_zh: error.code.message_zh(),
            extras: Map::new(),
            retry_after,
            cause: error.source,
        }))
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::JsonDataError(e) => {
                // "customer.name: missing field `x` at line 1 column 5", the path first.
                let told = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
                let (path, fault) = told.split_once(": ").unwrap_or((".", &told));
                let missing = fault.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
                let field = match (path, missing) {
                    (".", Some(name)) => name.to_owned(),
                    (path, Some(name)) => format!("{path}.{name}"),
                    (path, None) => path.to_owned(),
                };
                Self::of_field(&field, told.clone())
            }
            JsonRejection::MissingJsonContentType(_) => Self::of_http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send the body as JSON with `Content-Type: application/json`",
            ),
            JsonRejection::BytesRejection(rejection) => rejection.into(),
            other => Self::from(Error::new(Code::InvalidRequest, other.body_text()))
                .status(StatusCode::BAD_REQUEST),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let code = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Code::TooLarge
        } else {
            Code::InvalidRequest
        };
        Self::from(Error::new(code, rejection.body_text())).status(rejection.status())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::from(Error::new(Code::InvalidRequest, rejection.body_text())).status(StatusCode::BAD_REQUEST)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let problem = *self.0;
        if problem.status.is_server_error() {
            // The one place where a failed request is logged.
            tracing::error!(code = problem.code, cause = ?problem.cause, "a request failed");
        }
        let mut document = json!({
            "type": format!("urn:visitscribe:problem:{}", problem.code),
            "title": problem.code.replace('_', " "),
            "status": problem.status.as_u16(),
            "code": problem.code,
            "detail": problem.detail,
            "detail_zh": problem.detail_zh,
        });
        if let Value::Object(members) = &mut document {
            members.extend(problem.extras);
        }
        let mut response = (problem.status, document.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = problem.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if problem.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
