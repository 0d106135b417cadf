//! Names what a Redis error means, in a sentence for a person.
//!
//! The texts are those of Redis 7.0; every one of them has a test with a real server.

use super::super::Trouble;
use crate::model::store::Reach;
use redis::{ErrorKind, RedisError, ServerErrorKind};

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
    let says = error.detail().map_or_else(|| error.to_string(), str::to_owned);
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
                "{address} is a replica that has lost its primary and shows no old data (replica-serve-stale-data no). \
                 It answers when it follows a primary again, or has become one."
            ),
        ),
        "BUSY" => (
            Reach::Busy,
            format!("{address} is running a script and answers nobody until it ends."),
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
            "{address} refuses our user name or password. Restore the password, or correct the URL of this store and restart Drover."
        ),
    )
}

/// No room for another client.
pub(super) fn full(address: &str) -> Trouble {
    Trouble::new(
        Reach::Full,
        format!(
            "{address} has no room for another connection (maxclients). Drover needs at most six; \
             CLIENT LIST on the server shows who holds the others."
        ),
    )
}

/// The name has no address, or nobody who knows it answers.
pub(super) fn no_such_host(address: &str) -> Trouble {
    Trouble::new(
        Reach::NoSuchHost,
        format!("No address is known for {address} (DNS). Is the host's name right, and does the resolver answer?"),
    )
}

/// Errors of the way to the server rather than of the server.
fn broken(error: &RedisError, address: &str) -> Trouble {
    // The text is all there is: what went wrong inside TLS or the resolver arrives as an I/O error.
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
                says.trim_end_matches('.')
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
        assert_eq!(reach(io("invalid peer certificate: UnknownIssuer")), Reach::TlsFailed);
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
