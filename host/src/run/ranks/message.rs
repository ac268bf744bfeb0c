//! What a rank tells the others in each generation. All numbers are little-endian.
//!
//! | message | bytes |
//! |---|---|
//! | 0 share, 1 share with a refused picture, 2 stop, 3 done | 1 |
//! | offspring scored, time for that in microseconds, offspring refused | 4 each |
//! | only with a refused picture: its number, what was wrong | 4, 25 |
//! | a placement that it would make: child, cell, score | 12 each |

use fooling_core::Placement;

use crate::classifier::{InvalidScores, Outputs};

const SHARE: u8 = 0;
const SHARE_WITH_REFUSAL: u8 = 1;
const STOP: u8 = 2;
const DONE: u8 = 3;

/// What a rank has done with a generation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// It scored its share.
    Share(Share),
    /// It was asked to stop, and scored nothing.
    Stop,
    /// The last generation is recorded.
    Done,
}

/// The result of a rank's share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Share {
    /// Offspring scored.
    pub(crate) scored: u32,
    /// Time for that, in microseconds.
    pub(crate) micros: u32,
    /// Offspring refused because a score was not finite.
    pub(crate) refused: u32,
    /// The first picture whose scores were not probabilities, and what was wrong with them.
    pub(crate) invalid: Option<(u32, InvalidScores)>,
    /// What it would place, if there were no other ranks.
    pub(crate) placements: Vec<Placement>,
}

impl Part {
    /// Appends the message.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let share = match self {
            Self::Share(share) => share,
            Self::Stop => return out.push(STOP),
            Self::Done => return out.push(DONE),
        };
        out.push(if share.invalid.is_some() { SHARE_WITH_REFUSAL } else { SHARE });
        out.extend([share.scored, share.micros, share.refused].map(u32::to_le_bytes).as_flattened());
        if let Some((child, invalid)) = share.invalid {
            out.extend(child.to_le_bytes());
            out.extend(encode_invalid(invalid));
        }
        for Placement { child, cell, score } in &share.placements {
            out.extend([*child, *cell, score.to_bits()].map(u32::to_le_bytes).as_flattened());
        }
    }

    /// Reads a message; none if it is not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, mut rest) = bytes.split_first()?;
        match kind {
            STOP => return rest.is_empty().then_some(Self::Stop),
            DONE => return rest.is_empty().then_some(Self::Done),
            SHARE | SHARE_WITH_REFUSAL => {}
            _ => return None,
        }
        let (scored, micros, refused) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
        let invalid = if kind == SHARE_WITH_REFUSAL { Some((number(&mut rest)?, decode_invalid(&mut rest)?)) } else { None };
        let (placements, []) = rest.as_chunks::<12>() else { return None };
        let placement = |bytes: &[u8; 12]| {
            let [child, cell, score] = [0, 4, 8].map(|at| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i])));
            Placement { child, cell, score: f32::from_bits(score) }
        };
        let placements = placements.iter().map(placement).collect();
        Some(Self::Share(Share { scored, micros, refused, invalid, placements }))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

/// Kind, class, value, and the lowest output, the highest and the sum; zero where the kind has none.
fn encode_invalid(invalid: InvalidScores) -> [u8; 25] {
    let none = Outputs { lowest: 0.0, highest: 0.0, sum: 0.0 };
    let (kind, class, value, outputs) = match invalid {
        InvalidScores::NotFinite { class, value } => (0, class, value, none),
        InvalidScores::OutOfRange { class, value, outputs } => (1, class, value, outputs),
        InvalidScores::Sum { outputs } => (2, 0, 0.0, outputs),
    };
    let mut bytes = [kind; 25];
    bytes[1..5].copy_from_slice(&(class as u32).to_le_bytes());
    bytes[5..9].copy_from_slice(&value.to_le_bytes());
    bytes[9..13].copy_from_slice(&outputs.lowest.to_le_bytes());
    bytes[13..17].copy_from_slice(&outputs.highest.to_le_bytes());
    bytes[17..].copy_from_slice(&outputs.sum.to_le_bytes());
    bytes
}

fn decode_invalid(bytes: &mut &[u8]) -> Option<InvalidScores> {
    let [kind] = take(bytes)?;
    let (class, value) = (number(bytes)? as usize, f32::from_le_bytes(take(bytes)?));
    let (lowest, highest) = (f32::from_le_bytes(take(bytes)?), f32::from_le_bytes(take(bytes)?));
    let outputs = Outputs { lowest, highest, sum: f64::from_le_bytes(take(bytes)?) };
    match kind {
        0 => Some(InvalidScores::NotFinite { class, value }),
        1 => Some(InvalidScores::OutOfRange { class, value, outputs }),
        2 => Some(InvalidScores::Sum { outputs }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_can_be_read_and_cut_ones_are_refused() {
        let outputs = Outputs { lowest: -1.5, highest: 3.0, sum: 1e300 };
        let placements = vec![Placement { child: 7, cell: 3, score: 0.25 }, Placement { child: 8, cell: 0, score: f32::MIN_POSITIVE }];
        let share = |invalid| Part::Share(Share { scored: 5, micros: 77, refused: 1, invalid, placements: placements.clone() });
        let invalids = [
            InvalidScores::NotFinite { class: 2, value: f32::INFINITY },
            InvalidScores::OutOfRange { class: 900, value: -0.5, outputs },
            InvalidScores::Sum { outputs },
        ];
        let with_invalid = invalids.map(|invalid| share(Some((9, invalid))));
        for part in [Part::Stop, Part::Done, Part::Share(Share::default()), share(None)].into_iter().chain(with_invalid) {
            let mut bytes = Vec::new();
            part.encode(&mut bytes);
            assert_eq!(Part::decode(&bytes).as_ref(), Some(&part));
            for length in 0..bytes.len() {
                // Without whole placements at its end, a share is a valid message.
                let cut = Part::decode(&bytes[..length]);
                assert!(cut.is_none() || (bytes.len() - length).is_multiple_of(12), "{part:?} cut to {length} bytes: {cut:?}");
            }
        }
        assert_eq!(Part::decode(&[4]), None);
    }
}
