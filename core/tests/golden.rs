//! Bytes that must never change by accident: pictures, whole searches, and the output of `tests/ports` on all other machines.
//!
//! `FOOLING_BLESS=1 cargo test -p fooling-core --test golden` rewrites all of `fixtures/` except the genomes, which are inputs. Without it,
//! a mismatch writes the new result next to the expected one (`x.new.png`) and prints both names.

extern crate alloc;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use fooling_core::{
    Activation, ActivationSet, Archive, BatchSizes, Canvas, Capacity, Cell, Channels, CheckerboardScorer, ColourSpace, Coordinates,
    CppnSettings, DirectEncoding, DirectGenome, DirectSettings, Elite, EliteSlot, Encoding, EncodingSettings, JournalWriter, Link,
    PictureSpec, Placement, Population, Program, Rank, Ranking, Rate, ReplayScratch, Scratch, Search, Selection, Settings, SinkFn,
    SmallEncoding, SmallGenome, StandardEncoding, StandardGenome, math, open_journal, replay,
};
use fooling_engine::simd::Instructions;

#[allow(unreachable_pub)] // A library there.
#[path = "../../tests/ports/common/src/cases.rs"]
mod cases;
#[allow(unreachable_pub)] // A library there.
#[path = "../../tests/ports/common/src/digest.rs"]
mod digest;
#[path = "../../host/src/gpu/emulated.rs"]
mod kernel;
#[allow(unreachable_pub)] // As it is shared with programs without std.
#[path = "../../tests/ports/programs/src/networks.rs"]
mod networks;

#[allow(unreachable_pub)] // As it is shared with a program.
#[path = "../../tests/ports/whole/src/run.rs"]
mod whole;

use cases::{CELLS, PROVENANCE};
use digest::{Digest, Digestible};
use kernel::{Kernel, Launch};

// --- Files of bytes.

/// Compares with the files of `fixtures/`, or writes them.
struct Goldens {
    bless: bool,
    wrong: Vec<String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fixtures")
}

impl Goldens {
    fn new() -> Self {
        Self { bless: std::env::var_os("FOOLING_BLESS").is_some(), wrong: Vec::new() }
    }

    /// A file that must contain these bytes.
    fn file(&mut self, name: &str, bytes: &[u8]) {
        self.compare(name, bytes, |old| if old == bytes { None } else { Some(format!("{} bytes, expected {}", bytes.len(), old.len())) });
    }

    /// A file of names and digests.
    fn digests(&mut self, name: &str, lines: &[(String, Digest)]) {
        let text: String = lines.iter().map(|(name, digest)| format!("{name} {:016x}\n", digest.value())).collect();
        self.compare(name, text.as_bytes(), |old| {
            let old = String::from_utf8_lossy(old);
            let differing: Vec<_> = text.lines().filter(|line| !old.lines().any(|other| other == *line)).collect();
            (old != text).then(|| format!("these lines are not in it:\n    {}", differing.join("\n    ")))
        });
    }

    /// A picture of `channels` bytes per pixel.
    fn picture(&mut self, name: &str, side: u16, bytes: &[u8]) {
        let (side, pixels) = (u32::from(side), usize::from(side) * usize::from(side));
        let colour = bytes.len() > pixels;
        let kind = if colour { image::ExtendedColorType::Rgb8 } else { image::ExtendedColorType::L8 };
        let mut png = Vec::new();
        let (best, adaptive) = (image::codecs::png::CompressionType::Best, image::codecs::png::FilterType::Adaptive);
        let encoder = image::codecs::png::PngEncoder::new_with_quality(&mut png, best, adaptive);
        image::ImageEncoder::write_image(encoder, bytes, side, side, kind).unwrap();
        self.compare(name, &png, |old| {
            // Only pixels count: another version of the encoder may compress them differently.
            let old = image::load_from_memory(old).unwrap();
            let old = if colour { old.into_rgb8().into_raw() } else { old.into_luma8().into_raw() };
            let off = old.iter().zip(bytes).filter(|(a, b)| a != b).count();
            (old != bytes).then(|| format!("{off} of {} bytes differ", bytes.len()))
        });
    }

