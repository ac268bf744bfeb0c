//! Writing and reading journals: every byte counts.

use fooling_core::{
    ActivationSet, BeginError, Capacity, Cell, CppnSettings, EncodingSettings, JournalError, JournalWriter, Placement, Rate, ReplayScratch,
    SETTINGS_BYTES, Search, Selection, Settings, SettingsError, SinkFn, open_journal, replay,
};
use proptest::prelude::*;

mod common;

use common::{CLASSES, DirectBytes, Nets, Shown, archive, blank, journal_writer, run, search};

/// Whatever byte is changed, the reader reports it and never returns a placement that was not written.
#[test]
fn every_flipped_bit_of_a_journal_is_detected() {
    let journal = run(&mut search::<Nets>(6), 6, |_, _| {});
    let whole: Vec<_> = open_journal(&journal).unwrap().1.map(Result::unwrap).collect();
    for bit in 0..journal.len() * 8 {
        let mut damaged = journal.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok((_, records)) = open_journal(&damaged) else { continue };
        let read: Vec<_> = records.map_while(Result::ok).collect();
        assert!(read.len() < whole.len(), "bit {bit} was not detected");
        assert!(read.iter().zip(&whole).all(|(a, b)| a == b), "bit {bit} gave a wrong record");
    }
}

#[test]
fn a_torn_journal_keeps_its_whole_records() {
    let journal = run(&mut search::<Nets>(7), 6, |_, _| {});
    let ends: Vec<usize> = {
        let mut records = open_journal(&journal).unwrap().1;
        std::iter::from_fn(|| records.next().map(|_| records.good_bytes())).collect()
    };
    for length in 0..journal.len() {
        match open_journal(&journal[..length]) {
            Err(error) => assert_eq!(error, JournalError::Torn, "at {length}"),
            Ok((_, mut records)) => {
                let good = records.by_ref().take_while(Result::is_ok).count();
                assert_eq!(good, ends.iter().filter(|&&end| end <= length).count());
                let clean = length == records.good_bytes();
                assert!(records.next().is_none());
                assert!(clean || open_journal(&journal[..length]).unwrap().1.last() == Some(Err(JournalError::Torn)));
            }
        }
    }
}

#[test]
fn foreign_files_and_versions_are_refused() {
    assert_eq!(open_journal(b"\x89PNG\r\n\x1a\n and more").unwrap_err(), JournalError::NotAJournal);
    assert_eq!(open_journal(b"").unwrap_err(), JournalError::Torn);
    let mut journal = Vec::new();
    journal_writer(&Nets::of_run(), "", &mut journal);
    journal[8] = 2;
    assert_eq!(open_journal(&journal).unwrap_err(), JournalError::Version(2));
}

/// What readers refuse is not written.
#[test]
fn an_unreadable_journal_is_not_started() {
    let mut written = 0;
    let mut begin = |settings: &Settings, provenance: &str| {
        JournalWriter::begin(settings, provenance, &mut SinkFn::new(|bytes: &[u8]| written += bytes.len())).map(|_| ())
    };
    let good = Nets::of_run();
    assert_eq!(begin(&Settings::paper_cppn(0, 10), ""), Err(BeginError::Settings(SettingsError::Side)));
    assert_eq!(begin(&good.with_capacity(Capacity { nodes: 4, links: 99 }), ""), Err(BeginError::Settings(SettingsError::Nodes)));
    assert_eq!(begin(&good.with_capacity(Capacity { nodes: 5, links: 3 }), ""), Err(BeginError::Settings(SettingsError::Links)));
    // Nothing is truncated, least of all within a character.
    assert_eq!(begin(&good, &"\u{e4}".repeat(40_000)), Err(BeginError::ProvenanceTooLong));
    assert_eq!(written, 0);
    let provenance = "\u{e4}".repeat(32_767);
    let mut journal = Vec::new();
    journal_writer(&good, &provenance, &mut journal);
    assert_eq!(open_journal(&journal).unwrap().0.provenance, provenance);
}

/// A full sink.
struct Full {
    room: usize,
    written: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NoRoom;

impl std::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no room")
    }
}

impl std::error::Error for NoRoom {}

impl embedded_io::Error for NoRoom {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::OutOfMemory
    }
}

impl embedded_io::ErrorType for Full {
    type Error = NoRoom;
}

impl embedded_io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, NoRoom> {
        let length = bytes.len().min(self.room - self.written.len());
        self.written.extend_from_slice(&bytes[..length]);
        if length == 0 { Err(NoRoom) } else { Ok(length) }
    }

    fn flush(&mut self) -> Result<(), NoRoom> {
        Ok(())
    }
}

