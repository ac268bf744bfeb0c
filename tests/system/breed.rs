//! `fooling breed`: what a browser, a stranger and a page of another site get from it.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Running, command, fooling, scratch};

/// The program, and where it serves the page.
struct Server {
    running: Running,
    address: SocketAddr,
}

impl Server {
    fn start(dir: &Path) -> Self {
        Self::of(&mut command(dir, ["breed", "--port", "0", "--no-open", "--out", "bred"]))
    }

    fn of(command: &mut Command) -> Self {
        let mut running = Running::start(command);
        let mut line = String::new();
        // Byte by byte: what follows belongs to the test.
        let mut output = BufReader::with_capacity(1, running.0.stdout.as_mut().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|line| line.strip_suffix('/')).expect("an address").parse().unwrap();
        Self { running, address }
    }

    /// Sends bytes, and returns the status and the body of the answer; 0 if there is none.
    fn send(&self, bytes: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // The program may answer and stop reading before everything is sent.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return (0, Vec::new()) };
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer.split_off(end + 4))
    }

    fn get(&self, path: &str, headers: &str) -> (u16, Vec<u8>) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address).as_bytes())
    }

    fn post(&self, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "POST /ask HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// The answer to a question of the page: its text, and the bytes of its pictures.
    #[track_caller]
    fn ask(&self, question: &Value) -> (Value, Vec<u8>) {
        let (status, mut body) = self.post("", question.to_string().as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let length = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        let pixels = body.split_off(4 + length);
        (serde_json::from_slice(&body[4..]).unwrap(), pixels)
    }

    /// The offspring to which picks lead.
    fn pick(&self, seed: u32, picked: &[&[u64]]) -> (Value, Vec<u8>) {
        let run = json!({ "seed": seed.to_string(), "strength": 2, "coordinates": "unit", "colour": false });
        self.ask(&json!({ "action": "pick", "run": run, "picked": picked, "sure": false, "side": 28 }))
    }
}

/// Desktops on Linux have `xdg-open`; this one only writes down what it is asked to open.
#[cfg(target_os = "linux")]
#[test]
fn the_browser_opens_where_there_is_a_display() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = scratch();
    let (opener, opened) = (dir.path().join("xdg-open"), dir.path().join("opened"));
    std::fs::write(&opener, "#!/bin/sh\necho \"$*\" >opened.new && mv opened.new opened\n").unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let mut program = command(dir.path(), ["breed", "--port", "0", "--out", "bred"]);
    let mut server = Server::of(program.env("PATH", path).env("DISPLAY", ":0"));
    server.running.wait_until("call of xdg-open", || opened.exists());
    assert_eq!(std::fs::read_to_string(&opened).unwrap(), format!("http://{}/\n", server.address));
}

fn children(answer: &Value) -> Vec<u64> {
    answer["pictures"].as_array().unwrap().iter().map(|picture| picture["child"].as_u64().unwrap()).collect()
}

#[test]
fn what_is_bred_is_a_run() {
    let dir = scratch();
    let server = Server::start(dir.path());
    let (about, _) = server.ask(&json!({ "action": "about" }));
    assert_eq!(about["about"], json!({ "model": "lenet", "side": 28, "colour": false }));
    let (first, pixels) = server.pick(7, &[]);
    assert_eq!((children(&first).len(), pixels.len(), first.get("folder")), (16, 16 * 28 * 28, None));
    let names = first["pictures"][0]["names"].as_array().unwrap();
    assert!(names.len() == 5 && names[0][1].as_f64() >= names[1][1].as_f64(), "{names:?}");
    let picked = [children(&first)[2], children(&first)[5]];
    let (second, _) = server.pick(7, &[&picked]);
    let last = children(&second)[4];
    let (third, _) = server.pick(7, &[&picked, &[last]]);
    // A branch is a run of its own; what has been recorded is not recorded again.
    let (branch, _) = server.pick(7, &[&picked, &[children(&second)[0]]]);
    assert_eq!(server.pick(7, &[&picked, &[last]]).0, third);
    let folder = |answer: &Value| answer["folder"].as_str().unwrap().to_owned();
    assert_eq!([&second, &third, &branch].map(folder), ["bred/bred-cppn-1", "bred/bred-cppn-1", "bred/bred-cppn-2"]);

    server.running.signal("INT");
    server.running.end().done().says(&["fooling report bred/bred-cppn-1"]);
    for run in ["bred/bred-cppn-1", "bred/bred-cppn-2"] {
        fooling(dir.path(), &format!("replay {run}")).done().says(&["16 of 16 pictures"]);
        fooling(dir.path(), &format!("report {run}")).done();
    }
    // The genome that the page got draws what was picked.
    let genomes = fooling(dir.path(), "show bred/bred-cppn-1 --genomes").done().stdout;
    assert_eq!(genomes.lines().next(), second["pictures"][4]["genome"].as_str());
    std::fs::write(dir.path().join("elites.jsonl"), &genomes).unwrap();
    fooling(dir.path(), "render elites.jsonl --out pictures").done();
    let rendered = std::fs::read(dir.path().join("pictures/0000.png")).unwrap();
    assert!(rendered == std::fs::read(dir.path().join("bred/bred-cppn-1/cells/0000.png")).unwrap());
    fooling(dir.path(), "resume bred/bred-cppn-1").refused(&["fooling breed"]);

    // A later program continues it.
    let server = Server::start(dir.path());
    let (fourth, _) = server.pick(7, &[&picked, &[last], &[children(&third)[0]]]);
    assert_eq!(folder(&fourth), "bred/bred-cppn-1");
    server.running.signal("TERM");
    server.running.end().done();
    fooling(dir.path(), "replay bred/bred-cppn-1").done().says(&["from 2 generations"]);
}

