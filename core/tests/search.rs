//! Whole searches with the integer scorer: what must hold of any run.

use fooling_core::{
    Archive, BatchSizes, Birth, Cell, CheckerboardScorer, Coordinates, CppnEncoding, CppnGenome, DirectEncoding, DirectGenome,
    DirectSettings, Elite, EliteSlot, Encoding, EncodingSettings, Genome as _, JournalError, JournalWriter, Misfit, OfferError,
    PictureSpec, Placement, Population, Program, Rank, Ranking, Rate, ReplayScratch, SETTINGS_BYTES, Scratch, Search, Selection, Settings,
    open_journal, replay,
};
use proptest::prelude::*;

const SIDE: u16 = 16;
const CLASSES: usize = 10;
const SIZES: BatchSizes = BatchSizes { initial: 30, batch: 20 };

type Net = CppnGenome<32, 48>;
type Cells<G> = Archive<Vec<Cell>, Vec<EliteSlot<G>>>;

/// An encoding whose genomes can be shown.
trait Shown: Encoding + Sized {
    fn empty() -> Self::Genome;
    fn draw(genome: &Self::Genome) -> Vec<u8>;
}

impl Shown for CppnEncoding<32, 48> {
    fn empty() -> Net {
        Net::EMPTY
    }
    fn draw(genome: &Net) -> Vec<u8> {
        let program = Program::new(genome);
        let mut bytes = vec![0; usize::from(SIDE * SIDE)];
        let mut floats = vec![f32::NAN; program.scratch_floats(SIDE.into(), 8)];
        let picture = PictureSpec { side: SIDE, coordinates: Coordinates::Pixel, colour: None };
        let mut scratch = Scratch { floats: &mut floats, row: &mut [0; SIDE as usize] };
        program.render::<8>(picture, &mut scratch, &mut bytes.as_mut_slice()).unwrap();
        bytes
    }
}

impl Shown for DirectEncoding<Vec<u8>> {
    fn empty() -> DirectGenome<Vec<u8>> {
        DirectGenome(vec![0; usize::from(SIDE * SIDE)])
    }
    fn draw(genome: &DirectGenome<Vec<u8>>) -> Vec<u8> {
        genome.0.clone()
    }
}

fn score(picture: &[u8]) -> [f32; CLASSES] {
    let mut scorer = CheckerboardScorer::new(SIDE);
    picture.chunks(SIDE.into()).enumerate().for_each(|(y, row)| scorer.row(y, row));
    scorer.scores(SIDE.into())
}

fn archive<E: Shown>() -> Cells<E::Genome> {
    Archive::new(vec![Cell::EMPTY; CLASSES], (0..CLASSES).map(|_| EliteSlot::new(E::empty())).collect()).unwrap()
}

fn settings() -> Settings {
    let encoding = EncodingSettings::Direct(DirectSettings::PAPER);
    let picture = PictureSpec { side: SIDE, coordinates: Coordinates::Pixel, colour: None };
    Settings { seed: 1, picture, channels: 1, encoding, selection: Selection::MapElites { cells: CLASSES as u32 }, sizes: SIZES }
}

/// Runs some generations and returns the journal; `spoil` may change the scores of a generation before they are told.
fn run<E: Shown, P: Population<E::Genome>>(
    search: &mut Search<E, P>,
    generations: u32,
    mut spoil: impl FnMut(u32, &mut Vec<f32>),
) -> Vec<u8> {
    let mut journal = Vec::new();
    let mut writer = JournalWriter::begin(&settings(), "a test", &mut |bytes| journal.extend_from_slice(bytes));
    for generation in 0..generations {
        let mut offspring: Vec<Elite<E::Genome>> =
            (0..search.children()).map(|_| Elite { genome: E::empty(), birth: Birth::default(), parent: None }).collect();
        // Asked for in any order.
        for child in (0..search.children()).rev() {
            search.ask(child, &mut offspring[child as usize]);
        }
        let mut scores: Vec<f32> = offspring.iter().flat_map(|child| score(&E::draw(&child.genome))).collect();
        spoil(generation, &mut scores);
        let mut sink = |bytes: &[u8]| journal.extend_from_slice(bytes);
        let mut record = writer.record(generation, &mut sink);
        let refused = search.tell(&offspring, &scores, |birth, take| record.take(birth.child, take)).unwrap();
        record.end(refused);
    }
    journal
}

