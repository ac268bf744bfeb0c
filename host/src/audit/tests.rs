//! Whole audits, and the figures of curves.

use super::*;

/// A small audit of one seed that writes into `out`.
fn plan(out: &Path) -> AuditPlan {
    AuditPlan { out: out.to_owned(), budget: 400, seeds: 1, first_seed: 1, rubbish_pictures: 20, rejecting: Vec::new(), threads: 2 }
}

/// Gradients in place of real pictures.
fn real_pictures() -> Vec<RealPicture> {
    (0..10).map(|class| RealPicture { picture: Rubbish::Gradient.picture(9, class, 28, 1, None).unwrap(), class: None }).collect()
}

/// An audit of the built-in model, not compared with another one.
fn audited(
    plan: &AuditPlan,
    model: &Model,
    classifier: &dyn Classifier,
    real: &[RealPicture],
) -> Result<(AuditResult, Vec<Picture>), AuditError> {
    audit(plan, &Subject { model, classifier }, None, Some(real), &mut |_| ControlFlow::Continue(()))
}

#[test]
fn areas_by_hand() {
    // From half of the budget on, two of four classes; from three quarters on, all four.
    assert_eq!(area(&[(100, 0), (200, 2), (300, 4)], 400, 4), (100.0 * 2.0 + 100.0 * 4.0) / 1600.0);
    assert_eq!(area(&[(400, 4)], 400, 4), 0.0);
    assert_eq!(area(&[], 400, 4), 0.0);
    assert_eq!(steps(&[(100, 0), (200, 0), (300, 2), (400, 2), (500, 3)]), [(100, 0), (300, 2), (500, 3)]);
}

