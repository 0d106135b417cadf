use super::*;
use axum::http::HeaderValue;

fn auth() -> Auth {
    let settings = Settings {
        mode: Mode::Password,
        rules: vec![],
        lifetime: sessions::Lifetime::default(),
        folder: std::path::PathBuf::from("/nonexistent/drover"),
        origin: None,
        trusted: trusted::Trusted::default(),
    };
    let data = OwnData::new(None, &settings.folder.join("audit.ndjson"));
    Auth::open(&settings, &BasePath::default(), data)
}

fn forwarded(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
    }
    headers
}

// S-10, S-11
#[tokio::test]
async fn wrong_tokens_are_limited_whatever_addresses_they_make_up() {
    let auth = auth();
    let peer = Peer::Ip("192.0.2.7".parse().unwrap());
    let mut told = vec![];
    for n in 0..1_000 {
        let mut headers = forwarded(&[&format!("10.{}.{}.1", n / 250, n % 250)]);
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer dr_wrong"));
        told.push(auth.recognise(&headers, peer).await.unwrap_err());
    }
    assert_eq!(
        told.iter().filter(|why| **why == Refused::BadToken).count(),
        usize::try_from(FAILURES).unwrap()
    );
    assert!(matches!(told[999], Refused::TooOften(1..)), "{:?}", told[999]);
    let other = Peer::Ip("192.0.2.8".parse().unwrap());
    assert_eq!(
        auth.recognise(&HeaderMap::new(), other).await,
        Ok(None),
        "others are not held up"
    );
}
