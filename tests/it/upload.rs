//! Resumable uploads, and what they share with the live stream.

use reqwest::Method;

use crate::world::{Answer, Client, World, talk};

/// `encoding pcm_s16le`, in the encoding of `Upload-Metadata`.
const PCM: &str = "encoding cGNtX3MxNmxl,filename 5ouc6K6/Lnd2";

impl Client {
    async fn begin_upload(&self, visit: &str, length: usize) -> Answer {
        let request = self.request(Method::POST, &format!("/v1/visits/{visit}/uploads"));
        let request = request.header("tus-resumable", "1.0.0").header("upload-length", length);
        Self::send(request.header("upload-metadata", PCM)).await
    }

    async fn offset(&self, upload: &str) -> u64 {
        let answer = Self::send(self.request(Method::HEAD, upload).header("tus-resumable", "1.0.0")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["cache-control"]),
            (200, &"no-store".parse().unwrap())
        );
        answer.headers["upload-offset"].to_str().unwrap().parse().unwrap()
    }

    async fn patch(&self, upload: &str, offset: usize, bytes: &[u8]) -> Answer {
        let request = self.request(Method::PATCH, upload).header("tus-resumable", "1.0.0");
        let request = request.header("content-type", "application/offset+octet-stream");
        Self::send(request.header("upload-offset", offset).body(bytes.to_vec())).await
    }
}

#[tokio::test]
async fn an_upload_finishes_what_a_live_stream_began() {
    let world = World::new().await;
    let client = world.admin().await;
    let visit = client.consented().await;
    let audio = talk();
    let (third, half) = (audio.len() / 6 * 2, audio.len() / 4 * 2);
    let mut live = client.live(&visit).await;
    live.stream(&audio[..third], 0).await;
    live.durable(third).await;

    let begun = client.begin_upload(&visit, audio.len()).await;
    begun.expect(201);
    let (_, code) = live.refused().await;
    assert_eq!(code, 4409, "one writer");
    let upload = begun.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(client.offset(&upload).await, third as u64);
    let problem = client.patch(&upload, half, &audio[half..]).await.refused(409, "offset_mismatch");
    assert_eq!(problem["next_offset"], third);
    let answer = client.patch(&upload, third, &audio[third..half]).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["upload-offset"]), (204, &half.into()));

    let world = world.crash().await;
    let client = Client { url: world.url.clone(), ..client };
    assert_eq!(client.offset(&upload).await, half as u64, "what was answered survives a crash");
    client.patch(&upload, half, &[&audio[half..], b"more"].concat()).await.refused(413, "too_large");
    let rest = client.offset(&upload).await as usize;
    let answer = client.patch(&upload, rest, &audio[rest..]).await;
    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text);
    assert_eq!(client.offset(&upload).await, audio.len() as u64);
    client.card_ready(&visit).await;
}

#[tokio::test]
async fn a_request_that_is_not_tus_is_refused() {
    let world = World::with(&[("LIMITS__STREAM_BYTES", "1000")]).await;
    let client = world.admin().await;
    let visit = client.visit().await;
    let path = format!("/v1/visits/{visit}/uploads");
    let options = Client::send(client.request(Method::OPTIONS, &path)).await;
    assert_eq!((options.status.as_u16(), &options.headers["tus-max-size"]), (204, &"1000".parse().unwrap()));

    client.begin_upload(&visit, 10).await.refused(403, "consent_required");
    client.consent(&visit).await.expect(201);
    client.begin_upload(&visit, 1001).await.refused(413, "too_large");
    client.begin_upload(&visit, 0).await.refused(422, "invalid_request");
    let post = |headers: &[(&str, &str)]| {
        let request = client.request(Method::POST, &path);
        Client::send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    };
    post(&[("upload-length", "10")]).await.refused(412, "unsupported_version");
    let huge = [("tus-resumable", "1.0.0"), ("upload-length", "99999999999999999999")];
    post(&huge).await.refused(422, "invalid_request");
    let odd = [("tus-resumable", "1.0.0"), ("upload-length", "10"), ("upload-metadata", "encoding !")];
    post(&odd).await.refused(422, "invalid_request");

    client.patch(&format!("{path}/10"), 0, b"0123456789").await.refused(404, "not_found");
    client.begin_upload(&visit, 10).await.expect(201);
    let request = client.request(Method::PATCH, &format!("{path}/10")).header("tus-resumable", "1.0.0");
    Client::send(request.header("upload-offset", 0).json(&1)).await.refused(415, "unsupported_media_type");
    client.patch(&format!("{path}/x"), 0, b"").await.refused(404, "not_found");
}
