//! The corpus: what is hidden, what is not, and that nothing else of a text changes (S-20, S-24).

use super::corpus::{INNOCENT, LOOKS, SECRETS};
use super::*;
use proptest::prelude::*;

fn mask() -> Mask {
    Mask::default()
}

#[test]
fn everything_in_the_corpus_is_hidden() {
    assert!(SECRETS.len() >= 60);
    let mut leaks = Vec::new();
    for text in SECRETS {
        for masked in [mask().json(text), mask().text(text)] {
            if masked.contains("canar") || !holds_marker(&masked) {
                leaks.push(format!("{text}\n    {masked}"));
            }
        }
    }
    for look in LOOKS {
        for text in [
            (*look).to_owned(),
            format!("{{\"note\":\"it was {look}\"}}"),
            format!("[\"{look}\",1]"),
            format!("Error: {look} was refused"),
            format!("value={look};"),
            format!("{{'x': '{look}'}}"),
            format!("{{\"{look}\":true}}"),
        ] {
            for masked in [mask().json(&text), mask().text(&text)] {
                if masked.contains(look) || masked.contains(&look[8..]) {
                    leaks.push(format!("{text}\n    {masked}"));
                }
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    assert!(INNOCENT.len() >= 40);
    let mut changed = Vec::new();
    for text in INNOCENT {
        for masked in [mask().json(text), mask().text(text)] {
            if masked != *text {
                changed.push(format!("{text}\n    {masked}"));
            }
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn a_secret_is_taken_out_and_nothing_else() {
    let json = |text: &str| mask().json(text).into_owned();
    assert_eq!(
        json(r#"{ "a":1.50, "password" : "x", "a":2, "big":12345678901234567890123 , "u":"\u00e9" }"#),
        r#"{ "a":1.50, "password" : "[redacted]", "a":2, "big":12345678901234567890123 , "u":"\u00e9" }"#
    );
    assert_eq!(
        json(r#"{"body":"{\"password\":\"x\",\"n\":1.0}","k":1}"#),
        r#"{"body":"{\"password\":\"[redacted]\",\"n\":1.0}","k":1}"#
    );
    assert_eq!(
        json(r#"{"tokens":["a","b","c"],"n":[1]}"#),
        r#"{"tokens":"[redacted]","n":[1]}"#
    );
    assert_eq!(
        json(r#"{"card":{"number":4111,"brand":"visa","ok":true,"x":null}}"#),
        r#"{"card":{"number":"[redacted]","brand":"[redacted]","ok":true,"x":null}}"#
    );
    assert_eq!(
        json(r#"{"otp":123456,"pin":1234,"cvv":123}"#),
        r#"{"otp":"[redacted]","pin":"[redacted]","cvv":"[redacted]"}"#
    );
    assert_eq!(json(r#"{"a":1,"password":"hun"#), r#"{"a":1,"password":"[redacted]"#);
    let text = |text: &str| mask().text(text).into_owned();
    assert_eq!(
        text("failed with password=x1, user=bob (id 5)"),
        "failed with password=[redacted], user=bob (id 5)"
    );
    assert_eq!(
        text("{'user': 'bob', 'password': 'x', 'n': 1}"),
        "{'user': 'bob', 'password': '[redacted]', 'n': 1}"
    );
    assert_eq!(text("redis://bob:pw@host/0"), "redis://bob:[redacted]@host/0");
    assert_eq!(text("?token=abc1&page=2"), "?token=[redacted]&page=2");
    assert_eq!(text("pay with 4111 1111 1111 1111 now"), "pay with [redacted] now");
    assert_eq!(
        text("curl -H 'Authorization: Bearer abc' -H 'Accept: x'"),
        "curl -H 'Authorization: [redacted]' -H 'Accept: x'"
    );
}

#[test]
fn the_length_of_a_secret_does_not_show() {
    for make in [
        |secret: &str| format!(r#"{{"password":"{secret}","x":1}}"#),
        |secret: &str| format!("password={secret} x"),
        |secret: &str| format!("Authorization: Bearer {secret}"),
        |secret: &str| {
            format!(
                r#"{{"tokens":["{}"]}}"#,
                secret.split("").collect::<Vec<_>>().join("\",\"")
            )
        },
        |secret: &str| format!("redis://u:{secret}@h"),
    ] {
        let (short, long) = (make("ab1"), make(&"ab1".repeat(50)));
        assert_eq!(mask().json(&short), mask().json(&long));
        assert_eq!(mask().text(&short), mask().text(&long));
    }
}

#[test]
fn a_secret_is_hidden_wherever_its_json_is_cut() {
    let whole = r#"{"id":7,"user":{"name":"Ada","password":"canary-é-\"x\"-canary","n":[1,2]},"tokens":["canary"],"body":"{\"apiKey\":\"canary\"}","auth":"Bearer canary1"}"#;
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        let masked = mask().json(&whole[..end]).into_owned();
        assert!(!masked.contains("canar"), "{end}: {masked}");
        // In a sentence, where it is plain text, too.
        let masked = mask().text(&format!("Bad answer: {}", &whole[..end])).into_owned();
        assert!(!masked.contains("canar"), "{end}: {masked}");
    }
}

fn with(settings: Settings) -> Redactor {
    Redactor::new(settings).unwrap()
}

#[test]
fn rules_add_names_patterns_and_places_to_some_queues() {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let redactor = with(Settings {
        keys: list(&["internalRef"]),
        keep: list(&["session_id"]),
        patterns: list(&[r"EMP-\d+"]),
        rules: vec![
            Rule {
                queues: "redis/bull:pay*".into(),
                paths: list(&["$.customer.email", "$.lines[*].note", "$.*.zip"]),
                keys: list(&["amount"]),
                ..Rule::default()
            },
            Rule {
                queues: "hr".into(),
                all: true,
                ..Rule::default()
            },
        ],
        ..Settings::default()
    });
    let mail = redactor.for_queue("redis", "bull:mail", "mail");
    let pay = redactor.for_queue("redis", "bull:payments", "payments");
    let hr = redactor.for_queue("redis", "bull:hr", "hr");
    let text = r#"{"customer":{"email":"a@b","zip":"1"},"lines":[{"note":"x"}],"amount":5,"internal_ref":77,"sessionId":"s","who":"EMP-12"}"#;
    assert_eq!(
        mail.json(text),
        r#"{"customer":{"email":"a@b","zip":"1"},"lines":[{"note":"x"}],"amount":5,"internal_ref":"[redacted]","sessionId":"s","who":"[redacted]"}"#
    );
    assert_eq!(
        pay.json(text),
        r#"{"customer":{"email":"[redacted]","zip":"[redacted]"},"lines":[{"note":"[redacted]"}],"amount":"[redacted]","internal_ref":"[redacted]","sessionId":"s","who":"[redacted]"}"#
    );
    assert_eq!(hr.json(text), r#""[redacted]""#);
    assert_eq!(hr.text("boom"), MARKER);
    assert_eq!(hr.text(""), "");
    assert!(
        !redactor
            .for_queue("pg", "bull:payments", "payments")
            .json(text)
            .contains("\"email\":\"[redacted]")
    );
    // Asked again, it comes from what is remembered.
    assert_eq!(redactor.for_queue("redis", "bull:hr", "hr").text("x"), MARKER);
}

#[test]
fn without_the_defaults_only_what_is_configured_is_hidden() {
    let redactor = with(Settings {
        defaults: false,
        keys: vec!["ref".into()],
        ..Settings::default()
    });
    let text = r#"{"password":"x","ref":"y","url":"redis://a:b@c"}"#;
    assert_eq!(
        redactor.base().json(text),
        r#"{"password":"x","ref":"[redacted]","url":"redis://a:b@c"}"#
    );
}

#[test]
fn mistakes_are_told_all_at_once() {
    let rule = Rule {
        queues: " ".into(),
        patterns: vec!["a{1000}{1000}".into(), "x*".into()],
        paths: vec!["customer".into(), "$.a..b".into(), "$.a[0]".into()],
        ..Rule::default()
    };
    let wrong = problems(&Settings {
        keys: vec!["-".into()],
        patterns: vec!["(".into()],
        rules: vec![
            rule,
            Rule {
                queues: "a".into(),
                ..Rule::default()
            },
        ],
        ..Settings::default()
    });
    assert_eq!(wrong.len(), 9, "{wrong:#?}");
    assert!(wrong.iter().all(|problem| !problem.contains('\n')), "{wrong:#?}");
}

#[test]
fn a_headline_is_masked_before_it_is_cut() {
    let text = format!("{} password=canary{}", "x".repeat(290), "y".repeat(600));
    let line = mask().headline(&format!("{text}\nsecond"), 300);
    assert!(!line.contains("canar") && !line.contains("second"), "{line}");
    assert!(line.chars().count() <= 301);
    assert_eq!(mask().headline("boom\nat x", 300), "boom");
    assert_eq!(mask().headline("é".repeat(9_000).as_str(), 5), "ééééé…");
}

#[test]
fn what_a_server_says_quotes_no_data() {
    for (text, shown) in [
        (
            r#"refused: duplicate key. Key (email, n)=(a@b.test, 5) already exists."#,
            "refused: duplicate key. Key (email, n)=([redacted]) already exists.",
        ),
        (
            "Failing row contains (1, canary (x), 2).",
            "Failing row contains ([redacted]).",
        ),
        (
            r#"invalid input syntax for type uuid: "canary""#,
            r#"invalid input syntax for type uuid: "[redacted]""#,
        ),
        (r#"Token "canary" is invalid."#, r#"Token "[redacted]" is invalid."#),
        (
            "ERR unknown command 'X', with args beginning with: 'canary' 'b'",
            "ERR unknown command 'X', with args beginning with: [redacted]",
        ),
        (
            "no answer from redis://u:canary@h",
            "no answer from redis://u:[redacted]@h",
        ),
        (
            "h:5432 does not permit it: permission denied for table job.",
            "h:5432 does not permit it: permission denied for table job.",
        ),
    ] {
        assert_eq!(said(text), shown);
        assert_eq!(said(shown), shown);
    }
}

#[test]
fn a_value_with_a_name_of_its_own_is_hidden_by_it() {
    assert_eq!(mask().named("authToken", "abc"), MARKER);
    assert_eq!(mask().named("tokens", "12"), "12");
    assert_eq!(mask().named("data", r#"{"pwd":"x"}"#), r#"{"pwd":"[redacted]"}"#);
}

#[test]
fn hostile_texts_cost_no_more_than_their_length() {
    let long = |text: &str| text.repeat(200_000 / text.len());
    for text in [
        long("password="),
        long("'"),
        long("password:'"),
        long("password=\\\""),
        long("["),
        long("{\"a\":"),
        long("\"\\\\\\\""),
        long("a,"),
        long("password=a,"),
        long("://a:b"),
        long("redis://a:b@"),
        long("-----BEGIN A"),
        long("eyJa."),
        long("4111 "),
        long("<password>"),
        long("auth:[('\\'"),
        long("é=\u{feff}"),
    ] {
        let _ = mask().json(&text);
        let _ = mask().json(&format!("[\"{text}"));
        let _ = mask().text(&text);
    }
}

proptest! {
    #[test]
    fn masking_twice_is_masking_once(text in r#"([a-z]{0,3}|password|token|auth|[=:&,;'"{}\[\]\\() \n<>/@-]|Bearer|Cookie|https://|[0-9]{1,4}){0,24}"#) {
        let once = mask().json(&text).into_owned();
        prop_assert_eq!(mask().json(&once), once.as_str());
        let once = mask().text(&text).into_owned();
        prop_assert_eq!(mask().text(&once), once.as_str());
    }

    #[test]
    fn valid_json_stays_valid(value in json_value()) {
        let text = serde_json::to_string(&value).unwrap();
        let masked = mask().json(&text).into_owned();
        let read: Result<serde_json::Value, _> = serde_json::from_str(&masked);
        prop_assert!(read.is_ok(), "{}\n{}", text, masked);
        prop_assert_eq!(mask().json(&masked), masked.as_str());
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let name = || {
        prop_oneof![
            Just("password".to_owned()),
            Just("name".to_owned()),
            Just("value".to_owned()),
            ".{0,6}"
        ]
    };
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::from("password=x, token: 'y'")),
        Just(serde_json::Value::from(r#"{"token":"a\"b"}"#)),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}
