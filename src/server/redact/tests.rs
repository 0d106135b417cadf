//! The corpus: what is hidden, what is not, and that nothing else of a text changes (S-20, S-24).

mod ours;
mod properties;

use super::corpus::{INNOCENT, LOOKS, SECRETS};
use super::*;

thread_local! {
    static READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Notes how many bytes a search has read, for [`reads`].
pub(super) fn note_read(bytes: usize) {
    READ.set(READ.get() + bytes);
}

/// The bytes that a mask's searches read of a text, in each way that it can be masked.
fn reads(text: &str) -> [usize; 3] {
    let of = |mask: &dyn Fn()| {
        READ.set(0);
        mask();
        READ.get()
    };
    [
        of(&|| drop(mask().json(text))),
        of(&|| drop(mask().json(&format!("[\"{text}")))),
        of(&|| drop(mask().text(text))),
    ]
}

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

/// Error messages of common libraries, and where they are from.
const ERRORS: &str = include_str!("corpus/errors.txt");

/// The messages: `\\n` ends a line.
fn errors() -> impl Iterator<Item = String> {
    ERRORS
        .lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| line.replace("\\n", "\n"))
}

#[test]
fn messages_of_common_libraries_stay_readable_wherever_they_are_shown() {
    assert!(errors().count() >= 200);
    let mut hidden = Vec::new();
    let mut check = |what: &str, text: &str, masked: &str| {
        if masked != text {
            hidden.push(format!("{what}: {text}\n    {masked}"));
        }
    };
    for error in errors() {
        check("error", &error, &mask().text(&error));
        check("words", &error, &mask().words(&error));
        let first = error.lines().next().unwrap_or_default();
        check("row", first, &mask().headline(&error, 10_000));
        let stack = format!("Error: {error}\n    at Worker.process (/app/worker.js:10:15)");
        check("stack", &stack, &mask().text(&stack));
        let log = format!("2024-01-01T00:00:00Z ERROR job 17 failed: {error}");
        check("log", &log, &mask().text(&log));
        let json = serde_json::json!({"name": "Error", "message": error, "stack": [stack]}).to_string();
        check("json", &json, &mask().json(&json));
        check("named", &error, &mask().named("failedReason", &error));
    }
    assert!(hidden.is_empty(), "{} are hidden:\n{}", hidden.len(), hidden.join("\n"));
}

#[test]
fn for_each_hidden_value_its_rule_is_known() {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let redactor = with(Settings {
        keys: list(&["internalRef"]),
        patterns: list(&[r"EMP-\d+"]),
        personal: true,
        rules: vec![Rule {
            queues: "*".into(),
            paths: list(&["$.note"]),
            ..Rule::default()
        }],
        ..Settings::default()
    });
    let mask = redactor.for_queue("redis", "bull:a", "a");
    let text = r#"{"was":"[redacted]","db_password":"x","internal_ref":"y","who":"EMP-12","note":"n","email":"z","body":"{\"token\":\"t\",\"paid\":\"4111 1111 1111 1111\"}","url":"redis://a:b@c"}"#;
    let (shown, rules) = mask.json_with_rules(text);
    assert_eq!(shown.matches(MARKER).count(), 9, "{shown}");
    assert_eq!(
        rules,
        [
            "Stored like this",
            "Hidden by its name, \"password\" (built-in list)",
            "Hidden by its name, \"internalref\" (redact.keys)",
            "Hidden by the pattern EMP-\\d+ (redact.patterns)",
            "Hidden by the path $.note ([[redact.rule]])",
            "Hidden by its name, \"email\" (redact.personal)",
            "Hidden by its name, \"token\" (built-in list)",
            "Hidden by its look: the number of a card",
            "Hidden by its look: a password in an address",
        ]
    );
    // Nothing was hidden: there is nothing to say.
    assert_eq!(mask.text_with_rules("as [redacted] is").1, [""; 0]);
}

#[test]
fn personal_data_are_hidden_where_the_configuration_says_so() {
    let text = r#"{"customer":{"firstName":"Ada","email":"ada@example.test","address":{"street":"Main St 5","country":"Germany"},"id":7},"emailSent":true,"to":"mail ada@example.test now","host":"10.0.0.7"}"#;
    assert_eq!(mask().json(text), text);
    let personal = with(Settings {
        personal: true,
        ..Settings::default()
    });
    assert_eq!(
        personal.base().json(text),
        r#"{"customer":{"firstName":"[redacted]","email":"[redacted]","address":{"street":"[redacted]","country":"[redacted]"},"id":7},"emailSent":true,"to":"mail [redacted] now","host":"10.0.0.7"}"#
    );
    let refused = "connect ECONNREFUSED { address: '10.0.0.7', port: 6379 }";
    assert_eq!(personal.base().text(refused), refused);
    // In some queues.
    let some = with(Settings {
        rules: vec![Rule {
            queues: "hr".into(),
            personal: true,
            ..Rule::default()
        }],
        ..Settings::default()
    });
    assert_eq!(some.for_queue("redis", "bull:mail", "mail").json(text), text);
    assert_ne!(some.for_queue("redis", "bull:hr", "hr").json(text), text);
}

