//! Properties of any text: masking it again changes nothing, its JSON keeps its structure, a secret is hidden and a
//! word is shown.

use super::{MARKER, SECRETS, mask};
use proptest::prelude::*;

/// Texts that fuzzing found to be of interest: what is `canary` in them is secret.
const FOUND: &str = include_str!("../corpus/found.txt");

/// The properties of any text, JSON or not.
fn holds(text: &str) -> Result<(), TestCaseError> {
    for (masked, rules, again) in [
        {
            let (masked, rules) = mask().json_with_rules(text);
            let again = mask().json(&masked).into_owned();
            (masked, rules, again)
        },
        {
            let (masked, rules) = mask().text_with_rules(text);
            let again = mask().text(&masked).into_owned();
            (masked, rules, again)
        },
    ] {
        prop_assert_eq!(&again, &masked, "masked again: {:?}", text);
        if masked != text {
            prop_assert_eq!(masked.matches(MARKER).count(), rules.len(), "{:?}\n{:?}", text, masked);
        }
    }
    if let Ok(before) = serde_json::from_str::<serde_json::Value>(text) {
        let masked = mask().json(text).into_owned();
        let after = serde_json::from_str(&masked);
        prop_assert!(after.is_ok(), "no JSON any more: {}\n{}", text, masked);
        prop_assert!(is_alike(&before, &after.unwrap()), "another JSON: {}\n{}", text, masked);
    }
    Ok(())
}

/// Whether a JSON is the same but for values that are hidden.
fn is_alike(before: &serde_json::Value, after: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object, String};
    match (before, after) {
        (_, String(text)) if text.contains(MARKER) => true,
        (Array(before), Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(before, after)| is_alike(before, after))
        }
        (Object(before), Object(after)) => {
            // Names that are secrets themselves are hidden, and may fall together.
            let hidden = after.keys().any(|name| name.contains(MARKER));
            before.iter().all(|(name, before)| match after.get(name) {
                Some(after) => is_alike(before, after) || (hidden && name.contains(MARKER)),
                None => hidden,
            }) && (hidden || before.len() == after.len())
        }
        (before, after) => before == after,
    }
}

#[test]
fn what_fuzzing_found_stays_mended() {
    for line in FOUND.lines() {
        let text: String = serde_json::from_str(line).unwrap();
        holds(&text).unwrap();
        if text.contains("canar") {
            for masked in [mask().json(&text), mask().text(&text)] {
                assert!(!masked.contains("canar"), "{text:?}\n{masked:?}");
            }
        }
    }
}

proptest! {
    // A failure is reported by its text; no file of seeds is kept.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_masked_once_and_its_json_stays_the_same(text in hostile()) {
        holds(&text)?;
    }

    #[test]
    fn any_json_keeps_its_structure(value in json_value()) {
        holds(&serde_json::to_string(&value).unwrap())?;
    }

    #[test]
    fn a_secret_of_the_corpus_is_hidden_in_any_json(which in 0..SECRETS.len(), around in json_value(), name in "[a-z]{1,8}") {
        // A text of the corpus is a whole text: as a string in a JSON it is the same.
        let value = serde_json::json!({"a": around, name: SECRETS[which], "b": [SECRETS[which]]});
        let masked = mask().json(&value.to_string()).into_owned();
        prop_assert!(!masked.contains("canar"), "{}\n{}", value, masked);
    }

    #[test]
    fn a_random_secret_is_hidden_under_each_name_and_a_word_is_shown(
        // A letter behind a digit: without it "000+Of+++" is a number and a word.
        secret in "[a-z0-9]{2,6}[0-9][A-Z][A-Za-z0-9+/]{5,29}",
        name in prop::sample::select(vec!["auth", "token", "session", "signature", "card", "apiKey", "db_password", "clientSecret"]),
        word in prop::sample::select(vec!["expired", "invalid", "not_found", "token_revoked", "MISSING", "insufficient_scope"]),
    ) {
        for (before, after) in [("{\"", "\":\"?\"}"), ("", "=?"), ("", ": ?"), ("x ", "='?' y"), ("--", " ?")] {
            let form = format!("{before}{name}{after}");
            let text = form.replace('?', &secret);
            prop_assert!(!mask().json(&text).contains(&secret), "{}", text);
            prop_assert!(!mask().text(&text).contains(&secret), "{}", text);
            let text = form.replace('?', word);
            let shown = mask().json(&text).into_owned();
            prop_assert_eq!(shown, text);
        }
    }
}

/// Texts made of what the redactor looks for.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-z]{0,3}",
        4 => r#"[=:&,;'"`{}\[\]\\() \n<>/@%-]{1,3}"#,
        1 => "[0-9]{1,4}",
        1 => ".{0,3}",
        4 => prop::sample::select(vec![
            "password", "token", "auth", "card", "name", "value", "Bearer ", "Cookie: ", "https://", "redis://a:", "--password ",
            "-u a:b", "%3D", "%22", "%253A", "IDENTIFIED BY ", "PASSWORD '", "form-data; name=\"", "\r\n\r\n", "[redacted]",
            "-----BEGIN ", "eyJhbGciOi", "\u{200b}", "\u{ff1a}", "4111 1111 1111 1111", "input_value=", "` (`", "\\\"", "\\u0070",
            "expired", "is too short", "${X}", "$1",
        ]).prop_map(str::to_owned),
        1 => (0..SECRETS.len()).prop_map(|i| SECRETS[i].to_owned()),
    ];
    prop::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let name = || {
        prop_oneof![
            3 => prop::sample::select(vec![
                "password", "name", "value", "card", "auth", "tokens", "type", "path", "input", "credentials", "brand",
            ]).prop_map(str::to_owned),
            1 => ".{0,6}",
        ]
    };
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,12}".prop_map(serde_json::Value::from),
        prop::sample::select(vec![
            "password=x, token: 'y'",
            r#"{"token":"a\"b"}"#,
            "--password",
            "-u",
            "a:b9",
            "password",
            "expired",
            "visa",
        ])
        .prop_map(serde_json::Value::from),
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
