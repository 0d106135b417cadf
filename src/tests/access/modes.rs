//! How Drover identifies users: not at all, by a proxy, by a password, by a token.

use super::*;
use crate::support::client::Stream;
use crate::support::oracle::Oracle;
use crate::support::process::command;
use crate::support::redis::Redis;
use crate::support::{SOON, eventually};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// The configuration needs a store; a command that changes users connects to none.
const NOWHERE: (&str, &str) = ("DROVER_REDIS_URL", "redis://127.0.0.1:1");

// S-1
#[tokio::test]
async fn what_others_can_reach_does_not_start_without_sign_in() {
    for mode in [&[][..], &[("DROVER_AUTH_MODE", "none")]] {
        let env = [mode, &[("DROVER_LISTEN", "0.0.0.0:0"), NOWHERE]].concat();
        let (code, said) = command(&["serve"], &env).await;
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("can be reached from other machines"), "{said}");
    }
}

// S-1
#[tokio::test]
async fn without_sign_in_whatever_came_through_a_proxy_is_refused() {
    let redis = Redis::start();
    let drover = Drover::over(&redis.url()).await;
    for header in [
        ("Forwarded", "for=1.2.3.4"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "1.2.3.4"),
        ("Host", "10.0.0.1"),
    ] {
        for path in [
            "/admin/queues",
            "/admin/queues/api/v1/queues",
            "/admin/queues/events",
            "/metrics",
        ] {
            let answer = client::request(drover.port, "GET", path, &[header], "").await;
            assert_eq!(answer.status, 403, "{path} with {header:?}");
        }
    }
}

