//! Classes as users name them: by number, by range of numbers, or by name.

use fooling::model::{Model, short_name};

/// The classes of a model or of a run, in ascending order of their numbers; there is at least one.
#[derive(Debug)]
pub(super) struct Classes<'c> {
    /// The model's name, for messages.
    model: &'c str,
    labels: Vec<(usize, &'c str)>,
}

/// Marks a name that would otherwise be read as a number.
const LABEL: &str = "label:";

impl<'c> Classes<'c> {
    pub(super) fn of_model(model: &'c Model) -> Self {
        Self { model: model.name(), labels: model.labels().iter().map(String::as_str).enumerate().collect() }
    }

    pub(super) fn new(model: &'c str, labels: Vec<(usize, &'c str)>) -> Self {
        Self { model, labels }
    }

    fn last(&self) -> usize {
        self.labels.last().map_or(0, |(class, _)| *class)
    }

    /// A class by its number or its name. A part of a label is enough if it occurs in no other label; case does not matter. `label:10` and
    /// quoted text are always names.
    pub(super) fn find(&self, wanted: &str) -> anyhow::Result<usize> {
        let wanted = wanted.trim();
        let name = unquoted(wanted.strip_prefix(LABEL).unwrap_or(wanted));
        match wanted.parse() {
            Ok(number) => self.numbered(number),
            Err(_) => self.named(name),
        }
    }

    fn numbered(&self, number: usize) -> anyhow::Result<usize> {
        let label = |class| self.labels.iter().find(|(other, _)| *other == class).map(|(_, label)| *label);
        let text = number.to_string();
        // If labels are themselves numbers, in another order than the classes, both readings make sense.
        let other = self.labels.iter().find(|(class, label)| *label == text && *class != number);
        let Some(found) = label(number) else {
            let hint = other.map_or(String::new(), |(class, _)| format!("; the label '{text}' is class {class}: write {LABEL}{text}"));
            anyhow::bail!(
                "class {number} is not one of the {} classes of '{}' (0 to {}){hint}",
                self.labels.len(),
                self.model,
                self.last()
            );
        };
        if let Some((class, _)) = other {
            say!(
                "note: {number} is read as class number {number}, whose label is '{found}'; for the label '{text}' (class {class}), write {LABEL}{text}"
            );
        }
        Ok(number)
    }

    fn named(&self, wanted: &str) -> anyhow::Result<usize> {
        let lower = wanted.to_lowercase();
        anyhow::ensure!(!lower.is_empty(), "the name of a class is empty; give a number or a name");
        // The first kind with a match decides; several matches of that kind are an error.
        let kinds: [fn(&str, &str) -> bool; 3] = [
            |label, wanted| label == wanted || short_name(label) == wanted,
            |label, wanted| label.split(", ").any(|name| name == wanted) || label.split_once(' ').is_some_and(|(_, names)| names == wanted),
            |label, wanted| label.contains(wanted),
        ];
        let all = |fits: fn(&str, &str) -> bool| -> Vec<(usize, &str)> {
            self.labels.iter().copied().filter(|(_, label)| fits(&label.to_lowercase(), &lower)).collect()
        };
        let found = kinds.into_iter().map(all).find(|found| !found.is_empty()).unwrap_or_default();
        match found[..] {
            [(class, _)] => Ok(class),
            [] => anyhow::bail!("no label of '{}' contains '{wanted}'; fooling models show lists the labels", self.model),
            _ => {
                let some: Vec<String> = found.iter().take(5).map(|(class, label)| format!("{class} {}", short_name(label))).collect();
                let more = if found.len() > some.len() { ", ..." } else { "" };
                let (count, some) = (found.len(), some.join(", "));
                anyhow::bail!("'{wanted}' occurs in {count} labels of '{}': {some}{more}; give the number", self.model)
            }
        }
    }

    /// Classes by numbers, ranges of numbers and names, separated by commas; in ascending order, each once.
    pub(super) fn select(&self, text: &str) -> anyhow::Result<Vec<usize>> {
        let mut classes = Vec::new();
        for part in parts(text)? {
            let Some((first, last)) = range(part) else {
                classes.push(self.find(part)?);
                continue;
            };
            let within = first <= last && last <= self.last();
            anyhow::ensure!(within, "'{part}' is not a range of the classes of '{}' (0 to {})", self.model, self.last());
            let before = classes.len();
            classes.extend(self.labels.iter().map(|(class, _)| *class).filter(|class| (first..=last).contains(class)));
            anyhow::ensure!(classes.len() > before, "'{}' has no class in the range {part}", self.model);
        }
        classes.sort_unstable();
        classes.dedup();
        Ok(classes)
    }
}

