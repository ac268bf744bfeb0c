//! A network with weights in a file next to it: any bytes in either file are a network or an error, and no other file is read. The first
//! two bytes of an input give the length of the ONNX file; the rest is the other file.
#![no_main]

use fooling::Model;
use libfuzzer_sys::fuzz_target;

#[path = "../folder.rs"]
mod folder;

fuzz_target!(|bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first_chunk() else { return };
    let Some((onnx, data)) = bytes.split_at_checked(u16::from_le_bytes(*length).into()) else { return };
    folder::with(|dir| {
        let path = dir.join("net.onnx");
        std::fs::write(&path, onnx).expect("written");
        std::fs::write(dir.join("net.onnx.data"), data).expect("written");
        if let Ok(model) = Model::load(&path) {
            assert!(model.picture_shape().0 > 0 && model.classes() > 1);
        }
    });
});
