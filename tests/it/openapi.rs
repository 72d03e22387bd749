//! The whole OpenAPI document, as clients are generated from it.

use serde_json::Value;
use visitscribe::http::openapi;

#[test]
fn the_document_is_as_agreed() {
    insta::assert_json_snapshot!(openapi::document());
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_tells_its_refusals() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    check_references(&document, &document);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{name} has a name");
            assert!(
                operation["description"].as_str().or(operation["summary"].as_str()).is_some(),
                "{name} is described"
            );
            if path.starts_with("/v1/") && method != "options" {
                for status in ["401", "403", "503"] {
                    let refusal = &operation["responses"][status]["content"]["application/problem+json"];
                    assert!(refusal.is_object(), "{name} tells {status}");
                }
            }
            if method == "post" && operation["requestBody"].is_object() {
                assert!(operation["responses"]["422"].is_object(), "{name} tells 422");
            }
        }
    }
}

fn check_references(value: &Value, document: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("a local reference");
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            map.values().for_each(|value| check_references(value, document));
        }
        Value::Array(list) => list.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}
