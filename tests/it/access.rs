//! The authorisation matrix is complete, and it is what the server does.

use std::collections::BTreeSet;

use reqwest::Method;
use visitscribe::domain::access::Role;
use visitscribe::http::access::{MATRIX, Who};
use visitscribe::http::openapi;

use crate::world::{Client, World};

/// Routes outside the document: the page, and the document itself.
const UNDOCUMENTED: [(&str, &str); 3] = [("GET", "/"), ("GET", "/assets/{*file}"), ("GET", "/openapi.json")];

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let mut routes: BTreeSet<(String, String)> =
        UNDOCUMENTED.map(|(m, p)| (m.to_owned(), p.to_owned())).into();
    for (path, item) in document["paths"].as_object().unwrap() {
        routes.extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let rows: BTreeSet<(String, String)> =
        MATRIX.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(rows.len(), MATRIX.len(), "one row a route");
    assert_eq!(
        routes.difference(&rows).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "without a row"
    );
    assert_eq!(
        rows.difference(&routes).collect::<Vec<_>>(),
        Vec::<&(String, String)>::new(),
        "without a route"
    );
}

#[tokio::test]
async fn each_role_may_do_what_its_row_says_and_nothing_else() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for role in Role::ALL {
        clients.push((role, world.client("acme", role).await));
    }
    for (method, path, who) in MATRIX {
        let method: Method = method.parse().unwrap();
        let path = path.replace("{id}", "vis_0").replace("{*file}", "app.js").replace("{length}", "1");
        let bare = clients[0].1.http.request(method.clone(), format!("{}{path}", world.url));
        let without_key = Client::send(bare).await;
        let (Who::Roles(roles) | Who::TicketOr(roles)) = who else {
            assert!(without_key.status.is_success(), "{method} {path}: {}", without_key.status);
            continue;
        };
        assert_eq!(without_key.status, 401, "{method} {path} without a key");
        let bad =
            clients[0].1.http.request(method.clone(), format!("{}{path}", world.url)).bearer_auth("vsk_none");
        assert_eq!(Client::send(bad).await.status, 401, "{method} {path} with a wrong key");
        for (role, client) in &clients {
            let status = Client::send(client.request(method.clone(), &path)).await.status;
            assert_eq!(status == 403, !roles.contains(role), "{method} {path} as {role:?}: {status}");
            assert_ne!(status, 401, "{method} {path} as {role:?}");
        }
    }
}
