//! Invalid networks, pictures and output locations.

use std::path::Path;

use crate::program::{fooling, root, scratch};

/// The shipped network and its card, where a test may damage them.
fn shipped(dir: &Path) -> (Vec<u8>, String) {
    let onnx = std::fs::read(root().join("host/models/lenet.onnx")).unwrap();
    let card = std::fs::read_to_string(root().join("host/models/lenet.toml")).unwrap();
    std::fs::write(dir.join("lenet.onnx"), &onnx).unwrap();
    std::fs::write(dir.join("lenet.toml"), &card).unwrap();
    (onnx, card)
}

#[test]
fn truncated_networks_are_refused() {
    let dir = scratch();
    let (onnx, _) = shipped(dir.path());
    for length in [0, 1, 10, 1000, onnx.len() / 2, onnx.len() - 1] {
        std::fs::write(dir.path().join("lenet.onnx"), &onnx[..length]).unwrap();
        fooling(dir.path(), "evolve --model lenet.onnx --out a").refused(&["lenet.onnx", "sha256"]);
        // Without a card there is no digest to detect it.
        std::fs::write(dir.path().join("bare.onnx"), &onnx[..length]).unwrap();
        fooling(dir.path(), "evolve --model bare.onnx --out a").refused(&["bare.onnx: "]);
        assert!(!dir.path().join("a").exists(), "a run that cannot start leaves nothing");
    }
}

#[test]
fn cards_that_do_not_fit_their_network_are_refused() {
    let dir = scratch();
    let (_, card) = shipped(dir.path());
    let changes: [(&str, &str, &str); 8] = [
        ("width", "width = 32", "the input is 32 x 28"),
        ("height", "height = 0", "height"),
        ("channels", "channels = \"rgb\"", "takes N x 1 x 28 x 28"),
        ("picture", "picture = 100000", "picture"),
        ("labels", "labels = [\"0\", \"1\"]", "labels"),
        ("sha256", "sha256 = \"00\"", "sha256"),
        ("scale", "scale = nan", "scale"),
        ("file", "file = \"../other.onnx\"", "file"),
    ];
    for (field, line, word) in changes {
        let replace = |old: &str| if old.split('=').next().unwrap().trim() == field { line.to_owned() } else { old.to_owned() };
        let changed: Vec<String> = card.lines().map(replace).collect();
        let changed = changed.join("\n");
        assert_ne!(changed.trim(), card.trim(), "{field} is on a line of its own in the card");
        std::fs::write(dir.path().join("lenet.toml"), changed).unwrap();
        fooling(dir.path(), "evolve --model lenet.toml --out a").refused(&["lenet", word]);
    }
}

