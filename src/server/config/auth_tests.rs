use super::super::*;
use super::*;

const REDIS: (&str, &str) = ("DROVER_REDIS_URL", "redis://h");
const OPEN: (&str, &str) = ("DROVER_LISTEN", "0.0.0.0:80");
const KEY: (&str, &str) = ("DROVER_PROXY_SECRET", "0123456789abcdef");
const TRUSTED: (&str, &str) = ("DROVER_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8");
const GRANT: &str = "[[auth.grant]]\ngroups = [\"ops\"]\nrole = \"operator\"\n";

fn load_with(text: &str, vars: &[(&str, &str)]) -> Result<Config, Problems> {
    super::super::tests::load_with(text, &[vars, &[REDIS]].concat())
}

fn mode(word: &'static str) -> (&'static str, &'static str) {
    ("DROVER_AUTH_MODE", word)
}

// S-1
#[test]
fn a_set_up_that_would_let_in_the_wrong_people_does_not_start_and_says_why() {
    for (text, vars, why) in [
        ("", &[OPEN][..], "auth.mode is not set"),
        ("", &[OPEN, mode("none")], "auth.mode is none"),
        (GRANT, &[mode("none")], "has no effect"),
        ("", &[mode("magic")], "\"magic\" is not known"),
        ("", &[mode("none"), ("DROVER_BEHIND_PROXY", "true")], "no longer exists"),
        ("", &[OPEN, mode("password")], "must not travel in the clear"),
        (
            "",
            &[OPEN, mode("password"), ("DROVER_PUBLIC_URL", "http://a")],
            "must not travel in the clear",
        ),
        (
            "",
            &[mode("password"), ("DROVER_PUBLIC_URL", "ops.example.com")],
            "is not the scheme and host",
        ),
        (
            "",
            &[mode("password"), ("DROVER_PUBLIC_URL", "https://a/queues")],
            "the path is base_path",
        ),
        (GRANT, &[mode("proxy"), TRUSTED], "has no secret"),
        (
            GRANT,
            &[mode("proxy"), TRUSTED, ("DROVER_PROXY_SECRET", "short")],
            "less than 16",
        ),
        (GRANT, &[mode("proxy"), KEY], "trusted_proxies is empty"),
        (
            GRANT,
            &[mode("proxy"), KEY, ("DROVER_TRUSTED_PROXIES", "0.0.0.0/0")],
            "every address there is",
        ),
        (
            GRANT,
            &[mode("proxy"), KEY, ("DROVER_TRUSTED_PROXIES", "proxy")],
            "neither an address nor a network",
        ),
        ("", &[mode("proxy"), KEY, TRUSTED], "no user could do anything"),
        (
            "[auth.proxy]\nuser_header = \"X_User\"\n",
            &[mode("proxy"), KEY, TRUSTED],
            "without underscores",
        ),
        (
            "[auth.proxy]\nsign_out_url = \"javascript:x\"\n",
            &[mode("proxy"), KEY, TRUSTED],
            "sign_out_url",
        ),
        (
            "[[auth.grant]]\nrole = \"viewer\"\n",
            &[mode("password")],
            "names no one",
        ),
        (
            "[[auth.grant]]\nusers = [\"a\"]\n",
            &[mode("password")],
            "permits nothing",
        ),
        (
            "[[auth.grant]]\nusers = [\"a\"]\nrole = \"root\"\n",
            &[mode("password")],
            "is not a role",
        ),
        (
            "[[auth.grant]]\nusers = [\"a\"]\nallow = [\"all\"]\n",
            &[mode("password")],
            "is not a permission",
        ),
        (
            "[[auth.grant]]\nusers = [\"a\"]\nrole = \"viewer\"\nqueues = [\"/x\"]\n",
            &[mode("password")],
            "names no queues",
        ),
        (
            "[auth.session]\nidle = \"soon\"\n",
            &[mode("password")],
            "[auth.session] idle",
        ),
        (
            "",
            &[mode("none"), ("DROVER_LISTEN", "unix:drover.sock")],
            "absolute path",
        ),
    ] {
        let told = load_with(text, vars).expect_err(why).to_string();
        assert!(told.contains(why), "{why:?} is not in {told}");
        assert!(!told.contains(KEY.1), "the secret is told: {told}");
    }
}

#[test]
fn what_is_safe_starts_and_what_is_risky_warns() {
    let quiet = |text: &str, vars: &[(&str, &str)]| {
        let config = load_with(text, vars).unwrap();
        assert!(config.warnings.is_empty(), "{vars:?}: {:?}", config.warnings);
        config
    };
    quiet("", &[mode("none")]);
    quiet("", &[mode("password")]);
    let https = ("DROVER_PUBLIC_URL", "https://Ops.example.com:443/");
    let config = quiet("", &[OPEN, mode("password"), https, TRUSTED]);
    assert_eq!(config.auth.origin.as_deref(), Some("https://ops.example.com"));
    let config = quiet(GRANT, &[OPEN, mode("proxy"), KEY, TRUSTED]);
    assert!(config.auth.rules[0].grant.verbs.has(Verb::Retry));
    // The file system says who may reach a socket: no secret, no address.
    let socket = ("DROVER_LISTEN", "unix:/run/drover.sock");
    quiet(GRANT, &[socket, mode("proxy")]);
    for (vars, part) in [
        (&[][..], "auth.mode is not set"),
        (&[OPEN, mode("password"), https], "trusted_proxies is empty"),
    ] {
        let config = load_with("", vars).unwrap();
        assert!(
            config.warnings.iter().any(|warning| warning.contains(part)),
            "{:?}",
            config.warnings
        );
    }
}

#[test]
fn a_grant_adds_to_its_role_and_takes_from_it() {
    let text = "[[auth.grant]]\nusers = [\"ada\"]\nrole = \"operator\"\nallow = [\"reveal\"]\ndeny = [\"remove\", \"bulk\"]\n\
                queues = [\"redis/bull:pay*\", \"mail\"]\n";
    let config = load_with(text, &[mode("password")]).unwrap();
    let grant = &config.auth.rules[0].grant;
    assert!(grant.verbs.has(Verb::Reveal) && grant.verbs.has(Verb::Retry));
    assert!(!grant.verbs.has(Verb::Remove) && !grant.verbs.has(Verb::Bulk));
    let printed = print::print(&config);
    assert!(
        printed.contains("queues = [\"redis/bull:pay*\", \"*/mail\"]"),
        "{printed}"
    );
    let again = load_with(&printed, &[]).unwrap();
    assert_eq!(
        again.auth.rules[0].grant, *grant,
        "what is printed gives the same again"
    );
}