fn replayed<E: Shown, P: Population<E::Genome>>(mut search: Search<E, P>, journal: &[u8]) -> Search<E, P> {
    let mut offspring: Vec<_> = (0..30).map(|_| Elite { genome: E::empty(), birth: Birth::default(), parent: None }).collect();
    let mut takes = [Placement { cell: 0, score: 0.0 }; CLASSES];
    let (header, records) = open_journal(journal).unwrap();
    assert_eq!((header.settings, header.provenance), (settings(), b"a test".as_slice()));
    for record in records {
        replay(&mut search, &record.unwrap(), &mut ReplayScratch { offspring: &mut offspring, takes: &mut takes }).unwrap();
    }
    search
}

fn pictures<E: Shown>(archive: &Cells<E::Genome>) -> Vec<(Vec<u8>, u32, Birth, Option<Birth>)>
where
    E::Genome: Clone,
{
    (0..CLASSES)
        .map(|cell| {
            let elite = archive.elite(cell).unwrap();
            (E::draw(&elite.genome), archive.cells()[cell].score().to_bits(), elite.birth, elite.parent)
        })
        .collect()
}

fn a_run_replays<E: Shown + Clone>(encoding: &E)
where
    E::Genome: Clone,
{
    let mut search = Search::new(1, encoding.clone(), archive::<E>(), SIZES);
    let journal = run(&mut search, 40, |_, _| {});
    let again = replayed(Search::new(1, encoding.clone(), archive::<E>(), SIZES), &journal);
    assert_eq!(pictures::<E>(search.population()), pictures::<E>(again.population()));
    assert_eq!(search.population().cells(), again.population().cells(), "the counts of replacements as well");
    for (cell, (picture, bits, _, _)) in pictures::<E>(search.population()).into_iter().enumerate() {
        assert_eq!(score(&picture)[cell].to_bits(), bits, "a cell's score is its picture's");
    }
}

#[test]
fn runs_of_both_encodings_replay_to_the_bit() {
    a_run_replays(&CppnEncoding::<32, 48>::new(1));
    a_run_replays(&DirectEncoding::<Vec<u8>>::new(DirectSettings::PAPER));
    a_run_replays(&DirectEncoding::<Vec<u8>>::new(DirectSettings::RELEASED));
}

#[test]
fn a_cell_never_gets_worse_and_the_first_picture_takes_all() {
    let mut search = Search::new(2, CppnEncoding::<32, 48>::new(1), archive::<CppnEncoding<32, 48>>(), SIZES);
    let mut last = vec![f32::NEG_INFINITY; CLASSES];
    let mut rises = 0;
    for _ in 0..30 {
        run_one(&mut search);
        for (cell, last) in search.population().cells().iter().zip(&mut last) {
            assert!(cell.score() >= *last);
            rises += u32::from(cell.score() > *last);
            *last = cell.score();
        }
    }
    assert!(rises > 30, "{rises}");
    assert_eq!(search.population().filled(), CLASSES);
}

fn run_one<E: Shown>(search: &mut Search<E, Cells<E::Genome>>) {
    let mut offspring: Vec<Elite<E::Genome>> =
        (0..search.children()).map(|_| Elite { genome: E::empty(), birth: Birth::default(), parent: None }).collect();
    offspring.iter_mut().zip(0..).for_each(|(into, child)| search.ask(child, into));
    let scores: Vec<f32> = offspring.iter().flat_map(|child| score(&E::draw(&child.genome))).collect();
    search.tell(&offspring, &scores, |_, _| {}).unwrap();
}

/// A NaN or an infinity costs the child its place, is counted, and touches nothing else.
#[test]
fn bad_scores_are_refused_and_counted() {
    let encoding = CppnEncoding::<32, 48>::new(1);
    let mut search = Search::new(3, encoding.clone(), archive::<CppnEncoding<32, 48>>(), SIZES);
    let journal = run(&mut search, 12, |generation, scores| {
        scores[7 * CLASSES + 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][generation as usize % 3];
    });
    assert!(search.population().cells().iter().all(|cell| cell.score().is_finite()));
    let records: Vec<_> = open_journal(&journal).unwrap().1.map(Result::unwrap).collect();
    assert!(records.iter().all(|record| record.refused == 1 && record.decisions().all(|(child, _)| child != 7)));
    let again = replayed(Search::new(3, encoding, archive::<CppnEncoding<32, 48>>(), SIZES), &journal);
    assert_eq!(search.population().cells(), again.population().cells());
    let mut population = archive::<CppnEncoding<32, 48>>();
    let child = Elite { genome: Net::EMPTY, birth: Birth::default(), parent: None };
    assert_eq!(population.offer(&child, &[0.0; 9], &mut |_| {}), Err(OfferError::Width(9)));
}

