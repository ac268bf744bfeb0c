//! Breeding by hand: what the page of `fooling breed` asks for.
//!
//! The page keeps the family tree. Each of its requests contains all that the answer needs: genomes, or the picks that lead to a
//! generation. So several pages can be open at once. Picks are recorded in run folders as they arrive.

mod http;
mod page;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use fooling_core::{
    Birth, Channels, ColourSpace, Coordinates, CppnSettings, Encoding as _, PictureSpec, Purpose, Settings, StandardEncoding,
    StandardGenome, Stream,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::classifier::{Classifier, ClassifyError};
use crate::genomes;
use crate::model::{Model, short_name};
use crate::picture::Picture;
use crate::report;
use crate::run::encoding::draw;
use crate::run::picks::{self, Kept, OFFSPRING, PLACES, Picks};
use crate::run::{CoordinatesName, Rates, RunConfig, RunError};
use crate::score::{Pool, top};
pub(crate) use http::serve;

/// The largest side, in pixels, of a picture that the page requests alone.
const LARGEST_SIDE: u16 = 4096;
/// The largest side, in pixels, of pictures that it requests together, unless those of the network are larger.
const LARGEST_SHOWN: u16 = 1024;
/// The number of class names that are sent with each picture.
const NAMES: usize = 5;
/// The number of runs that are kept in memory; the oldest is finished when there are more.
const MOST_KEPT: usize = 256;

/// What the page asks for. A genome is a line of a genome file, which also says how it is drawn.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase", deny_unknown_fields)]
enum Request {
    /// The name of the network, and what pictures it takes.
    About {},
    /// Pictures of these genomes, and what the network calls them.
    Show { genomes: Vec<String>, side: u16 },
    /// The picture of a genome.
    Draw { genome: String, side: u16 },
    /// Sixteen offspring of genomes that belong to no run.
    Breed { parents: Vec<String>, strength: usize, seed: String, generation: u32, sure: bool, side: u16 },
    /// Sixteen offspring of the generation to which these picks lead, or of the first one.
    Pick { run: Start, picked: Vec<Vec<u32>>, sure: bool, side: u16 },
}

/// What determines a run by hand, together with its picks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    /// In decimal: JavaScript's numbers do not have 64 bits.
    seed: String,
    strength: usize,
    coordinates: CoordinatesName,
    colour: bool,
}

/// An answer: this as JSON, then the bytes of all pictures.
#[derive(Debug, Default, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<About>,
    pictures: Vec<Shown>,
    /// Where the picks are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    #[serde(skip)]
    pixels: Vec<u8>,
}

/// What the page needs to know of the network.
#[derive(Debug, Serialize)]
struct About {
    model: String,
    /// Width and height of a picture in pixels.
    side: usize,
    /// Whether the network sees colours.
    colour: bool,
}

/// A picture in an answer.
#[derive(Debug, Serialize)]
struct Shown {
    /// Bytes of its pixels.
    length: usize,
    /// The genome, if it is new to the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    genome: Option<String>,
    /// Its number in the generation of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    child: Option<u32>,
    /// What the network calls it, and the confidence, most confident first; none if the scores are invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<(String, f32)>>,
}

/// A genome, and how it is drawn.
#[derive(Clone, Debug)]
struct Drawn {
    genome: StandardGenome,
    /// Its side is that of the pictures that the network sees.
    spec: PictureSpec,
    /// Its number in the generation of a run.
    child: Option<u32>,
    /// Drawn when it is first needed.
    seen: OnceLock<Picture>,
}

impl Drawn {
    fn new(genome: StandardGenome, spec: PictureSpec) -> Self {
        Self { genome, spec, child: None, seen: OnceLock::new() }
    }

    fn picture(&self, side: u16) -> Picture {
        draw(&self.genome, PictureSpec { side, ..self.spec })
    }

    /// What the network sees.
    fn seen(&self) -> &Picture {
        self.seen.get_or_init(|| self.picture(self.spec.side))
    }
}

/// Answers the page, and records picks.
pub(crate) struct Breeder<'m> {
    model: &'m Model,
    pool: Pool<'m>,
    out: PathBuf,
    kept: Vec<Kept>,
}

