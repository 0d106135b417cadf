//! The payload of a job from the result that it left.
//!
//! A result is the payload with a try and, at its end, what the worker found. Nothing is serialised anew: these are the bytes that
//! the application's serializer wrote, up to where the payload ended, with no try. The rest is left out and not only ignored,
//! because a worker that cannot load the error in it loses the arguments. What was made is read again and compared.

use super::super::record::Record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Ends that are tried: arguments may hold what looks like one.
const ENDS: usize = 16;

/// What is before a pickle's first frame ends, and the length of that with the frame's length.
const PROTOCOLS: [u8; 2] = [4, 5];
const HEAD: usize = 11;

/// A pickled mapping up to the value of its first field, which is a number below 256.
const PICKLED: &[u8] = b"}\x94(\x8c\x01t\x94K";

/// The time at which a job was added, up to the six or eight bytes of it.
const PICKLED_TIME: &[u8] = b"\x8c\x02et\x94\x8a\x06";
const PACKED_TIME: &[u8] = b"\xa2et\xcf";

/// The fields of a job in JSON, as they are written.
#[derive(Deserialize, Serialize)]
struct Fields<'a> {
    /// No try.
    #[serde(skip_deserializing)]
    t: (),
    #[serde(borrow)]
    f: &'a RawValue,
    #[serde(borrow)]
    a: &'a RawValue,
    #[serde(borrow)]
    k: &'a RawValue,
    #[serde(borrow)]
    et: &'a RawValue,
}

/// The payload of the job that left this result; `None` if it cannot be made without serialising a value anew.
pub(super) fn of_result(result: &[u8], record: &Record) -> Option<Vec<u8>> {
    let is_it = |payload: &Vec<u8>| Record::read(payload).is_some_and(|job| job.is_job_of(record));
    let json = || serde_json::to_vec(&serde_json::from_slice::<Fields<'_>>(result).ok()?).ok();
    let made = pickled(result).or_else(|| packed(result));
    made.unwrap_or_else(|| json().into_iter().collect())
        .into_iter()
        .find(is_it)
}

/// The same of a pickle: the mapping closed behind each place where the fields of a payload may end.
fn pickled(result: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (head, frame) = result.split_at_checked(HEAD)?;
    let (start, length) = head.split_at_checked(3)?;
    let known = PROTOCOLS.iter().any(|protocol| *start == [0x80, *protocol, 0x95]);
    // A longer pickle has several frames.
    let whole = *length == (frame.len() as u64).to_le_bytes();
    let fields = frame.strip_prefix(PICKLED)?.get(1..).filter(|_| known && whole)?;
    let close = |end: usize| {
        let frame = [&b"}\x94(\x8c\x01t\x94N"[..], &fields[..end], b"u."].concat();
        [start, &(frame.len() as u64).to_le_bytes(), &frame].concat()
    };
    Some(ends(fields, PICKLED_TIME, 6).map(close).collect())
}

/// The same of msgpack.
fn packed(result: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (size, fields) = result.split_first()?;
    let (tries, fields) = fields.strip_prefix(b"\xa1t")?.split_first()?;
    // A mapping of up to 15 fields, and a number below 128.
    let known = matches!(size, 0x86..=0x8f) && *tries < 0x80;
    let close = |end: usize| [&b"\x85\xa1t\xc0"[..], &fields[..end]].concat();
    known.then(|| ends(fields, PACKED_TIME, 8).map(close).collect())
}

/// The places behind a field with a value of so many bytes.
fn ends(fields: &[u8], field: &'static [u8], size: usize) -> impl Iterator<Item = usize> {
    let at = fields.windows(field.len() + size).enumerate();
    let ends = at.filter(move |(_, part)| part.starts_with(field));
    ends.map(move |(at, part)| at + part.len()).take(ENDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pickle(fields: &[u8]) -> Vec<u8> {
        let length = (fields.len() as u64).to_le_bytes();
        [&b"\x80\x04\x95"[..], &length, fields].concat()
    }

    const TIME: &[u8] = b"\x8c\x02et\x94\x8a\x06\x94\x2b\xfc\x2d\xa2\x01";

    /// A field `a` that holds these bytes, and the other fields of a job around it.
    fn job(held: &[u8]) -> Vec<u8> {
        let (name, rest) = (&b"\x8c\x01f\x94\x8c\x03add\x94"[..], b"\x8c\x01k\x94}\x94");
        [name, b"\x8c\x01a\x94", held, b"\x85\x94", rest, TIME].concat()
    }

    fn made(result: &[u8]) -> Option<Vec<u8>> {
        of_result(result, &Record::read(result).unwrap())
    }

    #[test]
    fn a_pickle_ends_where_the_payload_ended_and_nowhere_else() {
        // `r` is a call that a worker may not be able to make.
        let more = b"\x8c\x01s\x94\x89\x8c\x01r\x94\x8c\x04shop\x94\x8c\x04Full\x94\x93\x94)R\x94\x8c\x01q\x94\x8c\x04mail\x94u.";
        let nested = [&b"\x8e"[..], &(TIME.len() as u64).to_le_bytes(), TIME, b"\x94"].concat();
        for held in [&b"K\x01"[..], &nested] {
            let job = job(held);
            let result = pickle(&[&b"}\x94(\x8c\x01t\x94K\x03"[..], &job, more].concat());
            let wanted = pickle(&[&b"}\x94(\x8c\x01t\x94N"[..], &job, b"u."].concat());
            assert_eq!(made(&result), Some(wanted));
            // What is not one frame, or has an older head, is left alone.
            assert_eq!(made(&[&result[..3], &[0; 8], &result[HEAD..]].concat()), None);
            assert_eq!(made(&[&b"\x80\x03\x95"[..], &result[3..]].concat()), None);
        }
    }

    #[test]
    fn msgpack_ends_there_too_and_json_keeps_its_values_as_they_are_written() {
        let job = &b"\xa1f\xa3add\xa1a\x92\x01\x02\xa1k\x80\xa2et\xcf\x00\x00\x01\xa2\x2d\xfc\x2b\x94"[..];
        let result = [&b"\x88\xa1t\x01"[..], job, b"\xa1s\xc2\xa1r\xc0\xa1q\xa4mail"].concat();
        assert_eq!(made(&result), Some([&b"\x85\xa1t\xc0"[..], job].concat()));
        let result =
            br#"{"t": 2, "f": "add", "a": [1.50, "\u00e9"], "k": {"b": 1, "a": 2}, "et": 7, "s": false, "q": "mail"}"#;
        let wanted = r#"{"t":null,"f":"add","a":[1.50, "\u00e9"],"k":{"b": 1, "a": 2},"et":7}"#;
        assert_eq!(String::from_utf8(made(result).unwrap()).unwrap(), wanted);
    }
}
