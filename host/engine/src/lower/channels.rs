//! Channels that are concatenated, shuffled and split: each is copied once, from the picture that it comes from.

use alloc::vec;
use alloc::vec::Vec;

use super::Lowering;
use crate::error::{Result, unsupported};
use crate::ir::{Channel, LayerKind, Shape, Value};
use crate::limits::MAX_SELECTED;
use crate::simd::LANES;

/// How many layers that only move channels are followed back from one selection: a limit on the work for a hostile graph.
const MAX_MOVES: usize = 16;

impl Lowering<'_> {
    /// The channels of pictures of the same size, one picture after another.
    pub(super) fn joined(&mut self, parts: Vec<Value>, channels: usize) -> Result<Value> {
        let shape = Shape { channels, ..self.shapes[parts[0]] };
        let (_, first) = parts.split_last().expect("a concatenation has operands");
        let in_place = first.iter().all(|&part| self.shapes[part].channels.is_multiple_of(LANES));
        // Channels are not followed through concatenations of more parts: a selection would only copy the whole again.
        let moved = parts.len() <= MAX_SELECTED && parts.iter().any(|&part| self.is_selection(part));
        let value = self.layer(LayerKind::Concat, parts, shape)?;
        if in_place || !moved { Ok(value) } else { self.select(value, channels, |channel| channel) }
    }

    /// Some channels of a picture, one after another.
    pub(super) fn channels(&mut self, value: Value, start: usize, size: usize) -> Result<Value> {
        if start.is_multiple_of(LANES) && !self.is_selection(value) {
            let shape = Shape { channels: size, ..self.shapes[value] };
            return self.layer(LayerKind::View(start / LANES), vec![value], shape);
        }
        self.select(value, size, |channel| start + channel)
    }

    /// `size` channels of a picture, in any order. Channels that were selected or concatenated before are taken from the pictures that they
    /// come from.
    pub(super) fn select(&mut self, value: Value, size: usize, channel: impl Fn(usize) -> usize) -> Result<Value> {
        // A channel takes as much memory as two weights.
        self.count_weights(size.saturating_mul(2))?;
        let found = selection(size, |at| self.origin(value, channel(at))).or_else(|| selection(size, |at| (value, channel(at))));
        let Some((channels, pictures)) = found else { return unsupported("selects too many channels") };
        self.layer(LayerKind::Channels(channels), pictures, Shape { channels: size, ..self.shapes[value] })
    }

    fn is_selection(&self, value: Value) -> bool {
        self.makers[value].is_some_and(|maker| matches!(self.layers[maker].kind, LayerKind::Channels(_)))
    }

    /// The picture that a channel of a picture comes from, and its channel there.
    fn origin(&self, mut value: Value, mut channel: usize) -> (Value, usize) {
        for _ in 0..MAX_MOVES {
            let Some(layer) = self.makers[value].map(|maker| &self.layers[maker]) else { break };
            (value, channel) = match &layer.kind {
                LayerKind::Channels(channels) => {
                    let Channel { picture, channel } = channels[channel];
                    (layer.inputs[picture as usize], channel as usize)
                }
                LayerKind::View(block) => (layer.inputs[0], block * LANES + channel),
                LayerKind::Concat if layer.inputs.len() <= MAX_SELECTED => self.part_of(&layer.inputs, channel),
                _ => break,
            };
        }
        (value, channel)
    }

    /// The part of a concatenation to which a channel belongs, and its channel there.
    fn part_of(&self, parts: &[Value], channel: usize) -> (Value, usize) {
        let mut before = 0;
        for &part in parts {
            let channels = self.shapes[part].channels;
            if channel - before < channels {
                return (part, channel - before);
            }
            before += channels;
        }
        unreachable!("a concatenation has as many channels as its parts together")
    }
}

/// `size` channels and the pictures that they are in, given the picture and the number of each; none if there are too many pictures.
fn selection(size: usize, origin: impl Fn(usize) -> (Value, usize)) -> Option<(Vec<Channel>, Vec<Value>)> {
    let mut pictures = Vec::new();
    let mut channels = Vec::with_capacity(size);
    for (value, channel) in (0..size).map(origin) {
        let picture = pictures.iter().position(|&other| other == value).unwrap_or(pictures.len());
        if picture == pictures.len() {
            pictures.push(value);
        }
        if pictures.len() > MAX_SELECTED {
            return None;
        }
        channels.push(Channel { picture: u32::try_from(picture).ok()?, channel: u32::try_from(channel).ok()? });
    }
    Some((channels, pictures))
}