#[test]
fn garbage_is_not_a_picture() {
    let dir = scratch();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let mut png = Vec::new();
    let picture = image::GrayImage::from_fn(28, 28, |x, y| image::Luma([(x * y) as u8]));
    picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    write("good.png", &png);
    fooling(dir.path(), "score good.png").done().says(&["%"]);
    write("empty.png", b"");
    write("text.png", b"What is a picture?");
    write("jpeg.png", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01");
    write("half.png", &png[..png.len() / 2]);
    write("head.png", &png[..20]);
    write("huge.png", &claiming(&png, 60_000, 60_000));
    write("none.png", &claiming(&png, 0, 28));
    write("more.png", &claiming(&png, 28, 29));
    std::fs::create_dir(dir.path().join("folder.png")).unwrap();
    for name in ["empty", "text", "jpeg", "half", "head", "huge", "none", "more", "folder", "missing"] {
        fooling(dir.path(), &format!("score {name}.png")).refused(&[&format!("{name}.png: ")]);
        // One bad picture does not discard the others.
        let scored = fooling(dir.path(), &format!("score --json good.png {name}.png good.png"));
        assert_eq!(scored.code, Some(1), "{}", scored.stderr);
        assert!(scored.stderr.contains(&format!("{name}.png: ")), "{}", scored.stderr);
        let list: serde_json::Value = serde_json::from_str(&scored.stdout).unwrap();
        let pictures: Vec<_> = list.as_array().unwrap().iter().map(|entry| entry["picture"].as_str().unwrap()).collect();
        assert_eq!(pictures, ["good.png", "good.png"]);
    }
}

/// The same PNG with another size in its header, and a correct checksum.
fn claiming(png: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = png.to_vec();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

/// Small files that claim to be large, or expand to be: an error, without allocating memory.
#[test]
#[cfg(target_os = "linux")]
fn small_files_that_claim_to_be_large() {
    use std::io::Write as _;
    let dir = scratch();
    let limited = |line: &str| crate::program::within_half_a_gigabyte(dir.path(), line);
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let mut png = Vec::new();
    image::GrayImage::new(28, 28).write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
    write("good.png", &png);
    limited("score good.png").done();
    write("huge.png", &claiming(&png, 60_000, 60_000));
    limited("score huge.png").refused(&["huge.png: "]);
    // A gigabyte of zeros in a megabyte: as labels, as text in a picture, and as an endless line of genomes.
    let zeros = vec![0; 1 << 20];
    let mut labels = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut text = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    labels.write_all(&[0, 0, 8, 1, 0, 0, 0, 1, 7]).unwrap();
    for _ in 0..1024 {
        labels.write_all(&zeros).unwrap();
        text.write_all(&zeros).unwrap();
    }
    let text = text.finish().unwrap();
    write("t10k-labels-idx1-ubyte.gz", &labels.finish().unwrap());
    write("t10k-images-idx3-ubyte", &[vec![0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28], vec![0; 784]].concat());
    limited("score --mnist .").refused(&["t10k-labels-idx1-ubyte.gz", "continues after them"]);
    for kind in [*b"zTXt", *b"iCCP"] {
        let chunk = [&b"x\0\0"[..], &text].concat();
        write("text.png", &with_chunk(&png, kind, &chunk));
        let scored = limited("score text.png");
        assert!(matches!(scored.code, Some(0 | 2)), "{}", scored.stderr);
    }
    let genomes = std::fs::File::create(dir.path().join("genomes.jsonl")).unwrap();
    genomes.set_len(1 << 40).unwrap();
    limited("render genomes.jsonl --size 28").refused(&["genomes.jsonl, line 1: longer than any genome"]);
    // Five million attributes of a node, two bytes each in the file and more than a kilobyte in memory; and the largest accepted number.
    for (count, problem) in [(5_000_000, "take more than 64 MiB of memory"), (45_000, "has 0 inputs (); a picture classifier has one")] {
        let (graph, node, attributes) = (field(0x3a, 2 * count + 5), field(0x0a, 2 * count), [0x2a, 0].repeat(count));
        write("net.onnx", &[&graph[..], &node, &attributes].concat());
        limited("score --model net.onnx good.png").refused(&["net.onnx: ", problem]);
    }
    // A card that is one long list: 75 times as large in memory as in the file.
    write("net.toml", format!("labels = [{}]", "1,".repeat((4 << 19) - 6)).as_bytes());
    limited("score --model net.onnx good.png").refused(&["net.toml: "]);
    write("net.toml", &[b'#'; (4 << 20) + 1]);
    limited("score --model net.onnx good.png").refused(&["net.toml: 4194305 bytes are too many for card; at most 4194304 are supported"]);
}

/// A tag and a length, which takes four bytes.
fn field(tag: u8, length: usize) -> [u8; 5] {
    let seven = |place: usize| (length >> (7 * place)) as u8 & 0x7f;
    [tag, seven(0) | 0x80, seven(1) | 0x80, seven(2) | 0x80, seven(3)]
}

/// The same PNG with another chunk after its header.
fn with_chunk(png: &[u8], kind: [u8; 4], bytes: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(bytes);
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&png[..33], &length, &kind, bytes, &crc.sum().to_be_bytes(), &png[33..]].concat()
}

/// Opening a pipe would block until there is a process at the other end.
#[test]
#[cfg(unix)]
fn pipes_are_not_files() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --generations 0 --batch 16").done();
    for (name, line) in [
        ("a/cells/0003.png", "replay a"),
        ("a/lock", "evolve --resume a"),
        ("a/run.toml", "show a"),
        ("a/journal.fool", "show a"),
        ("pipe.png", "score pipe.png"),
        ("pipe.onnx", "score --model pipe.onnx a/sheet.png"),
    ] {
        let pipe = dir.path().join(name);
        let _ = std::fs::remove_file(&pipe);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let ended = fooling(dir.path(), line);
        assert!(matches!(ended.code, Some(1 | 2)), "{line}");
        std::fs::remove_file(&pipe).unwrap();
        if name.starts_with("a/") {
            std::fs::remove_dir_all(dir.path().join("a")).unwrap();
            fooling(dir.path(), "evolve --out a --generations 0 --batch 16").done();
        }
    }
}

/// Pictures of other sizes, channels and depths are converted.
#[test]
fn other_pictures_are_converted() {
    let dir = scratch();
    image::RgbaImage::from_pixel(31, 7, image::Rgba([9, 200, 30, 128])).save(dir.path().join("rgba.png")).unwrap();
    image::RgbImage::from_pixel(1, 1, image::Rgb([9, 200, 30])).save(dir.path().join("dot.png")).unwrap();
    image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(64, 64, image::Luma([40_000_u16])).save(dir.path().join("deep.png")).unwrap();
    let scored = fooling(dir.path(), "score rgba.png dot.png deep.png --json").done().json();
    assert_eq!(scored.as_array().unwrap().len(), 3);
}

