//! Downloading a network: over HTTPS, resumed where it was broken off, seen under its name only after its digest has been checked.
//!
//! The digest in the card decides whether a file is the right one, so neither the server nor the way to it need be trusted. Still no
//! plain HTTP is spoken: what is fetched is nobody's business, and a redirect from HTTPS to HTTP is refused as well.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::util::lock::Locked;

/// Why a network could not be fetched. What has arrived stays beside the file, so that the next try goes on with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is not one of HTTPS.
    #[error("{0}: only https:// addresses are fetched from")]
    NotHttps(String),
    /// The server could not be reached, or broke off.
    #[error("{url}: {problem}")]
    Network {
        /// The address.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The server sends hardly anything any more.
    #[error("{url}: fewer than {least} bytes came in {seconds:.0} s; what is here is kept, and the next try goes on from there")]
    TooSlow {
        /// The address.
        url: String,
        /// Bytes that should have come at least.
        least: u64,
        /// In which time.
        seconds: f64,
    },
    /// The server does not give the file.
    #[error("{url}: the server answers {status}{}", if *.status == 404 { "; the file is not there (any more)" } else { "" })]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server has more bytes than there should be.
    #[error("{url}: it gives more than the {expected} bytes that the file has; this is not the file")]
    TooLong {
        /// The address.
        url: String,
        /// Bytes that the file should have, or may have at most.
        expected: u64,
    },
    /// The file is another one.
    #[error("{url}: what it gives has sha256 {found}, not {expected}: it is another file, and was thrown away")]
    Digest {
        /// The address.
        url: String,
        /// The digest that the card gives.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was to be done.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process fetches the same file.
    #[error("{} is being fetched by another process; wait for it", .0.display())]
    InUse(PathBuf),
}

/// What a file is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Most bytes that are taken.
    pub most_bytes: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was there already.
    Present,
    /// It was downloaded; so many bytes of it had been there from a try before.
    Downloaded {
        /// Bytes that had been there.
        resumed_from: u64,
    },
}

/// How long a server is waited for. A large file over a slow line may take hours, so there is no limit on the whole.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// For the address, the connection, and each read.
    silence: Duration,
    /// For the head of the answer. Also the time in which [`Timeouts::least`] bytes must come.
    slow: Duration,
    least: u64,
}

impl Timeouts {
    const USUAL: Self = Self { silence: Duration::from_secs(30), slow: Duration::from_secs(60), least: 1 << 14 };
}

/// Speaks HTTPS, and nothing else.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    patience: Timeouts,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(true, Timeouts::USUAL)
    }
}

