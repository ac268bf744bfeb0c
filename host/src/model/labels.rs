//! Names of classes from text files, one per line.

use std::path::Path;

use super::card::check_labels;
use super::{MAX_CLASSES, MAX_LABELS, ModelError, known, read_bounded};
use crate::util::text::printable;

/// The labels in the text of a file. A byte order mark, carriage returns and empty lines at the end do not count.
pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Vec<String>, ModelError> {
    let fail = |problem: String| Err(ModelError::card(file, "labels_file", problem));
    if [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark)) {
        return fail("is UTF-16 text; save it as UTF-8".into());
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return fail("is not UTF-8 text".into());
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end();
    let labels: Vec<String> = text.lines().take(MAX_CLASSES + 1).map(|line| line.trim_end().to_owned()).collect();
    if let Some(at) = labels.iter().position(String::is_empty) {
        return fail(format!("line {}, the label of class {at}, is empty", at + 1));
    }
    check_labels(&labels, file, "labels_file")?;
    Ok(labels)
}

/// The labels that the user names: `imagenet`, or a file.
pub(super) fn named(name: &str) -> Result<Vec<String>, ModelError> {
    if name == "imagenet" {
        let bytes = known::companion("imagenet_labels.txt").expect("it is part of the program");
        return parse(&bytes, "imagenet_labels.txt");
    }
    parse(&read_bounded(Path::new(name), "labels", MAX_LABELS)?, name)
}

/// Says that a network has more or fewer classes than there are labels, and where. `lines`: the labels are lines of a file.
pub(super) fn mismatch(labels: &[String], onnx: &str, classes: usize, lines: bool) -> String {
    let count = labels.len();
    let place = match labels.get(classes) {
        Some(extra) if lines => format!("; line {}, \"{}\", is one too many", classes + 1, printable(extra)),
        Some(extra) => format!("; \"{}\" is one too many", printable(extra)),
        None if lines => format!("; there is no line {} for class {count}", count + 1),
        None => format!("; class {count} has none"),
    };
    let hint = if classes == count + 1 { " (some networks have a class for the background in front: is its label missing?)" } else { "" };
    format!("{count} labels, but {onnx} has {classes} classes{place}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        parse(bytes, "l.txt").unwrap_err().to_string()
    }

    #[test]
    fn marks_carriage_returns_and_empty_last_lines_do_not_count() {
        for text in ["a\nb b\nc", "\u{feff}a\r\nb b\r\nc\r\n", "a\nb b \nc\n\n\r\n \n"] {
            assert_eq!(parse(text.as_bytes(), "l.txt").unwrap(), ["a", "b b", "c"], "{text:?}");
        }
    }

    #[test]
    fn problems_name_the_line() {
        assert_eq!(problem(b"a\n\nc\n"), "l.txt: labels_file: line 2, the label of class 1, is empty");
        assert!(problem(b"\xff\xfea\0\n\0b\0").contains("UTF-16"));
        assert!(problem(b"a\n\xffb\n").contains("not UTF-8 text"));
        assert!(problem(b"\n").contains("0 classes"), "{}", problem(b"\n"));
        let labels = ["a", "b", "c"].map(String::from);
        let said = |classes, lines| mismatch(&labels, "n.onnx", classes, lines);
        assert_eq!(said(2, true), "3 labels, but n.onnx has 2 classes; line 3, \"c\", is one too many");
        assert!(
            said(4, true).starts_with("3 labels, but n.onnx has 4 classes; there is no line 4 for class 3 (some networks have a class")
        );
        assert_eq!(said(9, false), "3 labels, but n.onnx has 9 classes; class 3 has none");
    }

    #[test]
    fn the_labels_of_imagenet_are_part_of_the_program() {
        let labels = named("imagenet").unwrap();
        assert_eq!((labels.len(), labels[0].as_str()), (1000, "tench"));
        assert!(named("no/such/file.txt").unwrap_err().to_string().contains("no/such/file.txt"));
    }
}
