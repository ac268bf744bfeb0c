//! Reads the four MNIST files in the idx format, plain or gzip.
//!
//! Contract: headers are not trusted. Before memory is allocated, the header of a plain file must match the size of the file, and that of a
//! compressed file must not promise more than its bytes can expand to. Decompression stops one byte after the promised size.
//!
//! Format (LeCun, Cortes, Burges), big-endian: image files start with magic 2051, count, rows and columns, followed by one byte for each
//! pixel, row by row, 0 = background, 255 = ink. Label files start with magic 2049 and count, followed by one byte for each label.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::util::files::FileError;

/// Side of an MNIST image in pixels.
pub(crate) const SIDE: usize = 28;
/// Bytes of one image: `SIDE * SIDE`.
pub const PIXELS: usize = SIDE * SIDE;
/// Number of digits; labels are `0..10`.
pub const CLASSES: usize = 10;

const IMAGES_MAGIC: u32 = 2051;
const LABELS_MAGIC: u32 = 2049;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// No file may expand to more than this; the largest MNIST file has 47 MB.
const MAX_BODY: u64 = 1 << 28;
/// Deflate cannot expand by more than this factor (zlib's technical notes, "Maximum Compression Factor").
const MAX_DEFLATE_RATIO: u64 = 1032;

/// What can be wrong with an MNIST folder; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum MnistError {
    /// The file does not exist under any of its names.
    #[error(
        "{}: {name} is missing (also as {}, and with .gz); download the four MNIST files into this folder",
        dir.display(),
        with_dot(name)
    )]
    Missing {
        /// The folder.
        dir: PathBuf,
        /// Name of the file, without `.gz`.
        name: &'static str,
    },
    /// The operating system or the gzip decoder reported an error.
    #[error(transparent)]
    File(#[from] FileError),
    /// A header field has an invalid value.
    #[error("{}: field `{field}` is {found}, expected {expected}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// `magic`, `count`, `rows`, `columns` or `label`.
        field: &'static str,
        /// The value in the file.
        found: u64,
        /// The expected value, in words.
        expected: String,
    },
    /// The header promises more or fewer bytes than the file has.
    #[error(
        "{}: field `count` promises {promised} bytes after the header, but the file {holds}; it is truncated, padded or not an MNIST file",
        file.display()
    )]
    Size {
        /// The file.
        file: PathBuf,
        /// Bytes after the header, according to the header.
        promised: u64,
        /// What the file has instead, in words.
        holds: String,
    },
    /// The numbers of images and labels differ.
    #[error("{}: has {labels} labels for {images} images; the files belong to different sets", file.display())]
    Pairing {
        /// The labels file.
        file: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
}

/// Images with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// `len() * PIXELS` bytes, image after image, row by row; 0 = background, 255 = ink.
    pub images: Vec<u8>,
    /// One label for each image, each in `0..CLASSES`.
    pub labels: Vec<u8>,
}

impl Dataset {
    /// Number of images.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images; never true for a set that was read from files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The [`PIXELS`] bytes of image `index`.
    ///
    /// # Panics
    /// If `index >= len()`.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * PIXELS..][..PIXELS]
    }

    /// The mean of each pixel over the images: [`PIXELS`] numbers from 0 to 255, or zeros if there are no images.
    #[must_use]
    pub fn mean_image(&self) -> Vec<f32> {
        let mut sums = vec![0_u64; PIXELS];
        for image in self.images.chunks_exact(PIXELS) {
            sums.iter_mut().zip(image).for_each(|(sum, byte)| *sum += u64::from(*byte));
        }
        sums.into_iter().map(|sum| (sum as f64 / self.len().max(1) as f64) as f32).collect()
    }
}

/// All of MNIST: 60 000 training images and 10 000 test images.
#[cfg(feature = "cli")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mnist {
    /// `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`.
    pub train: Dataset,
    /// `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`.
    pub test: Dataset,
}

