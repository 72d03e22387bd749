//! What one attempt carries: the event's id and body, unchanged from attempt to attempt, and the fresh time and
//! signatures of this one.

use jiff::Timestamp;
use secrecy::SecretString;

use super::sign;
use crate::error::Result;

/// An attempt to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The event's id: the same on every attempt, by which a receiver drops what it has seen.
    pub id: &'a str,
    /// When this attempt is made.
    pub at: Timestamp,
    /// The event's body: the same bytes on every attempt.
    pub body: &'a str,
    /// The secrets to sign with, newest first.
    pub secrets: &'a [SecretString],
}

impl Envelope<'_> {
    /// The three headers of Standard Webhooks.
    pub(super) fn headers(&self) -> Result<[(&'static str, String); 3]> {
        let timestamp_s = self.at.as_second();
        let signatures = sign::signatures(self.secrets, self.id, timestamp_s, self.body)?;
        Ok([
            ("webhook-id", self.id.to_owned()),
            ("webhook-timestamp", timestamp_s.to_string()),
            ("webhook-signature", signatures),
        ])
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use standardwebhooks::Webhook;

    use super::*;

    #[test]
    fn the_reference_library_verifies_it_with_either_secret_of_a_rotation() {
        let secrets: Vec<SecretString> =
            [7u8, 8].iter().map(|n| format!("whsec_{}", STANDARD.encode([*n; 32])).into()).collect();
        let body = r#"{"type":"card.ready","data":{"客户":"x"}}"#;
        // The library checks the age of the timestamp by the machine's clock.
        let at = Timestamp::now();
        let headers = Envelope { id: "evt_1", at, body, secrets: &secrets }.headers().unwrap();
        let headers =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers: reqwest::header::HeaderMap = headers.collect();
        for key in [[7u8; 32], [8; 32]] {
            let webhook = Webhook::from_bytes(key.to_vec()).unwrap();
            webhook.verify(body.as_bytes(), &headers).unwrap();
            assert!(webhook.verify(b"{}", &headers).is_err());
        }
        assert!(Webhook::from_bytes(vec![9; 32]).unwrap().verify(body.as_bytes(), &headers).is_err());
    }
}
