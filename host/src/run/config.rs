//! What a user chooses of a run, as it stands in run.toml, and the core settings that follow from it.

use fooling_core::{
    Activation, BatchSizes, ColourSpace, Coordinates, CppnRates, DirectSettings, EncodingSettings, PictureSpec, Rate, Selection, Settings,
};
use serde::{Deserialize, Serialize};

use crate::model::Crops;

/// Which of the paper's two variants: the paper's text, or its released program with its quirks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As the paper describes it: HSV colours; the direct encoding's mutation rate halves every 1000 generations.
    Paper,
    /// As the released program does it: HLS colours with a wrapped hue; a constant rate, and crossover of direct genomes.
    Released,
}

/// How genomes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum EncodingName {
    /// A network from coordinates to colour: regular pictures.
    Cppn,
    /// A gene a pixel and channel: irregular pictures.
    Direct,
}

/// What a CPPN is told of a pixel's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum CoordinatesName {
    /// x and y from 0 to side - 1: fine, repeated texture.
    Pixel,
    /// x and y from -1 to 1: smooth pictures.
    Unit,
}

impl Variant {
    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Released => "released",
        }
    }
}

impl EncodingName {
    /// As it is written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cppn => "cppn",
            Self::Direct => "direct",
        }
    }
}

impl From<CoordinatesName> for Coordinates {
    fn from(name: CoordinatesName) -> Self {
        match name {
            CoordinatesName::Pixel => Self::Pixel,
            CoordinatesName::Unit => Self::Unit,
        }
    }
}

/// Rates of mutation, each in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// CPPN: each weight.
    pub weight: f64,
    /// CPPN: each node's activation.
    pub activation: f64,
    /// CPPN: a new connection.
    pub add_link: f64,
    /// CPPN: a lost connection.
    pub remove_link: f64,
    /// CPPN: a connection split by a new node.
    pub add_node: f64,
    /// CPPN: a lost node.
    pub remove_node: f64,
    /// Direct: each gene.
    pub gene: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { weight: 0.1, activation: 0.1, add_link: 0.5, remove_link: 0.3, add_node: 0.5, remove_node: 0.2, gene: 0.1 }
    }
}

impl Rates {
    /// All of them by name.
    fn named(&self) -> [(&'static str, f64); 7] {
        let Self { weight, activation, add_link, remove_link, add_node, remove_node, gene } = *self;
        [
            ("weight", weight),
            ("activation", activation),
            ("add_link", add_link),
            ("remove_link", remove_link),
            ("add_node", add_node),
            ("remove_node", remove_node),
            ("gene", gene),
        ]
    }

    /// The rate of that name, to be read or changed.
    pub fn by_name(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "weight" => &mut self.weight,
            "activation" => &mut self.activation,
            "add_link" => &mut self.add_link,
            "remove_link" => &mut self.remove_link,
            "add_node" => &mut self.add_node,
            "remove_node" => &mut self.remove_node,
            "gene" => &mut self.gene,
            _ => return None,
        })
    }
}

/// The run configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The name of a built-in model, or the path of a model.
    pub model: String,
    /// Which variant.
    #[serde(alias = "face")]
    pub variant: Variant,
    /// How genomes are written.
    pub encoding: EncodingName,
    /// Seed of the run.
    pub seed: u64,
    /// Generations after the initial batch.
    pub generations: u32,
    /// Pictures in the initial batch.
    pub initial: u32,
    /// Pictures a generation.
    pub batch: u32,
    /// What a CPPN is told of a pixel's place.
    pub coordinates: CoordinatesName,
    /// Activations that nodes may have.
    pub activations: Vec<String>,
    /// Largest number of nodes of a CPPN.
    pub max_nodes: u16,
    /// Largest number of connections of a CPPN.
    pub max_links: u16,
    /// Distribution index of polynomial mutation.
    pub eta: u8,
    /// Generations after which the direct encoding's rate halves; never if 0.
    pub halving: u32,
    /// Rates of mutation.
    pub rates: Rates,
    /// What the network sees of a picture; what its card says if nothing stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crops: Option<Crops>,
    /// The classes that have a cell, by number; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<usize>,
    /// The one class to evolve for, with the single-objective EA; MAP-Elites if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<usize>,
}

/// The single-objective EA of METHOD: of a population of 100, 60 are kept.
const KEEP: u32 = 60;
const PRESSURE: Rate = Rate::new(0.1);