#[test]
fn tell_wants_the_whole_generation_in_order() {
    let mut search = Search::new(4, CppnEncoding::<32, 48>::new(1), archive::<CppnEncoding<32, 48>>(), SIZES);
    let mut offspring: Vec<Elite<Net>> = vec![Elite::default(); 30];
    offspring.iter_mut().zip(0..).for_each(|(into, child)| search.ask(child, into));
    let scores = vec![0.5; 30 * CLASSES];
    assert_eq!(search.tell(&offspring[..29], &scores[..29 * CLASSES], |_, _| {}), Err(Misfit));
    assert_eq!(search.tell(&offspring, &scores[1..], |_, _| {}), Err(Misfit));
    offspring.swap(3, 4);
    assert_eq!(search.tell(&offspring, &scores, |_, _| {}), Err(Misfit));
    assert_eq!(search.generation(), 0);
    offspring.swap(3, 4);
    assert_eq!(search.tell(&offspring, &scores, |_, _| {}), Ok(0));
}

#[test]
fn single_objective_runs_replay_and_climb() {
    let ranking = || {
        let slots: Vec<EliteSlot<Net>> = (0..12).map(|_| EliteSlot::default()).collect();
        Ranking::new(vec![Rank::default(); 12], slots, CLASSES, 6, Rate::new(0.1)).unwrap()
    };
    let encoding = CppnEncoding::<32, 48>::new(1);
    let mut search = Search::new(5, encoding.clone(), ranking(), SIZES);
    let journal = run(&mut search, 30, |_, _| {});
    let again = replayed(Search::new(5, encoding.clone(), ranking(), SIZES), &journal);
    let mut scores = vec![];
    for rank in 0..12 {
        let (elite, score) = search.population().ranked(rank).unwrap();
        assert_eq!(again.population().ranked(rank).unwrap(), (elite, score));
        scores.push(score);
    }
    assert!(scores.is_sorted_by(|a, b| a >= b));
    let mut beginning = Search::new(5, encoding, ranking(), SIZES);
    run(&mut beginning, 1, |_, _| {});
    assert!(scores[0] > beginning.population().ranked(0).unwrap().1, "nothing was gained: {scores:?}");
}

/// Whatever byte is changed: the reader says so, and never reads a decision that was not written.
#[test]
fn every_flipped_bit_of_a_journal_is_found() {
    let mut search = Search::new(6, CppnEncoding::<32, 48>::new(1), archive::<CppnEncoding<32, 48>>(), SIZES);
    let journal = run(&mut search, 6, |_, _| {});
    let whole: Vec<_> = open_journal(&journal).unwrap().1.map(Result::unwrap).collect();
    for bit in 0..journal.len() * 8 {
        let mut damaged = journal.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok((_, records)) = open_journal(&damaged) else { continue };
        let read: Vec<_> = records.map_while(Result::ok).collect();
        assert!(read.len() < whole.len(), "bit {bit} was not noticed");
        assert!(read.iter().zip(&whole).all(|(a, b)| a == b), "bit {bit} gave a wrong record");
    }
}

#[test]
fn a_torn_journal_keeps_its_whole_records() {
    let mut search = Search::new(7, CppnEncoding::<32, 48>::new(1), archive::<CppnEncoding<32, 48>>(), SIZES);
    let journal = run(&mut search, 6, |_, _| {});
    let ends: Vec<usize> = {
        let mut records = open_journal(&journal).unwrap().1;
        std::iter::from_fn(|| records.next().map(|_| records.good_bytes())).collect()
    };
    for length in 0..journal.len() {
        match open_journal(&journal[..length]) {
            Err(error) => assert_eq!(error, JournalError::Torn, "at {length}"),
            Ok((_, mut records)) => {
                let good = records.by_ref().take_while(Result::is_ok).count();
                assert_eq!(good, ends.iter().filter(|&&end| end <= length).count());
                let clean = length == records.good_bytes();
                assert!(records.next().is_none());
                assert!(clean || open_journal(&journal[..length]).unwrap().1.last() == Some(Err(JournalError::Torn)));
            }
        }
    }
}

