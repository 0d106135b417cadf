//! Addresses, and the URL of a primary behind Sentinels.

use redis::{ErrorKind, RedisError, RedisResult};

/// Host and port as one text.
pub(super) fn joined(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The name of a primary, and the places of its Sentinels.
pub(super) type Named = (String, Vec<(String, u16)>);

/// The port of a Sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// Takes the URL of a primary behind Sentinels apart: `redis+sentinel://user:password@host:26379,host2/name/0`. Gives a URL of one server
/// with everything else that it says.
pub(super) fn split(url: &str) -> RedisResult<(String, Option<Named>)> {
    let wrong = |why: &'static str| RedisError::from((ErrorKind::InvalidClientConfig, why));
    let Some((scheme, rest)) = url
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme.strip_suffix("+sentinel")?, rest)))
    else {
        return Ok((url.to_owned(), None));
    };
    let (login, rest) = rest
        .rsplit_once('@')
        .map_or((String::new(), rest), |(login, rest)| (format!("{login}@"), rest));
    let (rest, parameters) = rest
        .split_once('?')
        .map_or((rest, String::new()), |(rest, parameters)| {
            (rest, format!("?{parameters}"))
        });
    let mut parts = rest.split('/');
    let hosts = parts.next().unwrap_or_default();
    let name = parts
        .next()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| wrong("the name of the primary is missing"))?;
    let database = parts.next().unwrap_or_default();
    let places: Vec<(String, u16)> = hosts
        .split(',')
        .map(|place| {
            let (host, port) = match place.rsplit_once(':') {
                Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, port.parse().ok()?),
                _ => (place, SENTINEL_PORT),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            (!host.is_empty()).then(|| (host.to_owned(), port))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("the address of a Sentinel is wrong"))?;
    let (host, port) = &places[0];
    let single = format!("{scheme}://{login}{}/{database}{parameters}", joined(host, *port));
    Ok((single, Some((name.to_owned(), places))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_sentinels_a_primary_and_who_drover_is() {
        let of = |url: &str| split(url).map_err(|error| error.to_string());
        let named = |name: &str, places: &[(&str, u16)]| {
            let places = places.iter().map(|(host, port)| ((*host).to_owned(), *port));
            Some((name.to_owned(), places.collect::<Vec<_>>()))
        };
        assert_eq!(
            of("redis+sentinel://u:p%40@a:1,b,[::1]:3/mymaster/2?protocol=resp3").unwrap(),
            (
                "redis://u:p%40@a:1/2?protocol=resp3".to_owned(),
                named("mymaster", &[("a", 1), ("b", 26_379), ("::1", 3)])
            )
        );
        assert_eq!(
            of("rediss+sentinel://a/m").unwrap(),
            ("rediss://a:26379/".to_owned(), named("m", &[("a", 26_379)]))
        );
        assert_eq!(of("redis://a:1/2").unwrap(), ("redis://a:1/2".to_owned(), None));
        for url in [
            "redis+sentinel://a:1",
            "redis+sentinel://a:1/",
            "redis+sentinel://:1/m",
            "redis+sentinel://a:x/m",
        ] {
            assert!(of(url).is_err(), "{url}");
        }
    }
}
