//! Names of no setting: a setting with a typing error must not be ignored in silence.

use std::collections::BTreeSet;

/// What the variables of Drover begin with.
const OURS: &str = "DROVER_";

/// The problem with a variable, if it is one of ours and none that was `read`.
pub(super) fn problem(name: &str, value: &str, read: &BTreeSet<&'static str>) -> Option<String> {
    if !name.starts_with(OURS) || read.contains(name) || is_service_link(name, value) {
        return None;
    }
    let nearest = nearest(name, read.iter().copied()).map_or_else(
        || "docs/configuration.md lists them".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    );
    Some(format!("{name}: there is no such setting; {nearest}"))
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |name: &str| name.trim_start_matches(OURS).to_lowercase().replace('-', "_");
    let wanted = bare(name);
    let far = (wanted.len() / 3).max(2);
    all.map(|known| (strsim::damerau_levenshtein(&wanted, &bare(known)), known))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, known)| known)
}

/// Whether Kubernetes set it, which tells every container of a Service whose name begins with `drover`: its host, its
/// ports, and both in the way of Docker's links.
fn is_service_link(name: &str, value: &str) -> bool {
    let of_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|way| matches!(way, "TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || name.split_once("_PORT_").is_some_and(|(_, rest)| of_port(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_near_to_one_that_differs_in_a_letter_or_two() {
        let read = BTreeSet::from(["DROVER_READ_ONLY", "DROVER_REDIS_URL", "DROVER_LOG", "DROVER_LISTEN"]);
        let near = |name: &str| nearest(name, read.iter().copied());
        assert_eq!(near("DROVER_READONLY"), Some("DROVER_READ_ONLY"));
        assert_eq!(near("DROVER_REDIS_URI"), Some("DROVER_REDIS_URL"));
        assert_eq!(near("DROVER_Lsiten"), Some("DROVER_LISTEN"));
        assert_eq!(near("DROVER_SOMETHING_ELSE"), None);
        assert_eq!(problem("PATH", "", &read), None);
        assert_eq!(problem("DROVER_LOG", "info", &read), None);
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_of_this_name_is_no_setting() {
        let read = BTreeSet::new();
        for (name, value) in [
            ("DROVER_SERVICE_HOST", "10.0.0.1"),
            ("DROVER_SERVICE_PORT", "80"),
            ("DROVER_SERVICE_PORT_HTTP", "80"),
            ("DROVER_PORT", "tcp://10.0.0.1:80"),
            ("DROVER_PORT_80_TCP", "tcp://10.0.0.1:80"),
            ("DROVER_PORT_80_TCP_PROTO", "tcp"),
            ("DROVER_WEB_PORT_3000_TCP_ADDR", "10.0.0.1"),
            ("DROVER_WEB_SERVICE_HOST", "10.0.0.1"),
        ] {
            assert_eq!(problem(name, value, &read), None, "{name}");
        }
        assert!(problem("DROVER_PORT", "3000", &read).is_some());
    }
}
