use super::*;

/// Reads a file with this text, and these variables.
pub(super) fn load_with(text: &str, vars: &[(&str, &str)]) -> Result<Config, Problems> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Leptos.toml");
    std::fs::write(&path, text).unwrap();
    let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let names: Vec<String> = vars.iter().map(|(name, _)| (*name).to_owned()).collect();
    load_of(Some(&path), &env, &names)
}

#[test]
fn a_name_with_a_typing_error_is_a_problem_and_the_one_that_was_meant_is_named() {
    let file = "[server]\nreadonly = true\nlog = \"info\"\n[[store]]\nid = \"a\"\nurl = \"redis://h\"\nenviroment = \"x\"\n\
                [[archive.policy]]\nid = \"p\"\nolderthan = \"1d\"\n[auth.sesion]\nidle = \"1h\"\n";
    let vars = [
        ("DROVER_READONLY", "true"),
        ("DROVER_REDIS_CAFILE", "/x"),
        ("DROVER_WHATEVER", ""),
        ("DROVER_LISTEN", "nowhere"),
        ("OTHER_READONLY", "true"),
        ("DROVER_SERVICE_HOST", "10.0.0.1"),
    ];
    let Problems(problems) = load_with(file, &vars).unwrap_err();
    let all = problems.join("\n");
    for part in [
        "DROVER_READONLY: there is no such setting; did you mean DROVER_READ_ONLY?",
        "DROVER_REDIS_CAFILE: there is no such setting; did you mean DROVER_REDIS_CA_FILE?",
        "DROVER_WHATEVER: there is no such setting; docs/configuration.md lists them",
        "DROVER_LISTEN: listen",
        "line 2: unknown field `readonly`, did you mean `read_only`?",
        "line 7: unknown field `enviroment`, did you mean `environment`?",
        "line 10: unknown field `olderthan`, did you mean `older_than`?",
        "line 11: unknown field `sesion`, did you mean `session`?",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
    assert!(!all.contains("OTHER_") && !all.contains("SERVICE"), "{all}");
}

/// Every file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    entries.flat_map(below).collect()
}