    /// `difference` receives the bytes of the golden file and describes the differences.
    fn compare(&mut self, name: &str, new: &[u8], difference: impl Fn(&[u8]) -> Option<String>) {
        let path = fixtures().join(name);
        let new_path = path.with_extension(format!("new.{}", path.extension().unwrap().to_str().unwrap()));
        let difference = std::fs::read(&path).map_or_else(|error| Some(error.to_string()), |old| difference(&old));
        let _ = std::fs::remove_file(&new_path);
        let Some(difference) = difference else { return };
        let into = if self.bless { &path } else { &new_path };
        std::fs::create_dir_all(into.parent().unwrap()).unwrap();
        std::fs::write(into, new).unwrap();
        if !self.bless {
            self.wrong.push(format!("{}: {difference}\n  new result: {}", path.display(), new_path.display()));
        }
    }

    fn finish(self) {
        let how = "if this is intended: FOOLING_BLESS=1 cargo test -p fooling-core --test golden";
        assert!(self.wrong.is_empty(), "{}\n{how}", self.wrong.join("\n"));
    }
}

// --- Golden genomes.

struct GoldenGenome {
    name: String,
    picture: PictureSpec,
    genome: StandardGenome,
}

fn golden_genomes() -> Vec<GoldenGenome> {
    let read = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as u16;
        let nodes = line["nodes"].as_array().unwrap().iter();
        let nodes: Vec<_> = nodes.map(|node| Activation::from_name(node["activation"].as_str().unwrap()).unwrap()).collect();
        let links = line["connections"].as_array().unwrap().iter();
        let links: Vec<_> = links
            .map(|link| Link {
                source: number(&link["source"]),
                target: number(&link["target"]),
                weight: link["weight"].to_string().parse().unwrap(),
            })
            .collect();
        let coordinates = if line["coordinates"] == "unit" { Coordinates::Unit } else { Coordinates::Pixel };
        GoldenGenome {
            name: line["name"].as_str().unwrap().into(),
            picture: PictureSpec { side: number(&line["size"]), coordinates, colour: Some(ColourSpace::Hsv) },
            genome: StandardGenome::from_parts(number(&line["outputs"]).into(), &nodes, &links).unwrap(),
        }
    };
    std::fs::read_to_string(fixtures().join("genomes.jsonl")).unwrap().lines().map(read).collect()
}

fn render<const LANES: usize>(genome: &StandardGenome, picture: PictureSpec, canvas: &mut impl Canvas<Error: Debug>) {
    let program = Program::new(genome);
    let mut floats = vec![f32::NAN; program.scratch_floats(picture.side.into(), LANES)];
    let mut row = vec![0; usize::from(picture.side) * genome.outputs()];
    program.render::<LANES, _>(picture, &mut Scratch { floats: &mut floats, row: &mut row }, canvas).unwrap();
}

/// The bytes of a picture drawn by the GPU kernel, if it can be compiled here.
fn kernel_picture(genome: &StandardGenome, picture: PictureSpec) -> Option<Vec<u8>> {
    let kernel = Kernel::of_this_process()?;
    let unit = i32::from(picture.coordinates == Coordinates::Unit);
    let colour = match picture.colour {
        None | Some(ColourSpace::Rgb) => 0,
        Some(ColourSpace::Hsv) => 1,
        Some(ColourSpace::Hls) => 2,
    };
    let mut launch = Launch { view: [picture.side.into(), unit, colour, 0, 0, 0, 0, 0], starts: vec![0], ..Launch::default() };
    Program::new(genome).code(&mut |word| launch.words.push(word));
    let side = usize::from(picture.side);
    Some(Kernel::launch(kernel, &launch, side * side * genome.outputs(), 0).0)
}

/// The bytes of a picture, which must not depend on the number of lanes or on the renderer.
fn picture(genome: &StandardGenome, picture: PictureSpec) -> Vec<u8> {
    let empty = vec![0; usize::from(picture.side) * usize::from(picture.side) * genome.outputs()];
    let [mut wide, mut narrow] = [empty.clone(), empty];
    render::<32>(genome, picture, &mut wide.as_mut_slice());
    render::<3>(genome, picture, &mut narrow.as_mut_slice());
    assert!(wide == narrow, "lanes change bits");
    assert!(kernel_picture(genome, picture).is_none_or(|kernel| kernel == wide), "the GPU kernel changes bits");
    wide
}

