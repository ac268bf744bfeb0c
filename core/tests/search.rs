//! Whole searches with the checkerboard scorer: what must hold for any run.

use fooling_core::{
    Archive, AskError, BatchSizes, Birth, Canvas as _, Capacity, Cell, Channels, CheckerboardScorer, Coordinates, CppnEncoding,
    DirectEncoding, DirectGenome, DirectSettings, Elite, EliteSlot, Encoding, EncodingSettings, Genome as _, OfferError, Parents as _,
    PictureSpec, Placement, Population, Program, Purpose, Rank, Ranking, Rate, ReplayError, ReplayScratch, Row, Scratch, Search, Selection,
    Settings, SettingsError, SetupError, SinkFn, StorageError, Stream, TellError, open_journal, replay,
};
use proptest::prelude::*;

mod common;

use common::{CLASSES, Cells, DirectBytes, Net, Nets, SIDE, Shown, archive, blank, journal_writer, run, score, search};

fn replayed<E: Shown, P: Population<E::Genome>>(mut search: Search<E, P>, journal: &[u8]) -> Search<E, P> {
    let mut offspring = blank::<E>(30);
    let mut placements = [Placement::default(); CLASSES];
    let (header, records) = open_journal(journal).unwrap();
    assert_eq!((&header.settings, header.provenance), (search.settings(), "a test"));
    for record in records {
        replay(&mut search, &record.unwrap(), &mut ReplayScratch { offspring: &mut offspring, placements: &mut placements }).unwrap();
    }
    search
}

fn pictures<E: Shown>(archive: &Cells<E::Genome>) -> Vec<(Vec<u8>, u32, Birth, Option<Birth>)> {
    (0..CLASSES)
        .map(|cell| {
            let elite = archive.elite(cell).unwrap();
            (E::draw(&elite.genome), archive.cells()[cell].score().to_bits(), elite.birth, elite.parent)
        })
        .collect()
}

fn a_run_replays<E: Shown>(settings: &Settings) {
    let begin = || Search::<E, _>::from_settings(settings, archive::<E>()).unwrap();
    let mut search = begin();
    let journal = run(&mut search, 40, |_, _| {});
    let again = replayed(begin(), &journal);
    assert_eq!(pictures::<E>(search.population()), pictures::<E>(again.population()));
    assert_eq!(search.population().cells(), again.population().cells(), "the counts of replacements as well");
    for (cell, (picture, bits, _, _)) in pictures::<E>(search.population()).into_iter().enumerate() {
        assert_eq!(score(&picture)[cell].to_bits(), bits, "a cell's score is that of its picture");
    }
}

#[test]
fn runs_of_both_encodings_replay_to_the_bit() {
    a_run_replays::<Nets>(&Nets::of_run());
    a_run_replays::<DirectBytes>(&DirectBytes::of_run());
    a_run_replays::<DirectBytes>(&Settings { encoding: EncodingSettings::Direct(DirectSettings::RELEASED), ..DirectBytes::of_run() });
}

