//! Why an encrypted connection cannot be made, in a sentence, and what to set.
//!
//! What a library says of a certificate (`invalid peer certificate: UnknownIssuer`) names neither the cause as an
//! operator knows it nor the setting that mends it.

use super::Trouble;
use crate::model::store::Reach;
use crate::model::{Millis, format};
use crate::server::redact::said;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::error::Error as StdError;
use std::io;

/// What a kind of store calls its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Where the certificate of an authority is given.
    pub(super) authority: &'static str,
    /// How TLS is left off.
    pub(super) off: &'static str,
}

/// What rustls said, if it is that.
pub(super) fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let io = error.downcast_ref::<io::Error>();
    let inner: Option<&'a (dyn StdError + 'static)> = match io {
        Some(io) => io.get_ref().map(|inner| inner as _),
        None => Some(error),
    };
    inner?.downcast_ref()
}

/// The trouble behind it.
pub(super) fn trouble(error: &Error, address: &str, settings: Settings) -> Trouble {
    let (why, remedy) = reason(error, address, settings);
    Trouble::new(
        Reach::TlsFailed,
        format!("No encrypted connection to {address} can be made: {why}. {remedy}"),
    )
}

fn reason(error: &Error, address: &str, Settings { authority, off }: Settings) -> (String, String) {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let certificate = match error {
        Error::InvalidCertificate(certificate) => certificate,
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return (
                "it answers without TLS".into(),
                format!("Switch TLS on at the server, or {off}."),
            );
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            return (
                "it asks for a certificate of the client, and Drover has none to show".into(),
                "Let the server take clients without one (a Redis: tls-auth-clients optional).".into(),
            );
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(_) => {
            return (
                "it shares no TLS version or cipher with Drover".into(),
                "Drover speaks TLS 1.2 and 1.3.".into(),
            );
        }
        other => return (said(&other.to_string()), format!("If the server speaks no TLS, {off}.")),
    };
    let authority_s = format!("write the path of a PEM file with it as {authority}.");
    match certificate {
        CertificateError::UnknownIssuer => (
            "its certificate is signed by itself, or by an authority that Drover does not know".into(),
            format!("If that authority is yours, {authority_s}"),
        ),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => (
            "its certificate is signed by itself and is that of an authority (CA:TRUE), which a server may not show".into(),
            format!(
                "Sign a certificate for the server with it (basicConstraints=CA:FALSE, subjectAltName={}), and {authority_s}",
                alternative(host)
            ),
        ),
        CertificateError::NotValidForName => (
            format!("its certificate is not for {host}"),
            format!("Give the server one with subjectAltName={}.", alternative(host)),
        ),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => (
            "its certificate has no subject alternative name, and a name in CN alone is ignored".into(),
            format!("Give the server one with subjectAltName={}.", alternative(host)),
        ),
        CertificateError::NotValidForNameContext { presented, .. } => (
            format!("its certificate is for {} and not for {host}", names(presented)),
            "Write one of the names of the certificate in the URL of this store, or give the server another certificate."
                .into(),
        ),
        CertificateError::Expired => ("its certificate has expired".into(), "Renew it.".into()),
        CertificateError::ExpiredContext { not_after, .. } => (
            format!("its certificate expired at {}", moment(*not_after)),
            "Renew it.".into(),
        ),
        CertificateError::NotValidYet => (
            "its certificate is not valid yet".into(),
            "Is the clock of this machine right?".into(),
        ),
        CertificateError::NotValidYetContext { not_before, .. } => (
            format!("its certificate is valid from {} on", moment(*not_before)),
            "Is the clock of this machine right?".into(),
        ),
        other => (
            format!("its certificate is refused ({})", said(&other.to_string())),
            format!("If an authority of yours has signed it, {authority_s}"),
        ),
    }
}

fn alternative(host: &str) -> String {
    let bare = host.trim_matches(['[', ']']);
    match bare.parse::<std::net::IpAddr>() {
        Ok(ip) => format!("IP:{ip}"),
        Err(_) => format!("DNS:{host}"),
    }
}

/// The names in a certificate, which are a stranger's.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| {
        // The library writes DnsName("x") and IpAddress(1.2.3.4).
        let name = name
            .split_once('(')
            .map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        format::visible(name.trim_matches('"')).to_string()
    };
    let mut names: Vec<String> = presented.iter().take(3).map(plain).collect();
    if presented.len() > names.len() {
        names.push(format!("{} more", presented.len() - names.len()));
    }
    crate::model::job::cut(&names.join(", "), 200)
}

fn moment(at: UnixTime) -> String {
    let ms = Millis::try_from(at.as_secs().saturating_mul(1000)).unwrap_or(Millis::MAX);
    format::moment(ms)
}