/// The output of the first program of `tests/ports`. The math kernels come first: if they differ, so does everything else.
#[test]
fn ports_render() {
    let mut lines: Vec<(String, Digest)> = cases::activation_kernels().map(|(name, digest)| (name.into(), digest)).into();
    for GoldenGenome { name, genome, .. } in golden_genomes() {
        for (way, drawing) in cases::DRAWINGS {
            lines.push((format!("{name}/{way}"), Digest::of(&picture(&genome, drawing))));
        }
    }
    let mut goldens = Goldens::new();
    goldens.digests("ports/render.txt", &lines);
    goldens.finish();
}

/// The lane version of the sine equals the scalar one, whatever its neighbours.
#[test]
fn sines_do_not_depend_on_their_neighbours() {
    for i in 0..20_000_u32 {
        let x = |i: u32| f32::from_bits((127 - 20 + i % 42) << 23 | i.wrapping_mul(0x9e37_79b9) >> 9);
        let mut lanes = [x(i), x(i / 3), -x(i / 7), x(i % 1000)];
        let alone = lanes.map(|x| math::sin(x).to_bits());
        let largest = lanes.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        math::sin_all(&mut lanes, largest);
        assert_eq!(lanes.map(f32::to_bits), alone);
    }
}

/// Every genome as it was evolved, including large ones, and with the other variant and coordinates: small pictures as files, large ones as
/// digests.
#[test]
fn pictures_of_golden_genomes() {
    let mut goldens = Goldens::new();
    let mut lines = Vec::new();
    for GoldenGenome { name, picture: own, genome } in golden_genomes() {
        goldens.picture(&format!("genomes/{name}.png"), own.side, &picture(&genome, own));
        let sides: &[u16] = if genome.outputs() == 1 { &[1, 28, 61] } else { &[2, 64, 256] };
        for &side in sides {
            for (way, drawing) in cases::DRAWINGS {
                let bytes = picture(&genome, PictureSpec { side, ..drawing });
                lines.push((format!("{name}/{side}/{way}"), Digest::of(&bytes)));
                if side == 256 && name == "smooth-30" {
                    goldens.picture(&format!("genomes/{name}-{side}-{way}.png"), side, &bytes);
                }
            }
        }
    }
    goldens.digests("genomes.txt", &lines);
    goldens.finish();
}

// --- Searches.

/// An encoding whose genomes can be drawn.
trait Shown: Encoding<Genome: Clone + Digestible> {
    fn empty(settings: &Settings) -> Self::Genome;
    fn draw(genome: &Self::Genome, settings: &Settings, canvas: &mut impl Canvas<Error: Debug>);
    fn by_kernel(_: &Self::Genome, _: PictureSpec) -> Option<Vec<u8>> {
        None
    }
}

impl Shown for StandardEncoding {
    fn empty(_: &Settings) -> StandardGenome {
        StandardGenome::EMPTY
    }

    fn draw(genome: &StandardGenome, settings: &Settings, canvas: &mut impl Canvas<Error: Debug>) {
        render::<16>(genome, settings.picture, canvas);
    }

    fn by_kernel(genome: &StandardGenome, picture: PictureSpec) -> Option<Vec<u8>> {
        kernel_picture(genome, picture)
    }
}

impl Shown for DirectEncoding<Vec<u8>> {
    fn empty(settings: &Settings) -> DirectGenome<Vec<u8>> {
        DirectGenome(vec![0; settings.picture_bytes()])
    }

    fn draw(genome: &DirectGenome<Vec<u8>>, settings: &Settings, canvas: &mut impl Canvas<Error: Debug>) {
        genome.render(settings.picture, settings.channels, &mut vec![0; settings.row_bytes()], canvas).unwrap();
    }
}

/// A population whose elites can be drawn.
trait Gallery<G> {
    fn digest(&self) -> Digest;
    /// One of the elites.
    fn exhibit(&self) -> &G;
}

impl<G: Digestible> Gallery<G> for Archive<Vec<Cell>, Vec<EliteSlot<G>>> {
    fn digest(&self) -> Digest {
        Digest::of_archive(self)
    }

    fn exhibit(&self) -> &G {
        &self.elite(7).unwrap().genome
    }
}