#[test]
fn foreign_files_and_versions_are_named() {
    assert_eq!(open_journal(b"\x89PNG\r\n\x1a\n and more").unwrap_err(), JournalError::NotAJournal);
    assert_eq!(open_journal(b"").unwrap_err(), JournalError::Torn);
    let mut journal = Vec::new();
    JournalWriter::begin(&settings(), "", &mut |bytes| journal.extend_from_slice(bytes));
    journal[8] = 2;
    assert_eq!(open_journal(&journal).unwrap_err(), JournalError::Version(2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn settings_survive_their_bytes(seed: u64, side in 1_u16..4096, initial in 1_u32..1000, cells in 1_u32..100_000, kind in 0..3) {
        let mut s = Settings { seed, selection: Selection::MapElites { cells }, ..settings() };
        s.sizes.initial = initial;
        s.picture.side = side;
        if kind > 0 {
            s.encoding = EncodingSettings::Cppn {
                activations: 5, rates: fooling_core::CppnRates::PAPER, eta: 20, max_nodes: 512, max_links: 1024,
            };
        }
        if kind > 1 {
            s.selection = Selection::Single { classes: cells, target: cells - 1, keep: 60, pressure: Rate::new(0.1) };
        }
        prop_assert_eq!(Settings::from_bytes(&s.to_bytes()), Ok(s));
    }

    #[test]
    fn settings_from_any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), SETTINGS_BYTES)) {
        let _ = Settings::from_bytes(&bytes.try_into().unwrap());
    }

    #[test]
    fn journals_of_any_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut journal = Vec::new();
        JournalWriter::begin(&settings(), "", &mut |bytes| journal.extend_from_slice(bytes));
        journal.extend_from_slice(&bytes);
        let (_, records) = open_journal(&journal).unwrap();
        prop_assert!(records.last().is_none_or(|record| record.is_err()) || bytes.is_empty());
    }

    /// Within a batch, order matters only to equals: whoever is offered, a cell ends with the batch's best score.
    #[test]
    fn the_best_of_a_batch_wins_in_any_order(seed: u64, rotation in 0_usize..20) {
        let child = |i: usize| Elite { genome: DirectGenome([i as u8]), birth: Birth { generation: 0, child: i as u32 }, parent: None };
        let mut stream = fooling_core::Stream::new(seed, Birth::default(), fooling_core::Purpose::Child);
        let scores: Vec<[f32; 4]> = (0..20).map(|_| [(); 4].map(|()| (stream.below(8) as f32) / 8.0)).collect();
        let fill = |order: &mut dyn Iterator<Item = usize>| {
            let slots = core::array::from_fn::<_, 4, _>(|_| EliteSlot::new(DirectGenome([0])));
            let mut archive = Archive::new([Cell::EMPTY; 4], slots).unwrap();
            for i in order {
                archive.offer(&child(i), &scores[i], &mut |_| {}).unwrap();
            }
            archive
        };
        let (straight, rotated) = (fill(&mut (0..20)), fill(&mut (0..20).map(|i| (i + rotation) % 20)));
        for cell in 0..4 {
            prop_assert_eq!(straight.cells()[cell].score(), rotated.cells()[cell].score());
            let best = scores.iter().map(|s| s[cell]).fold(0.0, f32::max);
            let first = scores.iter().position(|s| s[cell] == best).unwrap();
            // Strictly better wins, so of equals the first offered stays.
            prop_assert_eq!(straight.elite(cell).unwrap().birth.child as usize, first);
            prop_assert_eq!(usize::from(straight.elite(cell).unwrap().genome.0[0]), first);
        }
        prop_assert!(straight.elites() <= 4);
    }
}

#[test]
fn assigning_copies_everything() {
    let encoding = CppnEncoding::<32, 48>::new(3);
    let search = Search::new(9, encoding, archive::<CppnEncoding<32, 48>>(), SIZES);
    let (mut a, mut b) = (Elite::<Net>::default(), Elite::<Net>::default());
    search.ask(0, &mut a);
    search.ask(1, &mut b);
    assert_ne!(a.genome, b.genome);
    b.genome.assign(&a.genome);
    assert_eq!(a.genome, b.genome);
}
