//! Parts of the bundled digits as folders of IDX files.

use std::io::Read;
use std::path::Path;

/// Images with their labels.
#[derive(Clone, Debug)]
pub struct Digits {
    /// Rows and columns of an image.
    sizes: [u32; 2],
    images: Vec<Vec<u8>>,
    labels: Vec<u8>,
}

impl Digits {
    /// The training set, or the test set.
    ///
    /// # Panics
    /// The files of the repository are damaged.
    pub fn bundled(is_train: bool) -> Self {
        let part = if is_train { "train" } else { "t10k" };
        let images = unpack(&format!("{part}-images-idx3-ubyte.gz"));
        let labels = unpack(&format!("{part}-labels-idx1-ubyte.gz"));
        let size = |at: usize| {
            u32::from_be_bytes([images[at], images[at + 1], images[at + 2], images[at + 3]])
        };
        let sizes = [size(8), size(12)];
        let pixels = (sizes[0] * sizes[1]) as usize;
        Self {
            sizes,
            images: images[16..].chunks(pixels).map(<[u8]>::to_vec).collect(),
            labels: labels[8..].to_vec(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Those that are wanted, by their number and label.
    #[must_use]
    pub fn only(&self, is_wanted: impl Fn(usize, u8) -> bool) -> Self {
        let numbers = (0..self.len()).filter(|number| is_wanted(*number, self.labels[*number]));
        let numbers: Vec<usize> = numbers.collect();
        Self {
            sizes: self.sizes,
            images: numbers.iter().map(|number| self.images[*number].clone()).collect(),
            labels: numbers.iter().map(|number| self.labels[*number]).collect(),
        }
    }

    /// Writes them as the training or the test set of a folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, is_train: bool) -> std::io::Result<()> {
        let part = if is_train { "train" } else { "t10k" };
        let count = (self.len() as u32).to_be_bytes();
        let [rows, columns] = self.sizes.map(u32::to_be_bytes);
        let mut images = [[0, 0, 8, 3], count, rows, columns].concat();
        self.images.iter().for_each(|image| images.extend(image));
        let labels = [&[0, 0, 8, 1], &count[..], &self.labels].concat();
        std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images)?;
        std::fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels)
    }
}

fn unpack(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/digits").join(name);
    let packed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes);
    unpacked.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes
}