/// Wherever the sink fails, the writer reports it, and writes nothing more.
#[test]
fn a_sink_may_fail_at_any_byte() {
    let settings = Nets::of_run();
    let write = |sink: &mut Full| -> Result<(), BeginError<NoRoom>> {
        let mut writer = JournalWriter::begin(&settings, "a test", sink)?;
        for generation in 0..2 {
            let mut record = writer.record(generation, sink);
            (0..3).for_each(|cell| record.place(Placement { child: 2 * cell, cell, score: 0.5 }));
            record.end(1).map_err(BeginError::Sink)?;
        }
        Ok(())
    };
    let mut sink = Full { room: usize::MAX, written: Vec::new() };
    write(&mut sink).unwrap();
    let whole = sink.written;
    assert_eq!(open_journal(&whole).unwrap().1.filter(Result::is_ok).count(), 2);
    for room in 0..whole.len() {
        let mut sink = Full { room, written: Vec::new() };
        assert_eq!(write(&mut sink), Err(BeginError::Sink(NoRoom)), "{room} bytes");
        assert_eq!(sink.written, whole[..room]);
    }
}

/// Every other value of a byte of settings is another run or an error: readers do not ignore any byte.
#[test]
fn every_byte_of_settings_counts() {
    let single = Selection::Single { classes: 9, target: 3, keep: 5, pressure: Rate::new(0.1) };
    for settings in [Nets::of_run(), DirectBytes::of_run().in_colour(), Settings { selection: single, ..Nets::of_run() }] {
        let bytes = settings.to_bytes();
        for (at, bit) in (0..SETTINGS_BYTES).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut other = bytes;
            other[at] ^= 1 << bit;
            if let Ok(read) = Settings::from_bytes(&other) {
                assert!(read != settings && read.to_bytes() == other, "bit {bit} of byte {at} is ignored");
            }
        }
    }
    let read = |settings: &Settings, at: usize, byte: u8| {
        let mut bytes = settings.to_bytes();
        bytes[at] = byte;
        Settings::from_bytes(&bytes)
    };
    // The number of channels; the first byte after the number of cells; activations; crossover; the last byte.
    let (nets, direct) = (Nets::of_run(), DirectBytes::of_run());
    assert_eq!(read(&nets, 18, 2), Err(SettingsError::Channels));
    assert_eq!(read(&nets, 26, 1), Err(SettingsError::Padding));
    assert_eq!(read(&nets, 40, 0), Err(SettingsError::Activations));
    assert_eq!(read(&nets, 40, 16), Err(SettingsError::Activations));
    assert_eq!(read(&direct, 40, 2), Err(SettingsError::Padding));
    assert!(read(&direct, 40, 1).is_ok());
    assert_eq!(read(&direct, SETTINGS_BYTES - 1, 1), Err(SettingsError::Padding));
}

/// A change of a few bytes.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), 1_usize..24).prop_map(|(at, length)| Damage::Cut(at, length)),
        (at(), 1_usize..24).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let (Self::Set(at, _) | Self::Cut(at, _) | Self::Repeat(at, _)) = self;
        let at = at.index(bytes.len());
        match *self {
            Self::Set(_, byte) => bytes[at] = byte,
            Self::Cut(_, length) => drop(bytes.drain(at..(at + length).min(bytes.len()))),
            Self::Repeat(_, length) => {
                let part = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
}

/// A journal of six generations.
fn good_journal() -> &'static [u8] {
    static JOURNAL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    JOURNAL.get_or_init(|| run(&mut search::<Nets>(8), 6, |_, _| {}))
}

/// Corrects the checksums of a damaged journal: damage must then be detected by the contents alone.
fn with_good_checksums(mut journal: Vec<u8>) -> Vec<u8> {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let provenance = usize::from(u16::from_le_bytes([journal[10], journal[11]]));
    let (mut start, mut end, mut checksum) = (0, 12 + SETTINGS_BYTES + provenance, 0_u32);
    while end + 4 <= journal.len() {
        let mut digest = crc.digest_with_initial((!checksum).reverse_bits());
        digest.update(&journal[start..end]);
        checksum = digest.finalize();
        journal[end..end + 4].copy_from_slice(&checksum.to_le_bytes());
        start = end + 4;
        // The end mark of the record, at a place where one can be.
        let places = (start + 4..journal.len().saturating_sub(3)).step_by(12);
        let Some(mark) = places.into_iter().find(|&at| journal[at..at + 4] == [0xff; 4]) else { break };
        end = mark + 8;
    }
    journal
}

