//! Reads a pickle without running it.
//!
//! A pickle is a program for a small stack machine that makes values, and may call anything by its name. This reader does the
//! same on values that only stand for what would be made: a name is a text, and a call is a note of what would be called with
//! what. Protocols 0 to 5 are understood.
//!
//! Work and memory are bounded by the length of the pickle, which is bounded; a value that is used in several places is written
//! out in each of them until so many bytes are written, because a few bytes can stand for billions.

use crate::model::job::cut;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The longest pickle that is read.
const LENGTH_MAX: usize = 1024 * 1024;

/// Values that are made, bytes that are written, about, and how deep.
const NODES_MAX: usize = 200_000;
const WRITTEN_MAX: usize = 2 * 1024 * 1024;
const DEPTH_MAX: usize = 64;

/// Bytes that a value takes beside its text, and characters of the name of a call.
const NODE_SIZE: usize = 8;
const NAME_CHARS: usize = 500;

/// What replaces what is not written any more.
const MORE: &str = "…";

/// What is said of every pickle that is shown.
pub(in super::super) const NOTE: &str = "A pickle, read without running it: what it would call is only named.";

/// A value, which names others by their place.
#[derive(Clone, Debug)]
enum Node {
    Plain(Value),
    Bytes(Vec<u8>),
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// A name, such as that of a class.
    Global(String),
    /// What would be called, with what, and what would be put into the result.
    Call(usize, Vec<usize>),
}

