//! `fooling render`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use fooling::genomes;
use fooling::picture::Picture;
use fooling::run::encoding::CppnRenderer;
use fooling::run::{CoordinatesName, Variant};
use fooling_core::{ColourSpace, PictureSpec, Rows};

/// Draw CPPN genomes, one per line, as PNG files
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  fooling render elites.jsonl --size 512 --out pictures
  fooling render elites.jsonl --size 28 --raw bytes.bin      raw channel bytes of all genomes in one file")]
pub(super) struct RenderArgs {
    /// Genomes as JSON, one per line (see `fooling show --genomes`)
    genomes: PathBuf,
    /// Width and height in pixels
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=4096))]
    size: u16,
    /// Folder for the PNG files, 0000.png and so on
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Write the bytes of all pictures to this file instead, before colour conversion
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    raw: Option<PathBuf>,
    /// How colours are read: HSV (paper) or wrapped HLS (released)
    #[arg(alias = "face", long, value_enum, default_value = "paper")]
    variant: Variant,
    /// The x and y that the CPPN sees
    #[arg(long, value_enum, default_value = "pixel")]
    coordinates: CoordinatesName,
}

/// Longest accepted line in bytes; the largest genome takes about 90 000.
const LONGEST: u64 = 1 << 21;

pub(super) fn run(args: &RenderArgs) -> anyhow::Result<ExitCode> {
    let name = args.genomes.display();
    let file = std::fs::File::open(&args.genomes).with_context(|| format!("cannot read {name}"))?;
    let colour = match args.variant {
        _ if args.raw.is_some() => None,
        Variant::Paper => Some(ColourSpace::Hsv),
        Variant::Released => Some(ColourSpace::Hls),
    };
    let mut renderer = CppnRenderer::new(PictureSpec { side: args.size, coordinates: args.coordinates.into(), colour });
    let cannot_write_raw = || format!("cannot write {}", args.raw.as_deref().unwrap_or(&args.out).display());
    let raw = args.raw.as_ref().map(|path| std::fs::File::create(path).with_context(cannot_write_raw));
    let mut raw = raw.transpose()?.map(std::io::BufWriter::new);
    if raw.is_none() {
        std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    }
    let mut count = 0;
    let mut lines = BufReader::new(file);
    for number in 0.. {
        let mut line = String::new();
        let length = lines.by_ref().take(LONGEST).read_line(&mut line).with_context(|| format!("cannot read {name}"))?;
        anyhow::ensure!((length as u64) < LONGEST, "{name}, line {}: longer than any genome ({LONGEST} bytes)", number + 1);
        if length == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let genome = genomes::from_line(&line).map_err(|problem| anyhow::anyhow!("{name}, line {}: {problem}", number + 1))?;
        let mut picture = Picture::new(args.size.into(), genome.outputs());
        renderer.render(&genome, &mut Rows::new(|row| picture.put_row(row.y, row.bytes)));
        match &mut raw {
            Some(file) => file.write_all(picture.bytes()).with_context(cannot_write_raw)?,
            None => {
                let path = args.out.join(format!("{count:04}.png"));
                std::fs::write(&path, picture.to_png()?).with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        count += 1;
    }
    if let Some(mut file) = raw {
        file.flush().with_context(cannot_write_raw)?;
    }
    anyhow::ensure!(count > 0, "{name} contains no genome");
    let place = args.raw.as_ref().unwrap_or(&args.out).display();
    writeln!(std::io::stdout(), "{count} pictures of {0} x {0} pixels in {place}", args.size)?;
    Ok(ExitCode::SUCCESS)
}