#[cfg(feature = "cli")]
impl Mnist {
    /// Reads all four files in `dir`, under their usual names: `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, with or without
    /// `.gz`. The first one found is read; its bytes tell whether it is compressed.
    ///
    /// # Errors
    /// [`MnistError`], if a file is missing, unreadable or invalid.
    pub(crate) fn load(dir: &Path) -> Result<Self, MnistError> {
        Ok(Self { train: load_pair(dir, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")?, test: load_test(dir)? })
    }
}

/// Reads only the two files of the test set in `dir`.
///
/// # Errors
/// `MnistError`, if a file is missing, unreadable or invalid.
pub fn load_test(dir: &Path) -> Result<Dataset, MnistError> {
    load_pair(dir, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
}

fn load_pair(dir: &Path, images: &'static str, labels: &'static str) -> Result<Dataset, MnistError> {
    let images = read_images(&find(dir, images)?)?;
    let file = find(dir, labels)?;
    let labels = read_labels(&file)?;
    if images.len() != labels.len() * PIXELS {
        return Err(MnistError::Pairing { file, images: images.len() / PIXELS, labels: labels.len() });
    }
    Ok(Dataset { images, labels })
}

fn find(dir: &Path, name: &'static str) -> Result<PathBuf, MnistError> {
    let dotted = with_dot(name);
    let names = [name.to_owned(), format!("{name}.gz"), format!("{dotted}.gz"), dotted];
    let found = names.into_iter().map(|name| dir.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| MnistError::Missing { dir: dir.to_path_buf(), name })
}

/// The name with a dot before `idx`, which some mirrors use.
fn with_dot(name: &str) -> String {
    name.replace("-idx", ".idx")
}

fn read_images(file: &Path) -> Result<Vec<u8>, MnistError> {
    let mut idx = Idx::open(file)?;
    idx.expect("magic", IMAGES_MAGIC)?;
    let count = idx.count()?;
    idx.expect("rows", SIDE as u32)?;
    idx.expect("columns", SIDE as u32)?;
    idx.body(u64::from(count) * PIXELS as u64)
}

fn read_labels(file: &Path) -> Result<Vec<u8>, MnistError> {
    let mut idx = Idx::open(file)?;
    idx.expect("magic", LABELS_MAGIC)?;
    let count = idx.count()?;
    let labels = idx.body(u64::from(count))?;
    match labels.iter().find(|&&label| usize::from(label) >= CLASSES) {
        Some(&label) => Err(MnistError::Field { file: file.into(), field: "label", found: label.into(), expected: "0 to 9".into() }),
        None => Ok(labels),
    }
}

/// An idx file that is being read from start to end.
struct Idx<'a> {
    file: &'a Path,
    reader: Box<dyn Read>,
    size: u64,
    gzipped: bool,
    header: u64,
}

impl<'a> Idx<'a> {
    fn open(file: &'a Path) -> Result<Self, MnistError> {
        let fail = |reason| MnistError::File(FileError::new("read", file, reason));
        let handle = File::open(file).map_err(fail)?;
        let size = handle.metadata().map_err(fail)?.len();
        let mut plain = BufReader::new(handle);
        // An idx file starts with two zeros.
        let gzipped = plain.fill_buf().map_err(fail)?.starts_with(&GZIP_MAGIC);
        let reader: Box<dyn Read> = if gzipped { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };
        Ok(Self { file, reader, size, gzipped, header: 0 })
    }

    fn fail(&self, reason: io::Error) -> MnistError {
        MnistError::File(FileError::new("read", self.file, reason))
    }

    fn field(&mut self) -> Result<u32, MnistError> {
        let mut bytes = [0; 4];
        self.reader.read_exact(&mut bytes).map_err(|error| self.fail(error))?;
        self.header += 4;
        Ok(u32::from_be_bytes(bytes))
    }

    fn expect(&mut self, field: &'static str, expected: u32) -> Result<(), MnistError> {
        let found = self.field()?;
        if found == expected {
            return Ok(());
        }
        Err(MnistError::Field { file: self.file.into(), field, found: found.into(), expected: expected.to_string() })
    }

    fn count(&mut self) -> Result<u32, MnistError> {
        match self.field()? {
            0 => Err(MnistError::Field { file: self.file.into(), field: "count", found: 0, expected: "at least 1".into() }),
            count => Ok(count),
        }
    }

    /// The `promised` bytes after the header, and nothing more.
    fn body(mut self, promised: u64) -> Result<Vec<u8>, MnistError> {
        self.check_size(promised)?;
        // At most MAX_BODY, and no more than the compressed bytes can really contain.
        let mut body = Vec::with_capacity(promised as usize);
        let mut reader = self.reader.by_ref().take(promised + 1);
        reader.read_to_end(&mut body).map_err(|reason| MnistError::File(FileError::new("read", self.file, reason)))?;
        match body.len() as u64 {
            length if length == promised => Ok(body),
            length if length < promised => Err(self.wrong_size(promised, format!("ends after {length}"))),
            _ => Err(self.wrong_size(promised, "continues after them".into())),
        }
    }

    fn check_size(&self, promised: u64) -> Result<(), MnistError> {
        if promised > MAX_BODY {
            return Err(self.wrong_size(promised, format!("may have at most {MAX_BODY}")));
        }
        if self.gzipped {
            let most = self.size.saturating_mul(MAX_DEFLATE_RATIO);
            if promised > most {
                return Err(self.wrong_size(promised, format!("cannot expand to more than {most}")));
            }
        } else if self.size != self.header + promised {
            return Err(self.wrong_size(promised, format!("has {}", self.size.saturating_sub(self.header))));
        }
        Ok(())
    }

    fn wrong_size(&self, promised: u64, holds: String) -> MnistError {
        MnistError::Size { file: self.file.into(), promised, holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tempfile::TempDir;

    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend_from_slice(body);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pictures(count: usize) -> Vec<u8> {
        (0..count * PIXELS).map(|i| (i % 251) as u8).collect()
    }

    /// A folder with a valid test set of three images, plain.
    fn good() -> TempDir {
        let dir = TempDir::new().unwrap();
        put(&dir, "t10k-images-idx3-ubyte", &idx(IMAGES_MAGIC, &[3, 28, 28], &pictures(3)));
        put(&dir, "t10k-labels-idx1-ubyte", &idx(LABELS_MAGIC, &[3], &[7, 0, 9]));
        dir
    }

    fn put(dir: &TempDir, name: &str, bytes: &[u8]) {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }

    fn message(dir: &TempDir) -> String {
        load_test(dir.path()).unwrap_err().to_string()
    }

    #[test]
    fn reads_plain_files() {
        let set = load_test(good().path()).unwrap();
        assert_eq!(set.labels, [7, 0, 9]);
        assert_eq!(set.len(), 3);
        assert_eq!(set.image(2), &pictures(3)[2 * PIXELS..]);
    }

    #[test]
    fn reads_gzipped_files_and_all_four() {
        let dir = TempDir::new().unwrap();
        for (set, count) in [("train", 5usize), ("t10k", 2)] {
            let images = idx(IMAGES_MAGIC, &[count as u32, 28, 28], &pictures(count));
            put(&dir, &format!("{set}-images-idx3-ubyte.gz"), &gzip(&images));
            let labels = idx(LABELS_MAGIC, &[count as u32], &vec![4; count]);
            put(&dir, &format!("{set}-labels-idx1-ubyte.gz"), &gzip(&labels));
        }
        let mnist = Mnist::load(dir.path()).unwrap();
        assert_eq!((mnist.train.len(), mnist.test.len()), (5, 2));
        assert_eq!(mnist.train.images, pictures(5));
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = good();
        std::fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
        assert!(message(&dir).contains("t10k-labels-idx1-ubyte is missing (also as t10k-labels.idx1-ubyte, and with .gz)"));
    }

    #[test]
    fn the_usual_names_are_found_and_the_bytes_tell_what_is_compressed() {
        let images = idx(IMAGES_MAGIC, &[3, 28, 28], &pictures(3));
        let labels = idx(LABELS_MAGIC, &[3], &[7, 0, 9]);
        let names = ["-idx", ".idx"].map(|sign| ["", ".gz"].map(|ending| (sign, ending)));
        for (sign, ending) in names.into_iter().flatten() {
            for compressed in [false, true] {
                let dir = TempDir::new().unwrap();
                let stored = |bytes: &[u8]| if compressed { gzip(bytes) } else { bytes.to_vec() };
                put(&dir, &format!("t10k-images{sign}3-ubyte{ending}"), &stored(&images));
                put(&dir, &format!("t10k-labels{sign}1-ubyte{ending}"), &stored(&labels));
                let set = load_test(dir.path()).unwrap();
                assert_eq!((set.images.len(), &set.labels[..]), (3 * PIXELS, &[7, 0, 9][..]), "{sign}, {ending}, {compressed}");
            }
        }
    }

    #[test]
    fn header_fields_are_checked_by_name() {
        for (sizes, magic, field) in [
            ([3, 28, 28], LABELS_MAGIC, "`magic` is 2049, expected 2051"),
            ([0, 28, 28], IMAGES_MAGIC, "`count` is 0"),
            ([3, 27, 28], IMAGES_MAGIC, "`rows` is 27, expected 28"),
            ([3, 28, 4_000_000_000], IMAGES_MAGIC, "`columns` is 4000000000"),
        ] {
            let dir = good();
            put(&dir, "t10k-images-idx3-ubyte", &idx(magic, &sizes, &pictures(3)));
            let message = message(&dir);
            assert!(message.contains(field) && message.contains("t10k-images-idx3-ubyte"), "{message}");
        }
    }

    #[test]
    fn a_header_that_promises_too_much_is_refused_before_memory_is_allocated() {
        for count in [4, 1 << 20, 1 << 31, u32::MAX] {
            let bytes = idx(IMAGES_MAGIC, &[count, 28, 28], &pictures(3));
            let plain = good();
            put(&plain, "t10k-images-idx3-ubyte", &bytes);
            assert!(message(&plain).contains("`count` promises"));

            let gzipped = good();
            std::fs::remove_file(gzipped.path().join("t10k-images-idx3-ubyte")).unwrap();
            put(&gzipped, "t10k-images-idx3-ubyte.gz", &gzip(&bytes));
            assert!(message(&gzipped).contains("`count` promises"));
        }
    }

    #[test]
    fn a_gzip_bomb_is_stopped_at_what_the_header_promises() {
        let dir = good();
        std::fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
        let bomb = gzip(&idx(LABELS_MAGIC, &[3], &vec![1; 1 << 24]));
        assert!(bomb.len() < 1 << 15, "the bomb is small on disk");
        put(&dir, "t10k-labels-idx1-ubyte.gz", &bomb);
        assert!(message(&dir).contains("continues after them"));
    }

    #[test]
    fn cut_and_padded_files_are_refused() {
        let whole = idx(IMAGES_MAGIC, &[3, 28, 28], &pictures(3));
        for length in [0, 3, 10, 16, whole.len() - 1] {
            let dir = good();
            put(&dir, "t10k-images-idx3-ubyte", &whole[..length]);
            assert!(message(&dir).contains("t10k-images-idx3-ubyte"), "cut at {length}");
        }
        let dir = good();
        put(&dir, "t10k-images-idx3-ubyte", &[whole.as_slice(), b"!"].concat());
        assert!(message(&dir).contains("has 2353"));
    }

    #[test]
    fn a_damaged_gzip_is_an_error() {
        let dir = good();
        std::fs::remove_file(dir.path().join("t10k-images-idx3-ubyte")).unwrap();
        let mut bytes = gzip(&idx(IMAGES_MAGIC, &[3, 28, 28], &pictures(3)));
        let checksum = bytes.len() - 6;
        bytes[checksum] ^= 1;
        put(&dir, "t10k-images-idx3-ubyte.gz", &bytes);
        assert!(message(&dir).contains("cannot read"));
        put(&dir, "t10k-images-idx3-ubyte.gz", &bytes[..bytes.len() / 2]);
        assert!(message(&dir).contains("cannot read"));
    }

    #[test]
    fn labels_must_be_digits_and_as_many_as_images() {
        let dir = good();
        put(&dir, "t10k-labels-idx1-ubyte", &idx(LABELS_MAGIC, &[3], &[1, 10, 2]));
        assert!(message(&dir).contains("`label` is 10, expected 0 to 9"));
        put(&dir, "t10k-labels-idx1-ubyte", &idx(LABELS_MAGIC, &[2], &[1, 2]));
        assert!(message(&dir).contains("has 2 labels for 3 images"));
    }
}
