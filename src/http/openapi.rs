//! The OpenAPI document: collected from the handlers, so that it cannot miss a route.

use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::schema;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "visitscribe",
        description = "From a consented sales visit's sound to a confirmed card and a signed webhook.\n\n\
            Times are RFC 3339, durations integer milliseconds, money in full yuan. Refusals are problem \
            documents (RFC 9457) with a stable `code`. A thing of another tenant is as absent as one that \
            never was."
    ),
    tags(
        (name = "visits", description = "A visit and its consent"),
        (name = "live", description = "Audio as it is spoken, words as they are heard"),
        (name = "cards", description = "What came of a visit"),
        (name = "webhooks", description = "Events to the CRM (Standard Webhooks 1.0.0)"),
        (name = "operation", description = "For whoever runs it")
    ),
    components(schemas(schema::Problem))
)]
struct Api;

/// The document before its routes.
pub fn start() -> Document {
    Api::openapi()
}

/// The document with what no handler can tell: how keys are sent.
pub fn finished(mut document: Document) -> Document {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, made by `visitscribe keys create`"))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(bearer));
    document
}

/// The whole document, as `/openapi.json` serves it.
pub fn document() -> Document {
    finished(super::routes().split_for_parts().1)
}
