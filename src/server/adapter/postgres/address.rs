//! The URL of a Postgres, read.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::str::FromStr as _;

/// What a URL says, as far as a configuration is judged by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host, or the folder of a socket.
    pub host: String,
    /// Whether it asks for encryption, and does without a connection that has none.
    pub encrypted: bool,
    /// Parameters that are not known and left out.
    pub ignored: usize,
}

impl Address {
    /// The parameters that a URL may have, and `options[name]`.
    pub const PARAMETERS: [&'static str; 17] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
    ];

    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// When it is not one of a Postgres: a few words that quote no part of it.
    pub fn of(url: &str) -> Result<Self, String> {
        let (known, ignored) = known(url);
        let options = read(&known)?;
        let encrypted = matches!(
            options.get_ssl_mode(),
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull
        );
        Ok(Self {
            host: options
                .get_socket()
                .map_or_else(|| options.get_host().to_owned(), |_| String::new()),
            encrypted,
            ignored,
        })
    }
}

/// How to connect to the Postgres at a URL.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, String> {
    read(&known(url).0)
}

fn read(url: &str) -> Result<PgConnectOptions, String> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err("it does not begin with postgres:// or postgresql://".into());
    }
    PgConnectOptions::from_str(url).map_err(|error| match error {
        // Of a parameter it quotes the value.
        sqlx::Error::Configuration(why) if why.downcast_ref::<sqlx::Error>().is_some() => {
            "one of its parameters has a value that it cannot have".into()
        }
        sqlx::Error::Configuration(why) => why.to_string(),
        other => other.to_string(),
    })
}

/// A URL without the parameters that are not known, and how many those are. The library would log each with its value, and
/// one of them (`sslpassword`) holds a secret.
fn known(url: &str) -> (String, usize) {
    let Some((head, parameters)) = url.split_once('?') else {
        return (url.to_owned(), 0);
    };
    let is_known = |pair: &&str| {
        let key = pair.split('=').next().unwrap_or_default();
        key == "options" || key.starts_with("options[") || Address::PARAMETERS.contains(&key)
    };
    let all = parameters.split('&').filter(|pair| !pair.is_empty());
    let (kept, ignored): (Vec<&str>, Vec<&str>) = all.partition(is_known);
    let mark = if kept.is_empty() { "" } else { "?" };
    (format!("{head}{mark}{}", kept.join("&")), ignored.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_are_not_known_are_left_out_and_counted() {
        let address = Address::of("postgres://h/db?sslpassword=hunter2&sslmode=require&connect_timeout=3").unwrap();
        assert_eq!((address.ignored, address.encrypted), (2, true));
        let (url, _) = known("postgres://h/db?sslpassword=hunter2&options[geqo]=off");
        assert_eq!(url, "postgres://h/db?options[geqo]=off");
        assert_eq!(known("postgres://h/db?x=1").0, "postgres://h/db");
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_a_part_of_it() {
        for url in [
            "postgres://h/db?sslmode=hunter2",
            "postgres://h/db?port=hunter2",
            "postgres://h/db?hostaddr=hunter2",
            "postgres://h:hunter2/db",
            "hunter2",
        ] {
            let why = Address::of(url).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
