//! Bytes that many readers get: kept once, and compressed once for all readers who accept it.
//!
//! A gzip file (RFC 1952) is one series of deflate blocks. A [`Part`] is compressed alone and ends at a byte, so the
//! blocks compressed for one reader can follow any others for another reader: in a stream that begins in the middle of
//! a topic, or a page with the reader's own name in it.

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};
use std::cell::RefCell;
use std::sync::OnceLock;

/// What is shorter is sent as it is, in a block of its own.
const SHORT: usize = 64;

/// The longest stored block.
const STORED: usize = u16::MAX as usize;

/// A gzip header without name and time.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A last block, with nothing in it.
const LAST: [u8; 2] = [3, 0];

/// What is longer is compressed fast: a whole page is made anew four times a second while its board moves.
const LONG: usize = 32 * 1024;

thread_local! {
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    static DEFLATE_FAST: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// A piece of an answer that many readers get.
#[derive(Debug)]
pub struct Part {
    plain: Bytes,
    packed: OnceLock<Packed>,
}

#[derive(Debug)]
struct Packed {
    blocks: Bytes,
    sum: Crc,
}

impl Part {
    /// Of these bytes.
    pub fn new(plain: impl Into<Bytes>) -> Self {
        Self {
            plain: plain.into(),
            packed: OnceLock::new(),
        }
    }

    /// The bytes as they are.
    pub const fn plain(&self) -> &Bytes {
        &self.plain
    }

    fn packed(&self) -> &Packed {
        self.packed.get_or_init(|| {
            let mut sum = Crc::new();
            sum.update(&self.plain);
            let deflated = (self.plain.len() >= SHORT).then(|| deflate(&self.plain)).flatten();
            let blocks = deflated.unwrap_or_else(|| store(&self.plain)).into();
            Packed { blocks, sum }
        })
    }
}

/// Blocks that refer to nothing before them and end at a byte.
fn deflate(plain: &[u8]) -> Option<Vec<u8>> {
    let deflate = if plain.len() < LONG { &DEFLATE } else { &DEFLATE_FAST };
    deflate.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut blocks = Vec::with_capacity(plain.len() / 4 + SHORT);
        loop {
            let read = usize::try_from(deflate.total_in()).ok()?;
            deflate
                .compress_vec(plain.get(read..)?, &mut blocks, FlushCompress::Full)
                .ok()?;
            // A flush has ended when it leaves room.
            if blocks.len() < blocks.capacity() {
                return (deflate.total_in() == plain.len() as u64).then_some(blocks);
            }
            blocks.reserve(blocks.len().max(SHORT));
        }
    })
}

/// The same without compression.
fn store(plain: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(plain.len() + 8);
    for part in plain.chunks(STORED) {
        let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
        blocks.push(0);
        blocks.extend(length.to_le_bytes());
        blocks.extend((!length).to_le_bytes());
        blocks.extend(part);
    }
    blocks
}

/// A gzip file that is being sent.
#[derive(Debug, Default)]
pub struct Gzip {
    sum: Crc,
    begun: bool,
}

impl Gzip {
    /// What to send of this part.
    pub fn add(&mut self, part: &Part) -> Bytes {
        let Packed { blocks, sum } = part.packed();
        self.sum.combine(sum);
        if std::mem::replace(&mut self.begun, true) {
            return blocks.clone();
        }
        [&HEADER, &**blocks].concat().into()
    }

    /// What ends it.
    pub fn end(&self) -> Bytes {
        let header: &[u8] = if self.begun { &[] } else { &HEADER };
        [
            header,
            &LAST,
            &self.sum.sum().to_le_bytes(),
            &self.sum.amount().to_le_bytes(),
        ]
        .concat()
        .into()
    }

    /// A whole file of these parts.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Bytes {
        let mut gzip = Self::default();
        let mut all: Vec<Bytes> = parts.into_iter().map(|part| gzip.add(part)).collect();
        all.push(gzip.end());
        all.concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    fn unpacked(file: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(file).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn parts_make_one_file_in_any_order_and_number() {
        let long: String = (0..40_000).map(|n| format!("row {n} of many; ")).collect();
        let noise: Vec<u8> = (0..200_000_u64)
            .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        let parts = [
            "".into(),
            "short".into(),
            "x".repeat(SHORT).into_bytes(),
            long.into_bytes(),
            noise,
        ]
        .map(Part::new);
        for order in [&[0, 1, 2, 3, 4][..], &[3, 3, 1], &[4, 0, 3, 1], &[0], &[]] {
            let chosen = order.iter().map(|n| &parts[*n]);
            let plain = chosen
                .clone()
                .map(|part| part.plain().to_vec())
                .collect::<Vec<_>>()
                .concat();
            assert_eq!(unpacked(&Gzip::of(chosen)), plain, "{order:?}");
        }
        assert!(parts[3].packed().blocks.len() * 3 < parts[3].plain().len());
    }

    #[test]
    fn a_part_of_any_length_is_whole() {
        let mut noise = 1_u32;
        // Of few letters, so that what comes out is as long as the room for it now and then.
        let text: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"abcdefghijklmnop"[(noise >> 28) as usize]
        })
        .take(4_000)
        .collect();
        for length in 0..text.len() {
            let (part, end) = (Part::new(text[..length].to_vec()), Part::new("end"));
            assert_eq!(
                unpacked(&Gzip::of([&part, &end])),
                [&text[..length], b"end"].concat(),
                "{length}"
            );
        }
    }

    #[test]
    fn what_was_sent_can_be_read_before_the_file_ends() {
        let mut gzip = Gzip::default();
        let parts = [
            Part::new("event: a\n\n"),
            Part::new("event: b, which is longer than what is stored as it is, so it is not\n\n"),
        ];
        let mut sent = Vec::new();
        let mut plain = Vec::new();
        for part in &parts {
            sent.extend_from_slice(&gzip.add(part));
            plain.extend_from_slice(part.plain());
            let mut so_far = vec![0; plain.len()];
            GzDecoder::new(&*sent).read_exact(&mut so_far).unwrap();
            assert_eq!(so_far, plain);
        }
    }
}
