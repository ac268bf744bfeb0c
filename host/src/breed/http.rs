//! The server of the page: HTTP/1.1 on the loopback address, one request per connection.
//!
//! Everything that a stranger could send is bounded: connections, the time of a request, its head and its body. A page of another site
//! cannot use it: requests whose `Host` is not this address (DNS rebinding) or that come from another origin are refused.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Breeder;
use super::page::{File, file, marked};

/// Connections that are served at once.
const MOST_CONNECTIONS: usize = 32;
/// Time limit for receiving a request, and for sending its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest head of a request in bytes, and its largest number of headers.
const LARGEST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;
/// Largest body in bytes. Sixteen genomes of the largest size fit.
const LARGEST_BODY: usize = 4 << 20;
/// The path to which the page sends its requests.
const ASK: &str = "/ask";

/// An answer.
#[derive(Debug)]
struct Reply {
    status: &'static str,
    kind: &'static str,
    body: Vec<u8>,
}

impl Reply {
    fn refusal(status: &'static str, why: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: why.into().into_bytes() }
    }
}

const BAD: &str = "400 Bad Request";
const FORBIDDEN: &str = "403 Forbidden";

/// Answers requests until the process ends. The breeder works on one request at a time.
pub(crate) fn serve(listener: &TcpListener, breeder: &Mutex<Breeder<'_>>) -> io::Result<()> {
    let address = listener.local_addr()?;
    let connections = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // The client gave up, or too many files are open. Later connections can still succeed.
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            if connections.fetch_add(1, Ordering::Relaxed) >= MOST_CONNECTIONS {
                connections.fetch_sub(1, Ordering::Relaxed);
                let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
                let _ = send(&stream, &Reply::refusal("503 Service Unavailable", "too many connections"), false);
                continue;
            }
            let connections = &connections;
            let worker = std::thread::Builder::new().name("connection".into());
            let spawned = worker.spawn_scoped(scope, move || {
                let _ = converse(&stream, address, breeder);
                connections.fetch_sub(1, Ordering::Relaxed);
            });
            if spawned.is_err() {
                connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    })
}

/// Reads a request and answers it.
fn converse(stream: &TcpStream, address: SocketAddr, breeder: &Mutex<Breeder<'_>>) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut incoming = Incoming { stream, until: Instant::now() + PATIENCE, bytes: Vec::new() };
    let (reply, head_only) = match incoming.request(address) {
        Ok(Some(Asked::File { file, head_only })) => (of_page(file), head_only),
        Ok(Some(Asked::Question(body))) => (answer(breeder, &body), false),
        // Nothing was sent: browsers open connections that they may need later.
        Ok(None) => return Ok(()),
        Err(reply) => (reply, false),
    };
    send(stream, &reply, head_only)?;
    // Closing a connection with unread bytes resets it, and the client may lose the answer. So these bytes are read.
    stream.shutdown(Shutdown::Write)?;
    incoming.drain()
}

fn of_page(file: File) -> Reply {
    let body = if file.kind.starts_with("text/html") { marked(file.bytes) } else { file.bytes.to_owned() };
    Reply { status: "200 OK", kind: file.kind, body: body.into_bytes() }
}

fn answer(breeder: &Mutex<Breeder<'_>>, question: &[u8]) -> Reply {
    let mut breeder = breeder.lock().unwrap_or_else(PoisonError::into_inner);
    match catch_unwind(AssertUnwindSafe(|| breeder.answer(question))) {
        Ok(Ok(body)) => Reply { status: "200 OK", kind: "application/octet-stream", body },
        Ok(Err(problem)) => Reply::refusal(BAD, problem),
        Err(_) => Reply::refusal("500 Internal Server Error", "the program failed; this is a bug in fooling, please report it"),
    }
}

fn send(mut stream: &TcpStream, reply: &Reply, head_only: bool) -> io::Result<()> {
    let Reply { status, kind, body } = reply;
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nCross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    if head_only { Ok(()) } else { stream.write_all(body) }
}

/// What a valid request asks for.
#[derive(Debug)]
enum Asked {
    File { file: File, head_only: bool },
    Question(Vec<u8>),
}

/// The head of a valid request.
enum Head {
    File {
        file: File,
        head_only: bool,
    },
    /// The length of the head and of the body.
    Question {
        head: usize,
        body: usize,
    },
}