/// Runs with young parents, for any number of draws; a run that is replayed and continued is the run that was not interrupted.
fn a_young_run_replays<E: Shown>(seed: u64, draws: u8, half: u32) {
    let settings = Settings { selection: Selection::Young { cells: CLASSES as u32, draws }, ..E::of_run().with_seed(seed) };
    let begin = || Search::<E, _>::from_settings(&settings, archive::<E>().preferring_youngest_of(draws)).unwrap();
    let (mut whole, mut first) = (begin(), begin());
    let journal = run(&mut whole, 2 * half, |_, _| {});
    let mut again = replayed(begin(), &run(&mut first, half, |_, _| {}));
    (0..half).for_each(|_| run_one(&mut again));
    for other in [again, replayed(begin(), &journal)] {
        assert_eq!(pictures::<E>(whole.population()), pictures::<E>(other.population()));
        assert_eq!(whole.population().cells(), other.population().cells());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn runs_with_young_parents_replay_and_resume(seed: u64, draws in 2_u8..40, half in 1_u32..10) {
        a_young_run_replays::<Nets>(seed, draws, half);
        a_young_run_replays::<DirectBytes>(seed, draws, half);
    }
}

#[test]
fn parents_are_younger_the_more_cells_are_drawn() {
    let age = |draws: u8| {
        let settings = Nets::of_run();
        let mut search = Search::<Nets, _>::from_settings(&settings, archive::<Nets>()).unwrap();
        (0..20).for_each(|_| run_one(&mut search));
        let population = search.population().clone().preferring_youngest_of(draws);
        let mut stream = Stream::new(3, Birth::default(), Purpose::Child);
        let parent = |_| population.select(&mut stream).unwrap().birth.generation;
        (0..400).map(parent).sum::<u32>()
    };
    assert!(age(1) < age(2) && age(2) < age(8), "{} {} {}", age(1), age(2), age(8));
    assert_eq!(age(0), age(1));
}

#[test]
fn a_cell_never_gets_worse_and_the_first_picture_takes_all() {
    let mut search = search::<Nets>(2);
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

/// All children of the current generation.
fn asked<E: Shown, P: Population<E::Genome>>(search: &Search<E, P>) -> Vec<Elite<E::Genome>> {
    let mut offspring = blank::<E>(search.children());
    offspring.iter_mut().zip(0..).for_each(|(into, child)| search.ask(child, into).unwrap());
    offspring
}

fn run_one<E: Shown>(search: &mut Search<E, Cells<E::Genome>>) {
    let offspring = asked(search);
    let scores: Vec<f32> = offspring.iter().flat_map(|child| score(&E::draw(&child.genome))).collect();
    search.tell(&offspring, &scores, |_| {}).unwrap();
}

/// An offspring with a NaN or infinite score is refused and counted, and changes nothing else.
#[test]
fn bad_scores_are_refused_and_counted() {
    let mut search = search::<Nets>(3);
    let journal = run(&mut search, 12, |generation, scores| {
        scores[7 * CLASSES + 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][generation as usize % 3];
    });
    assert!(search.population().cells().iter().all(|cell| cell.score().is_finite()));
    let records: Vec<_> = open_journal(&journal).unwrap().1.map(Result::unwrap).collect();
    assert!(records.iter().all(|record| record.refused == 1 && record.placements().all(|placement| placement.child != 7)));
    let again = replayed(common::search::<Nets>(3), &journal);
    assert_eq!(search.population().cells(), again.population().cells());
    let mut population = archive::<Nets>();
    assert_eq!(population.offer(&Elite::new(Net::EMPTY), &[0.0; 9], &mut |_| {}), Err(OfferError::ScoreCount(9)));
}

#[test]
fn tell_needs_the_whole_generation_in_order() {
    let mut search = search::<Nets>(4);
    let mut offspring = asked(&search);
    let scores = vec![0.5; 30 * CLASSES];
    assert_eq!(search.tell(&offspring[..29], &scores[..29 * CLASSES], |_| {}), Err(TellError::Offspring));
    assert_eq!(search.tell(&offspring, &scores[1..], |_| {}), Err(TellError::Scores));
    offspring.swap(3, 4);
    assert_eq!(search.tell(&offspring, &scores, |_| {}), Err(TellError::Offspring));
    assert_eq!(search.generation(), 0);
    offspring.swap(3, 4);
    assert_eq!(search.tell(&offspring, &scores, |_| {}), Ok(0));
}

/// A record is started before the search has accepted the generation, and leaves nothing behind if the search refuses it.
#[test]
fn a_refused_generation_leaves_no_bytes_in_the_journal() {
    let mut search = search::<Nets>(4);
    let mut journal = Vec::new();
    let mut writer = journal_writer(search.settings(), "", &mut journal);
    let header = journal.len();
    let offspring = asked(&search);
    let scores = vec![0.5; 30 * CLASSES];
    for told in [&scores[1..], &scores] {
        let mut sink = SinkFn::new(|bytes| journal.extend_from_slice(bytes));
        let mut record = writer.record(0, &mut sink);
        match search.tell(&offspring, told, |placement| record.place(placement)) {
            Err(error) => assert_eq!(error, TellError::Scores),
            Ok(refused) => record.end(refused).unwrap(),
        }
    }
    assert_eq!(journal[header..header + 4], [0; 4], "the record of generation 0 follows the header");
    let records: Vec<_> = open_journal(&journal).unwrap().1.collect::<Result<_, _>>().unwrap();
    assert!(matches!(records[..], [record] if record.placements().count() == CLASSES));
}

/// Children and storage must belong to the run.
#[test]
fn genomes_and_storage_of_another_run_are_refused() {
    let mut search = search::<DirectBytes>(1);
    let mut child = Elite::new(DirectBytes::empty());
    assert_eq!(search.ask(30, &mut child), Err(AskError::Child));
    assert_eq!(search.ask(0, &mut Elite::default()), Err(AskError::GenomeLength));
    assert_eq!(search.ask(29, &mut child), Ok(()));
    let mut population = archive::<DirectBytes>();
    let empty = Elite::new(DirectGenome(Vec::new()));
    assert_eq!(population.offer(&empty, &[0.5; CLASSES], &mut |_| {}), Err(OfferError::GenomeLength));
    assert_eq!(population.restore(&empty, &[Placement { child: 0, cell: 0, score: 0.5 }]), Err(ReplayError::Scratch));
    assert_eq!(population.filled(), 0);
    let mut offspring = asked(&search);
    offspring[7].genome.0.pop();
    assert_eq!(search.tell(&offspring, &[0.5; 30 * CLASSES], |_| {}), Err(TellError::GenomeLength));
}

#[test]
fn storage_of_the_wrong_size_is_refused() {
    let cells = |count| vec![Cell::EMPTY; count];
    let slots = |count| vec![EliteSlot::<Net>::default(); count];
    assert_eq!(Archive::new(cells(0), slots(1)).unwrap_err(), StorageError::Cells);
    assert_eq!(Archive::new(cells(3), slots(2)).unwrap_err(), StorageError::Slots);
    let lengths = [3, 4].map(|length| EliteSlot::new(DirectGenome(vec![0; length])));
    assert_eq!(Archive::new(cells(2), lengths).unwrap_err(), StorageError::GenomeLengths);
    let ranking = |ranks, target| Ranking::new(vec![Rank::EMPTY; ranks], slots(2), 3, target, Rate::NEVER).map(|_| ());
    assert_eq!(ranking(0, 1), Err(StorageError::Cells));
    assert_eq!(ranking(3, 1), Err(StorageError::Slots));
    assert_eq!(ranking(2, 3), Err(StorageError::Target));
    assert_eq!(ranking(2, 2), Ok(()));
}

/// With a smaller capacity than its settings require, a run would silently be a different run.
#[test]
fn a_search_needs_the_capacity_of_its_settings() {
    let settings = Nets::of_run();
    let set_up = |settings: &Settings| Search::<Nets, _>::from_settings(settings, archive::<Nets>()).map(|_| ());
    assert_eq!(set_up(&settings), Ok(()));
    let room = Capacity { nodes: 32, links: 48 };
    for capacity in [Capacity { nodes: 33, links: 48 }, Capacity { nodes: 32, links: 49 }, Capacity::HOST] {
        assert_eq!(set_up(&settings.with_capacity(capacity)), Err(SetupError::Capacity(room)), "{capacity:?}");
    }
    assert_eq!(set_up(&settings.with_capacity(Capacity { nodes: 20, links: 20 })), Ok(()));
    assert_eq!(set_up(&DirectBytes::of_run()), Err(SetupError::Encoding));
    assert_eq!(set_up(&Settings::paper_cppn(0, 10)), Err(SetupError::Settings(SettingsError::Side)));
    let selections = [
        Selection::MapElites { cells: CLASSES as u32 + 1 },
        Selection::Single { classes: CLASSES as u32, target: 0, keep: 1, pressure: Rate::NEVER },
        Selection::Young { cells: CLASSES as u32, draws: 2 },
    ];
    for selection in selections {
        assert_eq!(set_up(&Settings { selection, ..settings }), Err(SetupError::Population));
    }
    let lonely = Selection::Young { cells: CLASSES as u32, draws: 1 };
    assert_eq!(set_up(&Settings { selection: lonely, ..settings }), Err(SetupError::Settings(SettingsError::Draws)));
    let larger = Settings::paper_direct(SIDE + 1, CLASSES as u32);
    let direct = Search::<DirectBytes, _>::from_settings(&larger, archive::<DirectBytes>()).map(|_| ());
    assert_eq!(direct, Err(SetupError::GenomeLength(17 * 17)));
}

/// Settings for the best pictures of class 6 only.
fn single(keep: u32) -> Settings {
    Settings { selection: Selection::Single { classes: CLASSES as u32, target: 6, keep, pressure: Rate::new(0.1) }, ..Nets::of_run() }
}

fn ranking(keep: usize, classes: usize, target: usize, pressure: f64) -> Ranking<Vec<Rank>, Vec<EliteSlot<Net>>> {
    let slots = (0..keep).map(|_| EliteSlot::default()).collect();
    Ranking::new(vec![Rank::EMPTY; keep], slots, classes, target, Rate::new(pressure)).unwrap()
}

#[test]
fn a_ranking_must_match_the_settings() {
    let set_up = |ranking| Search::<Nets, _>::from_settings(&single(12), ranking).map(|_| ());
    assert_eq!(set_up(ranking(12, CLASSES, 6, 0.1)), Ok(()));
    for other in [ranking(12, 11, 6, 0.1), ranking(12, CLASSES, 5, 0.1), ranking(11, CLASSES, 6, 0.1), ranking(12, CLASSES, 6, 0.2)] {
        assert_eq!(set_up(other), Err(SetupError::Population));
    }
}

#[test]
fn single_objective_runs_replay_and_climb() {
    let begin = || Search::<Nets, _>::from_settings(&single(12).with_seed(5), ranking(12, CLASSES, 6, 0.1)).unwrap();
    let mut search = begin();
    let journal = run(&mut search, 30, |_, _| {});
    let again = replayed(begin(), &journal);
    let mut scores = vec![];
    for rank in 0..12 {
        let (elite, score) = search.population().ranked(rank).unwrap();
        assert_eq!(again.population().ranked(rank).unwrap(), (elite, score));
        scores.push(score);
    }
    assert!(scores.is_sorted_by(|a, b| a >= b));
    let mut beginning = begin();
    run(&mut beginning, 1, |_, _| {});
    assert!(scores[0] > beginning.population().ranked(0).unwrap().1, "nothing was gained: {scores:?}");
}

/// Twenty thousand children that take every cell, one after another: replay visits each placement once, not once for each child.
#[test]
fn replay_takes_one_pass_over_a_record() {
    const CHILDREN: u32 = 20_000;
    let settings = Settings::paper_direct(1, 4).with_batch(CHILDREN);
    let begin = || {
        let slots = vec![EliteSlot::new(DirectGenome([0])); 4];
        Search::<DirectEncoding<[u8; 1]>, _>::from_settings(&settings, Archive::new([Cell::EMPTY; 4], slots).unwrap()).unwrap()
    };
    let mut offspring = vec![Elite::new(DirectGenome([0])); CHILDREN as usize];
    let mut search = begin();
    offspring.iter_mut().zip(0..).for_each(|(into, child)| search.ask(child, into).unwrap());
    let scores: Vec<f32> = (0..CHILDREN).flat_map(|child| [child as f32; 4]).collect();
    let mut journal = Vec::new();
    let mut writer = journal_writer(&settings, "", &mut journal);
    let mut sink = SinkFn::new(|bytes| journal.extend_from_slice(bytes));
    let mut record = writer.record(0, &mut sink);
    search.tell(&offspring, &scores, |placement| record.place(placement)).unwrap();
    record.end(0).unwrap();
    let record = open_journal(&journal).unwrap().1.next().unwrap().unwrap();
    assert_eq!(record.children().count(), CHILDREN as usize);
    for child in [0, 1, 777, CHILDREN - 1] {
        let own: Vec<_> = record.placements_of(child).map(|placement| (placement.child, placement.cell)).collect();
        assert_eq!(own, [0, 1, 2, 3].map(|cell| (child, cell)));
    }
    assert_eq!(record.placements_of(CHILDREN).count(), 0);

    let replayed = |offspring: &mut [Elite<_>], room: usize| {
        let mut again = begin();
        let mut scratch = ReplayScratch { offspring, placements: &mut [Placement::default(); 4][..room] };
        replay(&mut again, &record, &mut scratch).map(|()| again.population().cells().to_vec())
    };
    let started = std::time::Instant::now();
    assert_eq!(replayed(&mut offspring, 4).unwrap(), search.population().cells());
    // 1 600 million visits took seconds; 80 thousand take milliseconds, even without optimisation.
    assert!(started.elapsed().as_millis() < 1000, "{:?}", started.elapsed());
    assert_eq!(replayed(&mut offspring[1..], 4), Err(ReplayError::Scratch));
    assert_eq!(replayed(&mut offspring, 3), Err(ReplayError::Scratch));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Within a batch, order matters only for equal scores: a cell ends with the best score of the batch.
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
            // Only a strictly better score wins, so of equal scores the first stays.
            prop_assert_eq!(straight.elite(cell).unwrap().birth.child as usize, first);
            prop_assert_eq!(usize::from(straight.elite(cell).unwrap().genome.0[0]), first);
        }
        prop_assert!(straight.elites() <= 4);
    }
}

