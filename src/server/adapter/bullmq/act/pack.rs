//! MessagePack, as far as the library's scripts and ours take it: written here because text in it may be any bytes.

use serde_json::Value;

/// A value to be packed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pack {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Vec<u8>),
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
    /// An object of JSON.
    Object(Vec<(String, Self)>),
}

impl Pack {
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().to_vec())
    }

    /// A flag as the library's plain arguments have it.
    pub(super) fn flag(yes: bool) -> Self {
        Self::text(if yes { "1" } else { "0" })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.push(0xc0),
            Self::Bool(yes) => out.push(if *yes { 0xc3 } else { 0xc2 }),
            Self::Int(n) => match i8::try_from(*n) {
                Ok(small) if small >= -32 => out.push(small.to_be_bytes()[0]),
                _ => {
                    out.push(0xd3);
                    out.extend(n.to_be_bytes());
                }
            },
            Self::Float(n) => {
                out.push(0xcb);
                out.extend(n.to_be_bytes());
            }
            Self::Text(bytes) => {
                head(out, bytes.len(), 0xa0, 32, Some(0xd9), 0xda);
                out.extend_from_slice(bytes);
            }
            Self::List(items) => {
                head(out, items.len(), 0x90, 16, None, 0xdc);
                for item in items {
                    item.write(out);
                }
            }
            Self::Map(pairs) => {
                head(out, pairs.len(), 0x80, 16, None, 0xde);
                for (name, value) in pairs {
                    Self::text(name).write(out);
                    value.write(out);
                }
            }
            Self::Object(pairs) => {
                head(out, pairs.len(), 0x80, 16, None, 0xde);
                for (name, value) in pairs {
                    Self::text(name).write(out);
                    value.write(out);
                }
            }
        }
    }
}

/// The kind and length of what follows: in one byte if it is below `few`, in one more if there is such a form, else in
/// two or four.
fn head(out: &mut Vec<u8>, length: usize, fixed: u8, few: u8, short: Option<u8>, long: u8) {
    match (u8::try_from(length), u16::try_from(length), u32::try_from(length)) {
        (Ok(n), ..) if n < few => out.push(fixed | n),
        (Ok(n), ..) if short.is_some() => out.extend([short.unwrap_or(long), n]),
        (_, Ok(n), _) => {
            out.push(long);
            out.extend(n.to_be_bytes());
        }
        (.., Ok(n)) => {
            out.push(long + 1);
            out.extend(n.to_be_bytes());
        }
        _ => {
            out.push(long + 1);
            out.extend(u32::MAX.to_be_bytes());
        }
    }
}

impl From<&Value> for Pack {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Number(n) => n
                .as_i64()
                .map_or_else(|| Self::Float(n.as_f64().unwrap_or(0.0)), Self::Int),
            Value::String(text) => Self::text(text),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), value.into()))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_packed_as_the_specification_says() {
        let bytes = |value: Value| Pack::from(&value).bytes();
        assert_eq!(bytes(json!(null)), [0xc0]);
        assert_eq!(bytes(json!([true, false, 5, -1])), [0x94, 0xc3, 0xc2, 5, 0xff]);
        assert_eq!(bytes(json!(1000)), [0xd3, 0, 0, 0, 0, 0, 0, 3, 0xe8]);
        assert_eq!(bytes(json!({"a": "b"})), [0x81, 0xa1, b'a', 0xa1, b'b']);
        assert_eq!(bytes(json!(0.5))[0], 0xcb);
        let long = Pack::text(vec![0xff; 40]).bytes();
        assert_eq!(long[..3], [0xd9, 40, 0xff]);
        assert_eq!(Pack::text(vec![b'x'; 300]).bytes()[..3], [0xda, 1, 44]);
        assert_eq!(Pack::text(vec![b'x'; 70_000]).bytes()[..5], [0xdb, 0, 1, 0x11, 0x70]);
    }
}
