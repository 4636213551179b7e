//! Messages of D-Bus as bytes (D-Bus Specification, "Marshaling" and "Message Protocol").
//!
//! Used by `bus` alone. Written are calls with any [`Value`]; read are replies and signals, and of
//! their bodies only leading texts and numbers, as nothing else is asked for. Little-endian, which
//! every daemon understands. What comes in may be anything: nothing here trusts a length.

use crate::task::systemd::Value;

/// The largest message that is read, in bytes: far above what is asked for here.
pub(super) const LARGEST: usize = 1 << 20;
/// The part of a message that tells how long the rest is.
pub(super) const FIXED: usize = 16;

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// A method call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
    pub arguments: &'a [Value],
}

/// A message that came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The reply to the call with this serial: the leading text of its body, if it has one.
    Return(u32, Option<String>),
    /// An error in reply to a call: its name, and its sentence.
    Error(u32, String, String),
    /// A signal: its member, and the texts of its body.
    Signal(String, Vec<String>),
    /// Anything else.
    Other,
}

/// Bytes in the making; alignment counts from their beginning.
#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Byte(value) => self.0.push(*value),
            Value::Int32(value) => self.u32(value.cast_unsigned()),
            Value::Uint32(value) => self.u32(*value),
            Value::Int64(value) => self.u64(value.cast_unsigned()),
            Value::Uint64(value) | Value::Double(value) => self.u64(*value),
            Value::Text(text) => self.text(text),
            Value::Array(of, values) => self.array(of, values),
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
            Value::Variant(value) => {
                self.signature(&value.signature());
                self.value(value);
            }
        }
    }

    /// The length does not count the padding before the first element.
    fn array(&mut self, of: &str, values: &[Value]) {
        self.u32(0);
        let length_at = self.0.len() - 4;
        self.align(alignment(of));
        let begin = self.0.len();
        values.iter().for_each(|value| self.value(value));
        let length = (self.0.len() - begin) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// A field of the header: its number and a variant.
    fn field(&mut self, number: u8, signature: &str, text: &str) {
        self.align(8);
        self.0.push(number);
        self.signature(signature);
        if signature == "g" { self.signature(text) } else { self.text(text) }
    }
}

fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

impl Call<'_> {
    /// The message, with this serial.
    pub(super) fn encode(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        self.arguments.iter().for_each(|argument| body.value(argument));
        let mut message = Writer(vec![b'l', CALL, 0, 1]);
        message.u32(body.0.len() as u32);
        message.u32(serial);
        message.u32(0);
        message.field(1, "o", self.path);
        message.field(2, "s", self.interface);
        message.field(3, "s", self.member);
        if !self.destination.is_empty() {
            message.field(6, "s", self.destination);
        }
        if !self.arguments.is_empty() {
            let signature: String = self.arguments.iter().map(Value::signature).collect();
            message.field(8, "g", &signature);
        }
        let fields = (message.0.len() - FIXED) as u32;
        message.0[12..16].copy_from_slice(&fields.to_le_bytes());
        message.align(8);
        message.0.extend(body.0);
        message.0
    }
}

/// How many bytes follow the fixed part of a message; `None` when it is none or too long.
pub(super) fn rest(fixed: &[u8; FIXED]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
        u32::from_le_bytes(bytes) as usize
    };
    let (body, fields) = (number(4), number(12));
    let rest = fields.checked_next_multiple_of(8)?.checked_add(body)?;
    (fixed[0] == b'l' && fixed[3] == 1 && rest <= LARGEST).then_some(rest)
}

/// A place in a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let text = self.take(length)?.to_vec();
        self.take(1)?;
        String::from_utf8(text).ok()
    }

    fn signature(&mut self) -> Option<String> {
        let length = usize::from(self.take(1)?[0]);
        let text = self.take(length)?.to_vec();
        self.take(1)?;
        String::from_utf8(text).ok()
    }
}

/// The fields of a header that matter.
#[derive(Default)]
struct Header {
    member: String,
    error: String,
    reply_to: u32,
    signature: String,
}

/// Reads a message, fixed part included. `None` if it is not well formed.
pub(super) fn decode(message: &[u8]) -> Option<Received> {
    let kind = *message.get(1)?;
    let mut reader = Reader { bytes: message, at: 12 };
    let end = FIXED.checked_add(reader.u32()? as usize)?;
    let mut header = Header::default();
    while reader.at < end {
        reader.align(8)?;
        let number = reader.take(1)?[0];
        let signature = reader.signature()?;
        let text = match signature.as_str() {
            "s" | "o" => reader.text()?,
            "g" => reader.signature()?,
            "u" => {
                let value = reader.u32()?;
                if number == 5 {
                    header.reply_to = value;
                }
                continue;
            }
            _ => return None,
        };
        match number {
            3 => header.member = text,
            4 => header.error = text,
            8 => header.signature = text,
            _ => {}
        }
    }
    reader.align(8)?;
    let mut texts = texts(&header.signature, &mut reader)?;
    Some(match kind {
        RETURN => Received::Return(header.reply_to, texts.into_iter().next()),
        ERROR => {
            let sentence = if texts.is_empty() { String::new() } else { texts.remove(0) };
            Received::Error(header.reply_to, header.error, sentence)
        }
        SIGNAL => Received::Signal(header.member, texts),
        _ => Received::Other,
    })
}

