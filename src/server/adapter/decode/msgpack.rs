//! Reads msgpack: JSON of the same values, bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Nested values.
const DEPTH_MAX: usize = 64;

/// A value as JSON, if the bytes are exactly one.
pub(in super::super) fn read(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number of `n` bytes, the highest first.
    fn number(&mut self, n: usize) -> Option<u64> {
        Some(self.take(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn length(&mut self, n: usize) -> Option<usize> {
        usize::try_from(self.number(n)?).ok()
    }

    /// A number of `n` bytes with a sign.
    fn signed(&mut self, n: usize) -> Option<i64> {
        let unused = 64 - 8 * u32::try_from(n).ok()?;
        Some((self.number(n)? << unused).cast_signed() >> unused)
    }

    fn text(&mut self, n: usize) -> Option<Value> {
        Some(String::from_utf8_lossy(self.take(n)?).into())
    }

    fn bytes(&mut self, n: usize) -> Option<Value> {
        Some(serde_json::json!({"base64": STANDARD.encode(self.take(n)?)}))
    }

    fn list(&mut self, n: usize, depth: usize) -> Option<Value> {
        // Each takes a byte or more: a length that is a lie makes no room.
        (n <= self.rest.len()).then_some(())?;
        (0..n)
            .map(|_| self.value(depth))
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
    }

    fn map(&mut self, n: usize, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        for _ in 0..n {
            let name = match self.value(depth)? {
                Value::String(name) => name,
                other => other.to_string(),
            };
            map.insert(name, self.value(depth)?);
        }
        Some(Value::Object(map))
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        (depth < DEPTH_MAX).then_some(())?;
        let depth = depth + 1;
        let kind = *self.take(1)?.first()?;
        let low = usize::from(kind);
        match kind {
            0x00..=0x7f => Some(kind.into()),
            0xe0..=0xff => Some(kind.cast_signed().into()),
            0x80..=0x8f => self.map(low & 15, depth),
            0x90..=0x9f => self.list(low & 15, depth),
            0xa0..=0xbf => self.text(low & 31),
            0xc0 => Some(Value::Null),
            0xc2 | 0xc3 => Some((kind == 0xc3).into()),
            0xc4..=0xc6 => self.length(1 << (low - 0xc4)).and_then(|n| self.bytes(n)),
            0xc7..=0xc9 => {
                let n = self.length(1 << (low - 0xc7))?;
                self.bytes(n.checked_add(1)?)
            }
            0xca => Some(f64::from(f32::from_bits(u32::try_from(self.number(4)?).ok()?)).into()),
            0xcb => Some(f64::from_bits(self.number(8)?).into()),
            0xcc..=0xcf => self.number(1 << (low - 0xcc)).map(Value::from),
            0xd0..=0xd3 => self.signed(1 << (low - 0xd0)).map(Value::from),
            0xd4..=0xd8 => self.bytes((1 << (low - 0xd4)) + 1),
            0xd9..=0xdb => self.length(1 << (low - 0xd9)).and_then(|n| self.text(n)),
            0xdc | 0xdd => self.length(2 << (low - 0xdc)).and_then(|n| self.list(n, depth)),
            0xde | 0xdf => self.length(2 << (low - 0xde)).and_then(|n| self.map(n, depth)),
            0xc1 => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn msgpack_is_read_as_the_same_values() {
        for (bytes, wanted) in [
            (&[0xd1, 0xff, 0x00][..], "-256"),
            (&[0xe0], "-32"),
            (&[0xcd, 0x01, 0x00], "256"),
            (&[0xc4, 0x01, 0xff], r#"{"base64":"/w=="}"#),
            (&[0x81, 0x01, 0xc3], r#"{"1":true}"#),
            (&[0xd9, 0x02, b'a', 0xff], "\"a\u{fffd}\""),
        ] {
            assert_eq!(read(bytes).unwrap().to_string(), wanted);
        }
        let deep = [vec![0x91; 100_000], vec![0xc0]].concat();
        for broken in [
            &deep[..],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xc1],
            &[0xc0, 0xc0],
            &[0xdb, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(read(broken), None);
        }
    }
}
