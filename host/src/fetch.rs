//! Downloads a network over HTTPS. An interrupted download is resumed, and the file gets its name only after its digest has been checked.
//!
//! The digest in the card decides whether the file is right, so neither the server nor the connection needs to be trusted. Plain HTTP is
//! refused all the same, also after a redirect: what a user downloads is nobody else's business.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::util::files::FileError;
use crate::util::lock::Locked;

/// Why a network could not be downloaded. What has arrived is kept next to the file, and the next attempt continues from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FetchError {
    /// The URL is not an HTTPS URL.
    #[error("{0}: only https:// URLs are supported")]
    NotHttps(String),
    /// The server could not be reached, or the connection was lost.
    #[error("{url}: {problem}")]
    Network {
        /// The URL.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The server sends almost nothing.
    #[error(
        "{url}: fewer than {least} bytes arrived in {seconds:.0} s; what has arrived is kept, and the next attempt continues from \
         there"
    )]
    TooSlow {
        /// The URL.
        url: String,
        /// The number of bytes that should have arrived.
        least: u64,
        /// In this time.
        seconds: f64,
    },
    /// The server does not send the file.
    #[error("{url}: the server answered {status}{}", if *.status == 404 { "; the file is not there, or no longer there" } else { "" })]
    Status {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The server sends more bytes than the file has.
    #[error("{url}: the server sends more than the {expected} bytes of the file, so it is a different file")]
    TooLong {
        /// The URL.
        url: String,
        /// The size of the file, or the largest accepted size.
        expected: u64,
    },
    /// The file has the wrong digest.
    #[error("{url}: the file has sha256 {found}, not {expected}; it was deleted")]
    Digest {
        /// The URL.
        url: String,
        /// The digest in the card.
        expected: String,
        /// The digest of the downloaded file.
        found: String,
    },
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process is downloading the same file.
    #[error("another process is downloading {}; wait for it to finish", .0.display())]
    InUse(PathBuf),
}

/// What is expected of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedFile {
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// The largest accepted number of bytes.
    pub most_bytes: u64,
}

/// The result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// The file already existed.
    Present,
    /// The file was downloaded; this many bytes came from an earlier attempt.
    Downloaded {
        /// Bytes from an earlier attempt.
        resumed_from: u64,
    },
}

/// Timeouts. A large file over a slow connection may take hours, so there is no limit on the total time.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// For name resolution, for connecting, and for each read.
    silence: Duration,
    /// For the response headers. Also the interval in which [`Timeouts::least`] bytes must arrive.
    slow: Duration,
    least: u64,
}

impl Timeouts {
    const USUAL: Self = Self { silence: Duration::from_secs(30), slow: Duration::from_secs(60), least: 1 << 14 };
}

/// Speaks HTTPS only.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    patience: Timeouts,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(true, Timeouts::USUAL)
    }
}

impl Client {
    /// Only the tests in this file use a client that speaks plain HTTP.
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
        // A proxy from the environment is not for the tests' local server.
        let config = if https_only { config } else { config.proxy(None) };
        Self { agent: config.build().into(), patience }
    }
}

/// The response of a server.
struct Answer {
    /// The position in the file at which it begins.
    from: u64,
    body: Box<dyn Read>,
}

impl Client {
    /// Requests a file from byte `from` on. A server may ignore that and begin at byte 0.
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
            // Nothing follows the bytes that we have. Either they are wrong, or the server does not support ranges.
            (416 | 206, _) if from > 0 => return self.get(url, 0),
            _ => return Err(FetchError::Status { url: url.to_owned(), status }),
        };
        Ok(Answer { from, body: Box::new(answer.into_body().into_reader()) })
    }

    /// Downloads the file at `url` to `to`, unless it exists. `progress` receives the number of bytes that have arrived.
    ///
    /// Until the file is complete and its digest is right, it is kept as `to` with `.part` appended, then renamed. A part from an earlier
    /// attempt is continued if the server supports that.
    ///
    /// # Errors
    ///
    /// [`FetchError`].
    pub(crate) fn fetch(&self, url: &str, wanted: &ExpectedFile, to: &Path, progress: &mut dyn FnMut(u64)) -> Result<Fetched, FetchError> {
        if digest_of(to).is_ok_and(|found| found.eq_ignore_ascii_case(&wanted.sha256)) {
            return Ok(Fetched::Present);
        }
        let mut part = PartialFile::open(to, wanted.most_bytes)?;
        let resumed_from = part.length;
        let mut found = self.complete(url, wanted, &mut part, progress)?;
        if !found.eq_ignore_ascii_case(&wanted.sha256) && resumed_from > 0 {
            // The part may belong to a different file: try once more from the start.
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

    /// Downloads the missing rest of a part and returns the digest of the whole file.
    fn complete(
        &self,
        url: &str,
        wanted: &ExpectedFile,
        part: &mut PartialFile,
        progress: &mut dyn FnMut(u64),
    ) -> Result<String, FetchError> {
        // The part is complete but was not renamed: there is nothing to request.
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
                    let problem = format!("interrupted after {} bytes: {error}; the next attempt continues from there", part.length);
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

/// Where the bytes of a `Content-Range` begin, as in `bytes 100-199/200`.
fn range_start(header: &str) -> Option<u64> {
    header.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

/// A file that is being downloaded, locked while it is open. If it is empty, it is removed.
struct PartialFile {
    path: PathBuf,
    file: Locked,
    length: u64,
    hash: Sha256,
}

impl PartialFile {
    /// Opens the part of a file, with the bytes of earlier attempts.
    fn open(to: &Path, most_bytes: u64) -> Result<Self, FetchError> {
        let mut path = to.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let fail = |action, source| FetchError::File(FileError::new(action, &path, source));
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(|source| fail("create the folder of", source))?;
        }
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = match Locked::new(file.map_err(|source| fail("make", source))?) {
            Ok(file) if file.is_at(&path) => file,
            // If its name is gone, the process that held it has finished or given up.
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
        move |source| FetchError::File(FileError::new(action, &path, source))
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
        crate::util::text::hex(&self.hash.clone().finalize())
    }

    /// Deletes it. If that fails, the next attempt finds that its digest is wrong.
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

/// Adds everything that can be read to a digest, and returns the number of bytes.
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
    Ok(crate::util::text::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests;
