use super::*;

fn read(text: &str) -> JobFilter {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_printed_is_read_again() {
    for text in [
        "",
        "state:failed",
        "state:failed queue:redis/bull:emails queue:mail.* name:charge* id:o-? error:\"timed out: 5 \\\"s\\\"\" age:>2h attempts:>=3",
        "age:<90s attempts:2",
        "state:waiting,prioritized,delayed queue:mail first:1000",
        "state:waiting system:celery,arq",
        "attempts:<=4 \"two words\"",
        "\"with:colon\"",
        "error:\"back\\\\slash\"",
    ] {
        let filter = read(text);
        assert_eq!(read(&filter.to_string()), filter, "{text} → {filter}");
    }
    assert_eq!(read("attempts:>2"), read("attempts:>=3"));
    assert_eq!(read("age:>120m").to_string(), "age:>2h");
    assert_eq!(
        read("queue:bull:emails").queues,
        ["bull:emails"],
        "a colon in a value needs no quotes"
    );
}

#[test]
fn above_a_list_text_with_a_colon_is_text() {
    for (text, found) in [
        ("mail:send", Some("mail:send")),
        ("two words", Some("two words")),
        ("12\" pipe", Some("12\" pipe")),
        ("error:timeout", None),
    ] {
        assert_eq!(JobFilter::in_list(text).unwrap().text.as_deref(), found, "{text}");
    }
    assert_eq!(JobFilter::in_list("age:>2h mail").unwrap(), read("age:>2h mail"));
    for (text, part) in [
        ("state:failed", "use the tabs"),
        ("age:2h", "age:>2h"),
        ("error:\"no end", "missing"),
    ] {
        let error = JobFilter::in_list(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_understood_says_what_can() {
    for (text, part) in [
        ("color:red", "use state, queue"),
        ("state:lost", "state:lost"),
        ("state:failed,lost", "state:lost"),
        ("first:0", "first:1000"),
        ("system:sidekiq", "celery, arq"),
        ("age:2h", "age:>2h"),
        ("age:>2 weeks", "90s, 15m"),
        ("age:>99999999999999999999d", "not a duration"),
        ("attempts:many", "attempts:>=3"),
        ("name:", "has no value"),
        ("name:a name:b", "twice"),
        ("error:\"no end", "closing quotation mark is missing"),
    ] {
        let error = text.parse::<JobFilter>().unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!("x".repeat(FILTER_MAX + 1).parse::<JobFilter>().is_err());
}

#[test]
fn stars_and_question_marks_stand_for_others() {
    for (glob, text, fits) in [
        ("*", "", true),
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*c*e", "abcde", true),
        ("a*c*f", "abcde", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("", "a", false),
        ("**", "ü", true),
        ("?", "ü", true),
        ("a", "A", false),
    ] {
        assert_eq!(matches(glob, text), fits, "{glob} {text}");
    }
}

#[test]
fn a_queue_is_meant_by_its_name_its_id_or_both_with_its_store() {
    for (filter, fits) in [
        ("", true),
        ("queue:mail", true),
        ("queue:bull:m*", true),
        ("queue:redis/*", true),
        ("queue:other/*", false),
        ("queue:video queue:mail", true),
    ] {
        assert_eq!(read(filter).takes_queue("redis", "bull:mail", "mail"), fits, "{filter}");
    }
    for (filter, fits) in [("", true), ("system:celery,ARQ", true), ("system:bull", false)] {
        assert_eq!(read(filter).takes_system(System::Arq), fits, "{filter}");
    }
}