#[test]
fn forged_checksums_are_those_of_the_writer() {
    let mut blanked = good_journal().to_vec();
    let end = blanked.len();
    blanked[end - 4..].fill(0);
    assert!(open_journal(&blanked).unwrap().1.any(|record| record == Err(JournalError::Corrupt)));
    assert_eq!(with_good_checksums(blanked), good_journal());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn settings_survive_a_round_trip(seed: u64, side in 1_u16..4096, initial in 1_u32..1000, cells in 1_u32..100_000, kind in 0..4, draws in 2_u8..) {
        let mut s = Settings { seed, selection: Selection::MapElites { cells }, ..DirectBytes::of_run() };
        s.sizes.initial = initial;
        s.picture.side = side;
        if kind > 0 {
            let activations = ActivationSet::from_bits(5).unwrap();
            s.encoding = EncodingSettings::Cppn(CppnSettings { activations, eta: 20, ..CppnSettings::PAPER });
        }
        if kind == 3 {
            s.selection = Selection::Young { cells, draws };
        }
        if kind == 2 {
            s.selection = Selection::Single { classes: cells, target: cells - 1, keep: 60, pressure: Rate::new(0.1) };
        }
        prop_assert_eq!(Settings::from_bytes(&s.to_bytes()), Ok(s));
    }

    /// Valid settings with some bytes changed: whatever can be read is written with the same bytes.
    #[test]
    fn settings_are_read_from_their_own_bytes_only(damages in prop::collection::vec((0..SETTINGS_BYTES, any::<u8>()), 1..4), direct: bool) {
        let settings = if direct { DirectBytes::of_run() } else { Nets::of_run() };
        let mut bytes = settings.to_bytes();
        damages.iter().for_each(|&(at, byte)| bytes[at] = byte);
        if let Ok(read) = Settings::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
            prop_assert_eq!(read.check(), Ok(()));
            prop_assert_eq!(read == settings, bytes == settings.to_bytes());
        }
    }

    /// A damaged journal gives records of the undamaged one up to the damage, and then ends.
    #[test]
    fn damaged_journals_give_good_records_or_none(damages in prop::collection::vec(damage(), 1..3)) {
        let mut journal = good_journal().to_vec();
        damages.iter().for_each(|damage| damage.apply(&mut journal));
        let good: Vec<_> = open_journal(good_journal()).unwrap().1.map(Result::unwrap).collect();
        let same = journal.iter().zip(good_journal()).take_while(|(a, b)| a == b).count();
        let Ok((_, mut records)) = open_journal(&journal) else { return Ok(()) };
        let read: Vec<_> = records.by_ref().map_while(Result::ok).collect();
        prop_assert!(read.len() <= good.len() && read.iter().zip(&good).all(|(a, b)| a == b));
        prop_assert!(records.good_bytes() <= same, "{} of {same} bytes", records.good_bytes());
    }

    /// Without the help of checksums: every record that is read obeys the rules of the format, and a replay accepts or refuses it.
    #[test]
    fn records_obey_the_rules_under_forged_checksums(damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut journal = good_journal().to_vec();
        let header = 12 + SETTINGS_BYTES;
        for (at, byte) in damages {
            let at = header + at.index(journal.len() - header);
            journal[at] = byte;
        }
        let journal = with_good_checksums(journal);
        let Ok((header, records)) = open_journal(&journal) else { return Ok(()) };
        let mut search = Search::<Nets, _>::from_settings(&header.settings, archive::<Nets>()).unwrap();
        let (mut offspring, mut placements) = (blank::<Nets>(30), [Placement::default(); CLASSES]);
        for record in records.map_while(Result::ok) {
            let listed: Vec<_> = record.placements().collect();
            prop_assert!(listed.is_sorted_by(|a, b| (a.child, a.cell) < (b.child, b.cell)));
            let children = header.settings.children(record.generation);
            let allowed = |p: &Placement| p.child < children && p.cell < CLASSES as u32 && p.score.is_finite();
            prop_assert!(listed.iter().all(allowed));
            let before: Vec<f32> = search.population().cells().iter().map(Cell::score).collect();
            let mut scratch = ReplayScratch { offspring: &mut offspring, placements: &mut placements };
            if replay(&mut search, &record, &mut scratch).is_err() {
                break;
            }
            for (cell, before) in search.population().cells().iter().zip(before).enumerate().map(|(i, (cell, before))| ((i, cell), before)) {
                let best = listed.iter().rfind(|placement| placement.cell as usize == cell.0).map_or(before, |placement| placement.score);
                prop_assert!(cell.1.score() == best && best >= before);
            }
        }
    }
}