impl<G: Digestible> Gallery<G> for Ranking<Vec<Rank>, Vec<EliteSlot<G>>> {
    fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for (elite, score) in (0..self.filled()).filter_map(|rank| self.ranked(rank)) {
            digest.float(score);
            digest.elite(elite);
        }
        digest
    }

    fn exhibit(&self) -> &G {
        &self.ranked(0).unwrap().0.genome
    }
}

/// A search with its journal.
struct Run<E, P> {
    search: Search<E, P>,
    writer: JournalWriter,
    journal: Vec<u8>,
}

impl<E: Shown, P: Population<E::Genome>> Run<E, P> {
    fn new(settings: &Settings, population: P) -> Self {
        let mut journal = Vec::new();
        let writer = JournalWriter::begin(settings, PROVENANCE, &mut SinkFn::new(|bytes| journal.extend_from_slice(bytes))).unwrap();
        Self { search: Search::from_settings(settings, population).unwrap(), writer, journal }
    }

    fn go_to(&mut self, generation: u32) {
        while self.search.generation() < generation {
            self.step();
        }
    }

    fn step(&mut self) {
        let Self { search, writer, journal } = self;
        let settings = *search.settings();
        let mut offspring = vec![Elite::new(E::empty(&settings)); search.children() as usize];
        // Asked in reverse: the order must not matter.
        offspring.iter_mut().enumerate().rev().for_each(|(i, child)| search.ask(i as u32, child).unwrap());
        let mut scores = Vec::new();
        for child in &offspring {
            let mut scorer = CheckerboardScorer::<CELLS>::new();
            E::draw(&child.genome, &settings, &mut scorer);
            scores.extend(scorer.scores());
        }
        let mut sink = SinkFn::new(|bytes| journal.extend_from_slice(bytes));
        let mut record = writer.record(search.generation(), &mut sink);
        let refused = search.tell(&offspring, &scores, |placement| record.place(placement)).unwrap();
        record.end(refused).unwrap();
    }
}

type DirectBytes = DirectEncoding<Vec<u8>>;
type Cells<G> = Archive<Vec<Cell>, Vec<EliteSlot<G>>>;

fn cppn_run(settings: &Settings) -> Run<StandardEncoding, Cells<StandardGenome>> {
    Run::new(settings, archive::<StandardEncoding>(settings))
}

fn direct_run(settings: &Settings) -> Run<DirectBytes, Cells<DirectGenome<Vec<u8>>>> {
    Run::new(settings, archive::<DirectBytes>(settings))
}

fn archive<E: Shown>(settings: &Settings) -> Cells<E::Genome> {
    let draws = if let Selection::Young { draws, .. } = settings.selection { draws } else { 1 };
    Archive::new(vec![Cell::EMPTY; CELLS], vec![EliteSlot::new(E::empty(settings)); CELLS]).unwrap().preferring_youngest_of(draws)
}

fn ranking<E: Shown>(settings: &Settings) -> Ranking<Vec<Rank>, Vec<EliteSlot<E::Genome>>> {
    let Selection::Single { classes, target, keep, pressure } = settings.selection else { panic!("not a single objective") };
    let slots = vec![EliteSlot::new(E::empty(settings)); keep as usize];
    Ranking::new(vec![Rank::EMPTY; keep as usize], slots, classes as usize, target as usize, pressure).unwrap()
}

const YOUNG: Selection = Selection::Young { cells: CELLS as u32, draws: 3 };
const SINGLE: Selection = Selection::Single { classes: CELLS as u32, target: 4, keep: 12, pressure: Rate::new(0.1) };