impl RunConfig {
    /// the paper's run configuration for a variant and an encoding, for a picture with that many channels.
    #[must_use]
    pub fn of_method(model: &str, variant: Variant, encoding: EncodingName, channels: u8, single: bool) -> Self {
        let (initial, batch) = match (single, channels, encoding) {
            (true, ..) => (100, 100 - KEEP),
            (_, 3, EncodingName::Cppn) => (400, 400),
            _ => (200, 200),
        };
        Self {
            model: model.to_owned(),
            variant,
            encoding,
            seed: 1,
            generations: 200,
            initial,
            batch,
            coordinates: CoordinatesName::Pixel,
            activations: Activation::ALL.map(|activation| activation.name().to_owned()).to_vec(),
            max_nodes: 512,
            max_links: 1024,
            eta: 15,
            halving: if variant == Variant::Paper { DirectSettings::PAPER.halving } else { DirectSettings::RELEASED.halving },
            rates: Rates::default(),
            crops: None,
            classes: Vec::new(),
            target: None,
        }
    }

    /// The core settings for a model with that many classes and pictures of this side and number of channels.
    ///
    /// # Errors
    ///
    /// What is wrong with which choice.
    pub fn settings(&self, classes: usize, side: usize, channels: u8) -> Result<Settings, String> {
        if let Some(&class) = self.classes.iter().chain(&self.target).find(|&&class| class >= classes) {
            return Err(format!("class {class} is not one of the model's {classes} (0 to {})", classes - 1));
        }
        let colour = match (channels, self.variant) {
            (1, _) => None,
            (_, Variant::Paper) => Some(ColourSpace::Hsv),
            (_, Variant::Released) => Some(ColourSpace::Hls),
        };
        let side = u16::try_from(side).map_err(|_| format!("pictures of {side} pixels a side are too large"))?;
        let cells = if self.classes.is_empty() { classes } else { self.classes.len() };
        let selection = match self.target {
            None => Selection::MapElites { cells: cells as u32 },
            Some(target) => Selection::Single { classes: classes as u32, target: target as u32, keep: KEEP, pressure: PRESSURE },
        };
        let settings = Settings {
            seed: self.seed,
            picture: PictureSpec { side, coordinates: self.coordinates.into(), colour },
            channels,
            encoding: self.encoding_settings()?,
            selection,
            sizes: BatchSizes { initial: self.initial, batch: self.batch },
        };
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    /// Whether this run configuration gives those settings, of which the model's number of classes is not known.
    pub(super) fn give(&self, settings: &Settings) -> bool {
        let classes = match settings.selection {
            Selection::MapElites { cells } => self.classes.iter().max().map_or(cells as usize, |most| most.saturating_add(1)),
            Selection::Single { classes, .. } => classes as usize,
        };
        self.settings(classes, settings.picture.side.into(), settings.channels).is_ok_and(|given| given == *settings)
    }

    fn encoding_settings(&self) -> Result<EncodingSettings, String> {
        let mut activations = 0;
        for name in &self.activations {
            let activation = Activation::from_name(name)
                .ok_or_else(|| format!("'{name}' is no activation (there are sine, sigmoid, gaussian, linear)"))?;
            activations |= 1 << activation as u8;
        }
        if activations == 0 {
            return Err("at least one activation is needed".to_owned());
        }
        let r = &self.rates;
        if let Some((name, rate)) = r.named().into_iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(format!("the rate {name} is {rate}, which is not within 0 to 1"));
        }
        if self.max_nodes > 512 || self.max_links > 1024 {
            return Err("a CPPN has at most 512 nodes and 1024 connections here".to_owned());
        }
        Ok(match self.encoding {
            EncodingName::Cppn => EncodingSettings::Cppn {
                activations,
                rates: CppnRates {
                    weight: Rate::new(r.weight),
                    activation: Rate::new(r.activation),
                    add_link: Rate::new(r.add_link),
                    remove_link: Rate::new(r.remove_link),
                    add_node: Rate::new(r.add_node),
                    remove_node: Rate::new(r.remove_node),
                },
                eta: self.eta,
                max_nodes: self.max_nodes,
                max_links: self.max_links,
            },
            EncodingName::Direct => EncodingSettings::Direct(DirectSettings {
                rate: Rate::new(r.gene),
                halving: self.halving,
                eta: self.eta,
                crossover: self.variant == Variant::Released,
            }),
        })
    }

    /// The class of each score that the search takes.
    #[must_use]
    pub fn scored_classes(&self, classes: usize) -> Vec<usize> {
        if self.classes.is_empty() || self.target.is_some() { (0..classes).collect() } else { self.classes.clone() }
    }

    /// The class of each cell.
    #[must_use]
    pub fn cell_classes(&self, classes: usize) -> Vec<usize> {
        match self.target {
            Some(target) => vec![target],
            None => self.scored_classes(classes),
        }
    }
}