/// In place of an instruction set that this machine lacks, the engine uses the baseline.
#[test]
fn an_audit_is_the_same_with_every_instruction_set() {
    use crate::classifier::Exact;
    use crate::simd::Instructions;
    let model = Model::builtin("lenet").unwrap();
    let mut real = real_pictures();
    real.iter_mut().enumerate().for_each(|(class, picture)| picture.class = Some(class));
    let mut found = Vec::new();
    for (set, threads) in [(Instructions::Baseline, 1), (Instructions::Avx2, 2), (Instructions::Avx512, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let exact = Exact::with(&model, 16, set).unwrap();
        let (result, pictures) = audited(&AuditPlan { threads, ..plan(dir.path()) }, &model, &exact, &real).unwrap();
        found.push((serde_json::to_string(&result).unwrap(), pictures));
    }
    assert!(found[0] == found[1] && found[1] == found[2], "{} {} {}", found[0].0, found[1].0, found[2].0);
}

/// Without logits there is no energy, and nothing is evolved against it.
#[test]
fn detectors_on_logits_need_logits() {
    let model = Model::builtin("lenet").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let plan = AuditPlan { budget: 100, rubbish_pictures: 5, threads: 1, ..plan(dir.path()) };
    let mock = crate::classifier::Mock::new(model.classes(), 8, model.preprocess().slot_len(), 3);
    let (result, pictures) = audited(&plan, &model, &mock, &real_pictures()).unwrap();
    assert!(!result.model.logits && !dir.path().join("adaptive").exists());
    let detectors: Vec<Detector> = result.detection.iter().map(|row| row.detector).collect();
    assert!(detectors.iter().all(|detector| matches!(detector, Detector::MaximumProbability | Detector::Entropy)));
    assert!(page(&result, &pictures, &[]).unwrap().contains("energy and maximum logit are not available"));
}

#[test]
fn a_rejecting_class_never_counts() {
    let model = Model::builtin("lenet").unwrap();
    let exact = crate::classifier::Exact::new(&model).unwrap();
    let rejecting = |classes: &[usize]| {
        let dir = tempfile::tempdir().unwrap();
        let plan = AuditPlan { budget: 2000, rejecting: classes.to_vec(), ..plan(dir.path()) };
        audited(&plan, &model, &exact, &real_pictures())
    };
    let (all, nine) = (rejecting(&[]).unwrap().0, rejecting(&[1]).unwrap().0);
    for (all, nine) in all.evolved.iter().zip(&nine.evolved) {
        // The runs are the same, but fewer classes count.
        assert_eq!(all.decisions, nine.decisions);
        assert_eq!(nine.class_confidences[0][1], 0.0);
        let others = |found: &EvolvedRubbish| [&found.class_confidences[0][..1], &found.class_confidences[0][2..]].concat();
        assert_eq!(others(all), others(nine));
        let at_99 = |classes: &[usize]| {
            classes.iter().filter(|&&class| f64::from(nine.class_confidences[0][class]) >= FOOLED).count() as f64 / classes.len() as f64
        };
        assert_eq!(nine.classes.at_99.median, at_99(&[0, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert!(!nine.always_fooled.contains(&1) && !nine.never_fooled.contains(&1));
        let last = |found: &EvolvedRubbish| found.curves[0].last().map_or(0, |(_, at_99)| *at_99);
        let first_is_fooled = usize::from(f64::from(all.class_confidences[0][1]) >= FOOLED);
        assert_eq!(last(all), last(nine) + first_is_fooled);
    }
    // The chart ends at the share that the table has.
    for (evolved, curve) in nine.evolved.iter().zip(page::curves(&nine)) {
        assert!((curve.points.last().unwrap().1 / 100.0 - evolved.classes.at_99.median).abs() < 1e-9);
    }
    assert!(nine.detection.iter().all(|row| row.detector != Detector::Entropy));
    assert!(all.detection.iter().any(|row| row.detector == Detector::Entropy));
    assert!(compare(&all, &nine).is_err());
    assert!(matches!(rejecting(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), Err(AuditError::NoClassLeft(10))));
}

#[test]
fn classes_are_counted_and_the_first_ones_named() {
    assert_eq!(page::numbered(&[]), "none");
    assert_eq!(page::numbered(&[3, 7]), "2 (3, 7)");
    assert_eq!(page::numbered(&Vec::from_iter(5..16)), "11 (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, ...)");
}

#[test]
fn what_repetition_contributes_by_hand() {
    let model = Model::builtin("lenet").unwrap();
    let exact = crate::classifier::Exact::new(&model).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path());
    let subject = Subject { model: &model, classifier: &exact };
    let audit = Audit {
        plan: &plan,
        subject: &subject,
        judge: &exact,
        logits: false,
        seeds: vec![1],
        temperature: None,
        runs_left: 0,
        kinds: Vec::new(),
    };
    let drawn = |pixel: fn(usize) -> u8| Picture::from_bytes(28, 1, (0..28 * 28).map(|at| pixel(at % 28)).collect()).unwrap();
    let stripes = drawn(|x| if x % 7 < 2 { 210 } else { 0 });
    let one_copy = drawn(|x| if x >= 7 { 60 } else { u8::from(x < 2) * 210 });
    let expected = score_all(&model, &exact, 1, 1, |_| Cow::Borrowed(&one_copy)).unwrap();
    let elite = |cell: usize, score: f32, picture: &Picture| {
        let birth = fooling_core::Birth::default();
        let elite = RebuiltElite { cell, score, birth, replaced: 0, switched: 0, size: None, genome: None, picture: picture.clone() };
        (EncodingName::Cppn, 1, elite)
    };
    for (class, &expected) in expected.iter().enumerate() {
        let elites = [elite(class, 0.75, &stripes), elite(3, 0.5, &Picture::new(28, 1)), elite(4, 0.4, &stripes)];
        let found = audit.repetition(&elites).unwrap();
        assert_eq!((found.pictures, found.repeated, found.confidence), (2, 1, Some(0.75)));
        assert_eq!(found.confidence_with_one_copy, Some(expected.into()));
        assert_eq!(found.at_50_with_one_copy, usize::from(expected >= 0.5));
    }
    let none = audit.repetition(&[]).unwrap();
    assert_eq!((none.pictures, none.repeated, none.confidence, none.confidence_with_one_copy), (0, 0, None, None));
}