/// Both encodings, both variants, pixel and unit coordinates, all cells, young parents, and a single objective.
fn searches() -> Vec<(&'static str, Settings)> {
    let hsv = PictureSpec { side: 32, coordinates: Coordinates::Pixel, colour: Some(ColourSpace::Hsv) };
    let hls = PictureSpec { colour: Some(ColourSpace::Hls), ..hsv };
    let grey = Settings {
        seed: 77,
        picture: PictureSpec { side: 28, colour: None, ..hsv },
        channels: Channels::Grey,
        encoding: EncodingSettings::Cppn(CppnSettings::PAPER),
        selection: Selection::MapElites { cells: CELLS as u32 },
        sizes: BatchSizes { initial: 24, batch: 16 },
    };
    let colour = Settings { channels: Channels::Colour, picture: hsv, ..grey };
    let paper = EncodingSettings::Direct(DirectSettings { halving: 40, ..DirectSettings::PAPER });
    let released = EncodingSettings::Direct(DirectSettings::RELEASED);
    let activations = ActivationSet::of(&[Activation::Sine, Activation::Gaussian]).unwrap();
    let capacity = Capacity { nodes: 12, links: 14 };
    let two = EncodingSettings::Cppn(CppnSettings { activations, eta: 20, capacity, ..CppnSettings::PAPER });
    vec![
        ("cppn-grey", grey),
        ("cppn-grey-unit", Settings { picture: PictureSpec { coordinates: Coordinates::Unit, ..grey.picture }, ..grey }),
        ("cppn-grey-two-activations", Settings { encoding: two, ..grey }),
        ("cppn-colour-paper", colour),
        ("cppn-colour-released", Settings { picture: hls, ..colour }),
        ("cppn-colour-unit", Settings { picture: PictureSpec { coordinates: Coordinates::Unit, ..hls }, ..colour }),
        ("cppn-grey-young", Settings { selection: YOUNG, ..grey }),
        ("cppn-single", Settings { selection: SINGLE, ..grey }),
        ("direct-grey-paper", Settings { encoding: paper, ..grey }),
        ("direct-grey-released", Settings { encoding: released, ..grey }),
        ("direct-colour-paper", Settings { encoding: paper, ..colour }),
        ("direct-colour-released", Settings { encoding: released, picture: hls, ..colour }),
        ("direct-grey-young", Settings { encoding: paper, selection: YOUNG, ..grey }),
        ("direct-single", Settings { encoding: released, selection: SINGLE, ..grey }),
    ]
}

/// Archive, journal and a picture at several depths of evolution.
fn check_search<E: Shown, P: Population<E::Genome> + Gallery<E::Genome>>(
    name: &str,
    mut run: Run<E, P>,
    goldens: &mut Goldens,
    lines: &mut Vec<(String, Digest)>,
) {
    for depth in [1, 8, 64] {
        run.go_to(depth);
        let population = run.search.population();
        lines.push((format!("{name}/{depth}/population"), population.digest()));
        lines.push((format!("{name}/{depth}/journal"), Digest::of(&run.journal)));
        let settings = run.search.settings();
        let mut bytes = vec![0; settings.picture_bytes()];
        E::draw(population.exhibit(), settings, &mut bytes.as_mut_slice());
        let kernel = E::by_kernel(population.exhibit(), settings.picture);
        assert!(kernel.is_none_or(|kernel| kernel == bytes), "{name}: the GPU kernel");
        goldens.picture(&format!("searches/{name}-{depth}.png"), settings.picture.side, &bytes);
    }
}

#[test]
fn whole_searches() {
    let (mut goldens, mut lines) = (Goldens::new(), Vec::new());
    for (name, settings) in searches() {
        let (settings, goldens, lines) = (&settings, &mut goldens, &mut lines);
        let is_cppn = matches!(settings.encoding, EncodingSettings::Cppn(_));
        let is_single = matches!(settings.selection, Selection::Single { .. });
        match (is_cppn, is_single) {
            (true, false) => check_search(name, cppn_run(settings), goldens, lines),
            (false, false) => check_search(name, direct_run(settings), goldens, lines),
            (true, true) => {
                check_search(name, Run::<StandardEncoding, _>::new(settings, ranking::<StandardEncoding>(settings)), goldens, lines);
            }
            (false, true) => {
                check_search(name, Run::<DirectBytes, _>::new(settings, ranking::<DirectBytes>(settings)), goldens, lines);
            }
        }
    }
    goldens.digests("searches.txt", &lines);
    goldens.finish();
}

/// The output of the second program of `tests/ports`: two runs.
#[test]
fn ports_evolve() {
    let mut lines: Vec<(String, Digest)> = cases::variation_kernels().map(|(name, digest)| (name.into(), digest)).into();
    let mut run = cppn_run(&cases::CPPN_RUN);
    run.go_to(cases::GENERATIONS);
    lines.push(("cppn/archive".into(), run.search.population().digest()));
    lines.push(("cppn/journal".into(), Digest::of(&run.journal)));
    let mut run = direct_run(&cases::DIRECT_RUN);
    run.go_to(cases::GENERATIONS);
    lines.push(("direct/archive".into(), run.search.population().digest()));
    lines.push(("direct/journal".into(), Digest::of(&run.journal)));
    let mut goldens = Goldens::new();
    goldens.digests("ports/evolve.txt", &lines);
    goldens.finish();
}

