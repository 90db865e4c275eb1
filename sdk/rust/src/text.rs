//! Numbers and text without an allocator and without floats, so that every machine reads and writes the same.

use core::fmt;

use crate::error::{Error, Result};

/// Returns a decimal number as a whole number of 10^-`decimals`: "-3.25" with 3 decimals is -3250.
///
/// Digits beyond `decimals` are cut off. Errors: `NotFound` for an empty text; `BadMessage` for what is no such number
/// or beyond about 9.2 * 10^17 of them.
pub fn parse_fixed(text: &[u8], decimals: u32) -> Result<i64> {
    const MOST: i64 = (i64::MAX - 9) / 10;
    let (negative, rest) = match text {
        [] => return Err(Error::NotFound),
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (mut total, mut digits, mut after, mut point) = (0_i64, 0_u32, 0_u32, false);
    for &sign in rest {
        if sign == b'.' && !point {
            point = true;
            continue;
        }
        if !sign.is_ascii_digit() {
            return Err(Error::BadMessage);
        }
        digits += 1;
        if point && after == decimals {
            continue;
        }
        after += u32::from(point);
        if total > MOST {
            return Err(Error::BadMessage);
        }
        total = total * 10 + i64::from(sign - b'0');
    }
    for _ in after..decimals {
        if total > MOST {
            return Err(Error::BadMessage);
        }
        total *= 10;
    }
    match (digits, negative) {
        (0, _) => Err(Error::BadMessage),
        (_, true) => Ok(-total),
        (_, false) => Ok(total),
    }
}

/// Returns a whole number. Errors: as [`parse_fixed`].
pub fn parse_whole(text: &[u8]) -> Result<i64> {
    if text.contains(&b'.') {
        return Err(Error::BadMessage);
    }
    parse_fixed(text, 0)
}

/// A text in a buffer of fixed size. What does not fit is cut off, and [`Text::cut`] says so.
#[derive(Clone, Debug)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// Returns an empty text.
    pub const fn new() -> Self {
        Self { bytes: [0; N], length: 0, cut: false }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &str) {
        let mut fits = piece.len().min(N - self.length);
        self.cut |= fits < piece.len();
        while !piece.is_char_boundary(fits) {
            fits -= 1;
        }
        self.bytes[self.length..self.length + fits].copy_from_slice(&piece.as_bytes()[..fits]);
        self.length += fits;
    }

    /// Adds a whole number.
    pub fn push_whole(&mut self, value: i64) {
        self.push_fixed(value, 0);
    }

    /// Adds a whole number of 10^-`decimals` as a decimal number: -3250 with 3 decimals is "-3.250". `decimals` is at
    /// most 18.
    pub fn push_fixed(&mut self, value: i64, decimals: u32) {
        let mut buffer = [0; 24];
        self.push(fixed(&mut buffer, value, decimals));
    }

    /// Returns the text so far.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// Returns whether something did not fit.
    pub fn cut(&self) -> bool {
        self.cut
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.push(piece);
        Ok(())
    }
}

/// Returns `value` as a decimal number, written at the end of `buffer`.
pub(crate) fn fixed(buffer: &mut [u8; 24], value: i64, decimals: u32) -> &str {
    let decimals = decimals.min(18);
    let (mut at, mut digits, mut rest) = (buffer.len(), 0, value.unsigned_abs());
    loop {
        if digits > 0 && digits == decimals {
            at -= 1;
            buffer[at] = b'.';
        }
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        digits += 1;
        if rest == 0 && digits > decimals {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    core::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Text, parse_fixed, parse_whole};
    use crate::Error;

    #[test]
    fn a_number_reads_back_as_it_was_written() {
        for (value, decimals, shown) in [
            (-3250, 3, "-3.250"),
            (0, 0, "0"),
            (5, 2, "0.05"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MIN, 18, "-9.223372036854775808"),
        ] {
            let mut text = Text::<32>::new();
            text.push_fixed(value, decimals);
            assert_eq!(text.as_str(), shown);
        }
        assert_eq!(parse_fixed(b"-3.25", 3), Ok(-3250));
        assert_eq!(parse_fixed(b"3.2599", 2), Ok(325));
        assert_eq!(parse_whole(b"+42"), Ok(42));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!(parse_whole(b""), Err(Error::NotFound));
        for text in ["1.0", "-", "1x", "99999999999999999999", "."] {
            assert_eq!(parse_whole(text.as_bytes()), Err(Error::BadMessage), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_between_characters() {
        let mut text = Text::<4>::new();
        text.push("abcé");
        assert_eq!((text.as_str(), text.cut()), ("abc", true));
    }
}
