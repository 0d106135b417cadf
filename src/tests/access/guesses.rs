//! Limits of wrong passwords, and whom they lock out (S-11).

use super::*;
use crate::support::process::command;
use crate::support::redis::Redis;

/// A board behind a proxy on this machine, which sends the address of the client.
async fn board(redis: &Redis) -> (Drover, Users) {
    let env = [
        ("DROVER_PUBLIC_URL", "https://ops.example.com"),
        ("DROVER_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    with_sign_in(&redis.url(), &env).await
}

async fn from(drover: &Drover, address: &str, name: &str, password: &str) -> Answer {
    sign_in(drover, name, password, &[("X-Forwarded-For", address)]).await
}

const WRONG: &str = "not the password";

// S-11: a hundred wrong passwords from many addresses lock a name, but not for its user.
#[tokio::test]
async fn guesses_from_everywhere_do_not_lock_a_user_out() {
    let redis = Redis::start();
    let (drover, users) = board(&redis).await;
    users.add("ada", PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    let home = "198.51.100.1";
    assert_eq!(from(&drover, home, "ada", PASSWORD).await.status, 303);
    for n in 0..100 {
        let answer = from(&drover, &format!("203.0.113.{n}"), "ada", WRONG).await;
        assert_eq!(answer.status, 401, "guess {n}");
    }
    let new = "192.0.2.1";
    let held = from(&drover, new, "ada", PASSWORD).await;
    assert_eq!(held.status, 429, "{}", held.body);
    let wait: u64 = held.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    assert!(
        held.body.contains("Too many wrong passwords for this name.")
            && held.body.contains("drover user unlock ada")
            && !held.body.contains("from your address"),
        "{}",
        held.body
    );
    assert_eq!(
        from(&drover, home, "ada", PASSWORD).await.status,
        303,
        "from a network that she has signed in from"
    );
    // An administrator unlocks the name of a running Drover.
    let audit = drover.state.path().join("audit.ndjson").display().to_string();
    let env = [
        ("DROVER_AUTH_MODE", "password"),
        ("DROVER_AUDIT_FILE", audit.as_str()),
        ("DROVER_REDIS_URL", "redis://127.0.0.1:1"),
    ];
    let (code, said) = command(&["user", "unlock", "eve"], &env).await;
    assert!(code == Some(1) && said.contains("drover user list"), "{said}");
    let (code, said) = command(&["user", "unlock", "ada"], &env).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(from(&drover, new, "ada", PASSWORD).await.status, 303);
    // From her networks, wrong passwords for other names do not count against her; those for her name do.
    for n in 0..10 {
        assert_eq!(from(&drover, new, &format!("guess-{n}"), WRONG).await.status, 401);
    }
    assert_eq!(from(&drover, new, "guess", WRONG).await.status, 429);
    assert_eq!(from(&drover, new, "ada", PASSWORD).await.status, 303);
    for n in 0..10 {
        assert_eq!(from(&drover, new, "ada", WRONG).await.status, 401, "{n}");
    }
    assert_eq!(from(&drover, new, "ada", PASSWORD).await.status, 429);
    // An administrator can add a network.
    let (code, said) = command(&["user", "unlock", "ada", "--from", "192.0.2.77"], &env).await;
    assert!(code == Some(0) && said.contains("192.0.2.77"), "{said}");
    let kept = std::fs::read_to_string(drover.state.path().join("networks.json")).unwrap();
    assert!(kept.contains("192.0.2.77") && !kept.contains("203.0.113."), "{kept}");
}

// S-11: signing in to one's own account in between permits no more guesses at others.
#[tokio::test]
async fn a_successful_sign_in_resets_no_limit() {
    let redis = Redis::start();
    let (drover, users) = board(&redis).await;
    for name in ["ada", "eve"] {
        users.add(name, PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    }
    let address = "192.0.2.9";
    let mut guessed = 0;
    let held = loop {
        assert_eq!(
            from(&drover, address, "eve", PASSWORD).await.status,
            303,
            "after {guessed}"
        );
        let answer = from(&drover, address, "ada", WRONG).await;
        if answer.status == 429 {
            break answer;
        }
        guessed += 1;
        assert!(guessed < 20, "{guessed} guesses");
    };
    // One more for each half minute that the test took.
    assert!((10..13).contains(&guessed), "{guessed}");
    assert!(
        held.body.contains("Too many wrong attempts from your address"),
        "{}",
        held.body
    );
    assert_eq!(
        from(&drover, "192.0.2.10", "ada", PASSWORD).await.status,
        303,
        "another address is not limited"
    );
}

// S-11: the limit counts each guess, also of those that arrive together.
#[tokio::test]
async fn guesses_that_arrive_together_are_limited_like_others() {
    let redis = Redis::start();
    let (drover, users) = board(&redis).await;
    users.add("ada", PASSWORD, Some(Role::Viewer), &[], &[]).await.unwrap();
    let guesses = (0..40).map(|_| from(&drover, "192.0.2.9", "ada", WRONG));
    let answers = futures::future::join_all(guesses).await;
    let checked = answers.iter().filter(|answer| answer.status == 401).count();
    // One more may be checked beside the last, and one for each half minute that the test took.
    assert!((10..14).contains(&checked), "{checked}");
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 429).count(),
        40 - checked
    );
}
