use super::*;
use axum::http::HeaderValue;

fn auth(trusted: &[&str]) -> Auth {
    let settings = Settings {
        mode: Mode::Password,
        rules: vec![],
        lifetime: sessions::Lifetime::default(),
        folder: std::path::PathBuf::from("/nonexistent/drover"),
        origin: None,
        trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
    };
    Auth::open(&settings, &BasePath::default())
}

fn forwarded(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
    }
    headers
}

// S-11
#[test]
fn a_client_is_the_last_address_that_is_no_proxy_of_ours() {
    let auth = auth(&["10.0.0.0/8", "127.0.0.1/32"]);
    let peer = |text: &str| Peer::Ip(text.parse().unwrap());
    for (from, lines, client) in [
        ("192.0.2.7", &["1.1.1.1"][..], "192.0.2.7"),
        ("127.0.0.1", &[], "127.0.0.1"),
        ("127.0.0.1", &["192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", &["1.1.1.1, 192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", &["1.1.1.1, 192.0.2.9, 10.1.1.1"], "192.0.2.9"),
        ("127.0.0.1", &["1.1.1.1", "192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", &["1.1.1.1, made up, 10.1.1.1"], "10.1.1.1"),
        ("::ffff:127.0.0.1", &["192.0.2.9"], "192.0.2.9"),
    ] {
        let found = auth.client(&forwarded(lines), peer(from));
        assert_eq!(found, Some(client.parse().unwrap()), "{from} {lines:?}");
    }
    let socket = auth.client(&forwarded(&["1.1.1.1, 192.0.2.9"]), Peer::Socket);
    assert_eq!(socket, Some("192.0.2.9".parse().unwrap()));
}

// S-10, S-11
#[test]
fn wrong_tokens_are_limited_whatever_addresses_they_make_up() {
    let auth = auth(&[]);
    let peer = Peer::Ip("192.0.2.7".parse().unwrap());
    let mut told = vec![];
    for n in 0..1_000 {
        let mut headers = forwarded(&[&format!("10.{}.{}.1", n / 250, n % 250)]);
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer dr_wrong"));
        told.push(auth.recognise(&headers, peer).unwrap_err());
    }
    assert_eq!(
        told.iter().filter(|why| **why == Refused::BadToken).count(),
        limiter::FAILURES
    );
    assert!(matches!(told[999], Refused::TooOften(1..)), "{:?}", told[999]);
    let other = Peer::Ip("192.0.2.8".parse().unwrap());
    assert_eq!(
        auth.recognise(&HeaderMap::new(), other),
        Ok(None),
        "others are not held up"
    );
}
