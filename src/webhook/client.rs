//! The guarded client: it posts an envelope where that is permitted and tells in a word what came of it. No
//! redirects, no proxy from the environment, no more than it needs of an answer, and never longer than 15 s.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::envelope::Envelope;
use super::guard::{Guard, Refused};
use crate::error::{Code, Error, Result};

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(15);

/// What is read of an answer before it is dropped; its content does not matter, a drained connection can be
/// used again.
const ANSWER_BYTES: usize = 64 << 10;

/// Most characters of a receiver's URL.
const URL_CHARS: usize = 2048;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A status came back.
    Status {
        /// The status.
        code: u16,
        /// When the receiver wants to be asked again.
        retry_at: Option<Timestamp>,
    },
    /// None came; a word that says why: `refused_address`, `timeout`, `connect`, `invalid_url`, `broken`.
    None(&'static str),
}

/// Posts webhooks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    guard: Guard,
    /// For https: public addresses and listed networks.
    tls: reqwest::Client,
    /// For plain http: listed networks only.
    plain: reqwest::Client,
}

impl Client {
    /// A client that may also call the private networks in `allow_networks`, and those without TLS.
    pub fn new(allow_networks: &[IpNet]) -> Result<Self> {
        let guard = Guard::new(Arc::from(allow_networks));
        let plain = build(guard.listed_only())?;
        Ok(Self { tls: build(guard.clone())?, plain, guard })
    }

    /// Refuses a URL that could never be posted to: `InvalidRequest` saying why. What a name resolves to is
    /// only known when it is called.
    pub fn check_url(&self, url: &str) -> Result<()> {
        self.accept(url).map(drop).map_err(|reason| Error::new(Code::InvalidRequest, reason))
    }

    /// Makes one attempt. An `Err` is our own fault, never the receiver's.
    pub async fn post(&self, url: &str, envelope: Envelope<'_>) -> Result<Answer> {
        let Ok((url, client)) = self.accept(url) else { return Ok(Answer::None("invalid_url")) };
        let mut request = client.post(url).header(CONTENT_TYPE, "application/json");
        for (name, value) in envelope.headers()? {
            request = request.header(name, value);
        }
        Ok(match request.body(envelope.body.to_owned()).send().await {
            Ok(response) => {
                let code = response.status().as_u16();
                let retry_at = retry_at(response.headers(), envelope.at);
                drain(response).await;
                Answer::Status { code, retry_at }
            }
            Err(error) => Answer::None(reason(&error)),
        })
    }

    /// The URL and the client for it, or why there is none.
    fn accept(&self, url: &str) -> Result<(Url, &reqwest::Client), &'static str> {
        if url.chars().count() > URL_CHARS {
            return Err("the URL is longer than 2048 characters");
        }
        let url: Url = url.parse().map_err(|_| "this is not a URL")?;
        let (guard, client) = match url.scheme() {
            "https" => (self.guard.clone(), &self.tls),
            "http" => (self.guard.listed_only(), &self.plain),
            _ => return Err("the URL must begin with https://"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL must not hold a user or password");
        }
        let permitted = match url.host() {
            None => return Err("the URL has no host"),
            // Without a listed network no plain http can ever be permitted.
            Some(Host::Domain(_)) => url.scheme() == "https" || guard.lists_any(),
            Some(Host::Ipv4(address)) => guard.permits(address.into()),
            Some(Host::Ipv6(address)) => guard.permits(address.into()),
        };
        if permitted {
            return Ok((url, client));
        }
        Err(
            "the address is not public and not in webhook.allow_networks (plain http is for those only); use https",
        )
    }
}

fn build(guard: Guard) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("visitscribe/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(guard))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .build()
        .map_err(Error::internal)
}

async fn drain(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read >= ANSWER_BYTES {
            return;
        }
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<i64>() {
        Ok(seconds) => now.checked_add(jiff::SignedDuration::from_secs(seconds.max(0))).ok(),
        Err(_) => rfc2822::DateTimeParser::new().parse_timestamp(text).ok(),
    }
}

fn reason(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(here) = cause {
        if here.is::<Refused>() {
            return "refused_address";
        }
        cause = here.source();
    }
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "broken"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(allowed: &[&str]) -> Client {
        Client::new(&allowed.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn urls_that_cannot_be_posted_to_are_refused() {
        let long = format!("https://crm.example/{}", "x".repeat(URL_CHARS));
        for url in [
            "",
            "crm.example",
            "ftp://crm.example/",
            "file:///etc/passwd",
            "http://crm.example/",
            "https://",
            "https://user:pw@crm.example/",
            "https://127.0.0.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest",
            "http://1.1.1.1/",
            &long,
        ] {
            assert_eq!(client(&[]).check_url(url).unwrap_err().code, Code::InvalidRequest, "{url}");
        }
        client(&[]).check_url("https://crm.example/hook?x=1").unwrap();
        client(&[]).check_url("https://1.1.1.1:8443/").unwrap();
        let listed = client(&["127.0.0.0/8"]);
        listed.check_url("http://127.0.0.1:9/").unwrap();
        listed.check_url("http://localhost:9/").unwrap();
        assert!(listed.check_url("http://1.1.1.1/").is_err());
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = Timestamp::from_second(1_445_412_000).unwrap();
        let read = |text: &str| retry_at(&[(RETRY_AFTER, text.parse().unwrap())].into_iter().collect(), now);
        assert_eq!(read("120"), Some(Timestamp::from_second(1_445_412_120).unwrap()));
        assert_eq!(read("-5"), Some(now));
        assert_eq!(
            read("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Timestamp::from_second(1_445_412_480).unwrap())
        );
        assert_eq!(read("soon"), None);
        assert_eq!(retry_at(&HeaderMap::new(), now), None);
    }

    /// The check of the URL cannot know the address behind a name: the resolver must.
    #[tokio::test]
    async fn a_name_with_a_private_address_is_not_called() {
        let envelope = Envelope { id: "evt_1", at: Timestamp::UNIX_EPOCH, body: "{}", secrets: &[] };
        let answer = client(&[]).post("https://localhost:9/", envelope).await.unwrap();
        assert_eq!(answer, Answer::None("refused_address"));
        let elsewhere = client(&["10.0.0.0/8"]).post("http://localhost:9/", envelope).await.unwrap();
        assert_eq!(elsewhere, Answer::None("refused_address"));
    }
}
