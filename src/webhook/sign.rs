//! The symmetric signature of Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::error::{Error, Result};

/// One signature for each secret, separated by spaces: while a secret is rotated the receiver finds the one it
/// can check.
pub(super) fn signatures(secrets: &[SecretString], id: &str, timestamp_s: i64, body: &str) -> Result<String> {
    let each: Result<Vec<String>> =
        secrets.iter().map(|secret| signature(secret.expose_secret(), id, timestamp_s, body)).collect();
    Ok(each?.join(" "))
}

fn signature(secret: &str, id: &str, timestamp_s: i64, body: &str) -> Result<String> {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
        .map_err(|_| Error::internal(anyhow::anyhow!("a webhook secret is not base64")))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(Error::internal)?;
    for part in [id, ".", &timestamp_s.to_string(), ".", body] {
        mac.update(part.as_bytes());
    }
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_published_example_is_signed_alike() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed =
            signatures(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_no_base64_is_our_own_fault() {
        let secret = SecretString::from("whsec_!".to_owned());
        assert!(signatures(&[secret], "evt_1", 0, "{}").is_err());
    }
}