/// What is read only in some cases would be refused in the others.
#[test]
fn every_variable_that_is_read_anywhere_is_known_whatever_else_is_set() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
    let mut names = BTreeSet::new();
    for path in sources(&folder) {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.contains("tests") || file == "names.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        // A variable that is read is a literal of its own.
        for literal in code.split('"').filter(|part| part.starts_with("DROVER_")) {
            if literal.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
                names.insert(literal.to_owned());
            }
        }
    }
    assert!(names.len() > 25, "{names:?}");
    let names: Vec<String> = names.into_iter().collect();
    let env = |name: &str| (name == "DROVER_REDIS_URL").then(|| "redis://127.0.0.1:6379".to_owned());
    let loaded = load_of(None, &env, &names);
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[test]
fn the_environment_alone_is_enough() {
    let env = |name: &str| match name {
        "DROVER_REDIS_URL" => Some("redis://127.0.0.1:6379".into()),
        "DROVER_AUTH_MODE" => Some("none".into()),
        _ => None,
    };
    let config = load(None, &env).unwrap();
    assert_eq!(config.stores[0].id, "redis");
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.base_path.as_str(), "/admin/queues");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let file =
        "[server]\nlisten = \"127.0.0.1:4000\"\nbase_path = \"/q\"\n[[store]]\nid = \"a\"\nurl = \"redis://h\"\n";
    let config = load_with(file, &[("DROVER_LISTEN", "127.0.0.1:5000")]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(config.base_path.as_str(), "/q");
    assert_eq!(config.stores.len(), 1);
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let file = "[[store]]\nid = \"a b\"\nurl = \"http://x\"\n[[store]]\nid = \"c\"\nqueues = [\"mail\"]\n";
    let vars = [
        ("DROVER_LISTEN", "0.0.0.0:80"),
        ("DROVER_BASE_PATH", "/../x"),
        ("DROVER_AUTH_MODE", "magic"),
    ];
    let Problems(problems) = load_with(file, &vars).unwrap_err();
    let all = problems.join("\n");
    for part in [
        "DROVER_AUTH_MODE: auth mode",
        "DROVER_BASE_PATH",
        "magic",
        "(a b): id",
        "its scheme is not known; use redis://",
        "(c): has no url",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
}

#[test]
fn a_misspelt_name_is_refused_with_its_line_and_without_the_text_of_it() {
    let Problems(problems) = load_with("[[store]]\nid = \"a\"\npasword = \"hunter2\"\n", &[]).unwrap_err();
    assert!(problems[0].contains("line 3"), "{problems:?}");
    assert!(problems[0].contains("pasword"), "{problems:?}");
    assert!(!problems[0].contains("hunter2"), "{problems:?}");
}

#[test]
fn secrets_come_from_files_too_and_are_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    std::fs::write(&path, "redis://me:hunter2@example.org:6379\n").unwrap();
    let file = ("DROVER_REDIS_URL_FILE", path.to_str().unwrap());
    let config = load_with("", &[file, ("DROVER_AUTH_MODE", "none")]).unwrap();
    assert_eq!(config.stores[0].url, "redis://me:hunter2@example.org:6379");
    let printed = print::print(&config);
    assert!(printed.contains("redis://me:***@example.org:6379"), "{printed}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(config.warnings[0].contains("rediss://"), "{:?}", config.warnings);
}

#[test]
fn another_database_is_told_which_stores_there_are() {
    for url in [
        "mysql://me:hunter2@h/db",
        "posgres://me:hunter2@h/db",
        "me:hunter2@h:6379",
        "http://h",
    ] {
        for name in ["DROVER_REDIS_URL", "DROVER_POSTGRES_URL"] {
            let Problems(problems) = load_with("", &[(name, url)]).unwrap_err();
            assert!(problems[0].starts_with(&format!("{name}: url: ")), "{problems:?}");
            assert!(problems[0].contains("rediss:// (TLS)"), "{problems:?}");
            assert!(problems[0].contains("postgres://"), "{problems:?}");
        }
    }
    for (name, url, other) in [
        ("DROVER_REDIS_URL", "postgres://h", "DROVER_POSTGRES_URL"),
        ("DROVER_POSTGRES_URL", "redis://h", "DROVER_REDIS_URL"),
    ] {
        let Problems(problems) = load_with("", &[(name, url)]).unwrap_err();
        assert!(problems[0].contains(other), "{problems:?}");
    }
}

#[test]
fn a_password_that_has_to_be_encoded_is_told_with_its_setting_and_no_part_of_it() {
    for password in ["hun#ter2", "hun/ter2", "1?ter2", "1#ter2", "1/ter2"] {
        for (name, scheme) in [("DROVER_POSTGRES_URL", "postgres"), ("DROVER_REDIS_URL", "redis")] {
            let url = format!("{scheme}://me:{password}@example.org/1");
            let Problems(problems) = load_with("", &[(name, &url)]).unwrap_err();
            let all = problems.join("\n");
            assert!(
                all.contains(name) && all.contains("percent-encode it (# as %23"),
                "{all}"
            );
            assert!(!all.contains("hun") && !all.contains("ter2"), "{all}");
        }
    }
    let encoded = ("DROVER_POSTGRES_URL", "postgres://me:hun%23ter2@127.0.0.1/1");
    assert!(load_with("", &[encoded]).is_ok());
}

#[test]
fn no_url_is_shown_with_a_secret_however_it_is_wrong() {
    let file = |url: &str| format!("[[store]]\nid = \"a\"\nurl = \"{url}\"\n");
    for url in [
        "rediss://hunter2@example.org",
        "postgres://example.org/db?password=hunter2&sslmode=require",
        "postgres://example.org/db?sslpassword=hunter2",
        "unix:///run/redis.sock?pass=hunter2",
    ] {
        let config = load_with(&file(url), &[("DROVER_AUTH_MODE", "none")]).unwrap();
        for shown in [print::print(&config), format!("{config:?}"), config.warnings.join("\n")] {
            assert!(!shown.contains("hunter2"), "{url}: {shown}");
        }
    }
    for url in [
        "redis:/me:hunter2@h",
        "redis//:hunter2@h",
        "redis://me:hunter2@h/notanumber",
        "postgres://me:hunter2@h:port/db",
        "postgres://h/db?sslmode=hunter2",
        "hunter2",
    ] {
        let Problems(problems) = load_with(&file(url), &[]).unwrap_err();
        let all = problems.join("\n");
        assert!(!all.contains("hunter2") && all.contains("(a): url"), "{url}: {all}");
    }
    // In the place of an id, or of the path of a file.
    let wrong = "[[store]]\nid = \"redis://:hunter2@h\"\nurl = \"redis://h\"\n";
    let named = [("DROVER_REDIS_URL_FILE", "redis://:hunter2@h")];
    let public = [
        ("DROVER_REDIS_URL", "redis://h"),
        ("DROVER_PUBLIC_URL", "https://me:hunter2@h"),
    ];
    for (file, vars) in [(wrong, &[][..]), ("", &named), ("", &public)] {
        let all = load_with(file, vars).unwrap_err().0.join("\n");
        assert!(!all.contains("hunter2"), "{all}");
    }
}

#[test]
fn parameters_of_a_postgres_that_are_not_known_are_told_without_their_values() {
    let url = "postgres://h/db?sslpassword=hunter2&connect_timeout=5&sslmode=require";
    let config = load_with("", &[("DROVER_POSTGRES_URL", url), ("DROVER_AUTH_MODE", "none")]).unwrap();
    let told = &config.warnings[0];
    assert!(
        told.starts_with("DROVER_POSTGRES_URL: url: 2 parameters that Drover does not know are ignored"),
        "{told}"
    );
}

#[test]
fn actions_are_recorded_where_state_is_kept() {
    let redis = ("DROVER_REDIS_URL", "redis://h");
    for (vars, file) in [
        (vec![], "/var/lib/drover/audit.ndjson"),
        (vec![("HOME", "/home/a")], "/home/a/.local/state/drover/audit.ndjson"),
        (vec![("HOME", "/")], "/var/lib/drover/audit.ndjson"),
        (
            vec![("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")],
            "/s/drover/audit.ndjson",
        ),
        (
            vec![("XDG_STATE_HOME", "/s"), ("STATE_DIRECTORY", "/t")],
            "/t/audit.ndjson",
        ),
        (vec![("DROVER_AUDIT_FILE", "a.log"), ("HOME", "/home/a")], "a.log"),
    ] {
        let config = load_with("", &[&[redis], vars.as_slice()].concat()).unwrap();
        assert_eq!(config.audit_file, Path::new(file), "{vars:?}");
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    let file = "[server]\nread_only = true\nenvironment = \"production\"\n[[store]]\nid = \"a\"\nurl = \"redis://h:1\"\nprefixes = [\"bull\"]\nqueues = [\"bull:x\"]\nenvironment = \"eu\"\n";
    let config = load_with(file, &[]).unwrap();
    let again = load_with(&print::print(&config), &[]).unwrap();
    assert_eq!(
        print::print(&again).lines().skip(1).collect::<Vec<_>>(),
        print::print(&config).lines().skip(1).collect::<Vec<_>>()
    );
}

#[test]
fn policies_of_the_archive_are_read_and_wrong_ones_are_told_with_the_rest() {
    let vars = [
        ("DROVER_REDIS_URL", "redis://h"),
        ("DROVER_POSTGRES_URL", "postgres://h"),
    ];
    let file = "[[archive.policy]]\nid = \"a\"\nqueues = \"bull:emails.*\"\nstates = [\"completed\"]\nolder_than = \"24h\"\n\
                every = \"day at 02:00\"\nlimit = 500\n[[archive.policy]]\nid = \"b\"\n\
                queues = \"bull:x\"\nstates = [\"completed\", \"failed\"]\nolder_than = \"7d\"\nevery = \"0 3 * * 1 Europe/Paris\"\n";
    let config = load_with(file, &vars).unwrap();
    let sentences = |config: &Config| {
        let policies = &config.archive.as_ref().unwrap().policies;
        policies
            .iter()
            .map(|policy| (policy.sentence(), policy.limit))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        sentences(&config),
        [
            (
                "archive completed older than 24h from bull:emails.* every day at 02:00 UTC".to_owned(),
                Some(500)
            ),
            (
                "archive completed and failed older than 7d from bull:x every 0 3 * * 1 Europe/Paris".to_owned(),
                None
            ),
        ]
    );
    let printed = print::print(&config);
    assert!(printed.contains("every = \"day at 02:00 UTC\""), "{printed}");
    // Without the stores, whose passwords are not printed and whose ids the variables give.
    let archive = printed.split("\n[[store]]").next().unwrap();
    assert_eq!(sentences(&load_with(archive, &vars).unwrap()), sentences(&config));

    let file = "[server]\nbase_path = \"/../x\"\n\
                [[archive.policy]]\nid = \"a b\"\nqueues = \"\"\nstates = [\"waiting\"]\nolder_than = \"a day\"\nevery = \"soon\"\nlimit = 0\n\
                [[archive.policy]]\nid = \"c\"\nsentence = \"archive it all\"\n\
                [[archive.policy]]\nid = \"c\"\nqueues = \"x\"\nstates = [\"failed\"]\nolder_than = \"1h\"\nevery = \"day at 02:00 Mars/Olympus\"\n";
    let Problems(problems) = load_with(file, &[("DROVER_REDIS_URL", "redis://h")]).unwrap_err();
    let all = problems.join("\n");
    for part in [
        "base_path",
        "(a b): id",
        "(a b): queues",
        "\"waiting\" is neither",
        "older_than: \"a day\"",
        "every: \"soon\"",
        "limit: at least 1",
        "unknown field `sentence`",
        "a second policy",
        "Mars/Olympus",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
    let alone = "[[archive.policy]]\nid = \"c\"\nqueues = \"x\"\nstates = [\"failed\"]\nolder_than = \"1h\"\nevery = \"hour\"\n";
    let Problems(problems) = load_with(alone, &[("DROVER_REDIS_URL", "redis://h")]).unwrap_err();
    assert!(problems[0].contains("DROVER_POSTGRES_URL"), "{problems:?}");
}

#[test]
fn the_build_and_the_server_agree_on_the_names_of_assets() {
    let cargo: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    let own: toml::Table = include_str!("../../../Leptos.toml").parse().unwrap();
    let leptos = |table: &toml::Table| table["package"]["metadata"]["leptos"].as_table().unwrap().clone();
    let (cargo, own) = (leptos(&cargo), leptos(&own));
    for (key, value) in &own {
        assert_eq!(
            cargo.get(key),
            Some(value),
            "{key} differs between Cargo.toml and Leptos.toml"
        );
    }
    assert!(
        file::parse(include_str!("../../../Leptos.toml")).1.is_empty(),
        "the file in the repository can be read"
    );
}

/// No sign-in, on purpose.
const NONE: [(&str, &str); 1] = [("DROVER_AUTH_MODE", "none")];

const HIDDEN: &str = r#"
[[store]]
id = "redis"
url = "redis://h"

[redact]
personal = true
keys = ["internalRef"]
keep = ["session_id"]
patterns = ['EMP-\d{4}']

[[redact.rule]]
queues = "redis/bull:pay*"
paths = ["$.customer.email"]

[[redact.rule]]
queues = "hr"
all = true

[[redact.rule]]
queues = "crm"
personal = true
"#;

#[test]
fn what_is_hidden_is_printed_as_it_was_written() {
    let config = load_with(HIDDEN, &NONE).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let printed = print::print(&config);
    let again = load_with(&printed, &NONE).unwrap();
    assert_eq!(again.redact, config.redact, "{printed}");
    assert_eq!(config.redact.rules.len(), 3);
    assert!(config.redact.defaults && config.redact.personal);
    assert!(config.redact.rules[2].personal && !config.redact.rules[0].personal);
}

#[test]
fn mistakes_in_what_is_hidden_are_told_with_the_others() {
    let file = "[server]\nlisten = \"nowhere\"\n[redact]\nkeys = [\"-\"]\npatterns = [\"(\"]\n[[redact.rule]]\npaths = [\"x\"]\n";
    let Problems(problems) = load_with(file, &[("DROVER_REDIS_URL", "redis://h")]).unwrap_err();
    let all = problems.join("\n");
    for part in [
        "listen",
        "redact: keys: \"-\"",
        "redact: patterns: \"(\" is no regular expression",
        "[[redact.rule]] 1: queues",
        "[[redact.rule]] 1: paths: \"x\"",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
    let unknown = load_with("[redact]\nrules = []\n", &[]).unwrap_err();
    assert!(unknown.0[0].contains("rules"), "{unknown:?}");
}

#[test]
fn showing_secrets_is_a_risk_that_is_told() {
    let file = "[[store]]\nid = \"a\"\nurl = \"redis://h\"\n[redact]\ndefaults = false\n";
    let config = load_with(file, &NONE).unwrap();
    assert!(
        config.warnings[0].contains("redact.defaults is off"),
        "{:?}",
        config.warnings
    );
}

const LISTS: &str = r#"
[[store]]
id = "redis"
url = "redis://h"

[[store.list]]
waiting = "mail:waiting"
name = "mail"
processing = "mail:processing"
take = "left"
order = "lifo"
format = "msgpack"
id_path = "$.meta.id"
stuck_after = "15m"
heartbeat = "mail:lock:{id}"

[[store.list]]
waiting = "plain"
format = "text"
"#;

#[test]
fn profiles_of_lists_are_read_and_printed_as_they_were_written() {
    let config = load_with(LISTS, &NONE).unwrap();
    let lists = &config.stores[0].lists;
    assert_eq!((lists[0].name.as_str(), lists[1].name.as_str()), ("mail", "plain"));
    assert_eq!((lists[0].lifo, lists[0].stuck_after), (true, Some(900_000)));
    assert!(lists[0].held_by_item() && !lists[1].lifo);
    let printed = print::print(&config);
    let again = load_with(&printed, &NONE).unwrap();
    assert_eq!(again.stores[0].lists, *lists, "{printed}");
}

#[test]
fn mistakes_in_profiles_of_lists_are_told_with_their_place() {
    let store = "[[store]]\nid = \"a\"\nurl = \"redis://h\"\n";
    let list = |text: &str| format!("[[store.list]]\n{text}\n");
    let file = [
        store.to_owned(),
        list("processing = \"x\""),
        list("waiting = \"w\"\ncompleted = \"w\"\ntake = \"top\"\norder = \"filo\"\nformat = \"yaml\"\ngrow = \"up\""),
        list("waiting = \"v\"\nfailed = \"x\"\nid_path = \"a..b\"\ntime_path = \"a[0]\"\nstuck_after = \"1ms\""),
        list("waiting = \"u\"\nformat = \"text\"\nname_path = \"n\"\nprocessing = \"\"\nheartbeat = \"k:{id}\""),
        list("waiting = \"t\"\nstuck_after = \"soon\"\nheartbeat = \"t\""),
        "[[store]]\nid = \"b\"\nurl = \"postgres://h/d\"\n".to_owned(),
        list("waiting = \"w\""),
    ];
    let Problems(problems) = load_with(&file.concat(), &NONE).unwrap_err();
    let all = problems.join("\n");
    for part in [
        "[[store.list]] 1 (no name): has no list to take from",
        "(w): the key \"w\" is given twice",
        "(w): take: \"top\" is none of right, left",
        "order: \"filo\" is none of fifo, lifo",
        "format: \"yaml\" is none of json, msgpack, text",
        "grow: \"up\" is none of left, right",
        "(v): the key \"x\" is given twice",
        "id_path: \"a..b\": write it as meta.id",
        "time_path: \"a[0]\"",
        "(v): stuck_after: from 1s to 31d",
        "(u): name_path: a text has no fields",
        "(u): processing: it is empty",
        "(u): heartbeat: it has {id} in it: set id_path",
        "(t): stuck_after: \"soon\" is not a duration",
        "(t): heartbeat: it is the key of a list",
        "(t): stuck_after and heartbeat are about items in processing",
        "(b): [[store.list]] is for a Redis",
    ] {
        assert!(all.contains(part), "{part:?} is not in\n{all}");
    }
    let unknown = load_with(&format!("{store}[[store.list]]\nwating = \"w\"\n"), &NONE).unwrap_err();
    assert!(unknown.0[0].contains("did you mean `waiting`"), "{unknown:?}");
}

#[test]
fn a_primary_behind_sentinels_is_named_with_what_they_ask_for() {
    let text = "[[store]]\nid = \"s\"\nurl = \"redis+sentinel://u:p@a:1,b/shop/2\"\nsentinel_username = \"drover\"\n\
                sentinel_password = \"open\"\n";
    let config = load_with(text, &[]).unwrap();
    let target = config.stores[0].target();
    assert_eq!(
        (target.sentinel.user, target.sentinel.password),
        (Some("drover"), Some("open"))
    );
    let printed = print::print(&config);
    assert!(printed.contains("redis+sentinel://u:***@a:1,b/shop/2"), "{printed}");
    assert!(
        printed.contains("sentinel_password = \"***\"") && !printed.contains("open"),
        "{printed}"
    );
    for (text, said) in [
        (
            "url = \"redis+sentinel://a:1\"",
            "redis+sentinel://user:password@host:26379",
        ),
        (
            "url = \"redis://a:1\"\nsentinel_password = \"x\"",
            "for the URL of a primary behind Sentinels",
        ),
    ] {
        let problems = load_with(&format!("[[store]]\nid = \"s\"\n{text}\n"), &[]).unwrap_err();
        assert!(format!("{problems:?}").contains(said), "{problems:?}");
    }
}
