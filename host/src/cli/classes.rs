//! Classes as users name them: by number, by range of numbers, or by name.

use anyhow::Context as _;
use fooling::model::{Model, short_name};

/// The classes of a model or of a run, by number, ascending; at least one.
#[derive(Debug)]
pub(super) struct Classes<'c> {
    /// The model or run that has them, for messages.
    of: &'c str,
    labels: Vec<(usize, &'c str)>,
}

impl<'c> Classes<'c> {
    pub(super) fn of_model(model: &'c Model) -> Self {
        Self { of: model.name(), labels: model.labels().iter().map(String::as_str).enumerate().collect() }
    }

    pub(super) fn new(of: &'c str, labels: Vec<(usize, &'c str)>) -> Self {
        Self { of, labels }
    }

    fn last(&self) -> usize {
        self.labels.last().map_or(0, |(class, _)| *class)
    }

    /// A class by number, by name, or by a part of its label that occurs in no other label. Case does not matter.
    pub(super) fn find(&self, wanted: &str) -> anyhow::Result<usize> {
        if let Ok(number) = wanted.parse::<usize>() {
            anyhow::ensure!(
                self.labels.iter().any(|(class, _)| *class == number),
                "class {number} is not one of the {} classes of '{}' (0 to {})",
                self.labels.len(),
                self.of,
                self.last()
            );
            return Ok(number);
        }
        let lower = wanted.to_lowercase();
        // The best kind of match decides, if only one label matches in that way.
        let kinds: [fn(&str, &str) -> bool; 3] = [
            |label, wanted| label == wanted || short_name(label) == wanted,
            |label, wanted| label.split(", ").any(|name| name == wanted),
            |label, wanted| label.contains(wanted),
        ];
        let all = |fits: fn(&str, &str) -> bool| -> Vec<(usize, &str)> {
            self.labels.iter().copied().filter(|(_, label)| fits(&label.to_lowercase(), &lower)).collect()
        };
        let found = kinds.into_iter().map(all).find(|found| !found.is_empty()).unwrap_or_default();
        match found[..] {
            [(class, _)] => Ok(class),
            [] => anyhow::bail!("no label of '{}' contains '{wanted}' (see fooling models show)", self.of),
            _ => {
                let some: Vec<String> = found.iter().take(5).map(|(class, label)| format!("{class} {}", short_name(label))).collect();
                let more = if found.len() > some.len() { ", ..." } else { "" };
                anyhow::bail!("'{wanted}' is in {} labels of '{}': {}{more}; use a number", found.len(), self.of, some.join(", "))
            }
        }
    }

    /// Parses numbers, ranges and names, separated by commas, into ascending classes without duplicates.
    pub(super) fn select(&self, text: &str) -> anyhow::Result<Vec<usize>> {
        let mut classes = Vec::new();
        for part in text.split(',').map(str::trim) {
            let Some((first, last)) = range(part) else {
                classes.push(self.find(part).context("--classes")?);
                continue;
            };
            let within = first <= last && last <= self.last();
            anyhow::ensure!(within, "--classes: '{part}' is not a range of the classes of '{}' (0 to {})", self.of, self.last());
            classes.extend(self.labels.iter().map(|(class, _)| *class).filter(|class| (first..=last).contains(class)));
        }
        classes.sort_unstable();
        classes.dedup();
        Ok(classes)
    }
}

/// `3-7`.
fn range(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::Classes;

    const LABELS: [&str; 6] = ["n01440764 tench, Tinca tinca", "hen", "three-toed sloth, ai", "hen harrier", "sea hen", "8"];

    fn animals() -> Classes<'static> {
        Classes::new("animals", LABELS.into_iter().enumerate().collect())
    }

    #[test]
    fn classes_are_found_by_number_and_name() {
        let found = |wanted| animals().find(wanted).map_err(|error| error.to_string());
        assert_eq!([found("0"), found("TENCH"), found("tinca t"), found("hen"), found("ai"), found("harr")], [0, 0, 0, 1, 2, 3].map(Ok));
        assert_eq!(found("he").unwrap_err(), "'he' is in 3 labels of 'animals': 1 hen, 3 hen harrier, 4 sea hen; use a number");
        assert!(found("dog").unwrap_err().contains("no label of 'animals' contains 'dog'"));
        assert_eq!(found("8").unwrap_err(), "class 8 is not one of the 6 classes of 'animals' (0 to 5)");
    }

    #[test]
    fn selections_mix_numbers_ranges_and_names() {
        let selected = |text| animals().select(text).map_err(|error| format!("{error:#}"));
        assert_eq!(selected("4, 0-2,three-toed sloth,tench").unwrap(), [0, 1, 2, 4]);
        assert!(selected("2-1").unwrap_err().contains("'2-1' is not a range"));
        assert!(selected("3-6").unwrap_err().contains("(0 to 5)"));
        assert!(selected("1,eight").unwrap_err().starts_with("--classes: no label"));
        // A run may have only some of the classes.
        let some = Classes::new("run", vec![(2, "a"), (5, "b"), (9, "c")]);
        assert_eq!(some.select("0-5,c").unwrap(), [2, 5, 9]);
    }
}
