//! Protocol Buffers as they are written: only what the messages of OTLP need.
//!
//! A span is written once, where its request ends, straight into the body of the next POST. The objects that libraries build
//! for it on the way were most of what a trace cost.

/// A message that is being written. The numbers of its fields are those of its schema.
#[derive(Debug)]
pub(super) struct Writer<'a>(&'a mut Vec<u8>);

/// How a value is written.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Delimited = 2,
    Fixed32 = 5,
}

impl<'a> Writer<'a> {
    /// One whose fields come after what is there.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self(out)
    }

    /// `int64`, `uint64` or an enumeration.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        self.key(field, Wire::Varint);
        varint(self.0, value);
    }

    /// `fixed64`.
    pub(super) fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, Wire::Fixed64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// `fixed32`.
    pub(super) fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, Wire::Fixed32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// `bytes` or `string`.
    pub(super) fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, Wire::Delimited);
        varint(self.0, value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// `string`.
    pub(super) fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// `string`, of these parts.
    pub(super) fn parts(&mut self, field: u32, parts: &[&str]) {
        self.key(field, Wire::Delimited);
        varint(self.0, parts.iter().map(|part| part.len() as u64).sum());
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// The beginning of a message within this one, of so many bytes: its fields follow.
    pub(super) fn head(&mut self, field: u32, length: usize) {
        self.key(field, Wire::Delimited);
        varint(self.0, length as u64);
    }

    /// A message within this one, mostly of less than 128 bytes.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.framed::<1>(field, write);
    }

    /// A message within this one, mostly of less than 16 KiB, and not of less than 128 bytes.
    pub(super) fn long_message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.framed::<2>(field, write);
    }

    /// A message behind its length, which is known at its end. If it does not fit into so many bytes, all is moved.
    fn framed<const WIDTH: usize>(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.key(field, Wire::Delimited);
        let place = self.0.len();
        self.0.extend_from_slice(&[0; WIDTH]);
        write(&mut Writer(self.0));
        let length = self.0.len() - place - WIDTH;
        match (WIDTH, length) {
            (1, ..0x80) => self.0[place] = low_bits(length as u64),
            (2, 0x80..0x4000) => {
                self.0[place] = low_bits(length as u64) | 0x80;
                self.0[place + 1] = low_bits(length as u64 >> 7);
            }
            _ => {
                let mut bytes = Vec::with_capacity(8);
                varint(&mut bytes, length as u64);
                self.0.splice(place..place + WIDTH, bytes);
            }
        }
    }

    fn key(&mut self, field: u32, wire: Wire) {
        varint(self.0, u64::from(field << 3 | wire as u32));
    }
}

/// A number in as few groups of seven bits as hold it, the lowest first; all but the last say that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Bytes of such a number.
pub(super) fn varint_length(value: u64) -> usize {
    let bits = (u64::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// Bytes of a field of so many bytes, whose number is below 16.
pub(super) fn field_length(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

fn low_bits(value: u64) -> u8 {
    value.to_le_bytes()[0] & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_few_bytes_as_hold_them() {
        for (value, bytes) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!((&out[..], varint_length(value)), (bytes, bytes.len()), "{value}");
        }
    }

    #[test]
    fn how_long_a_field_is_can_be_told_before() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 100_000] {
            let mut out = Vec::new();
            Writer::new(&mut out).bytes(15, &vec![7; length]);
            assert_eq!(out.len(), field_length(length));
        }
    }

    #[test]
    fn a_message_within_another_has_its_length_before_it_however_long_it_is() {
        for length in [0, 1, 125, 126, 127, 128, 16_000, 17_000] {
            let (mut out, mut long) = (b"before".to_vec(), b"before".to_vec());
            Writer::new(&mut out).message(9, |inner| inner.bytes(1, &vec![7; length]));
            Writer::new(&mut long).long_message(9, |inner| inner.bytes(1, &vec![7; length]));
            let mut inner = Vec::new();
            Writer::new(&mut inner).bytes(1, &vec![7; length]);
            let mut expected = b"before".to_vec();
            Writer::new(&mut expected).bytes(9, &inner);
            assert_eq!((&out, &long), (&expected, &expected), "{length}");
        }
    }
}