/// A pickle as JSON; `None` if it cannot be read.
pub(in super::super) fn read(bytes: &[u8]) -> Option<Value> {
    if bytes.len() > LENGTH_MAX {
        return None;
    }
    let mut machine = Machine {
        rest: bytes,
        nodes: vec![],
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    let mut left = WRITTEN_MAX;
    Some(machine.written(root, 0, &mut left))
}

/// An error as Python prints it: the last part of its class's name, and its arguments.
pub(in super::super) fn error(class: &str, arguments: Option<&Value>) -> String {
    let class = class.rsplit('.').next().unwrap_or(class);
    let said = match arguments {
        Some(Value::Array(arguments)) => {
            let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            arguments.iter().map(plain).collect::<Vec<_>>().join(", ")
        }
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    match said.is_empty() {
        true => class.to_owned(),
        false => format!("{class}: {said}"),
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<usize>,
    /// Lengths of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, usize>,
}

impl Machine<'_> {
    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of `n` bytes, the lowest first.
    fn number(&mut self, n: usize) -> Option<u64> {
        Some(
            self.take(n)?
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    /// As many bytes as a number of `n` bytes says.
    fn sized(&mut self, n: usize) -> Option<&[u8]> {
        let length = usize::try_from(self.number(n)?).ok()?;
        self.take(length)
    }

    fn text(&mut self, n: usize) -> Option<Node> {
        Some(Node::Plain(String::from_utf8_lossy(self.sized(n)?).into()))
    }

    fn bytes(&mut self, n: usize) -> Option<Node> {
        Some(Node::Bytes(self.sized(n)?.to_vec()))
    }

    fn line(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(line)
    }

    fn push(&mut self, node: Node) -> Option<()> {
        (self.nodes.len() < NODES_MAX).then_some(())?;
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Some(())
    }

    fn pop(&mut self) -> Option<usize> {
        let below = self.marks.last().is_none_or(|mark| self.stack.len() > *mark);
        below.then(|| self.stack.pop()).flatten()
    }

    /// What is on the stack since the last mark, which goes with it.
    fn since_mark(&mut self) -> Option<Vec<usize>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn top(&self) -> Option<usize> {
        self.stack.last().copied()
    }

    /// Adds to the list, set, mapping or object on top.
    fn add(&mut self, items: &[usize], pairs: bool) -> Option<()> {
        let top = self.top()?;
        match self.nodes.get_mut(top)? {
            Node::Dict(entries) if pairs => entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Node::List(list) | Node::Call(_, list) => list.extend(items),
            _ => return None,
        }
        Some(())
    }

    fn call(&mut self, callee: usize, with: Vec<usize>) -> Option<()> {
        self.push(Node::Call(callee, with))
    }

    /// Runs until the end; the place of the result.
    fn run(&mut self) -> Option<usize> {
        loop {
            let code = self.byte()?;
            match code {
                b'.' => return self.top(),
                0x80 | 0x95 => {
                    self.take(if code == 0x80 { 1 } else { 8 })?;
                }
                // A buffer that may not be written to.
                0x98 => {}
                b'(' => self.marks.push(self.stack.len()),
                b'0' => {
                    if self.pop().is_none() {
                        self.marks.pop()?;
                    }
                }
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                0x94 | b'p' | b'q' | b'r' | b'g' | b'h' | b'j' => self.memory(code)?,
                b'R' | 0x81 | 0x92 | b'b' | b'o' | b'i' | b'Q' | 0x93 => self.object(code)?,
                b'a' | b'e' | 0x90 | b's' | b'u' | b't' | b'l' | 0x91 | b'd' | 0x85..=0x87 => self.collection(code)?,
                other => {
                    let node = self.constant(other)?;
                    self.push(node)?;
                }
            }
        }
    }

    /// A step that remembers the value on top, or fetches one.
    fn memory(&mut self, code: u8) -> Option<()> {
        let at = match code {
            0x94 => self.memo.len() as u64,
            b'p' | b'g' => self.line()?.parse().ok()?,
            b'q' | b'h' => self.number(1)?,
            _ => self.number(4)?,
        };
        if matches!(code, b'g' | b'h' | b'j') {
            let node = *self.memo.get(&at)?;
            self.stack.push(node);
        } else {
            let top = self.top()?;
            self.memo.insert(at, top);
        }
        Some(())
    }

    /// A step that makes a list, a set or a mapping, or adds to one.
    fn collection(&mut self, code: u8) -> Option<()> {
        let pairs = |items: &[usize]| items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        match code {
            b'a' => {
                let item = self.pop()?;
                self.add(&[item], false)
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.add(&items, false)
            }
            b's' => {
                let (value, name) = (self.pop()?, self.pop()?);
                self.add(&[name, value], true)
            }
            b'u' => {
                let items = self.since_mark()?;
                self.add(&items, true)
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Node::Dict(pairs(&items)))
            }
            b't' | b'l' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Node::List(items))
            }
            _ => {
                let from = self.stack.len().checked_sub(usize::from(code) - 0x84)?;
                let items = self.stack.split_off(from);
                self.push(Node::List(items))
            }
        }
    }

    /// A step that would call something, or put a state into what a call made.
    fn object(&mut self, code: u8) -> Option<()> {
        match code {
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let name = format!("{}.{}", self.plain(module), self.plain(name));
                self.push(Node::Global(name))
            }
            b'b' => {
                let state = self.pop()?;
                self.add(&[state], false)
            }
            0x92 => {
                let (named, with, callee) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callee, vec![with, named])
            }
            b'o' => {
                let mut items = self.since_mark()?;
                (!items.is_empty()).then_some(())?;
                let callee = items.remove(0);
                self.call(callee, items)
            }
            b'i' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                let items = self.since_mark()?;
                self.call_of(name, items)
            }
            b'Q' => {
                let id = self.pop()?;
                self.call_of("persistent object".into(), vec![id])
            }
            _ => {
                let (with, callee) = (self.pop()?, self.pop()?);
                self.call(callee, vec![with])
            }
        }
    }

    fn call_of(&mut self, name: String, with: Vec<usize>) -> Option<()> {
        self.push(Node::Global(name))?;
        let callee = self.pop()?;
        self.call(callee, with)
    }

    /// What one step puts on the stack by itself.
    fn constant(&mut self, code: u8) -> Option<Node> {
        let plain = |value: Value| Some(Node::Plain(value));
        match code {
            b'N' => plain(Value::Null),
            0x88 | 0x89 => plain((code == 0x88).into()),
            b'I' | b'L' => {
                let line = self.line()?;
                let digits = line.trim_end_matches('L');
                match (code, digits) {
                    (b'I', "01" | "00") => plain((digits == "01").into()),
                    _ => plain(digits.parse::<i64>().map_or_else(|_| digits.into(), Value::from)),
                }
            }
            b'J' => {
                let number = u32::try_from(self.number(4)?).ok()?.cast_signed();
                plain(number.into())
            }
            b'K' => plain(self.number(1)?.into()),
            b'M' => plain(self.number(2)?.into()),
            0x8a => self.sized(1).map(integer),
            0x8b => self.sized(4).map(integer),
            b'F' => plain(self.line()?.parse::<f64>().ok()?.into()),
            b'G' => {
                let bits = self.take(8)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                plain(f64::from_bits(bits).into())
            }
            b'S' => plain(self.line()?.trim_matches(['\'', '"']).into()),
            b'V' => plain(self.line()?.into()),
            b'U' | 0x8c => self.text(1),
            b'T' | b'X' => self.text(4),
            0x8d => self.text(8),
            b'C' => self.bytes(1),
            b'B' => self.bytes(4),
            0x8e | 0x96 => self.bytes(8),
            b']' | b')' | 0x8f => Some(Node::List(vec![])),
            b'}' => Some(Node::Dict(vec![])),
            b'c' => Some(Node::Global(format!("{}.{}", self.line()?, self.line()?))),
            b'P' => Some(Node::Global(format!("persistent object {}", self.line()?))),
            0x82..=0x84 => {
                let n = self.number(1 << (code - 0x82))?;
                Some(Node::Global(format!("extension {n}")))
            }
            0x97 => Some(Node::Global("buffer outside of the pickle".into())),
            _ => None,
        }
    }

    fn plain(&self, node: usize) -> String {
        match self.nodes.get(node) {
            Some(Node::Plain(Value::String(text))) => text.clone(),
            _ => MORE.into(),
        }
    }

    /// A value as JSON, as long as there are bytes `left`.
    fn written(&self, node: usize, depth: usize, left: &mut usize) -> Value {
        let node = self.nodes.get(node);
        let size = match node {
            Some(Node::Plain(Value::String(text)) | Node::Global(text)) => text.len(),
            Some(Node::Bytes(bytes)) => bytes.len() * 2,
            _ => 0,
        };
        if *left < size + NODE_SIZE || depth > DEPTH_MAX {
            *left = if depth > DEPTH_MAX { *left } else { 0 };
            return MORE.into();
        }
        *left -= size + NODE_SIZE;
        match node {
            None => Value::Null,
            Some(Node::Plain(value)) => value.clone(),
            Some(Node::Bytes(bytes)) => json!({"base64": STANDARD.encode(bytes)}),
            Some(Node::List(items)) => self.all(items, depth, left),
            Some(Node::Global(name)) => json!({"name": name}),
            Some(Node::Call(callee, with)) => {
                let callee = match self.nodes.get(*callee) {
                    Some(Node::Global(name)) => {
                        *left = left.saturating_sub(name.len().min(NAME_CHARS));
                        cut(name, NAME_CHARS).into()
                    }
                    _ => self.written(*callee, depth + 1, left),
                };
                // The arguments come as one tuple.
                let (arguments, more) = match with.split_first() {
                    Some((first, more)) => match self.nodes.get(*first) {
                        Some(Node::List(items)) => (items.as_slice(), more),
                        _ => (with.as_slice(), &[][..]),
                    },
                    None => (&[][..], &[][..]),
                };
                let mut with = self.all(arguments, depth, left);
                if let (Value::Array(with), Value::Array(more)) = (&mut with, self.all(more, depth, left)) {
                    with.extend(more);
                }
                json!({"call": callee, "with": with})
            }
            Some(Node::Dict(entries)) => {
                let mut map = Map::new();
                for (name, value) in entries {
                    let name = match self.written(*name, depth + 1, left) {
                        Value::String(name) => name,
                        other => other.to_string(),
                    };
                    map.insert(name, self.written(*value, depth + 1, left));
                    if *left == 0 {
                        break;
                    }
                }
                map.into()
            }
        }
    }

    fn all(&self, items: &[usize], depth: usize, left: &mut usize) -> Value {
        let mut all = vec![];
        for item in items {
            all.push(self.written(*item, depth + 1, left));
            if *left == 0 {
                break;
            }
        }
        all.into()
    }
}

