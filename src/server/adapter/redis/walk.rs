//! The key space, walked through in small steps.

use super::link::Link;
use super::reply;
use crate::server::adapter::Trouble;
use redis::Value;
use std::time::{Duration, Instant};

/// Keys looked at per step: about 1.5 ms of the server's time.
const STEP: usize = 1000;

/// Pause between steps, so that a walk over millions of keys holds no other client up.
const PAUSE: Duration = Duration::from_millis(2);

/// A step that takes longer than this meets a busy server, and the pause grows with it.
const SLOW_STEP: Duration = Duration::from_millis(20);

/// Gives every key that matches the pattern to `met`. Whether every key was walked past: not where `SCAN` is not permitted.
///
/// # Errors
///
/// When the store stops answering.
pub async fn keys(link: &Link, pattern: &[u8], met: impl FnMut(&Value)) -> Result<bool, Trouble> {
    walk(link, &[b"MATCH", pattern], met).await
}

/// The same for every key of a type, from Redis 6 on.
///
/// # Errors
///
/// When the store stops answering.
pub async fn keys_of(link: &Link, kind: &str, met: impl FnMut(&Value)) -> Result<bool, Trouble> {
    walk(link, &[b"TYPE", kind.as_bytes()], met).await
}

async fn walk(link: &Link, which: &[&[u8]], mut met: impl FnMut(&Value)) -> Result<bool, Trouble> {
    let mut cursor = "0".to_owned();
    loop {
        let mut pipe = redis::pipe();
        pipe.cmd("SCAN").arg(&cursor).arg(which).arg("COUNT").arg(STEP);
        let turn = link.rhythm().turn().await;
        let began = Instant::now();
        let answer = link.run(&mut pipe).await?.into_iter().next();
        let took = began.elapsed();
        drop(turn);
        let Some(Ok(answer)) = answer else {
            return Ok(false);
        };
        let [next, keys] = reply::items(&answer) else {
            return Ok(false);
        };
        reply::items(keys).iter().for_each(&mut met);
        cursor = reply::text(next).unwrap_or_else(|| "0".into());
        if cursor == "0" {
            return Ok(true);
        }
        tokio::time::sleep(if took > SLOW_STEP { took * 4 } else { PAUSE }).await;
    }
}

/// Makes a text match only itself in a pattern.
#[must_use]
pub fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_glob_characters_matches_itself() {
        assert_eq!(escape_glob("a*[b]{c}"), "a\\*\\[b\\]{c}");
    }
}
