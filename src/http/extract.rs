//! What handlers take from a request, each refusing with a [`Problem`].

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::domain::access::Principal;
use crate::domain::ids::{DeliveryId, EndpointId, VisitId};
use crate::error::{Code, Error};

/// A JSON body.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(axum::Json::<T>::from_request(request, state).await?.0))
    }
}

/// A query string.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ok(Self(Query::<T>::from_request_parts(parts, state).await?.0))
    }
}

/// The caller, as the access check left it. Routes that anyone may use have none.
pub struct Caller(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Principal>().cloned();
        Ok(Self(principal.ok_or_else(|| Error::new(Code::Unauthenticated, "this route needs an API key"))?))
    }
}

/// The id in a path. What cannot be an id of its kind is as absent as one that nobody has.
pub struct Id<T>(pub T);

/// An id that can stand in a path.
pub trait PathId: Sized {
    /// The id of this text, if it has the right form.
    fn from_path(text: String) -> Option<Self>;
}

macro_rules! path_ids {
    ($($name:ident),*) => {$(
        impl PathId for $name {
            fn from_path(text: String) -> Option<Self> {
                let plain = text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                (plain && text.starts_with(Self::PREFIX)).then_some(Self(text))
            }
        }
    )*};
}

path_ids!(VisitId, EndpointId, DeliveryId);

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok().map(|Path(text)| text);
        let absent = || Problem::from(Error::new(Code::NotFound, "there is nothing under this id"));
        text.and_then(T::from_path).map(Self).ok_or_else(absent)
    }
}
