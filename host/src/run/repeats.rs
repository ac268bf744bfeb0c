//! Repeated pictures: offspring that look exactly like an elite need no score.
//!
//! Equal pictures have equal scores, and the elite has been offered to every cell with them. A cell's score never falls and is only taken by
//! a higher one, so such an offspring can take nothing. No decision changes if it is not scored.
//!
//! Pictures are found by a digest of the bytes that the network sees, and then compared byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::ops::Range;

use fooling_core::{Birth, Canvas, Region, Row, Search, Selection, Settings};

use super::encoding::HostEncoding;
use super::search::EliteAccess;

/// The score of an offspring that was not scored: finite, so it is not counted as rejected, and below every score of a cell.
pub(super) const NO_SCORE: f32 = f32::MIN;

/// Whether repeated pictures can take nothing: only an archive never admits equal scores.
pub(super) fn can_be_skipped(settings: &Settings) -> bool {
    !matches!(settings.selection, Selection::Single { .. })
}

/// Draws a picture into `canvas` and keeps a copy of what the canvas needs of it in `seen`.
struct Copying<'c, C> {
    canvas: C,
    seen: &'c mut Vec<u8>,
}

impl<C: Canvas<Error = Infallible>> Canvas for Copying<'_, C> {
    type Error = Infallible;

    fn row(&mut self, row: Row<'_>) -> Result<(), Infallible> {
        let Region { rows, columns } = self.canvas.region(row.side);
        if rows.contains(&row.y) {
            let channels = row.channels.count();
            self.seen.extend_from_slice(&row.bytes[columns.start * channels..columns.end * channels]);
        }
        self.canvas.row(row)
    }

    fn region(&self, side: usize) -> Region {
        self.canvas.region(side)
    }
}

/// Draws `genome` into `canvas`, and copies the bytes of its picture that the canvas needs to `seen`.
pub(super) fn draw<E: HostEncoding>(
    renderer: &mut E::Renderer,
    genome: &E::Genome,
    canvas: impl Canvas<Error = Infallible>,
    seen: &mut Vec<u8>,
) {
    seen.clear();
    E::render(renderer, genome, &mut Copying { canvas, seen });
}

/// A canvas that needs a region and discards its pixels.
struct Blind(Region);

impl Canvas for Blind {
    type Error = Infallible;

    fn row(&mut self, _: Row<'_>) -> Result<(), Infallible> {
        Ok(())
    }

    fn region(&self, _: usize) -> Region {
        self.0.clone()
    }
}

/// A digest of bytes, the same in this process alone. Equal digests are only a hint: the bytes are compared as well.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    // Four lanes, so that the multiplications overlap.
    let mut lanes = [1_u64, 2, 3, 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(ODD).rotate_left(29);
        }
    }
    let rest = rest.iter().fold(0, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(ODD).rotate_left(29));
    lanes.into_iter().fold(rest, |hash, lane| (hash ^ lane).wrapping_mul(ODD).rotate_left(29))
}

/// The digests of the pictures that were evaluated last: those of a generation, or of this process' share of one.
#[derive(Default)]
pub(super) struct LastDigests {
    /// The number of the first offspring.
    first: u32,
    pub(super) digests: Vec<u64>,
}

impl LastDigests {
    /// Makes room for the digests of these offspring.
    pub(super) fn begin(&mut self, share: Range<u32>) {
        self.first = share.start;
        self.digests.clear();
        self.digests.resize(share.len(), 0);
    }

    /// The digest of an offspring; none if another process evaluated it.
    fn of(&self, child: u32) -> Option<u64> {
        self.digests.get(child.checked_sub(self.first)? as usize).copied()
    }
}

/// The pictures of the elites.
pub(super) struct Repeats<E: HostEncoding> {
    /// The part of a picture that the network sees.
    region: Region,
    renderer: E::Renderer,
    seen: Vec<u8>,
    /// The digest of each elite.
    digests: BTreeMap<Birth, u64>,
    /// A cell with an elite for each digest.
    cells: HashMap<u64, usize>,
}

impl<E: HostEncoding> Repeats<E> {
    pub(super) fn new(settings: &Settings, region: Region) -> Self {
        Self { region, renderer: E::renderer(settings), seen: Vec::new(), digests: BTreeMap::new(), cells: HashMap::new() }
    }

    /// Updates the digests to the elites of a search, before its next generation. `last` has digests of offspring of the previous
    /// generation; elites without a digest are drawn.
    pub(super) fn learn<P: EliteAccess<E::Genome>>(&mut self, search: &Search<E, P>, last: &LastDigests) {
        let mut digests = BTreeMap::new();
        self.cells.clear();
        for cell in 0..search.settings().cells() as usize {
            let Some(holder) = search.population().cell_elite(cell) else { continue };
            let birth = holder.elite.birth;
            let of_last = || last.of(birth.child).filter(|_| birth.generation.checked_add(1) == Some(search.generation()));
            let known = digests.get(&birth).or_else(|| self.digests.get(&birth)).copied().or_else(of_last);
            let found = known.unwrap_or_else(|| {
                draw::<E>(&mut self.renderer, &holder.elite.genome, Blind(self.region.clone()), &mut self.seen);
                digest(&self.seen)
            });
            digests.insert(birth, found);
            self.cells.insert(found, cell);
        }
        self.digests = digests;
    }

