//! Text that can stand in HTML, SVG and XML.

use std::fmt::{self, Display, Write as _};

/// Text with everything escaped that means something in HTML. What XML has no way to write becomes a space.
pub(super) struct Text<'t>(pub(super) &'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                _ => f.write_char(if is_printable_in_xml(character) { character } else { ' ' })?,
            }
        }
        Ok(())
    }
}

/// Whether XML has a way to write a character.
pub(super) fn is_printable_in_xml(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}
