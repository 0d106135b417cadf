//! Streams by hash slot: a server in cluster mode takes no command that names keys of several, though it owns them all.

use std::collections::BTreeMap;

/// Keys, and the place in each to read on from.
pub(super) type Streams = (Vec<Vec<u8>>, Vec<String>);

/// Hash slots of a cluster.
const SLOTS: u16 = 16_384;

/// The same streams, those of each slot together.
pub(super) fn apart((keys, places): Streams) -> Vec<Streams> {
    let mut slots: BTreeMap<u16, Streams> = BTreeMap::new();
    for (key, place) in keys.into_iter().zip(places) {
        let (keys, places) = slots.entry(slot(&key)).or_default();
        keys.push(key);
        places.push(place);
    }
    slots.into_values().collect()
}

/// The slot of a key: computed from the text between its first pair of braces, or from all of it.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        Some(&rest[..close]).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As CLUSTER KEYSLOT of Redis 7 tells.
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"bull:{mail}:events"), slot(b"mail"));
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        let streams = |keys: &[&str]| -> Streams {
            let keys = keys.iter().map(|key| key.as_bytes().to_vec());
            keys.map(|key| (key, "0-0".to_owned())).unzip()
        };
        assert_eq!(apart(streams(&["{a}1", "{b}2", "{a}3"])).len(), 2);
    }
}
