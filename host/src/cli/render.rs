//! `fooling render`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueHint};
use fooling::genomes::{self, GenomeEntry};
use fooling::picture::Picture;
use fooling::run::encoding::draw;
use fooling::run::{CoordinatesName, Variant};
use fooling_core::{ColourSpace, Coordinates, MAX_SIDE, PictureSpec};

/// Render CPPN genomes to PNG files
///
/// A line of `fooling show --genomes` contains the size, the coordinates and the colour space that the picture was evolved with, so the
/// same picture is drawn. Lines of earlier versions lack them, and the options then decide.
///
/// With pixel coordinates, the default of evolve, --size draws a different picture from the evolved one, and the network will score it
/// differently: the texture continues instead of growing. To enlarge the evolved picture, use --enlarge.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  fooling render elites.jsonl --out pictures                     the pictures as evolved
  fooling render elites.jsonl --enlarge 10 --out pictures        the same, ten times as large
  fooling render elites.jsonl --size 512 --out pictures          drawn again at 512 x 512 pixels
  fooling show runs/lenet-cppn-1 --genomes | fooling render - --out pictures
  fooling render elites.jsonl --raw bytes.bin                    bytes before colour conversion"
)]
pub(super) struct RenderArgs {
    /// Genome file as fooling show --genomes prints it, or `-` for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    genomes: PathBuf,
    /// Width and height in pixels; another size than the evolved one gives another picture [default: as evolved]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_SIDE)))]
    size: Option<u16>,
    /// Enlarge the picture by a whole number: each pixel becomes N x N equal pixels
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_SIDE)))]
    enlarge: u16,
    /// Folder for the PNG files, 0000.png and so on
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Write the bytes of all pictures to this file instead, before colour conversion
    #[arg(long, value_name = "FILE", conflicts_with = "out", value_hint = ValueHint::FilePath)]
    raw: Option<PathBuf>,
    /// How colours are read: HSV (paper) or wrapped HLS (released) [default: as evolved, or paper]
    #[arg(alias = "face", long, value_enum)]
    variant: Option<Variant>,
    /// Coordinates of a pixel that the CPPN receives as input [default: as evolved, or pixel]
    #[arg(long, value_enum)]
    coordinates: Option<CoordinatesName>,
}

pub(super) fn run(args: &RenderArgs) -> anyhow::Result<ExitCode> {
    let name = args.genomes.display();
    let mut lines = genomes::Lines::new(open(&args.genomes)?).with_context(|| format!("cannot read {name}"))?;
    let mut output = Output::open(args)?;
    let mut warned = false;
    while let Some((number, line)) = lines.next_line().map_err(|problem| anyhow::anyhow!("{name}, {problem}"))? {
        let render = || -> Result<_, String> {
            let entry = genomes::from_line(&line)?;
            let spec = picture_spec(args, &entry)?;
            Ok((entry, spec))
        };
        let (entry, spec) = render().map_err(|problem| anyhow::anyhow!("{name}, line {number}: {problem}"))?;
        if let Some(note) = note(args, &entry, spec).filter(|_| !std::mem::replace(&mut warned, true)) {
            say!("note: {name}, line {number}: {note}");
        }
        output.write(&draw(&entry.genome, spec).enlarged(args.enlarge.into()))?;
    }
    let count = output.finish()?;
    anyhow::ensure!(count > 0, "{name} contains no genome");
    let place = args.raw.as_ref().unwrap_or(&args.out).display();
    writeln!(std::io::stdout(), "{count} pictures in {place}")?;
    Ok(ExitCode::SUCCESS)
}

/// A genome file, or standard input.
fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let name = path.display();
    anyhow::ensure!(!path.is_dir(), "{name} is a folder; for a run, fooling show {name} --genomes prints the genomes");
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    Ok(Box::new(BufReader::new(file)))
}

/// How to draw a genome: as the options say, else as its line says, else with the defaults of evolve.
fn picture_spec(args: &RenderArgs, entry: &GenomeEntry) -> Result<PictureSpec, String> {
    let side = args.size.or(entry.size).ok_or("the line does not state the size of the picture; give --size")?;
    let enlarged = u32::from(side) * u32::from(args.enlarge);
    if enlarged > MAX_SIDE.into() {
        return Err(format!("the enlarged picture would have {enlarged} x {enlarged} pixels; at most {MAX_SIDE} x {MAX_SIDE} are written"));
    }
    let coordinates = args.coordinates.map(Coordinates::from).or(entry.coordinates).unwrap_or(Coordinates::Pixel);
    let asked = args.variant.map(|variant| match variant {
        Variant::Paper => ColourSpace::Hsv,
        Variant::Released => ColourSpace::Hls,
    });
    // One output is a grey value, whatever the options say.
    let colour = (entry.genome.outputs() == 3).then(|| asked.or(entry.colour).unwrap_or(ColourSpace::Hsv));
    Ok(PictureSpec { side, coordinates, colour: colour.filter(|_| args.raw.is_none()) })
}

/// Why the picture may not be the evolved one.
fn note(args: &RenderArgs, entry: &GenomeEntry, spec: PictureSpec) -> Option<String> {
    const OTHER: &str = "this is not the evolved picture";
    if entry.coordinates.is_none() && args.coordinates.is_none() {
        return Some("the line does not state the coordinates; using pixel coordinates (--coordinates)".to_owned());
    }
    if entry.colour.is_none() && args.variant.is_none() && spec.colour.is_some() {
        return Some("the line does not state the colour space; using HSV (--variant)".to_owned());
    }
    if entry.coordinates.is_some_and(|evolved| evolved != spec.coordinates) {
        return Some(format!("evolved with other coordinates; {OTHER}"));
    }
    if entry.colour.is_some_and(|evolved| spec.colour.is_some_and(|colour| colour != evolved)) {
        return Some(format!("evolved with another colour space; {OTHER}"));
    }
    let evolved = entry.size.filter(|&size| size != spec.side && spec.coordinates == Coordinates::Pixel)?;
    Some(format!("evolved with {evolved} x {evolved} pixels; {OTHER} (--enlarge keeps it)"))
}

/// Where pictures go: one PNG file each, or the bytes of all in one file.
enum Output<'o> {
    Folder { dir: &'o Path, count: usize },
    Raw { path: &'o Path, file: BufWriter<File>, count: usize },
}

impl<'o> Output<'o> {
    fn open(args: &'o RenderArgs) -> anyhow::Result<Self> {
        if let Some(path) = &args.raw {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            return Ok(Self::Raw { path, file: BufWriter::new(file), count: 0 });
        }
        std::fs::create_dir_all(&args.out).with_context(|| format!("cannot create the folder {}", args.out.display()))?;
        Ok(Self::Folder { dir: &args.out, count: 0 })
    }

    fn write(&mut self, picture: &Picture) -> anyhow::Result<()> {
        match self {
            Self::Raw { path, file, count } => {
                *count += 1;
                file.write_all(picture.bytes()).with_context(|| format!("cannot write {}", path.display()))
            }
            Self::Folder { dir, count } => {
                let path = dir.join(format!("{count:04}.png"));
                *count += 1;
                std::fs::write(&path, picture.to_png()?).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }

    /// How many pictures were written.
    fn finish(self) -> anyhow::Result<usize> {
        match self {
            Self::Folder { count, .. } => Ok(count),
            Self::Raw { path, mut file, count } => {
                file.flush().with_context(|| format!("cannot write {}", path.display()))?;
                Ok(count)
            }
        }
    }
}