    /// Whether an elite has the same picture. `seen` are the bytes of the picture that the network sees, `digest` is their digest; `room`
    /// is storage for the bytes of the elite's.
    pub(super) fn contains<P: EliteAccess<E::Genome>>(
        &self,
        search: &Search<E, P>,
        (digest, seen): (u64, &[u8]),
        (renderer, room): (&mut E::Renderer, &mut Vec<u8>),
    ) -> bool {
        let Some(holder) = self.cells.get(&digest).and_then(|&cell| search.population().cell_elite(cell)) else { return false };
        draw::<E>(renderer, &holder.elite.genome, Blind(self.region.clone()), room);
        seen == room.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Classifier, ClassifyError, Exact, Session};
    use crate::facade;
    use crate::model::Model;
    use crate::report::Summary;
    use crate::run::{EncodingName, Folder, RunConfig, Setup, Variant};

    /// The same scores from a classifier that does not promise that equal pictures have equal scores.
    #[derive(Debug)]
    struct Unsure<'c>(&'c Exact);

    impl Classifier for Unsure<'_> {
        fn classes(&self) -> usize {
            self.0.classes()
        }

        fn batch(&self) -> usize {
            self.0.batch()
        }

        fn slot_len(&self) -> usize {
            self.0.slot_len()
        }

        fn description(&self) -> String {
            self.0.description()
        }

        fn session(&self) -> Result<Box<dyn Session + '_>, ClassifyError> {
            self.0.session()
        }
    }

    fn run(classifier: &dyn Classifier, config: &RunConfig, threads: usize, stops: &[u32]) -> Summary {
        let model = Model::builtin("lenet").unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder = || Folder::open(root.path()).unwrap();
        let setup = |generations| Setup { config: RunConfig { generations, ..config.clone() }, model: &model, classifier, threads };
        let first = Folder::create(root.path()).unwrap();
        let begun = facade::evolve(&setup(stops[0]), &first, &mut ()).unwrap();
        drop(first);
        stops[1..].iter().fold(begun, |_, &stop| facade::resume(&setup(stop), &folder(), &mut ()).unwrap())
    }

    #[test]
    fn no_decision_changes_if_repeated_pictures_are_not_scored() {
        let model = Model::builtin("lenet").unwrap();
        let exact = Exact::new(&model).unwrap();
        let of = |encoding, target| {
            let mut config = RunConfig::defaults("lenet", Variant::Paper, encoding, 1, target);
            (config.initial, config.batch, config.target) = (60, 60, target.then_some(3));
            config
        };
        let cppn = of(EncodingName::Cppn, false);
        let all = run(&Unsure(&exact), &cppn, 1, &[40]);
        assert_eq!(all.repeated, 0);
        let some = run(&exact, &cppn, 1, &[40]);
        assert_eq!(some.decisions_digest, all.decisions_digest);
        assert!((40..1200).contains(&some.repeated), "{} of 2460", some.repeated);
        let resumed = run(&exact, &cppn, 3, &[7, 20, 40]);
        assert_eq!((resumed.decisions_digest, resumed.refused), (all.decisions_digest, all.refused));
        assert!((20..some.repeated).contains(&resumed.repeated), "of the last process: {}", resumed.repeated);
        // A ranking admits equal scores, so every picture is scored.
        let single = of(EncodingName::Cppn, true);
        let (all, some) = (run(&Unsure(&exact), &single, 1, &[20]), run(&exact, &single, 2, &[20]));
        assert_eq!((some.decisions_digest, some.repeated), (all.decisions_digest, 0));
        let direct = of(EncodingName::Direct, false);
        let still = RunConfig { rates: crate::run::Rates { gene: 0.0005, ..direct.rates }, ..direct };
        let (all, some) = (run(&Unsure(&exact), &still, 1, &[10]), run(&exact, &still, 1, &[10]));
        assert_eq!(some.decisions_digest, all.decisions_digest);
        assert!(some.repeated > 100, "{}", some.repeated);
    }

    #[test]
    fn digests_depend_on_every_byte_and_its_place() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut all = vec![digest(&bytes), digest(&bytes[..99]), digest(&[])];
        for at in 0..100 {
            let mut other = bytes.clone();
            other[at] ^= 1;
            all.push(digest(&other));
            other.copy_from_slice(&bytes);
            other.swap(at, (at + 7) % 100);
            all.push(digest(&other));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
