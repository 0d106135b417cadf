use super::*;
use serde_json::json;

fn read_job(word: &str, fields: Value) -> Result<Intent, BadIntent> {
    let Value::Object(fields) = fields else {
        panic!("not an object")
    };
    Intent::read(Target::Job, "7", word, fields)
}

fn read_queue(word: &str, fields: Value) -> Result<Intent, BadIntent> {
    let Value::Object(fields) = fields else {
        panic!("not an object")
    };
    Intent::read(Target::Queue, "", word, fields)
}

fn wrong(result: Result<Intent, BadIntent>) -> String {
    match result {
        Err(BadIntent::Wrong(why) | BadIntent::NoSuchAction(why)) => why,
        Ok(intent) => panic!("{intent:?} was taken"),
    }
}

#[test]
fn the_fields_in_the_catalogue_are_those_of_the_contract() {
    fn of<T: schemars::JsonSchema>() -> Vec<(String, Vec<String>)> {
        let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
        let variants = schema["oneOf"].as_array().unwrap();
        let word = |v: &Value| v["properties"]["action"]["const"].as_str().unwrap().to_owned();
        let fields = |v: &Value| {
            let all = v["properties"].as_object().unwrap().keys();
            let mut all: Vec<String> = all.filter(|name| *name != "action").cloned().collect();
            all.sort();
            all
        };
        let mut all: Vec<_> = variants.iter().map(|v| (word(v), fields(v))).collect();
        all.sort();
        all
    }
    for (target, mut contract) in [
        (Target::Job, [of::<JobAction>(), of::<FlowAction>()].concat()),
        (Target::Queue, of::<QueueAction>()),
        (Target::Schedule, of::<ScheduleAction>()),
    ] {
        let mut words: Vec<(String, Vec<String>)> = ActionKind::on(target)
            .map(|kind| {
                let mut fields: Vec<String> = kind.row().names().into_iter().map(str::to_owned).collect();
                fields.sort();
                (kind.row().word.to_owned(), fields)
            })
            .collect();
        words.sort();
        words.dedup();
        contract.sort();
        assert_eq!(words, contract, "{target:?}");
    }
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let why = wrong(read_job("explode", json!({})));
    assert!(why.contains("retry, retry_children, archive, promote"), "{why}");
    let why = wrong(read_job("promote", json!({"soon": true})));
    assert!(
        why.contains("\"soon\"") && why.contains("seen, reason, dry_run"),
        "{why}"
    );
    let why = wrong(read_job("retry", json!({"reset_attempts": "yes"})));
    assert!(why.contains("boolean"), "{why}");
}

#[test]
fn a_forgotten_limit_takes_no_limit_away() {
    assert!(wrong(read_queue("concurrency", json!({}))).contains("null removes the limit"));
    let intent = read_queue("concurrency", json!({"limit": null})).unwrap();
    assert_eq!(intent, Intent::Queue(QueueAction::Concurrency { limit: None }));
    assert!(wrong(read_queue("concurrency", json!({"limit": 0}))).contains("at least 1"));
    assert!(wrong(read_queue("rate_limit", json!({"limit": {"max": 0, "per_ms": 1}}))).contains("at least 1"));
}

#[test]
fn data_is_json_of_a_bounded_size_and_keeps_its_digits() {
    let big = "{\"id\":12345678901234567890123}";
    let Ok(Intent::Job { action, .. }) = read_job("edit_data", json!({"data": big})) else {
        panic!("refused");
    };
    assert_eq!(action, JobAction::EditData { data: big.into() });
    assert!(wrong(read_job("edit_data", json!({"data": "{"}))).contains("not JSON"));
    let long = format!("\"{}\"", "x".repeat(DATA_MAX));
    assert!(wrong(read_job("edit_data", json!({"data": long}))).contains("more than 1048576"));
}

#[test]
fn each_action_asks_for_a_permission_that_is_not_to_look() {
    for kind in ActionKind::ALL {
        let intent = Intent::example(*kind, "x").unwrap_or_else(|| panic!("{kind:?} has no example"));
        let word = (intent.target(), intent.kind().row().word);
        assert_eq!(word, (kind.row().target, kind.row().word));
        let verbs = intent.verbs();
        assert!(!verbs.is_empty() && verbs.iter().all(|verb| !verb.only_reads()));
    }
    let both = read_job("retry", json!({"data": "1"})).unwrap();
    assert_eq!(both.verbs(), [Verb::Retry, Verb::Edit]);
}
