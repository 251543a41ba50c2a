//! A fast path for numbers of few digits, like most numbers in tables.

/// The powers of ten that f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Up to here f64 holds every whole number.
const EXACT: u64 = 1 << 53;

/// The number of digits that always fits into a u64.
const DIGITS: usize = 19;

/// A number at the beginning of a text, with few digits and no exponent.
pub(super) struct Decimal {
    pub number: f64,
    /// Bytes of it.
    pub length: usize,
    pub has_point: bool,
}

impl Decimal {
    /// The number that `text` begins with; `None` if there is none, or it needs the general parser. The text behind it
    /// decides whether it is a whole cell. The digits as a whole number and the power of ten are exact in f64, so that
    /// their quotient is the f64 nearest to the number (Clinger, "How to read floating point numbers accurately",
    /// 1990).
    #[inline]
    pub fn at_start(text: &[u8]) -> Option<Self> {
        let is_negative = text.first() == Some(&b'-');
        let (whole, mut length) = digits(text, usize::from(is_negative), 0);
        let mut count = length - usize::from(is_negative);
        let has_point = text.get(length) == Some(&b'.');
        let (mut all, mut places) = (whole, 0);
        if has_point {
            let end;
            (all, end) = digits(text, length + 1, whole);
            places = end - (length + 1);
            count += places;
            length = end;
        }
        if count == 0 || count > DIGITS || all > EXACT {
            return None;
        }
        let number = all as f64 / POWERS[places];
        // Signs come in no order, and a processor would guess every other one wrongly.
        let sign = u64::from(is_negative) << 63;
        Some(Self { number: f64::from_bits(number.to_bits() | sign), length, has_point })
    }
}

/// Appends the digits from `at` on to `number`, and returns where they end. Meaningless beyond [`DIGITS`] digits in
/// all.
#[inline]
fn digits(text: &[u8], mut at: usize, mut number: u64) -> (u64, usize) {
    const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    loop {
        let (value, count) = eight(text.get(at..).unwrap_or_default());
        number = number.wrapping_mul(TENS[count]).wrapping_add(value);
        at += count;
        if count < 8 {
            return (number, at);
        }
    }
}

/// The number that the digits among the next eight bytes make up to the first byte that is none, and how many they are.
#[inline]
fn eight(text: &[u8]) -> (u64, usize) {
    let bytes = if let Some(bytes) = text.first_chunk() {
        *bytes
    } else {
        let mut bytes = [0; 8];
        bytes[..text.len()].copy_from_slice(text);
        bytes
    };
    // The first byte is the lowest; a digit becomes 0 to 9. Of any other byte, and perhaps of some behind it, the highest
    // bit is set in `others`.
    let values = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    // Shifts out the bytes behind the digits, so that zeros lead. Then neighbours become one number, three times.
    let ones = values.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = (fours * 10_000 + (fours >> 32)) & 0xffff_ffff;
    (eight, count as usize)
}

#[cfg(test)]
mod tests {
    use super::super::number::plain;
    use super::*;
    use proptest::prelude::*;

    /// A result equals the general parser's, to the bit.
    fn check(text: &str) {
        if let Some(decimal) = Decimal::at_start(text.as_bytes()) {
            let (number, rest) = text.split_at(decimal.length);
            let expected = plain(number.as_bytes()).map(f64::to_bits);
            assert_eq!(Some(decimal.number.to_bits()), expected, "{text}");
            assert_eq!(decimal.has_point, number.contains('.'));
            let next = rest.bytes().next();
            assert!(next.is_none_or(|next| !next.is_ascii_digit()), "{text}");
        }
    }

    #[test]
    fn short_numbers_are_read() {
        for text in [
            "0",
            "-0",
            "7,",
            "12.5,x",
            "-0.345584,1",
            ".5",
            "5.",
            "-.25\n",
            "1700000000123",
            "0.000000000000000001",
            "9007199254740992",
            "-1234567.12345678",
            "00012.50",
            "123456789012.0001e5",
        ] {
            assert!(Decimal::at_start(text.as_bytes()).is_some(), "{text}");
            check(text);
        }
        for text in ["", "-", ".", "-.", "+1", "a", "e5", "--1", "9007199254740993", "12345678901234567890"] {
            assert!(Decimal::at_start(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn as_any_number_is_read(text in "-?[0-9]{0,12}\\.?[0-9]{0,12}[,;\n .e/:\u{ff}]?[0-9]{0,3}") {
            check(&text);
        }
    }
}