struct Incoming<'s> {
    stream: &'s TcpStream,
    until: Instant,
    bytes: Vec<u8>,
}

impl Incoming<'_> {
    /// Reads more bytes; false if the client has sent everything.
    fn more(&mut self, most: usize) -> Result<bool, Reply> {
        let late = || Reply::refusal("408 Request Timeout", "the request did not arrive in time");
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        let mut piece = vec![0; most.clamp(1, 64 << 10)];
        let read = self.stream.set_read_timeout(Some(left)).and_then(|()| (&mut &*self.stream).read(&mut piece));
        match read {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.bytes.extend_from_slice(&piece[..read]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(_) => Err(late()),
        }
    }

    /// Reads a request; none if the client closed the connection without sending anything.
    fn request(&mut self, address: SocketAddr) -> Result<Option<Asked>, Reply> {
        let incomplete = || Reply::refusal(BAD, "the request is incomplete");
        loop {
            match head(&self.bytes, address)? {
                Some(Head::File { file, head_only }) => return Ok(Some(Asked::File { file, head_only })),
                Some(Head::Question { head, body }) => {
                    while self.bytes.len() < head + body {
                        if !self.more(head + body - self.bytes.len())? {
                            return Err(incomplete());
                        }
                    }
                    return Ok(Some(Asked::Question(self.bytes[head..head + body].to_vec())));
                }
                None if self.bytes.len() >= LARGEST_HEAD => {
                    return Err(Reply::refusal("431 Request Header Fields Too Large", "the head of the request is too large"));
                }
                None => {
                    if !self.more(LARGEST_HEAD - self.bytes.len())? {
                        return if self.bytes.is_empty() { Ok(None) } else { Err(incomplete()) };
                    }
                }
            }
        }
    }

    /// Reads what else was sent, within bounds.
    fn drain(mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        let until = Instant::now() + Duration::from_secs(1);
        let mut piece = [0; 16 << 10];
        while Instant::now() < until && (&mut &*self.stream).read(&mut piece)? > 0 {
            self.bytes.clear();
        }
        Ok(())
    }
}

/// Parses and checks the head of a request; none if it is incomplete.
fn head(bytes: &[u8], address: SocketAddr) -> Result<Option<Head>, Reply> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(|error| Reply::refusal(BAD, format!("this is not an HTTP request: {error}")))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let (Some(method), Some(target)) = (request.method, request.path) else { return Ok(None) };
    check_sender(request.headers, address)?;
    let path = target.split('?').next().unwrap_or_default();
    if method == "POST" && path == ASK {
        let body = body_length(request.headers)?;
        return Ok(Some(Head::Question { head: length, body }));
    }
    if !["GET", "HEAD"].contains(&method) || path == ASK {
        return Err(Reply::refusal("405 Method Not Allowed", "use GET for files, and POST for /ask"));
    }
    let file = file(path).ok_or_else(|| Reply::refusal("404 Not Found", "there is no such file"))?;
    Ok(Some(Head::File { file, head_only: method == "HEAD" }))
}

/// The value of a header; none if it is absent.
fn value<'h>(headers: &[httparse::Header<'h>], name: &str) -> Result<Option<&'h str>, Reply> {
    let mut found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let first = found.next();
    if found.next().is_some() {
        return Err(Reply::refusal(BAD, format!("there are several headers {name}")));
    }
    let text = first.map(|header| std::str::from_utf8(header.value).map(str::trim));
    text.transpose().map_err(|_| Reply::refusal(BAD, format!("the header {name} is not text")))
}

/// Refuses requests that do not come from the page itself, or from the address bar of a browser.
fn check_sender(headers: &[httparse::Header<'_>], address: SocketAddr) -> Result<(), Reply> {
    let port = address.port();
    let own = |host: &str| {
        let (name, given) = host.rsplit_once(':').unwrap_or((host, "80"));
        ["127.0.0.1", "localhost"].iter().any(|own| name.eq_ignore_ascii_case(own)) && given.parse() == Ok(port)
    };
    let host = value(headers, "Host")?.ok_or_else(|| Reply::refusal(BAD, "there is no header Host"))?;
    if !own(host) {
        return Err(Reply::refusal(FORBIDDEN, "this address is not served here"));
    }
    let origin = value(headers, "Origin")?;
    let foreign = origin.is_some_and(|origin| origin.strip_prefix("http://").is_none_or(|origin| !origin.eq_ignore_ascii_case(host)));
    let site = value(headers, "Sec-Fetch-Site")?;
    if foreign || site.is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return Err(Reply::refusal(FORBIDDEN, "requests of other sites are refused"));
    }
    Ok(())
}

