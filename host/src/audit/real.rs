//! The real pictures that an audit compares rubbish with.

use std::path::Path;

use crate::mnist;
use crate::model::Model;
use crate::picture::{DecodedImage, Picture};
use crate::score::fit;
use crate::util::files::FileError;

/// A real picture in the network's size and colours.
#[derive(Clone, Debug)]
pub(crate) struct RealPicture {
    /// The picture.
    pub(crate) picture: Picture,
    /// Its class, if it is known.
    pub(crate) class: Option<usize>,
}

/// Reads real pictures: the MNIST files of the test set; or a folder with a folder for each class, named by its label or number; or a folder
/// of pictures whose classes are not known. They are taken in the order of their names.
///
/// # Errors
///
/// What is wrong, and with which file.
pub(crate) fn load_real(dir: &Path, model: &Model) -> Result<Vec<RealPicture>, String> {
    let input = &model.card().input;
    let (side, channels) = model.picture_shape();
    let entries = sorted(dir)?;
    let folders: Vec<_> = entries.iter().filter(|path| path.is_dir()).collect();
    let read = |path: &Path, class: Option<usize>| {
        let picture = DecodedImage::read(path).map_err(|problem| format!("{}: {problem}", path.display()))?;
        let picture = fit(picture, input).fitted(side, channels);
        Ok::<_, String>(RealPicture { picture, class })
    };
    let mut pictures = Vec::new();
    if folders.is_empty() {
        if let Ok(test) = mnist::load_test(dir) {
            let picture = |i| Picture::from_bytes(mnist::SIDE, 1, test.image(i).to_vec()).expect("28 x 28").fitted(side, channels);
            return Ok((0..test.len()).map(|i| RealPicture { picture: picture(i), class: Some(test.labels[i].into()) }).collect());
        }
        for path in entries.iter().filter(|path| is_picture(path)) {
            pictures.push(read(path, None)?);
        }
    }
    for folder in folders {
        let class = class_of(folder, model)?;
        for path in sorted(folder)?.iter().filter(|path| is_picture(path)) {
            pictures.push(read(path, Some(class))?);
        }
    }
    if pictures.is_empty() {
        return Err(format!("{}: there are no pictures and no MNIST test files in it", dir.display()));
    }
    Ok(pictures)
}

fn sorted(dir: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let fault = |error| FileError::new("read the folder", dir, error).to_string();
    let mut paths = std::fs::read_dir(dir)
        .map_err(fault)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let known = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "pgm", "ppm", "pnm"];
    path.extension().and_then(|name| name.to_str()).is_some_and(|name| known.contains(&name.to_ascii_lowercase().as_str()))
}

/// The class that a folder is named after.
fn class_of(folder: &Path, model: &Model) -> Result<usize, String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let by_label = model.labels().iter().position(|label| label == name || label.split(',').next() == Some(name));
    let class = by_label.or_else(|| name.parse().ok().filter(|&class: &usize| class < model.classes()));
    class.ok_or_else(|| {
        format!(
            "{}: the folder's name is neither a label of the model nor the number of a class (0 to {})",
            folder.display(),
            model.classes() - 1
        )
    })
}