#[test]
fn assigning_copies_everything() {
    let search = search::<Nets>(9);
    let (mut a, mut b) = (Elite::<Net>::default(), Elite::<Net>::default());
    search.ask(0, &mut a).unwrap();
    search.ask(1, &mut b).unwrap();
    assert_ne!(a.genome, b.genome);
    b.genome.assign(&a.genome);
    assert_eq!(a.genome, b.genome);
}

/// No call that compiles panics on a picture without pixels, a genome without nodes or a canvas that is too small.
#[test]
fn empty_things_have_no_picture() {
    let none = PictureSpec { side: 0, coordinates: Coordinates::Unit, colour: None };
    let mut bytes: &mut [u8] = &mut [];
    DirectGenome([]).render(none, Channels::Colour, &mut [], &mut bytes).unwrap();
    let mut genome = Net::EMPTY;
    let one = PictureSpec { side: 1, ..none };
    let mut scratch = Scratch { floats: &mut [], row: &mut [] };
    Program::new(&genome).render::<4, _>(one, &mut scratch, &mut bytes).unwrap();
    let encoding = CppnEncoding::<32, 48>::paper(Channels::Grey);
    let mut stream = fooling_core::Stream::new(1, Birth::default(), fooling_core::Purpose::Child);
    (0..50).for_each(|_| encoding.mutate(&mut stream, 0, &mut genome));
    encoding.random(&mut stream, &mut genome);
    let (mut floats, mut row) = ([0.0; 2000], [0; 16]);
    let mut scratch = Scratch { floats: &mut floats, row: &mut row };
    Program::new(&genome).render::<4, _>(none, &mut scratch, &mut bytes).unwrap();
    let short = Program::new(&genome).render::<4, _>(one, &mut scratch, &mut bytes);
    assert_eq!(short, Err(fooling_core::RenderError::Canvas(fooling_core::SliceTooShort)));
    let mut scorer = CheckerboardScorer::<CLASSES>::new();
    scorer.row(Row { y: 9, side: 0, channels: Channels::Grey, bytes: &[] }).unwrap();
    assert_eq!(BatchSizes { initial: 30, batch: 20 }, search::<Nets>(1).settings().sizes);
}
