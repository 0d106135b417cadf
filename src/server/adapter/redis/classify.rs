//! Names what a Redis error means, in a sentence for a person.
//!
//! The texts are those of Redis 7.0; every one of them has a test with a real server.

use super::super::{Trouble, tls};
use crate::model::store::Reach;
use crate::server::redact::said;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::error::Error as _;
use std::sync::Arc;

/// Whether this error would meet any other command too.
pub(super) fn refuses_everything(error: &RedisError) -> bool {
    error.is_io_error()
        || matches!(
            error.kind(),
            ErrorKind::AuthenticationFailed
                | ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
        )
        || matches!(error.code(), Some("BUSY" | "NOAUTH" | "WRONGPASS"))
}

/// Whether an error in answer to `PING` says that the server works: it refuses writes (and `PING`
/// with them), or refuses only `PING` itself.
pub(super) fn answers_all_the_same(error: &RedisError) -> bool {
    matches!(error.code(), Some("MISCONF" | "NOPERM"))
}

/// Names the trouble and writes its sentence.
#[must_use]
pub fn classify(error: &RedisError, address: &str) -> Trouble {
    let says = said(&error.detail().map_or_else(|| error.to_string(), str::to_owned));
    let (reach, cause) = match error.code().unwrap_or_default() {
        _ if says.contains("max number of clients") => return full(address),
        "WRONGPASS" | "NOAUTH" => wrong_password(address),
        _ if error.kind() == ErrorKind::AuthenticationFailed || says.contains("invalid password") => {
            wrong_password(address)
        }
        "LOADING" => (
            Reach::Loading,
            format!("{address} has restarted and is loading its data from disk. It answers when that is done."),
        ),
        "MASTERDOWN" => (
            Reach::FailingOver,
            format!(
                "{address} is a replica that has lost its primary and serves no stale data (replica-serve-stale-data \
                 no). It answers when it follows a primary again, or becomes one."
            ),
        ),
        "BUSY" => (
            Reach::Busy,
            format!("{address} is running a script and does not answer until it ends."),
        ),
        "NOPERM" => (
            Reach::NotAllowed,
            format!("{address} does not permit a command that connecting needs: {says}"),
        ),
        _ => return broken(error, address),
    };
    Trouble::new(reach, cause)
}

fn wrong_password(address: &str) -> (Reach, String) {
    (
        Reach::WrongPassword,
        format!(
            "{address} rejects Drover's user name or password. Restore the password, or correct the URL of this store \
             and restart Drover."
        ),
    )
}

/// No room for another client.
pub(super) fn full(address: &str) -> Trouble {
    Trouble::new(
        Reach::Full,
        format!(
            "{address} accepts no more connections (maxclients). Drover needs at most six; CLIENT LIST on the server \
             shows the others."
        ),
    )
}

/// The name has no address, or no name server that knows it answers.
pub(super) fn no_such_host(address: &str) -> Trouble {
    Trouble::new(
        Reach::NoSuchHost,
        format!("The host name of {address} cannot be resolved (DNS). Check the name and the resolver."),
    )
}

/// What its settings about TLS are called.
const TLS: tls::Settings = tls::Settings {
    authority: "ca_file of this store, or DROVER_REDIS_CA_FILE",
    off: "write redis:// instead of rediss:// in the URL of this store",
};

/// The I/O error that the library passes on, if it is one.
fn io_error(error: &RedisError) -> Option<&(dyn std::error::Error + 'static)> {
    let source = error.source()?;
    // The library keeps it behind a counted pointer, which is an error of its own.
    match source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(counted) => Some(counted.as_ref()),
        None => Some(source),
    }
}

/// Errors of the way to the server rather than of the server.
fn broken(error: &RedisError, address: &str) -> Trouble {
    if let Some(error) = io_error(error).and_then(tls::of) {
        return tls::trouble(error, address, TLS);
    }
    // The text is all there is of what went wrong inside the resolver.
    let says = error.to_string();
    let lower = says.to_lowercase();
    let about = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if about(&[
        "lookup address",
        "name or service not known",
        "no address found",
        "name resolution",
    ]) {
        return no_such_host(address);
    }
    if about(&["certificate", "handshake", "corrupt message", "tls", "alert"]) {
        return Trouble::new(
            Reach::TlsFailed,
            format!(
                "No encrypted connection to {address} can be made: {}. Check its certificate, its name, \
                 and that the server speaks TLS (rediss://).",
                said(says.trim_end_matches('.'))
            ),
        );
    }
    if error.is_timeout() {
        return Trouble::new(Reach::Frozen, format!("{address} did not answer in time."));
    }
    if error.is_connection_refusal() {
        return Trouble::new(
            Reach::Gone,
            format!("Nothing listens at {address}: connection refused."),
        );
    }
    let says = said(&says);
    if error.is_io_error() {
        return Trouble::new(Reach::Gone, format!("The connection to {address} broke: {says}."));
    }
    Trouble::new(Reach::Refused, format!("{address} answered with an error: {says}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(error: impl Into<RedisError>) -> Reach {
        classify(&error.into(), "redis.internal:6379").reach
    }

    #[test]
    fn each_way_to_fail_before_a_server_answers_is_told_apart() {
        let io = |text: &str| std::io::Error::other(text.to_owned());
        assert_eq!(
            reach(io("failed to lookup address information: Name or service not known")),
            Reach::NoSuchHost
        );
        let tls = |error: rustls::Error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let trouble = classify(&tls(unknown).into(), "redis.internal:6379");
        assert_eq!(trouble.reach, Reach::TlsFailed);
        assert!(trouble.cause.contains("DROVER_REDIS_CA_FILE"), "{trouble}");
        assert_eq!(
            reach(io("received corrupt message of type InvalidContentType")),
            Reach::TlsFailed
        );
        assert_eq!(
            reach(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
            Reach::Gone
        );
        assert_eq!(
            reach(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
            Reach::Gone
        );
        assert_eq!(reach(std::io::Error::from(std::io::ErrorKind::TimedOut)), Reach::Frozen);
    }
}
