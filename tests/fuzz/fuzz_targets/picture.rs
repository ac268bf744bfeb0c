//! Pictures for `score` and of a run: any file is a picture or an error, and a picture has the requested size.
#![no_main]

use fooling::Picture;
use fooling::internals::DecodedImage;
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;

fuzz_target!(|bytes: &[u8]| {
    folder::with(|dir| {
        let path = dir.join("picture.png");
        std::fs::write(&path, bytes).expect("written");
        if let Ok(image) = DecodedImage::read(&path) {
            let channels = image.channels();
            let picture = image.resized(19, 12).centred(20);
            assert_eq!(picture.bytes().len(), 20 * 20 * channels);
        }
        if let Ok(picture) = Picture::read(&path) {
            std::fs::write(&path, picture.to_png().expect("it is encoded")).expect("written");
            assert!(Picture::read(&path).expect("a written picture can be read") == picture);
        }
    });
});