/// A number of any length, the lowest byte first, with a sign.
fn integer(bytes: &[u8]) -> Node {
    if bytes.len() > 16 {
        return Node::Plain(format!("an integer of {} bytes", bytes.len()).into());
    }
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut whole = [if negative { 0xff } else { 0 }; 16];
    whole[..bytes.len()].copy_from_slice(bytes);
    let number = i128::from_le_bytes(whole);
    Node::Plain(i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        read(bytes).unwrap_or_default().to_string()
    }

    #[test]
    fn plain_values_are_read_in_old_and_new_protocols() {
        // ((1, b'x'), {'password': 'p', 'n': 2.5}, {'chain': None}), protocols 4 and 0.
        let new = b"\x80\x04K\x01C\x01x\x86\x94}\x94(\x8c\x08password\x94\x8c\x01p\x94\x8c\x01n\x94G@\x04\x00\x00\x00\x00\x00\x00u}\x94\x8c\x05chain\x94Ns\x87\x94.";
        let wanted = json!([[1, {"base64": "eA=="}], {"password": "p", "n": 2.5}, {"chain": null}]);
        assert_eq!(read(new), Some(wanted));
        let old = b"(lp0\nI7\naI01\naL-5L\naF2.5\naV\xc3\xa9\np1\nag1\na(dp2\nS'a'\nNsa.";
        assert_eq!(text(old), r#"[7,true,-5,2.5,"é","é",{"a":null}]"#);
        assert_eq!(text(b"\x80\x02\x8a\x01\xff."), "-1");
        assert_eq!(text(b"\x80\x04\x8f(K\x01K\x02\x90."), "[1,2]");
    }

    #[test]
    fn what_a_pickle_would_call_is_a_note_and_nothing_more() {
        let evil = b"cposix\nsystem\n(Vtouch /tmp/x\ntR.";
        assert_eq!(text(evil), r#"{"call":"posix.system","with":["touch /tmp/x"]}"#);
        let error =
            b"\x80\x04\x8c\x08builtins\x94\x8c\x0aValueError\x94\x93\x94\x8c\x04boom\x85\x94R\x94}\x8c\x04codeK\x2asb.";
        assert_eq!(
            text(error),
            r#"{"call":"builtins.ValueError","with":["boom",{"code":42}]}"#
        );
    }

    #[test]
    fn nothing_that_is_broken_deep_or_endless_costs_much() {
        // A list of two lists of two lists …, thirty deep: a billion leaves.
        let mut laughs = b"]q\x00".to_vec();
        for n in 0..30_u8 {
            laughs.extend_from_slice(&[b'(', b'h', n, b'h', n, b'l', b'q', n + 1]);
        }
        laughs.push(b'.');
        assert!(text(&laughs).len() < 2 * WRITTEN_MAX);
        // A long text in many places.
        let long = [
            &b"X\x00\x00\x01\x00"[..],
            &[b'x'; 65_536],
            b"q\x00(",
            &b"h\x00".repeat(100_000),
            b"l.",
        ]
        .concat();
        assert!(text(&long).len() < 2 * WRITTEN_MAX);
        let deep = [vec![b']'; 100_000], vec![b'a'; 99_999], vec![b'.']].concat();
        assert!(text(&deep).contains(MORE));
        // A list in itself.
        assert!(text(b"]q\x00h\x00a.").contains(MORE));
        for broken in [
            &b""[..],
            b".",
            b"(",
            b"R.",
            b"a.",
            b"h\x05.",
            b"X\xff\xff\xff\xff.",
            b"\x80",
            b"0.",
            b"\xff.",
            b"((t",
        ] {
            assert_eq!(read(broken), None, "{broken:?}");
        }
        assert_eq!(read(&vec![b'N'; LENGTH_MAX + 1]), None);
    }
}
