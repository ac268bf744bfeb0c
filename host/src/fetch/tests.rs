//! A local server that behaves like all kinds of servers, good and bad.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

/// How the server treats a request.
#[derive(Clone, Debug)]
enum Manner {
    /// Sends the file, or the requested range.
    Good,
    /// Does not support ranges.
    NoRanges,
    /// Announces the whole file, sends this many bytes, and closes the connection.
    BreaksOff(usize),
    /// Answers with a status and no file.
    Status(&'static str),
    /// Redirects.
    Redirect(String),
    /// Sends endlessly, without announcing a size.
    Endless,
    /// Answers with a different range.
    WrongRange,
    /// Announces the whole file, sends this many bytes, and then nothing, without closing the connection.
    FallsSilent(usize),
    /// Announces the whole file and sends a byte now and then.
    Drips,
    /// Accepts the request and does not answer.
    SaysNothing,
}

struct Server {
    url: String,
    manner: Arc<Mutex<Manner>>,
    /// The requested ranges.
    ranges: Arc<Mutex<Vec<Option<String>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn new(file: Vec<u8>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/net.onnx", listener.local_addr().unwrap());
        let (manner, ranges) = (Arc::new(Mutex::new(manner)), Arc::new(Mutex::new(Vec::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let (of_thread, asked, stopped) = (manner.clone(), ranges.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let manner = of_thread.lock().unwrap().clone();
                // A client may close the connection early.
                let _ = serve(stream.unwrap(), &file, &manner, &asked);
            }
        });
        Self { url, manner, ranges, stop, thread: Some(thread) }
    }

    fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn ranges(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.ranges.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/net.onnx"));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn serve(mut stream: TcpStream, file: &[u8], manner: &Manner, ranges: &Mutex<Vec<Option<String>>>) -> io::Result<()> {
    let mut range = None;
    for line in BufReader::new(&stream).lines() {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        range = line.strip_prefix("range: ").map(str::to_owned).or(range);
    }
    ranges.lock().unwrap().push(range.clone());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()).unwrap_or(0);
    let head = |status: &str, more: String| format!("HTTP/1.1 {status}\r\nConnection: close\r\n{more}\r\n");
    let whole = |from: usize| {
        let (rest, last, all) = (file.len() - from, file.len() - 1, file.len());
        match from {
            0 => head("200 OK", format!("Content-Length: {all}\r\n")),
            _ => head("206 Partial Content", format!("Content-Length: {rest}\r\nContent-Range: bytes {from}-{last}/{all}\r\n")),
        }
    };
    match manner {
        Manner::Good if from >= file.len() => stream.write_all(head("416 Range Not Satisfiable", String::new()).as_bytes()),
        Manner::Good => stream.write_all(&[whole(from).as_bytes(), &file[from..]].concat()),
        Manner::BreaksOff(bytes) => stream.write_all(&[whole(from).as_bytes(), &file[from..from + bytes]].concat()),
        Manner::Status(status) => stream.write_all(head(status, "Content-Length: 0\r\n".into()).as_bytes()),
        Manner::Redirect(to) => stream.write_all(head("302 Found", format!("Location: {to}\r\nContent-Length: 0\r\n")).as_bytes()),
        Manner::Endless => {
            stream.write_all(head("200 OK", String::new()).as_bytes())?;
            loop {
                stream.write_all(&[0; 1 << 12])?;
            }
        }
        Manner::WrongRange if from > 0 => {
            stream.write_all(head("206 Partial Content", "Content-Length: 1\r\nContent-Range: bytes 0-0/9\r\n".into()).as_bytes())?;
            stream.write_all(b"x")
        }
        Manner::FallsSilent(bytes) => {
            stream.write_all(&[whole(from).as_bytes(), &file[from..from + bytes]].concat())?;
            wait_for_the_end(&stream)
        }
        Manner::Drips => {
            stream.write_all(whole(from).as_bytes())?;
            stream.set_nodelay(true)?;
            for byte in &file[from..] {
                stream.write_all(&[*byte])?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
        Manner::SaysNothing => wait_for_the_end(&stream),
        Manner::NoRanges | Manner::WrongRange => stream.write_all(&[whole(0).as_bytes(), file].concat()),
    }
}

/// Until the client closes the connection.
fn wait_for_the_end(mut stream: &TcpStream) -> io::Result<()> {
    stream.read(&mut [0]).map(|_| ())
}

/// A client that speaks plain HTTP.
fn client(patience: Timeouts) -> Client {
    Client::new(false, patience)
}

/// Timeouts: short where the test is about a server that stalls, otherwise as long as for users, so that a busy machine does not fail a
/// test.
fn patience(manner: &Manner) -> Timeouts {
    match manner {
        Manner::FallsSilent(_) | Manner::SaysNothing => Timeouts { silence: Duration::from_secs(1), ..Timeouts::USUAL },
        Manner::Drips => Timeouts { slow: Duration::from_secs(2), least: 10_000, ..Timeouts::USUAL },
        _ => Timeouts::USUAL,
    }
}

struct Case {
    server: Server,
    file: Vec<u8>,
    wanted: ExpectedFile,
    folder: tempfile::TempDir,
}

impl Case {
    fn new(manner: Manner) -> Self {
        let file: Vec<u8> = (0..300_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let wanted = ExpectedFile { sha256: crate::util::text::hex(&Sha256::digest(&file)), most_bytes: file.len() as u64 };
        Self { server: Server::new(file.clone(), manner), file, wanted, folder: tempfile::tempdir().unwrap() }
    }

    fn to(&self) -> PathBuf {
        self.folder.path().join("cache/net.onnx")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("cache/net.onnx.part")
    }

    fn fetch(&self) -> Result<Fetched, FetchError> {
        let patience = patience(&self.server.manner.lock().unwrap());
        client(patience).fetch(&self.server.url, &self.wanted, &self.to(), &mut |_| {})
    }

    /// Attempts a download that must fail, and checks that no file appears under its name.
    fn refused(&self) -> String {
        let error = self.fetch().unwrap_err().to_string();
        assert!(!self.to().exists(), "{error}");
        error
    }

    fn arrived(&self) -> bool {
        std::fs::read(self.to()).unwrap() == self.file && !self.part().exists()
    }
}

#[test]
fn a_file_is_downloaded_once() {
    let case = Case::new(Manner::Good);
    let mut seen = Vec::new();
    let fetched = client(Timeouts::USUAL).fetch(&case.server.url, &case.wanted, &case.to(), &mut |bytes| seen.push(bytes)).unwrap();
    assert_eq!(fetched, Fetched::Downloaded { resumed_from: 0 });
    assert!(case.arrived());
    assert!(seen.is_sorted() && seen[0] == 0 && seen.last() == Some(&300_000));
    assert_eq!(case.fetch().unwrap(), Fetched::Present);
    assert_eq!(case.server.ranges().len(), 1, "what is already here is not requested again");
    // A different file of that name is replaced.
    std::fs::write(case.to(), "damaged").unwrap();
    assert_eq!(case.fetch().unwrap(), Fetched::Downloaded { resumed_from: 0 });
    assert!(case.arrived());
}

#[test]
fn an_interrupted_download_is_resumed() {
    let case = Case::new(Manner::BreaksOff(100_000));
    assert!(case.refused().contains("interrupted after 100000 bytes"));
    assert!(case.refused().contains("interrupted after 200000 bytes"));
    case.server.be(Manner::Good);
    assert_eq!(case.fetch().unwrap(), Fetched::Downloaded { resumed_from: 200_000 });
    assert!(case.arrived());
    let asked = case.server.ranges();
    assert_eq!(asked, [None, Some("bytes=100000-".into()), Some("bytes=200000-".into())]);
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    for manner in [Manner::NoRanges, Manner::WrongRange] {
        let case = Case::new(Manner::BreaksOff(100_000));
        case.refused();
        case.server.be(manner);
        assert_eq!(case.fetch().unwrap(), Fetched::Downloaded { resumed_from: 100_000 });
        assert!(case.arrived());
    }
}

#[test]
fn a_complete_or_wrong_part_is_handled() {
    let case = Case::new(Manner::Good);
    let put = |bytes: &[u8]| {
        std::fs::create_dir_all(case.part().parent().unwrap()).unwrap();
        std::fs::write(case.part(), bytes).unwrap();
    };
    // Complete, but the process was killed before renaming: the server is not contacted.
    put(&case.file);
    case.fetch().unwrap();
    assert!(case.arrived() && case.server.ranges().is_empty());
    // A part of a different file: shorter, equally long, longer.
    for bytes in [1000, 300_000, 300_001] {
        std::fs::remove_file(case.to()).unwrap();
        put(&vec![7; bytes]);
        case.fetch().unwrap();
        assert!(case.arrived(), "{bytes}");
    }
}

#[test]
fn a_wrong_file_never_gets_the_name() {
    let mut case = Case::new(Manner::Good);
    case.wanted.sha256 = "0".repeat(64);
    let error = case.refused();
    assert!(error.contains("it was deleted"), "{error}");
    assert!(!case.part().exists());
}

#[test]
fn too_many_bytes_are_not_accepted() {
    let case = Case::new(Manner::Endless);
    let error = case.refused();
    assert!(error.contains("more than the 300000 bytes"), "{error}");
    assert!(!case.part().exists());
}

#[test]
fn server_errors_are_reported() {
    let case = Case::new(Manner::Status("404 Not Found"));
    assert!(case.refused().contains("answered 404; the file is not there"));
    case.server.be(Manner::Status("503 Service Unavailable"));
    assert!(case.refused().ends_with("the server answered 503"));
    let other = Case::new(Manner::Good);
    case.server.be(Manner::Redirect(other.server.url.clone()));
    case.fetch().unwrap();
    assert!(case.arrived());
}

#[test]
fn an_unreachable_server_is_reported() {
    let case = Case::new(Manner::Good);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/net.onnx");
    let error = client(Timeouts::USUAL).fetch(&url, &case.wanted, &case.to(), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, FetchError::Network { .. }), "{error}");
    assert!(!case.part().exists(), "an empty part is useless");
}

#[test]
fn plain_http_is_refused_outside_tests() {
    let case = Case::new(Manner::Good);
    let error = Client::default().fetch(&case.server.url, &case.wanted, &case.to(), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, FetchError::NotHttps(_)), "{error}");
    assert!(case.server.ranges().is_empty(), "not even contacted");
}

#[test]
fn a_silent_server_times_out() {
    let case = Case::new(Manner::FallsSilent(100_000));
    let error = case.refused();
    assert!(error.contains("interrupted after 100000 bytes: timeout"), "{error}");
    case.server.be(Manner::SaysNothing);
    let error = case.refused();
    assert!(error.contains("timeout"), "{error}");
    // What arrived is kept.
    case.server.be(Manner::Good);
    assert_eq!(case.fetch().unwrap(), Fetched::Downloaded { resumed_from: 100_000 });
    assert!(case.arrived());
}

#[test]
fn a_slow_server_times_out() {
    let case = Case::new(Manner::Drips);
    let error = case.refused();
    assert!(error.contains("fewer than 10000 bytes arrived in"), "{error}");
    assert!(std::fs::metadata(case.part()).unwrap().len() > 100, "what arrived is kept");
    case.server.be(Manner::Good);
    case.fetch().unwrap();
    assert!(case.arrived());
}

#[test]
fn a_redirect_loop_ends() {
    let case = Case::new(Manner::Good);
    case.server.be(Manner::Redirect(case.server.url.clone()));
    assert!(case.refused().contains("redirect"));
}

#[test]
fn two_processes_do_not_download_the_same_file() {
    let case = Case::new(Manner::Good);
    let part = PartialFile::open(&case.to(), 10).unwrap();
    assert!(matches!(case.fetch(), Err(FetchError::InUse(_))));
    drop(part);
    case.fetch().unwrap();
}