#[test]
fn invalid_mnist_files() {
    let dir = scratch();
    let write = |images: &[u8], labels: &[u8]| {
        std::fs::write(dir.path().join("t10k-images-idx3-ubyte"), images).unwrap();
        std::fs::write(dir.path().join("t10k-labels-idx1-ubyte"), labels).unwrap();
    };
    let header =
        |magic: u32, sizes: &[u32]| -> Vec<u8> { std::iter::once(&magic).chain(sizes).flat_map(|number| number.to_be_bytes()).collect() };
    let labels = [header(0x801, &[1]), vec![7]].concat();
    // 2^31 images of 2^16 pixels, in 16 bytes.
    write(&header(0x803, &[1 << 31, 256, 256]), &labels);
    fooling(dir.path(), "score --mnist .").refused(&["t10k-images-idx3-ubyte"]);
    write(&header(0x803, &[1 << 31, 28, 28]), &labels);
    fooling(dir.path(), "score --mnist .").refused(&["t10k-images-idx3-ubyte"]);
    write(&header(0x801, &[1]), &labels);
    fooling(dir.path(), "score --mnist .").refused(&["t10k-images-idx3-ubyte"]);
    write(&[header(0x803, &[2, 28, 28]), vec![0; 2 * 784]].concat(), &labels);
    fooling(dir.path(), "score --mnist .").refused(&["t10k"]);
    write(&[header(0x803, &[1, 28, 28]), vec![0; 784]].concat(), &labels);
    fooling(dir.path(), "score --mnist .").done().says(&["on 1 test images"]);
}

/// A card's name is a name, not a path.
#[test]
fn the_name_in_a_card_cannot_leave_the_folder_of_runs() {
    let dir = scratch();
    let (_, card) = shipped(dir.path());
    let card = card.replacen("name = \"lenet\"", "name = \"../../e/v\"", 1);
    std::fs::write(dir.path().join("lenet.toml"), card).unwrap();
    std::fs::create_dir_all(dir.path().join("here/below")).unwrap();
    fooling(&dir.path().join("here/below"), "evolve --model ../../lenet.toml --generations 0 --batch 16").done();
    assert!(dir.path().join("here/below/runs/.._.._e_v-cppn-1/journal.fool").is_file());
}

/// Root may write anywhere, so the tests put files where folders should be.
#[test]
fn unwritable_places() {
    let dir = scratch();
    std::fs::write(dir.path().join("file"), "").unwrap();
    std::fs::create_dir_all(dir.path().join("locked/lock")).unwrap();
    std::fs::create_dir_all(dir.path().join("taken/run.toml")).unwrap();
    for (out, word) in [("file", "file"), ("file/below", "file/below"), ("locked", "locked/lock"), ("taken", "run.toml")] {
        fooling(dir.path(), &format!("evolve --out {out} --generations 0 --batch 16")).refused(&["cannot ", word]);
    }
    if cfg!(target_os = "linux") {
        fooling(dir.path(), "evolve --out /proc/fooling --generations 0").refused(&["cannot create the folder /proc/fooling"]);
    }
    std::fs::remove_dir(dir.path().join("taken/run.toml")).unwrap();
    fooling(dir.path(), "evolve --out taken --generations 1 --batch 16").done();
    // A picture that cannot be written is reported after the run, which can be finished when there is space.
    std::fs::remove_file(dir.path().join("taken/cells/0003.png")).unwrap();
    std::fs::create_dir(dir.path().join("taken/cells/0003.png")).unwrap();
    fooling(dir.path(), "evolve --resume taken --generations 3").refused(&["cannot write", "0003.png"]);
    std::fs::remove_dir(dir.path().join("taken/cells/0003.png")).unwrap();
    fooling(dir.path(), "evolve --resume taken").done();
    fooling(dir.path(), "replay taken").done();
}

/// Results that cannot be printed or stored are an error.
#[test]
#[cfg(target_os = "linux")]
fn a_full_device() {
    let dir = scratch();
    fooling(dir.path(), "evolve --out a --generations 1 --batch 16").done();
    for line in ["show a", "show a --json", "show a --genomes", "replay a", "models list"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = crate::program::command(dir.path(), line.split_whitespace());
        let output = command.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("No space left"), "{line}");
    }
    // Progress that cannot be printed does not end a run.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let line = "evolve --out unheard --generations 3 --batch 16 --device auto";
    let mut unheard = crate::program::command(dir.path(), line.split_whitespace());
    assert!(unheard.stdout(std::process::Stdio::null()).stderr(full).status().unwrap().success());
    fooling(dir.path(), "replay unheard").done();
    let genomes = fooling(dir.path(), "show a --genomes").done().stdout;
    std::fs::write(dir.path().join("elites.jsonl"), genomes).unwrap();
    fooling(dir.path(), "render elites.jsonl --size 28 --raw /dev/full").refused(&["/dev/full", "No space left"]);
}