impl std::fmt::Debug for Breeder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breeder").field("model", &self.model.name()).field("out", &self.out).finish_non_exhaustive()
    }
}

impl<'m> Breeder<'m> {
    /// For a network, with run folders in `out`; those that are there are found again.
    ///
    /// # Errors
    ///
    /// [`ClassifyError`] if the network cannot be started.
    pub(crate) fn new(model: &'m Model, classifier: &'m dyn Classifier, threads: usize, out: &Path) -> Result<Self, ClassifyError> {
        let pool = Pool::new(model, classifier, threads)?;
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(out).map_or(Vec::new(), |found| found.flatten().map(|entry| entry.path()).collect());
        folders.sort();
        let kept = folders.iter().filter_map(|folder| Kept::find(folder)).take(MOST_KEPT).collect();
        Ok(Self { model, pool, out: out.to_owned(), kept })
    }

    /// Answers a request, as the length of a text in JSON (u32, little-endian), the text, and the bytes of all pictures.
    ///
    /// # Errors
    ///
    /// What is wrong with the request.
    fn answer(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let request = serde_json::from_slice(request).map_err(|error| format!("the request is invalid: {error}"))?;
        let answer = match request {
            Request::About {} => Answer { about: Some(self.about()), ..Answer::default() },
            Request::Show { genomes, side } => self.show(&genomes, side)?,
            Request::Draw { genome, side } => self.draw(&genome, side)?,
            Request::Breed { parents, strength, seed, generation, sure, side } => {
                let chosen = self.breed(&parents, strength, &seed, generation, sure)?;
                self.look(&chosen, side, true)?
            }
            Request::Pick { run, picked, sure, side } => {
                let (chosen, folder) = self.pick(&run, &picked, sure)?;
                Answer { folder, ..self.look(&chosen, side, true)? }
            }
        };
        let text = serde_json::to_vec(&answer).map_err(|error| error.to_string())?;
        let length = u32::try_from(text.len()).map_err(|_| "the answer is too long".to_owned())?;
        Ok([&length.to_le_bytes(), &text[..], &answer.pixels].concat())
    }

    /// The side of the pictures that the network sees.
    fn side(&self) -> u16 {
        self.model.card().input.picture as u16
    }

    fn about(&self) -> About {
        let input = &self.model.card().input;
        About { model: self.model.name().to_owned(), side: input.picture, colour: input.picture_channels() == 3 }
    }

    fn read(&self, line: &str) -> Result<Drawn, String> {
        let entry = genomes::from_line(line)?;
        let colour = (entry.genome.outputs() == 3).then(|| entry.colour.unwrap_or(ColourSpace::Hsv));
        let spec = PictureSpec { side: self.side(), coordinates: entry.coordinates.unwrap_or(Coordinates::Pixel), colour };
        Ok(Drawn::new(entry.genome, spec))
    }

    fn read_all(&self, lines: &[String]) -> Result<Vec<Drawn>, String> {
        if lines.len() > PLACES {
            return Err(format!("there are {} genomes in the request, but at most {PLACES} are possible", lines.len()));
        }
        lines.iter().map(|line| self.read(line)).collect()
    }

    fn draw(&self, line: &str, side: u16) -> Result<Answer, String> {
        let picture = self.read(line)?.picture(check_side(side, LARGEST_SIDE)?);
        let shown = Shown { length: picture.bytes().len(), genome: None, child: None, names: None };
        Ok(Answer { pictures: vec![shown], pixels: picture.bytes().to_vec(), ..Answer::default() })
    }

    fn show(&mut self, lines: &[String], side: u16) -> Result<Answer, String> {
        let genomes = self.read_all(lines)?;
        self.look(&genomes, side, false)
    }

