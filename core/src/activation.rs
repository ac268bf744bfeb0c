//! The functions of CPPN nodes, and sets of them.

/// The function that a node applies to its weighted sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// sin(x)
    Sine = 0,
    /// 2 / (1 + e^-x) - 1
    Sigmoid = 1,
    /// e^(-x^2)
    Gaussian = 2,
    /// clamp(x, -3, 3) / 3
    Linear = 3,
}

impl Activation {
    /// All four, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Sine, Self::Sigmoid, Self::Gaussian, Self::Linear];

    /// Its name in genome files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sine => "sine",
            Self::Sigmoid => "sigmoid",
            Self::Gaussian => "gaussian",
            Self::Linear => "linear",
        }
    }

    /// The activation with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// A set of activations, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActivationSet(u8);

impl ActivationSet {
    /// All four.
    pub const ALL: Self = Self(0b1111);

    /// The set of these; none if there are none.
    #[must_use]
    pub const fn of(activations: &[Activation]) -> Option<Self> {
        let (mut bits, mut i) = (0, 0);
        while i < activations.len() {
            bits |= 1 << activations[i] as u8;
            i += 1;
        }
        Self::from_bits(bits)
    }

    /// The set with one bit for the code of each activation, bit 0 for [`Activation::Sine`]; none for an empty set or for unknown bits.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits == 0 || bits & !Self::ALL.0 != 0 { None } else { Some(Self(bits)) }
    }

    /// One bit for the code of each activation.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the set contains the activation.
    #[must_use]
    pub const fn contains(self, activation: Activation) -> bool {
        self.0 >> activation as u8 & 1 == 1
    }

    /// The activations, in the order of their codes.
    pub fn iter(self) -> impl Iterator<Item = Activation> {
        Activation::ALL.into_iter().filter(move |&activation| self.contains(activation))
    }
}