impl Client {
    /// Only the tests of this file have a client that speaks plain HTTP.
    fn new(https_only: bool, patience: Timeouts) -> Self {
        let config = ureq::Agent::config_builder()
            .https_only(https_only)
            .http_status_as_error(false)
            .user_agent(concat!("fooling/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(patience.silence))
            .timeout_connect(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .timeout_per_write(Some(patience.silence))
            .timeout_recv_response(Some(patience.slow));
        // A proxy of the surroundings is for the world outside.
        let config = if https_only { config } else { config.proxy(None) };
        Self { agent: config.build().into(), patience }
    }
}

/// What a server sends.
struct Answer {
    /// Where in the file it begins.
    from: u64,
    body: Box<dyn Read>,
}

impl Client {
    /// Asks for a file, from byte `from` on. A server may begin at byte 0 all the same.
    fn get(&self, url: &str, from: u64) -> Result<Answer, FetchError> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let answer = request.call().map_err(|error| match error {
            ureq::Error::RequireHttpsOnly(address) => FetchError::NotHttps(address),
            error => FetchError::Network { url: url.to_owned(), problem: error.to_string() },
        })?;
        let status = answer.status().as_u16();
        let begins = answer.headers().get("Content-Range").and_then(|range| range_start(range.to_str().ok()?));
        let from = match (status, begins) {
            (200, _) => 0,
            (206, Some(begins)) if begins == from => from,
            // There is nothing behind what is here already, so that is wrong, or the server does not know ranges.
            (416 | 206, _) if from > 0 => return self.get(url, 0),
            _ => return Err(FetchError::Status { url: url.to_owned(), status }),
        };
        Ok(Answer { from, body: Box::new(answer.into_body().into_reader()) })
    }

    /// Downloads the file at `url` to `to`, unless it is there. `progress` is told how many bytes of it are here.
    ///
    /// What arrives is kept in `to` with `.part` behind its name, and renamed when all of it is here and its digest is right. A part from
    /// an earlier try is gone on with if the server can do that.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub fn fetch(&self, url: &str, wanted: &ExpectedFile, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Fetched, FetchError> {
        if digest_of(to).is_ok_and(|found| found.eq_ignore_ascii_case(&wanted.sha256)) {
            return Ok(Fetched::Present);
        }
        let mut part = PartialFile::open(to, wanted.most_bytes)?;
        let resumed_from = part.length;
        let mut found = self.complete(url, wanted, &mut part, progress)?;
        if !found.eq_ignore_ascii_case(&wanted.sha256) && resumed_from > 0 {
            // The part may have been of another file: once more, from the start.
            part.restart()?;
            found = self.complete(url, wanted, &mut part, progress)?;
        }
        if !found.eq_ignore_ascii_case(&wanted.sha256) {
            part.remove();
            return Err(FetchError::Digest { url: url.to_owned(), expected: wanted.sha256.clone(), found });
        }
        part.finish(to)?;
        Ok(Fetched::Downloaded { resumed_from })
    }

    /// Downloads what is missing of a part and returns the digest of the whole.
    fn complete(
        &self,
        url: &str,
        wanted: &ExpectedFile,
        part: &mut PartialFile,
        progress: &mut dyn FnMut(u64),
    ) -> Result<String, FetchError> {
        // A whole part that was not renamed any more need not be asked for.
        if part.length > 0 && part.digest().eq_ignore_ascii_case(&wanted.sha256) {
            return Ok(part.digest());
        }
        let mut answer = self.get(url, part.length)?;
        if answer.from != part.length {
            part.restart()?;
        }
        let mut buffer = vec![0; 1 << 16];
        let (mut since, mut before) = (Instant::now(), part.length);
        loop {
            progress(part.length);
            let Timeouts { slow, least, .. } = self.patience;
            if since.elapsed() > slow {
                if part.length - before < least {
                    return Err(FetchError::TooSlow { url: url.to_owned(), least, seconds: since.elapsed().as_secs_f64() });
                }
                (since, before) = (Instant::now(), part.length);
            }
            let count = match answer.body.read(&mut buffer) {
                Ok(0) => return Ok(part.digest()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let problem = format!("broken off after {} bytes: {error}; the next try goes on from there", part.length);
                    return Err(FetchError::Network { url: url.to_owned(), problem });
                }
            };
            if part.length + count as u64 > wanted.most_bytes {
                part.remove();
                return Err(FetchError::TooLong { url: url.to_owned(), expected: wanted.most_bytes });
            }
            part.append(&buffer[..count])?;
        }
    }
}

/// Where the bytes of a `Content-Range` begin: `bytes 100-199/200`.
fn range_start(header: &str) -> Option<u64> {
    header.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

/// A file on its way, locked while it is open. An empty one leaves nothing behind.
struct PartialFile {
    path: PathBuf,
    file: Locked,
    length: u64,
    hash: Sha256,
}

impl PartialFile {
    /// Opens the part of a file, with what is in it from an earlier try.
    fn open(to: &Path, most_bytes: u64) -> Result<Self, FetchError> {
        let mut path = to.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let fail = |action, source| FetchError::File { action, path: path.clone(), source };
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(|source| fail("make the folder of", source))?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = match Locked::new(file.map_err(|source| fail("make", source))?) {
            Ok(file) if file.is_at(&path) => file,
            // One without its name was finished, or given up, by who had it until now.
            Ok(_) | Err(TryLockError::WouldBlock) => return Err(FetchError::InUse(to.to_owned())),
            Err(TryLockError::Error(source)) => return Err(fail("lock", source)),
        };
        let mut hash = Sha256::new();
        let length = add(&mut (&*file).take(most_bytes + 1), &mut hash).map_err(|source| fail("read", source))?;
        let mut part = Self { path, file, length, hash };
        if length > most_bytes {
            part.restart()?;
        }
        Ok(part)
    }

    fn fail(&self, action: &'static str) -> impl FnOnce(io::Error) -> FetchError {
        let path = self.path.clone();
        move |source| FetchError::File { action, path, source }
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        (self.length, self.hash) = (0, Sha256::new());
        let empty = self.file.set_len(0).and_then(|()| (&*self.file).seek(SeekFrom::Start(0)));
        empty.map(|_| ()).map_err(self.fail("empty"))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        (&*self.file).write_all(bytes).map_err(self.fail("write"))?;
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn digest(&self) -> String {
        crate::model::hex(&self.hash.clone().finalize())
    }

    /// Throws it away; that it cannot be removed is no news, the next try finds that it does not fit.
    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }

    fn finish(&self, to: &Path) -> Result<(), FetchError> {
        self.file.sync_all().map_err(self.fail("write"))?;
        std::fs::rename(&self.path, to).map_err(self.fail("rename"))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if self.length == 0 {
            self.remove();
        }
    }
}

/// Adds all that can be read to a digest, and returns how many bytes that were.
fn add(from: &mut impl Read, hash: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(count) => {
                hash.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The digest of a file.
fn digest_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    add(&mut File::open(path)?, &mut hash)?;
    Ok(crate::model::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests;