    /// Pictures of these genomes with their names; `fresh` ones also with their genomes.
    fn look(&mut self, drawn: &[Drawn], side: u16, fresh: bool) -> Result<Answer, String> {
        let side = check_side(side, LARGEST_SHOWN.max(self.side()))?;
        let (scores, pictures) = self.score(drawn, |one, seen| if side == one.spec.side { seen.clone() } else { one.picture(side) })?;
        let mut answer = Answer::default();
        for ((one, scores), picture) in drawn.iter().zip(scores.chunks_exact(self.model.classes())).zip(pictures) {
            let valid = scores.iter().all(|score| score.is_finite());
            let name =
                |(class, score): (usize, f32)| (self.model.labels().get(class).map_or("", |label| short_name(label)).to_owned(), score);
            answer.pictures.push(Shown {
                length: picture.bytes().len(),
                genome: fresh.then(|| genomes::to_line(&one.genome, one.spec)),
                child: one.child,
                names: valid.then(|| top(scores, NAMES).into_iter().map(name).collect()),
            });
            answer.pixels.extend_from_slice(picture.bytes());
        }
        Ok(answer)
    }

    /// Scores genomes, and calls `make` for each of them with the picture that the network saw.
    fn score<X: Send>(&mut self, drawn: &[Drawn], make: impl Fn(&Drawn, &Picture) -> X + Sync) -> Result<(Vec<f32>, Vec<X>), String> {
        let (side, channels) = self.model.picture_shape();
        let made: Vec<Mutex<Option<X>>> = drawn.iter().map(|_| Mutex::new(None)).collect();
        let picture = |at: usize| {
            let seen = drawn[at].seen();
            *made[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(make(&drawn[at], seen));
            if seen.channels() == channels { Cow::Borrowed(seen) } else { Cow::Owned(seen.fitted(side, channels)) }
        };
        let scores = self.pool.score(drawn.len(), picture).map_err(|error| error.to_string())?;
        let made = made.into_iter().filter_map(|made| made.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok((scores, made.collect()))
    }

    /// Sixteen of the candidates: copies and pictures of one colour are left out as long as there are others. `sure` takes those that the
    /// network is most sure of.
    fn choose(&mut self, candidates: impl Fn(u32) -> Result<Drawn, String>, parents: &[Drawn], sure: bool) -> Result<Vec<Drawn>, String> {
        let digest = |picture: &Picture| Sha256::digest(picture.bytes());
        let mut seen: HashSet<_> = parents.iter().map(|parent| digest(parent.seen())).collect();
        let wanted = if sure { OFFSPRING as usize } else { PLACES };
        let (mut chosen, mut others) = (Vec::new(), Vec::new());
        for child in 0..OFFSPRING {
            if chosen.len() == wanted {
                break;
            }
            let candidate = candidates(child)?;
            let picture = candidate.seen();
            let pixels = picture.bytes();
            let plain = pixels.chunks_exact(picture.channels()).all(|pixel| *pixel == pixels[..picture.channels()]);
            if plain || !seen.insert(digest(picture)) { others.push(candidate) } else { chosen.push(candidate) }
        }
        let missing = PLACES.saturating_sub(chosen.len());
        chosen.extend(others.into_iter().take(missing));
        if sure {
            let classes = self.model.classes();
            let (scores, _) = self.score(&chosen, |_, _| ())?;
            let best = |scores: &[f32]| scores.iter().copied().fold(0.0, f32::max);
            let mut ranked: Vec<(f32, Drawn)> = scores.chunks_exact(classes).map(best).zip(chosen).collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            chosen = ranked.into_iter().map(|(_, drawn)| drawn).collect();
        }
        chosen.truncate(PLACES);
        Ok(chosen)
    }

    fn breed(&mut self, parents: &[String], strength: usize, seed: &str, generation: u32, sure: bool) -> Result<Vec<Drawn>, String> {
        let (parents, seed) = (self.read_all(parents)?, read_seed(seed)?);
        if parents.is_empty() {
            return Err("there is no parent in the request".to_owned());
        }
        let (rates, eta) = mutation(strength)?;
        let candidates = |child: u32| {
            let parent = &parents[child as usize % parents.len()];
            let channels = if parent.genome.outputs() == 3 { Channels::Colour } else { Channels::Grey };
            let encoding = StandardEncoding::new(channels, CppnSettings { rates: rates.of_cppns(), eta, ..CppnSettings::PAPER });
            let encoding = encoding.map_err(|error| error.to_string())?;
            let mut genome = parent.genome.clone();
            encoding.mutate(&mut Stream::new(seed, Birth { generation, child }, Purpose::Child), generation, &mut genome);
            Ok(Drawn::new(genome, parent.spec))
        };
        self.choose(candidates, &parents, sure)
    }

    /// The offspring of a generation, and where its picks are recorded.
    fn pick(&mut self, start: &Start, picked: &[Vec<u32>], sure: bool) -> Result<(Vec<Drawn>, Option<String>), String> {
        let channels = if start.colour { 3 } else { 1 };
        let (rates, eta) = mutation(start.strength)?;
        let config = RunConfig { seed: read_seed(&start.seed)?, coordinates: start.coordinates, rates, eta, ..picks::config(channels) };
        let settings = config.settings(PLACES, self.side().into(), channels)?;
        let picks = Picks::new(&settings, picked)?;
        let recorded = (!picked.is_empty()).then(|| self.keep(&config, &settings, picks.picked()));
        let folder = recorded.transpose().map_err(|error| error.to_string())?;
        let parents: Vec<Drawn> = picks.parents().into_iter().map(|genome| Drawn::new(genome.clone(), settings.picture)).collect();
        let candidates = |child: u32| Ok(Drawn { child: Some(child), ..Drawn::new(picks.offspring(child)?.genome, settings.picture) });
        Ok((self.choose(candidates, &parents, sure)?, folder))
    }

    /// Records picks, each generation's ascending, in the run that they belong to, or, as a branch, in a new one. Returns its folder.
    fn keep(&mut self, config: &RunConfig, settings: &Settings, picked: &[Vec<u32>]) -> Result<String, RunError> {
        if let Some(kept) = self.kept.iter().find(|kept| kept.contains(settings, picked)) {
            return Ok(kept.root().display().to_string());
        }
        let (run, at) = match self.kept.iter().position(|kept| kept.leads_to(settings, picked)) {
            Some(at) => match self.kept[at].extend(picked) {
                // Another process uses that folder, so these picks are recorded as a branch.
                Err(RunError::InUse(_)) => (Kept::create(&self.out, config, settings, picked)?, None),
                extended => return extended.map(|()| self.kept[at].root().display().to_string()),
            },
            None => (Kept::create(&self.out, config, settings, picked)?, (self.kept.len() >= MOST_KEPT).then_some(0)),
        };
        if let Some(oldest) = at {
            self.finish_run(&self.kept[oldest])?;
            self.kept.remove(oldest);
        }
        let root = run.root().display().to_string();
        self.kept.push(run);
        Ok(root)
    }

    fn finish_run(&self, kept: &Kept) -> Result<bool, RunError> {
        let Some((folder, finished)) = kept.finished() else { return Ok(false) };
        report::write(folder, &finished).map(|_| true)
    }

    /// Writes pictures, sheets and figures of the runs that were extended. Returns their folders.
    ///
    /// # Errors
    ///
    /// If a file cannot be written; the journals are safe.
    pub(crate) fn finish(&self) -> Result<Vec<&Path>, RunError> {
        let mut written = Vec::new();
        for kept in &self.kept {
            if self.finish_run(kept)? {
                written.push(kept.root());
            }
        }
        Ok(written)
    }
}

fn check_side(side: u16, largest: u16) -> Result<u16, String> {
    if (1..=largest).contains(&side) { Ok(side) } else { Err(format!("a picture has 1 to {largest} pixels a side, not {side}")) }
}

fn read_seed(seed: &str) -> Result<u64, String> {
    // run.toml has no larger integers.
    seed.parse().ok().filter(|&seed| seed <= i64::MAX as u64).ok_or_else(|| format!("the seed must be a number from 0 to {}", i64::MAX))
}

fn mutation(strength: usize) -> Result<(Rates, u8), String> {
    let strengths = CppnSettings::STRENGTHS;
    let &(factor, eta) = strengths.get(strength).ok_or_else(|| format!("the strength of mutation is from 0 to {}", strengths.len() - 1))?;
    Ok((Rates::default().scaled(factor), eta))
}