/// A journal written by the host, and the output of the third program of `tests/ports`, which replays it.
#[test]
fn ports_replay() {
    let settings = &cases::HOST_RUN;
    let mut run = cppn_run(settings);
    run.go_to(cases::HOST_GENERATIONS);
    let elites: Vec<_> = (0..CELLS).map(|cell| run.search.population().elite(cell).unwrap()).collect();
    let mut pictures = Digest::default();
    elites.iter().for_each(|elite| pictures.update(&picture(&elite.genome, settings.picture)));
    let archive = run.search.population().digest();
    let mut goldens = Goldens::new();
    goldens.file("ports/host.journal", &run.journal);
    goldens.digests("ports/replay.txt", &[("archive".into(), archive), ("pictures".into(), pictures)]);
    goldens.finish();
    assert!(run.search.population().digest() == replayed_small(settings, &run.journal), "a smaller capacity changes the run");
}

/// The output of the fourth program of `tests/ports`, with every set of instructions that this machine has.
#[test]
fn ports_network() {
    let mut lines = Vec::new();
    for case in networks::CASES {
        let digest = |set, rows| case.prepare(rows, set).unwrap_or_else(|error| panic!("{}: {error}", case.name)).run();
        let plain = digest(Instructions::Baseline, 1);
        for set in Instructions::ALL.into_iter().filter(|set| set.available()) {
            assert!(digest(set, 1) == plain, "{}: {set:?} changes bits", case.name);
        }
        if case.name == "dense" {
            lines.push(("dense/batch".into(), digest(Instructions::widest(), 3)));
        }
        lines.push((case.name.into(), plain));
    }
    let mut goldens = Goldens::new();
    goldens.digests("ports/network.txt", &lines);
    goldens.finish();
}

/// The journal and the output of the fifth program of `tests/ports`. `tests/system/microcontroller.rs` compares it with a run of the program.
#[test]
fn ports_whole() {
    /// What LeNet's image asks for; a target takes it from the image.
    const WORKSPACE: usize = 1_523;
    let image = networks::lenet_image().unwrap();
    // Kernels read the weights where they are.
    let mut room = vec![0; image.len() + 64];
    let start = room.as_ptr().align_offset(64);
    room[start..][..image.len()].copy_from_slice(&image);
    let open = fooling_engine::Image::open(&room[start..][..image.len()]).unwrap();
    assert_eq!(open.workspace_len(), WORKSPACE);
    let mut journal = Vec::new();
    let mut storage = Box::new(whole::Storage::<WORKSPACE>::EMPTY);
    let sink = |bytes: &[u8]| journal.extend_from_slice(bytes);
    storage.run(&open, &cases::WHOLE_RUN, cases::WHOLE_PROVENANCE, cases::WHOLE_GENERATIONS, sink, |score| score()).unwrap();
    let mut goldens = Goldens::new();
    goldens.file("ports/whole.journal", &journal);
    goldens.digests("ports/whole.txt", &[("image".into(), Digest::of(&image)), ("journal".into(), Digest::of(&journal))]);
    goldens.finish();
}

/// The archive of a replay with the capacity of small targets.
fn replayed_small(settings: &Settings, journal: &[u8]) -> Digest {
    let archive = Archive::new(vec![Cell::EMPTY; CELLS], vec![EliteSlot::new(SmallGenome::EMPTY); CELLS]).unwrap();
    let mut search = Search::<SmallEncoding, _>::from_settings(settings, archive).unwrap();
    let mut offspring = vec![Elite::new(SmallGenome::EMPTY); settings.sizes.initial as usize];
    let mut placements = [Placement::default(); CELLS];
    for record in open_journal(journal).unwrap().1 {
        let mut scratch = ReplayScratch { offspring: &mut offspring, placements: &mut placements };
        replay(&mut search, &record.unwrap(), &mut scratch).unwrap();
    }
    search.population().digest()
}