#[test]
fn of_our_sentences_only_what_they_quote_is_masked() {
    let sentence =
        r#"Fail job token:9 of queue auth: x in redis, with "login: password=hunter2 \"x\"". Then "none" is left."#;
    assert_eq!(
        mask().sentence(sentence),
        r#"Fail job token:9 of queue auth: x in redis, with "login: password=[redacted] \"x\"". Then "none" is left."#
    );
    let line =
        r#"{"level":"INFO","fields":{"message":"listening","auth":"x9","token":"y8","cause":"password=hunter2"}}"#;
    assert_eq!(
        mask().fields(line),
        r#"{"level":"INFO","fields":{"message":"listening","auth":"x9","token":"y8","cause":"password=[redacted]"}}"#
    );
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
        r#"{"card":{"number":"[redacted]","brand":"visa","ok":true,"x":null}}"#
    );
    assert_eq!(
        json(r#"{"otp":123456,"pin":1234,"cvv":123}"#),
        r#"{"otp":"[redacted]","pin":"[redacted]","cvv":"[redacted]"}"#
    );
    assert_eq!(
        json(r#"{"value": 81726354 ,"x":1,"name":"otp"}"#),
        r#"{"value": "[redacted]" ,"x":1,"name":"otp"}"#
    );
    assert_eq!(json(r#"{"a":1,"password":"hun"#), r#"{"a":1,"password":"[redacted]"#);
    // What people make up, and what a word says about it.
    assert_eq!(json(r#"{"password":"Changed2024"}"#), r#"{"password":"[redacted]"}"#);
    assert_eq!(json(r#"{"password":"changed"}"#), r#"{"password":"changed"}"#);
    // A number is looked at under a name, too.
    assert_eq!(json(r#"{"auth":4111111111111111}"#), r#"{"auth":"[redacted]"}"#);
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
    assert_eq!(text("?cookie=abc1&page=2"), "?cookie=[redacted]&page=2");
    assert_eq!(text("password: sandbox"), "password: [redacted]");
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
    // A place hides all that is in it, whatever the names are.
    assert_eq!(
        pay.json(r#"{"customer":{"email":{"auth":"none","on":true}}}"#),
        r#"{"customer":{"email":{"auth":"[redacted]","on":"[redacted]"}}}"#
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
fn the_password_behind_a_user_is_hidden_however_long() {
    let password = "s3cr3t".repeat(200);
    let shown = format!("curl -u ada:{password} https://x.test");
    assert_eq!(mask().text(&shown), "curl -u ada:[redacted] https://x.test");
}

#[test]
fn hostile_texts_cost_no_more_than_their_length() {
    let mut steep = Vec::new();
    for part in [
        "password=",
        "'",
        "password:'",
        "password=\\\"",
        "[",
        "{\"a\":",
        "\"\\\\\\\"",
        "a,",
        "password=a,",
        "://a:b",
        "redis://a:b@",
        "-----BEGIN A",
        "eyJa.",
        "4111 ",
        "<password>",
        "auth:[('\\'",
        "é=\u{feff}",
        "=",
        "\u{ff1d}b",
        "Cookie: expired [redacted]",
        "Cookie: is ",
        "{\"cookie\":tr",
        "]Authorization: ]",
        "auth: {",
        "auth={",
        "password: ('is short',",
        "form-data; name=\"password\"\r\n\r\n",
        "name=token value='",
        "value=\"name=token ",
        "{\"a\":x",
        "[[\"a\",{\"b\":\"{\\\"c\\\":d",
        "{\"tokens\":[[[",
        "{\"value\":{\"name\":\"token\",",
        "x\ninput_value=",
        "%3D%2",
        "` (`",
        "IDENTIFIED BY ",
        "PASSWORD ' ",
        "mysql -p -u a:",
        ",\\\"--",
        "\"-u\",x",
        "curl -ux",
        "aaaa bbbb cccc: ",
        "x\u{301}",
    ] {
        let long = |length: usize| reads(&part.repeat(length / part.len()));
        let (once, four) = (long(10_000), long(40_000));
        if once.iter().zip(four).any(|(once, four)| four > 5 * once) {
            steep.push(format!("{part:?}: {once:?}, of four times the length {four:?}"));
        }
    }
    assert!(steep.is_empty(), "{}", steep.join("\n"));
}
