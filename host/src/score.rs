//! What a network says of given pictures.

use crate::classifier::{Classifier, ClassifyError};
use crate::model::Model;
use crate::picture::Picture;

/// Scores pictures over several threads: for each picture a probability a class, NaN throughout where the network gave none.
///
/// `picture(i)` is asked for the pictures 0 to `count` - 1, from any thread.
///
/// # Errors
///
/// If the classifier fails.
pub fn score_all<'p>(
    model: &Model,
    classifier: &dyn Classifier,
    threads: usize,
    count: usize,
    picture: impl Fn(usize) -> std::borrow::Cow<'p, Picture> + Sync,
) -> Result<Vec<f32>, ClassifyError> {
    let (chunk, classes) = (classifier.batch(), classifier.classes());
    let mut scores = vec![0.0; count * classes];
    let chunks = std::sync::Mutex::new(scores.chunks_mut(chunk * classes).enumerate());
    let work = || -> Result<(), ClassifyError> {
        let mut session = classifier.session()?;
        loop {
            let next = chunks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
            let Some((number, scores)) = next else { return Ok(()) };
            let filled = scores.len() / classes;
            for slot in 0..filled {
                let picture = picture(number * chunk + slot);
                let tensor = session.slot(slot);
                picture.rows().enumerate().for_each(|(y, row)| model.preprocess().write_row(tensor, y, row));
            }
            let _refusals = session.run(filled, scores)?;
        }
    };
    std::thread::scope(|scope| {
        // This thread works too, and where the system has no more threads to give, fewer do the same work.
        let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.clamp(1, count.div_ceil(chunk).max(1))).map_while(spawn).collect();
        work()?;
        others.into_iter().try_for_each(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    Ok(scores)
}

/// The classes with the highest scores, highest first; of equals the lower number.
#[must_use]
pub fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(count);
    ranked
}