/// The length of the body of a request to the program.
fn body_length(headers: &[httparse::Header<'_>]) -> Result<usize, Reply> {
    let kind = value(headers, "Content-Type")?.unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Reply::refusal("415 Unsupported Media Type", "the body must be application/json"));
    }
    if value(headers, "Transfer-Encoding")?.is_some() {
        return Err(Reply::refusal("501 Not Implemented", "the length of the body must be stated"));
    }
    let length =
        value(headers, "Content-Length")?.ok_or_else(|| Reply::refusal("411 Length Required", "there is no length of the body"))?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Reply::refusal(BAD, "the length of the body is not a number"));
    }
    let length = length.parse().ok().filter(|&length| length <= LARGEST_BODY);
    length.ok_or_else(|| Reply::refusal("413 Content Too Large", format!("a request has at most {LARGEST_BODY} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "127.0.0.1:4000";

    fn status(text: &str) -> &'static str {
        match head(text.as_bytes(), ADDRESS.parse().unwrap()) {
            Err(reply) => reply.status.split(' ').next().unwrap(),
            Ok(Some(Head::File { .. })) => "file",
            Ok(Some(Head::Question { .. })) => "question",
            Ok(None) => "incomplete",
        }
    }

    #[test]
    fn only_the_page_itself_may_ask() {
        let get = |headers: &str| status(&format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n"));
        for good in ["Host: 127.0.0.1:4000", "host: LOCALHOST:4000", "Host: localhost:4000\r\nOrigin: http://localhost:4000"] {
            assert_eq!(get(good), "file", "{good}");
        }
        for (bad, expected) in [
            ("Accept: */*", "400"),
            ("Host: localhost:4000\r\nHost: localhost:4000", "400"),
            ("Host: evil.example:4000", "403"),
            ("Host: localhost", "403"),
            ("Host: localhost:4001", "403"),
            ("Host: 127.0.0.1.evil.example:4000", "403"),
            ("Host: [::1]:4000", "403"),
            ("Host: ", "403"),
            ("Host: localhost:4000\r\nOrigin: null", "403"),
            ("Host: localhost:4000\r\nOrigin: https://localhost:4000", "403"),
            ("Host: localhost:4000\r\nOrigin: http://localhost:4001", "403"),
            ("Host: localhost:4000\r\nOrigin: http://evil.example", "403"),
            ("Host: localhost:4000\r\nSec-Fetch-Site: cross-site", "403"),
            ("Host: localhost:4000\r\nSec-Fetch-Site: same-site", "403"),
        ] {
            assert_eq!(get(bad), expected, "{bad}");
        }
    }

    #[test]
    fn bodies_are_bounded() {
        let post = |headers: &str| status(&format!("POST /ask HTTP/1.1\r\nHost: {ADDRESS}\r\n{headers}\r\n\r\n"));
        let json = "Content-Type: application/json; charset=utf-8\r\nContent-Length";
        assert_eq!(post(&format!("{json}: 12")), "question");
        for (length, expected) in
            [("4194305", "413"), ("99999999999999999999999", "413"), ("-1", "400"), ("+1", "400"), ("", "400"), ("1e3", "400")]
        {
            assert_eq!(post(&format!("{json}: {length}")), expected, "{length}");
        }
        assert_eq!(post("Content-Type: application/json"), "411");
        assert_eq!(post("Content-Type: text/plain\r\nContent-Length: 2"), "415");
        assert_eq!(post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nContent-Length: 2"), "501");
    }

    #[test]
    fn rubbish_is_refused_and_never_panics() {
        for (text, expected) in [
            ("", "incomplete"),
            ("GET / HTTP/1.1\r\n", "incomplete"),
            ("\0\0\0", "400"),
            ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "404"),
            ("GET //etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "404"),
            ("GET /%2e%2e/Cargo.toml HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "404"),
            ("GET /ask HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "405"),
            ("DELETE / HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "405"),
            ("POST / HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n\r\n", "405"),
        ] {
            assert_eq!(status(text), expected, "{text}");
        }
        let many = "A: b\r\n".repeat(65);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {ADDRESS}\r\n{many}\r\n")), "400");
    }
}