#[test]
fn other_sites_and_other_files_are_refused() {
    let dir = scratch();
    let server = Server::start(dir.path());
    let (status, page) = server.get("/", "");
    assert!(status == 200 && String::from_utf8_lossy(&page).contains("data-served"));
    for path in ["/main.js", "/style.css", "/breed.js?again"] {
        assert_eq!(server.get(path, "").0, 200, "{path}");
    }
    for path in
        ["/../Cargo.toml", "/..%2fCargo.toml", "//etc/passwd", "/bred", "/main.js/", "/lenet.onnx", "/./main.js", "http://evil.example/"]
    {
        assert_eq!(server.get(path, "").0, 404, "{path}");
    }
    let question = json!({ "action": "about" }).to_string();
    for header in ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(server.get("/", header).0, 403, "{header}");
        assert_eq!(server.post(header, question.as_bytes()).0, 403, "{header}");
    }
    let rebound = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(server.send(rebound.as_bytes()).0, 403);
    let own = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", server.address);
    assert_eq!(server.post(&own, question.as_bytes()).0, 200);
    assert!(!dir.path().join("bred").exists(), "nothing was picked");
}

#[test]
fn rubbish_is_answered_and_ends_nothing() {
    let dir = scratch();
    let server = Server::start(dir.path());
    assert_eq!(server.send(b"\0\x01\x02 nonsense\r\n\r\n").0, 400);
    assert_eq!(server.send(&[b"GET / HTTP/1.1\r\nA: ", &[b'a'; 40_000][..], b"\r\n\r\n"].concat()).0, 431);
    assert_eq!(server.post("", &vec![b' '; (4 << 20) + 1]).0, 413);
    let short = format!("POST /ask HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{", server.address);
    assert_eq!(server.send(short.as_bytes()).0, 400);
    let run = |seed: &str, strength: u32| json!({ "seed": seed, "strength": strength, "coordinates": "unit", "colour": true });
    let pick = |run: &Value, picked: Value| json!({ "action": "pick", "run": run, "picked": picked, "sure": false, "side": 28 });
    let good = run("1", 1);
    let genome = server.ask(&pick(&good, json!([]))).0["pictures"][0]["genome"].clone();
    for bad in [
        json!(null),
        json!({ "action": "format" }),
        json!({ "action": "show", "genomes": ["{}"], "side": 28 }),
        json!({ "action": "show", "genomes": (0..17).map(|_| &genome).collect::<Vec<_>>(), "side": 28 }),
        json!({ "action": "show", "genomes": [&genome], "side": 0 }),
        json!({ "action": "show", "genomes": [&genome], "side": 1025 }),
        json!({ "action": "draw", "genome": &genome, "side": 4097 }),
        json!({ "action": "draw", "genome": &genome, "side": -1 }),
        json!({ "action": "breed", "parents": [], "strength": 1, "seed": "1", "generation": 0, "sure": false, "side": 28 }),
        json!({ "action": "breed", "parents": [&genome], "strength": 4, "seed": "1", "generation": 0, "sure": false, "side": 28 }),
        pick(&run("18446744073709551615", 1), json!([])),
        pick(&run("x", 1), json!([])),
        pick(&good, json!([[192]])),
        pick(&good, json!([[]])),
        pick(&good, json!(vec![vec![0]; 4097])),
        pick(&good, json!([(0..17).collect::<Vec<_>>()])),
    ] {
        let (status, body) = server.post("", bad.to_string().as_bytes());
        assert_eq!(status, 400, "{bad} gives {}", String::from_utf8_lossy(&body));
    }
    let deep = "[".repeat(100_000);
    assert_eq!(server.post("", deep.as_bytes()).0, 400);
    assert!(!dir.path().join("bred").exists(), "invalid picks are not recorded");
    // More connections than are served at once, which say nothing: later ones are refused, and everything works when they have gone.
    let idle: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    assert_ne!(server.get("/main.js", "").0, 200, "there are too many connections");
    drop(idle);
    let alive = || TcpStream::connect(server.address).is_ok() && server.get("/main.js", "").0 == 200;
    assert!((0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        alive()
    }));
}

#[test]
fn two_pages_get_their_own_answers() {
    let dir = scratch();
    let server = Server::start(dir.path());
    let alone: Vec<_> = (0..4).map(|seed| server.pick(seed, &[&[3]])).collect();
    let together: Vec<_> = std::thread::scope(|scope| {
        let server = &server;
        let ask = |seed| scope.spawn(move || (0..5).map(|_| server.pick(seed, &[&[3]])).collect::<Vec<_>>());
        let asked: Vec<_> = (0..4).map(ask).collect();
        asked.into_iter().map(|answers| answers.join().unwrap()).collect()
    });
    for (alone, together) in alone.iter().zip(&together) {
        assert!(together.iter().all(|answer| answer == alone));
    }
    server.running.signal("INT");
    server.running.end().done();
    for number in 1..=4 {
        fooling(dir.path(), &format!("replay bred/bred-cppn-{number}")).done();
    }
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let dir = scratch();
    let server = Server::start(dir.path());
    let line = format!("breed --no-open --port {}", server.address.port());
    fooling(dir.path(), &line).refused(&["cannot listen on port", "--port"]);
}
