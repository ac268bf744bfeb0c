//! A digest of bytes, for comparing machines: 64-bit FNV-1a.
//!
//! Also compiled into `core/tests/golden.rs`, so that host and ports use the same code.

use fooling_core::{Archive, Birth, Cell, CppnGenome, DirectGenome, Elite, EliteSlot, Storage};

/// 64-bit FNV-1a over all input. Not cryptographic: it detects a differing bit, not a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// The digest of `bytes` alone.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.update(bytes);
        digest
    }

    /// Appends `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Appends a number, little-endian.
    pub fn number(&mut self, number: u32) {
        self.update(&number.to_le_bytes());
    }

    /// Appends the bits of a number.
    pub fn float(&mut self, number: f32) {
        self.number(number.to_bits());
    }

    /// Appends the identity of an elite.
    pub fn elite<G: Digestible>(&mut self, elite: &Elite<G>) {
        for Birth { generation, child } in [Some(elite.birth), elite.parent].into_iter().flatten() {
            self.number(generation);
            self.number(child);
        }
        elite.genome.digest(self);
    }

    /// The digest of an archive: for each cell its counts and score, and its elite.
    pub fn of_archive<G: Digestible, C: Storage<Cell>, S: Storage<EliteSlot<G>>>(archive: &Archive<C, S>) -> Self {
        let mut digest = Self::default();
        for (index, cell) in archive.cells().iter().enumerate() {
            digest.float(cell.score());
            digest.number(cell.replaced());
            digest.number(cell.switched());
            if let Some(elite) = archive.elite(index) {
                digest.elite(elite);
            }
        }
        digest
    }

    /// The value so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// A genome as bytes that are the same on every machine and for every capacity.
pub trait Digestible {
    /// Appends it to a digest.
    fn digest(&self, into: &mut Digest);
}

impl<const NODES: usize, const LINKS: usize> Digestible for CppnGenome<NODES, LINKS> {
    fn digest(&self, into: &mut Digest) {
        into.number(self.outputs() as u32);
        into.number(self.nodes().len() as u32);
        self.nodes().iter().for_each(|&activation| into.update(&[activation as u8]));
        for link in self.links() {
            into.number(link.source.into());
            into.number(link.target.into());
            into.float(link.weight);
        }
    }
}

impl<B: Storage<u8>> Digestible for DirectGenome<B> {
    fn digest(&self, into: &mut Digest) {
        into.update(self.0.as_ref());
    }
}
