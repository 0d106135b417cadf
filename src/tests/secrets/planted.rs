//! Canaries: secrets of every kind, planted by the real libraries, each identified by a text that occurs nowhere else.

use serde_json::{Value, json};

/// What no answer may contain. Each is found by a text of its own.
pub(crate) const CANARIES: [&str; 38] = [
    "cnry01pw",
    "cnry02key",
    "cnry03auth",
    "cnry04secret",
    "cnry05token",
    "cnry06repr",
    "cnry07url",
    "cnry08query",
    "eyJjbnJ5MDkiOiJ4In0",
    "AKIACNRYTENEXAMPLE10",
    "cnry11github",
    "cnry12pem",
    "5500 0055 5555 5559",
    "914285714",
    "cnry15session",
    "cnry16cookie",
    "cnry17pair",
    "cnry18result",
    "cnry19error",
    "cnry20stack",
    "cnry21log",
    "cnry22progress",
    "cnry23option",
    "cnry24template",
    "cnry25slack",
    // planted by later actions
    "cnry26added",
    "cnry27edited",
    "cnry28reason",
    "cnry29retried",
    "cnry30cancelled",
    // in other forms
    "cnry31pair",
    "cnry32flag",
    "cnry33sql",
    "cnry34curl",
    "cnry35encoded",
    "cnry36form",
    "cnry37wide",
    "cnry38long",
];

/// The canaries of [`data`] that are not among the first seventeen.
pub(crate) fn forms() -> &'static [&'static str] {
    &CANARIES[30..]
}

/// A value beside them that every user may see.
pub(crate) const PARCEL: &str = "parcel-0451";

/// A job that contains the secrets of the first seventeen, at every depth.
pub(crate) fn data() -> Value {
    let inner = json!({"access_token": "cnry05token", "n": 1}).to_string();
    json!({
        "note": PARCEL,
        "password": "cnry01pw",
        "user": {"apiKey": "cnry02key", "name": "Ada"},
        "headers": {"Authorization": "Bearer cnry03auth", "Accept": "*/*"},
        "apps": [{"id": 7, "client_secret": "cnry04secret"}],
        "body": json!({"deep": inner}).to_string(),
        "kwargsrepr": "{'passwd': 'cnry06repr', 'n': 1}",
        "feed": "https://bob:cnry07url@example.test/feed",
        "callback": "https://example.test/cb?token=cnry08query&page=2",
        "claims": "eyJhbGciOiJIUzI1NiJ9.eyJjbnJ5MDkiOiJ4In0.c2lnbmF0dXJl",
        "about": "uploaded with AKIACNRYTENEXAMPLE10 to the depot",
        "remark": "ghp_cnry11githubabcdefghijklmnopqrstuv",
        "file": "-----BEGIN PRIVATE KEY-----\ncnry12pem\n-----END PRIVATE KEY-----",
        "paid": "with 5500 0055 5555 5559 at noon",
        "otp": 914_285_714,
        "sessionId": "cnry15session",
        "cookie": "sid=cnry16cookie; theme=dark",
        "env": [{"name": "DB_PASSWORD", "value": "cnry17pair"}, {"value": ["cnry31pair"], "name": "DB_PASSWORD"}],
        "args": ["--user", "x", "--password", "cnry32flag"],
        "sql": "ALTER ROLE shop WITH PASSWORD 'cnry33sql'",
        "shell": "curl -u shop:cnry34curl https://example.test/cb?next=%2Fin%3Ftoken%3Dcnry35encoded",
        "form": "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ncnry36form\r\n--b--",
        "\u{ff50}\u{ff41}\u{ff53}\u{ff53}\u{200b}\u{ff57}\u{ff4f}\u{ff52}\u{ff44}": "cnry37wide",
        (format!("password_{}", "x".repeat(200))): "cnry38long",
    })
}

/// The same job, which fails while a worker processes it.
pub(crate) fn failing() -> Value {
    let mut data = data();
    data["log"] = json!([
        "sent to depot with api_key=cnry21log",
        "said xoxb-123456789012-cnry25slack to nobody"
    ]);
    data["progress"] = json!([{"step": 1, "accessToken": "cnry22progress"}]);
    data["fail"] = json!("login failed with password=cnry19error for user bob\nAuthorization: Bearer cnry20stack");
    data
}

/// The same for pg-boss, whose jobs have no log and no progress.
pub(crate) fn failing_letter() -> Value {
    let mut data = failing();
    data.as_object_mut()
        .unwrap()
        .retain(|name, _| !matches!(name.as_str(), "log" | "progress"));
    data
}

/// A job that returns something.
pub(crate) fn returning() -> Value {
    json!({"note": PARCEL, "returns": {"secretKey": "cnry18result", "pages": 2}})
}