// S-2: from outside; the whole matrix is beside the code.
#[tokio::test]
async fn only_the_proxy_names_people() {
    let redis = Redis::start();
    let drover = behind_proxy(&redis.url(), &grant("ada", "operator", &["*"])).await;
    let page = get_as(&drover, "ada", "").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(
        page.body.contains("Signed in as <strong>ada</strong>") && page.body.contains("operator</span>"),
        "{}",
        page.body
    );
    let (user, key) = (("X-Forwarded-User", "ada"), ("X-Drover-Proxy-Secret", SECRET));
    for (headers, status) in [
        (&[][..], 401),
        (&[key], 401),
        (&[user], 400),
        (&[user, ("X-Drover-Proxy-Secret", "a secret of the proxX")], 400),
        (&[key, user, user], 400),
        (&[key, ("X_Forwarded_User", "ada")], 400),
        (&[key, ("X-Forwarded-User", "ada,eve")], 400),
        (&[key, ("X-Forwarded-User", "eve")], 403),
        (&[key, user], 200),
    ] {
        for path in [
            "/admin/queues/api/v1/queues",
            "/admin/queues/workers",
            "/admin/queues/events",
        ] {
            if status == 200 && path.ends_with("events") {
                continue;
            }
            let answer = client::request(drover.port, "GET", path, headers, "").await;
            assert_eq!(answer.status, status, "{path} with {headers:?}: {}", answer.body);
            let none = answer.header("www-authenticate").is_none();
            assert_eq!(none, status != 401, "{path} with {headers:?}");
        }
    }
    // A request from an address that is not a trusted proxy is refused, whatever secret it carries.
    let env = [
        ("DROVER_REDIS_URL", redis.url()),
        ("DROVER_AUTH_MODE", "proxy".into()),
        ("DROVER_PROXY_SECRET", SECRET.into()),
        ("DROVER_TRUSTED_PROXIES", "192.0.2.0/24".into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let drover = Drover::with(&env, &grant("ada", "operator", &["*"])).await;
    assert_eq!(get_as(&drover, "ada", "/workers").await.status, 400);
    let probe = client::get(drover.port, "/readyz").await;
    assert_eq!(probe.status, 200, "a probe is nobody and is answered");
}

// S-2: the file system decides who may open a socket.
#[tokio::test]
async fn a_unix_socket_needs_no_secret_and_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt as _;
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("drover.sock");
    let file = dir.path().join("drover.toml");
    std::fs::write(&file, grant("ada", "viewer", &["*"])).unwrap();
    let mut start = Command::new("sh");
    start
        .args(["-c", "ulimit -n 256; exec \"$0\" serve", env!("CARGO_BIN_EXE_drover")])
        .env("DROVER_REDIS_URL", redis.url())
        .env("DROVER_CONFIG", &file)
        .env("DROVER_AUTH_MODE", "proxy")
        .env("DROVER_LISTEN", format!("unix:{}", socket.display()))
        .env("DROVER_AUDIT_FILE", dir.path().join("audit.ndjson"))
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    // The second Drover finds the socket that the first left behind.
    for _ in 0..2 {
        let mut drover = start.spawn().unwrap();
        let ask = |headers: &'static str| {
            let socket = socket.clone();
            async move {
                let mut stream = tokio::net::UnixStream::connect(&socket).await.ok()?;
                let request = format!(
                    "GET /admin/queues/api/v1/stores HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
                );
                stream.write_all(request.as_bytes()).await.ok()?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.ok()?;
                Some(answer)
            }
        };
        let answer = eventually("the socket to answer", SOON, || ask("X-Forwarded-User: ada\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let answer = ask("").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        // S-18: silent connections block no request.
        let mut silent = vec![];
        for _ in 0..300 {
            silent.push(tokio::net::UnixStream::connect(&socket).await.unwrap());
        }
        let answer = ask("X-Forwarded-User: ada\r\n").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        drop(silent);
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}");
        drover.start_kill().unwrap();
        drover.wait().await.unwrap();
    }
}

#[tokio::test]
async fn people_are_added_and_removed_while_drover_runs() {
    let redis = Redis::start();
    let (drover, _) = with_sign_in(&redis.url(), &[]).await;
    let audit = drover.state.path().join("audit.ndjson").display().to_string();
    let env = [
        ("DROVER_AUTH_MODE", "password"),
        ("DROVER_AUDIT_FILE", audit.as_str()),
        NOWHERE,
    ];
    let (code, said) = command(&["user", "add", "ada", "--role", "operator"], &env).await;
    assert_eq!(code, Some(0), "{said}");
    let password = said.lines().last().unwrap().to_owned();
    let answer = sign_in(&drover, "ada", &password, &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("location"), Some("/admin/queues/workers"));
    let cookie = cookie_of(&answer);
    let page = client::request(drover.port, "GET", "/admin/queues/workers", &[("Cookie", &cookie)], "").await;
    assert!(
        page.status == 200 && page.body.contains("<strong>ada</strong>"),
        "{}",
        page.body
    );
    let (_, said) = command(&["user", "list"], &env).await;
    assert!(said.contains("ada\toperator"), "{said}");
    let (code, said) = command(&["user", "remove", "ada"], &env).await;
    assert_eq!(code, Some(0), "{said}");
    let gone = client::request(drover.port, "GET", "/admin/queues/workers", &[("Cookie", &cookie)], "").await;
    assert_eq!(gone.status, 401, "whoever was taken out is out");
    let (code, said) = command(&["user", "remove", "ada"], &env).await;
    assert!(code == Some(1) && said.contains("drover user list"), "{said}");
    let (code, said) = command(&["token", "add", "ci", "--allow", "view,retry", "--days", "91"], &env).await;
    assert!(code == Some(1) && said.contains("90 days"), "{said}");
    let (_, said) = command(&["token", "add", "ci", "--allow", "view", "--queues", "redis/*"], &env).await;
    let token = format!("Bearer {}", said.lines().find(|line| line.starts_with("dr_")).unwrap());
    let ask = async || {
        let auth = [("Authorization", token.as_str())];
        client::request(drover.port, "GET", "/admin/queues/api/v1/queues", &auth, "").await
    };
    assert_eq!(ask().await.status, 200);
    let (code, _) = command(&["token", "revoke", "ci"], &env).await;
    assert_eq!((code, ask().await.status), (Some(0), 401));
}

// S-7
#[tokio::test]
async fn a_session_begins_at_the_sign_in_and_ends_with_what_it_was_given_for() {
    let redis = Redis::start();
    let (drover, users) = with_sign_in(&redis.url(), &[]).await;
    users
        .add("ada", PASSWORD, Some(Role::Operator), &[], &[])
        .await
        .unwrap();
    let reader = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];
    let page = client::request(drover.port, "GET", "/admin/queues/workers?q=x", &reader, "").await;
    assert_eq!(page.status, 303);
    assert_eq!(
        page.header("location"),
        Some("/admin/queues/sign-in?next=%2Fworkers%3Fq%3Dx")
    );
    let wrong = sign_in(&drover, "ada", "correct horse batterx", &[]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("The name or the password is wrong.") && wrong.header("set-cookie").is_none());
    // Drover does not accept a cookie that was chosen beforehand.
    let name = sign_in(&drover, "ada", PASSWORD, &[]).await;
    let (name, _) = cookie_of(&name)
        .split_once('=')
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .unwrap();
    let chosen = format!("{name}=chosen-by-somebody-else");
    let answer = sign_in(&drover, "ada", PASSWORD, &[("Cookie", &chosen)]).await;
    let cookie = cookie_of(&answer);
    assert_ne!(cookie, chosen);
    let ask = |cookie: String| async move {
        client::request(
            drover.port,
            "GET",
            "/admin/queues/api/v1/queues",
            &[("Cookie", &cookie)],
            "",
        )
        .await
        .status
    };
    assert_eq!((ask(cookie.clone()).await, ask(chosen).await), (200, 401));
    let answer = sign_in(&drover, "ada", PASSWORD, &[("Cookie", &cookie)]).await;
    let second = cookie_of(&answer);
    assert_eq!(
        (ask(second.clone()).await, ask(cookie).await),
        (200, 401),
        "a new one each time, and the old one ends"
    );
    // Changed rights: the stream ends, and the next request has no user.
    let mut stream = Stream::open(drover.port, "/admin/queues/events", &[("Cookie", &second)]).await;
    assert_eq!(stream.status, 200);
    users.set_password("ada", "another password").await.unwrap();
    stream
        .until("the stream to say that it ends", |event| {
            (event.name == "auth_expired").then_some(())
        })
        .await;
    assert!(stream.next().await.is_none());
    assert_eq!(ask(second).await, 401);
    // Signing out ends the session on the server.
    let answer = sign_in(&drover, "ada", "another password", &[]).await;
    let third = cookie_of(&answer);
    let headers = [("Cookie", third.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let out = client::request(drover.port, "POST", "/admin/queues/sign-out", &headers, "").await;
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(ask(third).await, 401);
}

// S-8: without TLS there are sessions on this machine only.
#[tokio::test]
async fn in_the_clear_nobody_signs_in_from_elsewhere() {
    let redis = Redis::start();
    let (drover, users) = with_sign_in(&redis.url(), &[]).await;
    users.add("ada", PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    for elsewhere in [("X-Forwarded-For", "192.0.2.1"), ("Host", "ops.example.com")] {
        let answer = sign_in(&drover, "ada", PASSWORD, &[elsewhere]).await;
        assert_eq!(answer.status, 403, "{elsewhere:?}: {}", answer.body);
        assert!(answer.body.contains("DROVER_PUBLIC_URL"), "{}", answer.body);
    }
    assert_eq!(sign_in(&drover, "ada", PASSWORD, &[]).await.status, 303);
}

// S-8, S-3
#[tokio::test]
async fn over_tls_the_cookie_is_for_this_host_alone_and_the_way_back_leads_nowhere_else() {
    let redis = Redis::start();
    let public = [("DROVER_PUBLIC_URL", "https://ops.example.com")];
    let (drover, users) = with_sign_in(&redis.url(), &public).await;
    users.add("ada", PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    let answer = sign_in(&drover, "ada", PASSWORD, &[]).await;
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Host-drover_"), "{set}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(answer.header("strict-transport-security").is_some());
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "javascript:alert(1)",
    ] {
        let form = format!(
            "name=ada&password={}&next={}",
            encode_segment(PASSWORD),
            encode_segment(next)
        );
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", "https://ops.example.com"),
        ];
        let answer = client::request(drover.port, "POST", "/admin/queues/sign-in", &headers, &form).await;
        assert_eq!(answer.header("location"), Some("/admin/queues"), "{next}");
    }
    let elsewhere = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://evil.example"),
    ];
    let form = format!("name=ada&password={}", encode_segment(PASSWORD));
    let answer = client::request(drover.port, "POST", "/admin/queues/sign-in", &elsewhere, &form).await;
    assert_eq!(answer.status, 403, "nobody is signed in by another site");
}

// S-3
#[tokio::test]
async fn signing_in_leads_nowhere_else_whatever_is_asked_for() {
    let redis = Redis::start();
    let env = [
        ("DROVER_PUBLIC_URL", "https://ops.example.com"),
        ("DROVER_BASE_PATH", "/"),
    ];
    let (drover, users) = with_sign_in(&redis.url(), &env).await;
    users.add("ada", PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://ops.example.com"),
    ];
    let post = async |next: &str| {
        let form = format!("name=ada&password={}&next={next}", encode_segment(PASSWORD));
        client::request(drover.port, "POST", "/sign-in", &headers, &form).await
    };
    for (next, leads) in [
        ("/workers%3Fq%3Dx", "/workers?q=x"),
        ("/%09/evil.example", "/"),
        ("/%0a/evil.example", "/"),
        ("/%0d/evil.example", "/"),
        ("%09//evil.example", "/"),
        ("/%5cevil.example", "/"),
        ("//evil.example", "/"),
        ("/workers//evil.example", "/"),
        ("/%00/evil.example", "/"),
        ("/%c2%a0/evil.example", "/"),
    ] {
        let answer = post(next).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(leads)), "{next}");
        // The same with a session, by following a link.
        let cookie = cookie_of(&answer).to_owned();
        let path = format!("/sign-in?next={next}");
        let answer = client::request(drover.port, "GET", &path, &[("Cookie", &cookie)], "").await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(leads)), "{next}");
    }
    // And for the redirect after a choice.
    for referer in ["https://x//evil.example", "https://x/workers//evil.example"] {
        let cookie = cookie_of(&post("/").await).to_owned();
        let headers = [&headers[..], &[("Cookie", &*cookie), ("Referer", referer)]].concat();
        let answer = client::request(drover.port, "POST", "/theme", &headers, "theme=dark").await;
        assert_eq!(answer.header("location"), Some("/"), "{referer}");
    }
}

