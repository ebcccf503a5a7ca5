//! MessagePack values byte by byte, for arguments that no encoder of types would write ("formats" of its specification). Lengths are
//! written in their longest form, which every decoder takes.

/// A length as it is written; what is made here is never longer.
fn len(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

pub(crate) fn nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

pub(crate) fn flag(out: &mut Vec<u8>, value: bool) {
    out.push(0xc2 | u8::from(value));
}

pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    out.push(0xcf);
    out.extend(value.to_be_bytes());
}

pub(crate) fn negative(out: &mut Vec<u8>, value: i64) {
    out.push(0xd3);
    out.extend(value.to_be_bytes());
}

pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend(value.to_be_bytes());
}

pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    out.push(0xdb);
    out.extend(len(value.len()));
    out.extend(value.as_bytes());
}

pub(crate) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.push(0xc6);
    out.extend(len(value.len()));
    out.extend(value);
}

/// The head of an array; its values follow.
pub(crate) fn array(out: &mut Vec<u8>, values: usize) {
    out.push(0xdd);
    out.extend(len(values));
}

/// The head of a map; its keys and values follow.
pub(crate) fn map(out: &mut Vec<u8>, entries: usize) {
    out.push(0xdf);
    out.extend(len(entries));
}
