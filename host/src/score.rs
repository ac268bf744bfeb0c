//! Scores given pictures with a network.

use std::sync::{Mutex, PoisonError};

use crate::classifier::{Classifier, ClassifyError, Device, Session};
use crate::model::Model;
#[cfg(any(test, feature = "cli"))]
use crate::model::{CardInput, Crops};
#[cfg(any(test, feature = "cli"))]
use crate::picture::DecodedImage;
use crate::picture::Picture;
use crate::util::workers::{Workers, even_chunk};

/// An image as a square picture, from which the network's crops are taken.
///
/// The image is scaled to that square without keeping the aspect ratio. An image of that size is unchanged. So is one of exactly the size
/// of a network with a non-square input, unless the scores are a mean over ten crops. If the square is only as large as that input's longer
/// side, other images are scaled to the size of the input, because cropping would lose part of them.
#[cfg(any(test, feature = "cli"))]
#[must_use]
pub(crate) fn fit(image: DecodedImage, input: &CardInput) -> Picture {
    let CardInput { width, height, picture: side, crops, .. } = *input;
    let exact = |wanted| (image.width(), image.height()) == wanted;
    let oblong = width != height && crops != Crops::Ten && !exact((side, side));
    let (width, height) = if oblong && (exact((width, height)) || side == width.max(height)) { (width, height) } else { (side, side) };
    image.resized(width, height).centred(side)
}

/// Threads with sessions of a classifier, started once, that score pictures.
pub(crate) struct Pool<'c> {
    model: &'c Model,
    classifier: &'c dyn Classifier,
    workers: Workers<Box<dyn Session + 'c>>,
}

impl<'c> Pool<'c> {
    /// Starts up to `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// If the classifier cannot give a thread a session.
    pub(crate) fn new(model: &'c Model, classifier: &'c dyn Classifier, threads: usize) -> Result<Self, ClassifyError> {
        Ok(Self { model, classifier, workers: Workers::new(threads.max(1), || classifier.session())? })
    }

    /// Scores the pictures 0 to `count` - 1: for each a probability for each class, all NaN if the network did not return probabilities.
    /// `picture(i)` is called from any thread.
    ///
    /// # Errors
    ///
    /// If the classifier fails.
    pub(crate) fn score<'p>(
        &mut self,
        count: usize,
        picture: impl Fn(usize) -> std::borrow::Cow<'p, Picture> + Sync,
    ) -> Result<Vec<f32>, ClassifyError> {
        let (model, batch, classes) = (self.model, self.classifier.batch(), self.classifier.classes());
        let mut scores = vec![0.0; count * classes];
        // A GPU processes whole batches.
        let even = self.classifier.device() == Device::Cpu;
        let chunk = if even { even_chunk(count, batch, self.workers.count()) } else { batch };
        let chunks = Mutex::new(scores.chunks_mut(chunk * classes).enumerate());
        self.workers.run(|session| -> Result<(), ClassifyError> {
            loop {
                let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((number, scores)) = next else { return Ok(()) };
                let filled = scores.len() / classes;
                for slot in 0..filled {
                    let picture = picture(number * chunk + slot);
                    let tensor = session.slot(slot);
                    picture.rows().enumerate().for_each(|(y, row)| model.preprocess().write_row(tensor, y, row));
                }
                let _refusals = session.run(filled, scores)?;
            }
        })?;
        Ok(scores)
    }
}

/// Scores pictures as [`Pool::score`], with threads for this call.
///
/// # Errors
///
/// If the classifier fails.
pub(crate) fn score_all<'p>(
    model: &Model,
    classifier: &dyn Classifier,
    threads: usize,
    count: usize,
    picture: impl Fn(usize) -> std::borrow::Cow<'p, Picture> + Sync,
) -> Result<Vec<f32>, ClassifyError> {
    let useful = threads.clamp(1, count.div_ceil(classifier.batch()).max(1));
    Pool::new(model, classifier, useful)?.score(count, picture)
}

/// The classes with the highest scores, highest first; for equal scores the lower number first.
#[cfg(feature = "cli")]
#[must_use]
pub(crate) fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut ranked: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(count);
    ranked
}

#[cfg(test)]
mod tests {
    use super::fit;
    use crate::model::{CardInput, Crops, Model};
    use crate::picture::DecodedImage;

    fn image(width: usize, height: usize) -> DecodedImage {
        let pixels: Vec<u8> = (1..=width * height).map(|i| i as u8).collect();
        DecodedImage::read_from(&[format!("P5 {width} {height} 255\n").as_bytes(), &pixels].concat()[..]).unwrap()
    }

    fn input(width: usize, height: usize, picture: usize, crops: Crops) -> CardInput {
        CardInput { width, height, picture, crops, ..Model::builtin("lenet").unwrap().card().input.clone() }
    }

    #[test]
    fn an_image_of_exactly_the_networks_size_is_not_resampled() {
        let square = fit(image(4, 4), &input(4, 4, 4, Crops::Whole));
        assert!(square.bytes().iter().copied().eq(1..=16));
        for side in [4, 6] {
            let oblong = fit(image(4, 2), &input(4, 2, side, Crops::Centre));
            let (left, top) = ((side - 4) / 2, (side - 2) / 2);
            let seen: Vec<u8> = oblong.rows().skip(top).take(2).flat_map(|row| row[left..left + 4].to_vec()).collect();
            assert_eq!((oblong.side(), &seen[..]), (side, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
        }
        // A picture as evolved is cropped as during evolution.
        let evolved = fit(image(4, 4), &input(4, 2, 4, Crops::Centre));
        assert!(evolved.bytes().iter().copied().eq(1..=16));
        // A picture of another size is scaled to the input, as a whole.
        let scaled = fit(image(8, 8), &input(4, 2, 4, Crops::Centre));
        assert!(scaled.rows().next().unwrap().iter().all(|&byte| byte == 0) && scaled.rows().nth(1).unwrap().iter().all(|&byte| byte > 0));
        // A square input with a card that takes crops from larger pictures: the card decides.
        assert!(fit(image(4, 4), &input(4, 4, 6, Crops::Centre)).bytes().iter().all(|&byte| byte > 0));
    }
}