// S-11
#[tokio::test]
async fn whoever_is_wrong_ten_times_has_to_wait_also_when_right() {
    let redis = Redis::start();
    let (drover, users) = with_sign_in(&redis.url(), &[("DROVER_PUBLIC_URL", "https://ops.example.com")]).await;
    users.add("ada", PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    for n in 0..10 {
        let forwarded = format!("10.0.0.{n}");
        let answer = sign_in(&drover, "ada", "not the password", &[("X-Forwarded-For", &forwarded)]).await;
        assert_eq!(answer.status, 401, "{n}");
    }
    let answer = sign_in(&drover, "ada", PASSWORD, &[("X-Forwarded-For", "10.9.9.9")]).await;
    assert_eq!(answer.status, 429, "{}", answer.body);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (1..=301).contains(&wait) && answer.body.contains("Too many wrong attempts"),
        "{wait}"
    );
}

// S-10
#[tokio::test]
async fn a_token_opens_the_api_by_its_header_alone() {
    let redis = Redis::start();
    let mut oracle = Oracle::start(&redis.url(), 6).await;
    oracle.add("mail", "n", json!({}), json!({})).await;
    let (drover, _) = with_sign_in(&redis.url(), &[]).await;
    let secret = token(
        &drover,
        "reader",
        &[Verb::View, Verb::Pause],
        None,
        &["redis/bull:mail"],
    )
    .await;
    let bearer = format!("Bearer {secret}");
    let auth = [("Authorization", bearer.as_str())];
    eventually("the queue", SOON, || async {
        let answer = client::request(
            drover.port,
            "GET",
            "/admin/queues/api/v1/queues/redis/bull:mail",
            &auth,
            "",
        )
        .await;
        (answer.status == 200).then_some(())
    })
    .await;
    for path in ["/api/v1/queues", "/events"] {
        for name in ["token", "access_token", "authorization"] {
            let path = format!("/admin/queues{path}?{name}={secret}");
            assert_eq!(client::get(drover.port, &path).await.status, 401, "{path}");
        }
    }
    // It needs no extra header: no browser adds a token by itself.
    let act = |path: &str, headers: Vec<(&'static str, String)>| {
        let path = format!("/admin/queues/api/v1{path}");
        async move {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            client::request(drover.port, "POST", &path, &headers, "{}").await
        }
    };
    let json = ("Content-Type", "application/json".to_owned());
    let paused = act(
        "/queues/redis/bull:mail/pause",
        vec![("Authorization", bearer.clone()), json.clone()],
    )
    .await;
    assert_eq!(paused.status, 200, "{}", paused.body);
    let queue = oracle.ask("isPaused", "mail", json!({})).await;
    assert_eq!(queue, json!(true), "the library says so too");
    let denied = act(
        "/queues/redis/bull:mail/jobs/1/retry",
        vec![("Authorization", bearer.clone()), json.clone()],
    )
    .await;
    assert_eq!(denied.status, 403, "{}", denied.body);
    let wrong = act(
        "/queues/redis/bull:mail/resume",
        vec![("Authorization", "Bearer dr_x".into()), json],
    )
    .await;
    assert_eq!(wrong.status, 401);
    // A program that is wrong again and again blocks neither the others behind its address nor people.
    let old = [("Authorization", "Bearer dr_old")];
    let mut told = vec![];
    for _ in 0..12 {
        told.push(
            client::request(drover.port, "GET", "/admin/queues/api/v1/queues", &old, "")
                .await
                .status,
        );
    }
    assert_eq!(told[11], 429, "{told:?}");
    let good = client::request(drover.port, "GET", "/admin/queues/api/v1/queues", &auth, "").await;
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(sign_in(&drover, "nobody", PASSWORD, &[]).await.status, 401);
    let entries = std::fs::read_to_string(drover.state.path().join("audit.ndjson")).unwrap();
    assert!(
        entries.contains("token:reader") && !entries.contains(&secret),
        "{entries}"
    );
}
