//! The lines of a text file, in every usual encoding.

use std::io::{self, BufRead, Read as _};

/// Longest accepted line in bytes of the file; the largest genome takes about 90 000.
const LONGEST_LINE: u64 = 1 << 21;

/// How the text of a file is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The lines of a genome file that are not blank. Text is UTF-8, with or without a byte order mark, or UTF-16 with one, as some
/// shells write it.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: io::Chain<io::Cursor<Vec<u8>>, R>,
    encoding: TextEncoding,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    /// Reads the byte order mark, if there is one.
    ///
    /// # Errors
    ///
    /// If reading fails.
    pub(crate) fn new(mut reader: R) -> io::Result<Self> {
        let mut start = Vec::new();
        (&mut reader).take(3).read_to_end(&mut start)?;
        let (encoding, mark) = match start[..] {
            [0xef, 0xbb, 0xbf] => (TextEncoding::Utf8, 3),
            [0xff, 0xfe, ..] => (TextEncoding::Utf16Le, 2),
            [0xfe, 0xff, ..] => (TextEncoding::Utf16Be, 2),
            _ => (TextEncoding::Utf8, 0),
        };
        start.drain(..mark);
        Ok(Self { reader: io::Cursor::new(start).chain(reader), encoding, number: 0 })
    }

    /// The next line that is not blank, with its number in the file, from 1.
    ///
    /// # Errors
    ///
    /// What is wrong with the line, or with reading it, and its number.
    pub(crate) fn next_line(&mut self) -> Result<Option<(usize, String)>, String> {
        loop {
            self.number += 1;
            let line = self.read_line().map_err(|problem| format!("line {}: {problem}", self.number))?;
            match line {
                None => return Ok(None),
                Some(line) if line.trim().is_empty() => {}
                Some(line) => return Ok(Some((self.number, line))),
            }
        }
    }

    fn read_line(&mut self) -> Result<Option<String>, String> {
        let mut bytes = Vec::new();
        loop {
            let mut limited = (&mut self.reader).take(LONGEST_LINE - bytes.len() as u64);
            let read = limited.read_until(b'\n', &mut bytes).map_err(|error| format!("cannot read it: {error}"))?;
            if bytes.len() as u64 >= LONGEST_LINE {
                return Err(format!("longer than any genome ({LONGEST_LINE} bytes)"));
            }
            if read == 0 || self.at_end_of_line(&mut bytes)? {
                break;
            }
        }
        if bytes.is_empty() { Ok(None) } else { self.decode(&bytes).map(Some) }
    }

    /// Whether the byte `\n` that was just read is a line ending. In UTF-16 it may be half of another character.
    fn at_end_of_line(&mut self, bytes: &mut Vec<u8>) -> Result<bool, String> {
        Ok(match self.encoding {
            TextEncoding::Utf8 => true,
            TextEncoding::Utf16Be => bytes.len().is_multiple_of(2) && bytes[bytes.len() - 2] == 0,
            TextEncoding::Utf16Le if bytes.len().is_multiple_of(2) => false,
            TextEncoding::Utf16Le => {
                let read = (&mut self.reader).take(1).read_to_end(bytes).map_err(|error| format!("cannot read it: {error}"))?;
                read == 1 && bytes.last() == Some(&0)
            }
        })
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, String> {
        let unit = match self.encoding {
            TextEncoding::Utf8 if bytes.contains(&0) => {
                return Err("zero bytes, as in UTF-16 without a byte order mark; save the file as UTF-8".to_owned());
            }
            TextEncoding::Utf8 => {
                let text = std::str::from_utf8(bytes);
                return text
                    .map(str::to_owned)
                    .map_err(|_| "not UTF-8 text; a genome file is what fooling show --genomes prints".to_owned());
            }
            TextEncoding::Utf16Le => u16::from_le_bytes,
            TextEncoding::Utf16Be => u16::from_be_bytes,
        };
        let (units, rest) = bytes.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(units.iter().copied().map(unit)).collect();
        text.ok().filter(|_| rest.is_empty()).ok_or_else(|| "damaged UTF-16 text; save the file as UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(usize, String)>, String> {
        // Small reads, as a pipe may give them.
        let mut lines = Lines::new(io::BufReader::with_capacity(1, bytes)).unwrap();
        std::iter::from_fn(|| lines.next_line().transpose()).collect()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn lines_are_read_in_every_usual_encoding() {
        // A character whose UTF-16 contains the byte of a line ending, in either half.
        let text = "{\"a\": \"\u{10a}\u{a00}\"}\r\n\n  \nlast";
        let expected = Ok(vec![(1, "{\"a\": \"\u{10a}\u{a00}\"}\r\n".to_owned()), (4, "last".to_owned())]);
        let marked = format!("\u{feff}{text}");
        assert_eq!(all(text.as_bytes()), expected);
        assert_eq!(all(marked.as_bytes()), expected);
        assert_eq!(all(&utf16(&marked, u16::to_le_bytes)), expected);
        assert_eq!(all(&utf16(&marked, u16::to_be_bytes)), expected);
        assert_eq!(all(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        assert_eq!(all(b"a\n\xff\xff\n").unwrap_err(), "line 2: not UTF-8 text; a genome file is what fooling show --genomes prints");
        assert!(all(b"{\0}\0").unwrap_err().starts_with("line 1: zero bytes, as in UTF-16"));
        assert_eq!(all(b"\xff\xfea\0\n\0b").unwrap_err(), "line 2: damaged UTF-16 text; save the file as UTF-8");
        assert!(all(&vec![b' '; 1 << 22]).unwrap_err().starts_with("line 1: longer than any genome"));
    }
}