/// The parts of a list separated by commas, except commas within double quotes.
fn parts(text: &str) -> anyhow::Result<Vec<&str>> {
    let mut quoted = false;
    let separates = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    let parts: Vec<&str> = text.split(separates).map(str::trim).collect();
    anyhow::ensure!(!quoted, "a double quote is not closed in {text}");
    anyhow::ensure!(!text.trim().is_empty(), "no class is given");
    anyhow::ensure!(parts.iter().all(|part| !part.is_empty()), "'{text}' has an empty part; separate classes by single commas");
    Ok(parts)
}

/// The text without the double quotes around it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
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
        assert_eq!(found("he").unwrap_err(), "'he' occurs in 3 labels of 'animals': 1 hen, 3 hen harrier, 4 sea hen; give the number");
        assert!(found("dog").unwrap_err().contains("no label of 'animals' contains 'dog'"));
        let number = found("8").unwrap_err();
        assert_eq!(number, "class 8 is not one of the 6 classes of 'animals' (0 to 5); the label '8' is class 5: write label:8");
        assert!(found("").is_err() && found("label:").is_err() && found("\"\"").is_err());
    }

    #[test]
    fn labels_that_are_numbers_or_hold_commas_can_be_named() {
        let folders = Classes::new("folders", vec![(0, "1"), (1, "10"), (2, "2")]);
        let found = |wanted| folders.find(wanted).map_err(|error| error.to_string());
        // A bare number is the number of a class; a name is marked, or quoted.
        assert_eq!([found("1"), found("label:1"), found("label:10"), found("\"10\""), found("label:\"2\"")], [1, 0, 1, 1, 2].map(Ok));
        assert!(found("10").unwrap_err().ends_with("the label '10' is class 1: write label:10"));
        assert_eq!(folders.select("label:10,0").unwrap(), [0, 1]);

        let names = |text| animals().select(text).map_err(|error| error.to_string());
        assert_eq!(names("\"tench, Tinca tinca\",hen"), Ok(vec![0, 1]));
        assert_eq!(names("label:\"three-toed sloth, ai\", 4"), Ok(vec![2, 4]));
        assert_eq!(animals().find("tench, Tinca tinca").unwrap(), 0);
        assert!(names("\"tench, Tinca").unwrap_err().contains("not closed"));
    }

    #[test]
    fn selections_mix_numbers_ranges_and_names() {
        let selected = |text| animals().select(text).map_err(|error| error.to_string());
        assert_eq!(selected("4, 0-2,three-toed sloth,tench").unwrap(), [0, 1, 2, 4]);
        assert!(selected("2-1").unwrap_err().contains("'2-1' is not a range"));
        assert!(selected("3-6").unwrap_err().contains("(0 to 5)"));
        assert!(selected("1,eight").unwrap_err().starts_with("no label"));
        assert!(selected("1,,2").unwrap_err().contains("empty part"));
        // A run may have only some of the classes.
        let some = Classes::new("run", vec![(2, "a"), (5, "b"), (9, "c")]);
        assert_eq!(some.select("0-5,c").unwrap(), [2, 5, 9]);
        assert!(some.select("3-4").unwrap_err().to_string().contains("no class in the range"));
    }
}
