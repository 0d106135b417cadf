use super::super::tests::load_with;
use super::super::{Problems, print};
use crate::server::status::Visibility;

const REDIS: (&str, &str) = ("DROVER_REDIS_URL", "redis://h");

const WHOLE: &str = r#"
[status_page]
name = "Shop"
url = "https://status.example.com/shop"
listen = "0.0.0.0:8080"
rate_limit = 0
frame_ancestors = ["https://wiki.example.com", "https://*.example.org:8443"]
worse_after = "0s"
better_after = "90s"
[[status_page.component]]
id = "mail"
name = "Outgoing \"email\""
queues = "redis/bull:mail*"
promise = "1min"
group = "Messages"
description = "Receipts and reminders"
[[status_page.component]]
id = "Reports_2"
name = "Reports"
queues = "*reports"
promise = "2h"
"#;

#[test]
fn nothing_is_published_unless_it_is_named_and_what_is_printed_can_be_read_again() {
    assert!(load_with("", &[REDIS]).unwrap().status.is_none());
    assert!(
        load_with("[status_page]\nname = \"x\"\n", &[REDIS])
            .unwrap()
            .status
            .is_none()
    );
    let config = load_with(WHOLE, &[REDIS, ("DROVER_STATUS_LISTEN", "127.0.0.1:9000")]).unwrap();
    let status = config.status.as_ref().unwrap();
    assert_eq!(status.listen.unwrap().port(), 9000);
    assert_eq!((status.patience.worse, status.patience.better), (0, 90_000));
    assert_eq!(status.visibility, Visibility::Public);
    let promises: Vec<i64> = status.components.iter().map(|component| component.promise).collect();
    assert_eq!(promises, [60_000, 7_200_000]);
    assert!(
        config.warnings.iter().any(|w| w.contains("rate_limit")),
        "{:?}",
        config.warnings
    );
    let printed = print::print(&config);
    let again = load_with(&printed, &[]).unwrap();
    assert_eq!(
        print::print(&again).split_once('\n').unwrap().1,
        printed.split_once('\n').unwrap().1
    );
    assert_eq!(again.status.unwrap().components, status.components);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let file = r#"
[status_page]
listen = "here"
visibility = "secret"
frame_ancestors = ["https://a.example; script-src *", "'self'"]
url = "javascript:alert(1)"
worse_after = "soon"
better_after = "9d"
[[status_page.component]]
id = "a/b"
name = " "
queues = ""
promise = "0s"
[[status_page.component]]
id = "c"
name = "C"
queues = "x"
promise = "a minute"
[[status_page.component]]
id = "c"
name = "one\ntwo"
queues = "x"
promise = "1m"
"#;
    let Problems(problems) = load_with(file, &[REDIS]).unwrap_err();
    let all = problems.join("\n");
    for part in [
        "status_page.listen: an address",
        "\"secret\" is neither",
        "script-src * is not a site".replace("* is", "*\" is").as_str(),
        "\"'self'\" is not a site",
        "status_page.url",
        "worse_after: \"soon\"",
        "better_after: at most",
        "1 (a/b): id",
        "1 (a/b): name",
        "1 (a/b): queues",
        "1 (a/b): promise: between",
        "2 (c): promise: how long",
        "3 (c): a second component",
        "3 (c): name: at most",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
    let Problems(problems) = load_with("[status_page]\nslug = \"x\"\n", &[REDIS]).unwrap_err();
    assert!(problems[0].contains("slug"), "{problems:?}");
}

#[test]
fn a_listener_of_its_own_is_for_a_page_that_anybody_may_see_and_not_where_the_board_is() {
    let one = "[[status_page.component]]\nid = \"a\"\nname = \"A\"\nqueues = \"a\"\npromise = \"1m\"\n";
    let wrong = |file: &str, vars: &[(&str, &str)]| load_with(file, vars).unwrap_err().0.join("\n");
    let at = ("DROVER_STATUS_LISTEN", "127.0.0.1:3000");
    assert!(wrong("", &[REDIS, at]).contains("nothing is published"));
    assert!(wrong(one, &[REDIS, at]).contains("the board already listens there"));
    let signed_in = format!("[status_page]\nvisibility = \"signed_in\"\n{one}");
    let other = ("DROVER_STATUS_LISTEN", "127.0.0.1:3001");
    assert!(wrong(&signed_in, &[REDIS, other]).contains("there is no sign-in there"));
    let config = load_with(&signed_in, &[REDIS]).unwrap();
    assert_eq!(config.status.unwrap().visibility, Visibility::SignedIn);
    let many = (0..21).map(|n| one.replace("\"a\"\nname", &format!("\"a{n}\"\nname")));
    assert!(wrong(&many.collect::<String>(), &[REDIS]).contains("21 are too many"));
}