/// The texts of a body, up to the first value that is neither text nor UINT32. A variant's value
/// counts as if it stood alone.
fn texts(signature: &str, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for kind in signature.bytes() {
        match kind {
            b's' | b'o' => texts.push(reader.text()?),
            b'u' => drop(reader.u32()?),
            b'v' => {
                if reader.signature()? != "s" {
                    break;
                }
                texts.push(reader.text()?);
            }
            _ => break,
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.value(value);
        writer.0
    }

    #[test]
    fn values_are_aligned_as_the_specification_says() {
        assert_eq!(bytes(&Value::text("ab")), [2, 0, 0, 0, b'a', b'b', 0]);
        assert_eq!(bytes(&Value::Bool(true)), [1, 0, 0, 0]);
        let pids = Value::Array("u".into(), vec![Value::Uint32(7)]);
        assert_eq!(
            bytes(&Value::Variant(pids.into())),
            [
                2, b'a', b'u', 0, // signature
                4, 0, 0, 0, // length
                7, 0, 0, 0
            ]
        );
        // Eight bytes each begin at a multiple of eight, the first too, and are counted from there.
        let two = Value::Array("t".into(), vec![Value::Uint64(1), Value::Uint64(2)]);
        let two = bytes(&two);
        assert_eq!((two.len(), two[0], two[8], two[16]), (24, 16, 1, 2));
        let none = Value::Array("(sv)".into(), Vec::new());
        assert_eq!(bytes(&none), [0; 8]);
        let pair = Value::Struct(vec![Value::text("a"), Value::Byte(9)]);
        assert_eq!((pair.signature().as_str(), bytes(&pair).last()), ("(sy)", Some(&9)));
    }

    #[test]
    fn a_call_reads_back_as_the_message_it_is() {
        let call = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            arguments: &[],
        };
        let message = call.encode(1);
        let fixed: [u8; FIXED] = message[..FIXED].try_into().unwrap();
        assert_eq!(rest(&fixed), Some(message.len() - FIXED));
        assert_eq!(message.len() % 8, 0);
        assert_eq!(decode(&message), Some(Received::Other));
    }

    /// A message as a daemon would send it.
    fn incoming(kind: u8, fields: &[(u8, &str, &str)], body: &[Value]) -> Vec<u8> {
        let mut writer = Writer(vec![b'l', kind, 0, 1]);
        let mut content = Writer::default();
        body.iter().for_each(|value| content.value(value));
        writer.u32(content.0.len() as u32);
        writer.u32(99);
        writer.u32(0);
        for (number, signature, text) in fields {
            if *signature == "u" {
                writer.align(8);
                writer.0.push(*number);
                writer.signature("u");
                writer.u32(text.parse().unwrap());
            } else {
                writer.field(*number, signature, text);
            }
        }
        let length = (writer.0.len() - FIXED) as u32;
        writer.0[12..16].copy_from_slice(&length.to_le_bytes());
        writer.align(8);
        writer.0.extend(content.0);
        writer.0
    }

    #[test]
    fn replies_errors_and_signals_are_told_apart() {
        let reply = incoming(2, &[(5, "u", "3"), (8, "g", "o")], &[Value::text("/job/1")]);
        assert_eq!(decode(&reply), Some(Received::Return(3, Some("/job/1".into()))));
        let error = incoming(
            3,
            &[(5, "u", "4"), (4, "s", "org.freedesktop.systemd1.UnitExists"), (8, "g", "s")],
            &[Value::text("it exists")],
        );
        let expected =
            Received::Error(4, "org.freedesktop.systemd1.UnitExists".into(), "it exists".into());
        assert_eq!(decode(&error), Some(expected));
        let body =
            [Value::Uint32(1), Value::text("/job/1"), Value::text("a.scope"), Value::text("done")];
        let signal = incoming(4, &[(3, "s", "JobRemoved"), (8, "g", "uoss")], &body);
        let texts = ["/job/1", "a.scope", "done"].map(str::to_owned).to_vec();
        assert_eq!(decode(&signal), Some(Received::Signal("JobRemoved".into(), texts)));
        let property = [Value::Variant(Value::text("/a.slice/b.scope").into())];
        let reply = incoming(2, &[(5, "u", "5"), (8, "g", "v")], &property);
        assert_eq!(decode(&reply), Some(Received::Return(5, Some("/a.slice/b.scope".into()))));
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let message = incoming(4, &[(3, "s", "JobRemoved"), (8, "g", "uoss")], &[Value::Uint32(1)]);
        assert_eq!(decode(&message), None, "its body is cut off");
        for end in 0..message.len() {
            let _ = decode(&message[..end]);
        }
        for at in 0..message.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut broken = message.clone();
                broken[at] = byte;
                let _ = decode(&broken);
            }
        }
        assert_eq!(rest(&[0xff; FIXED]), None);
        let mut huge = [0; FIXED];
        huge[..4].copy_from_slice(&[b'l', 2, 0, 1]);
        huge[7] = 0x7f;
        assert_eq!(rest(&huge), None);
    }
}
