//! Text for use in HTML, SVG and XML.

use std::fmt::{self, Display, Write as _};

/// Text with HTML's special characters escaped. Characters that XML does not allow become spaces.
pub(crate) struct Text<'t>(pub(crate) &'t str);

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

/// Whether XML allows a character.
pub(super) fn is_printable_in_xml(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}
