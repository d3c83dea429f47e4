//! Windows over images, and images laid out window by window, so that a convolution is a product of
//! matrices (Chellapilla et al., IWFHR 2006).
//!
//! Inside, an image's channels lie together, pixel by pixel: a window's line is then one piece of
//! memory, and what is done to each channel alike is done to many at once.

use multiversion::multiversion;

/// Values copied at once where a line of a window is copied; what is too much is overwritten by the
/// next one, and buffers have so much room at their end.
const LANES: usize = 16;

/// Windows over images of several channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Height and width of a window.
    pub(crate) kernel: (usize, usize),
    pub(crate) stride: usize,
    /// Zeros around the image.
    pub(crate) padding: usize,
}

impl Windows {
    /// Height and width of what comes out; `None` where no window fits.
    pub(crate) fn outputs(&self) -> Option<(usize, usize)> {
        let along = |size: usize, kernel: usize| {
            let left = (size + 2 * self.padding).checked_sub(kernel)?;
            (kernel > 0 && self.stride > 0).then(|| left / self.stride + 1)
        };
        Some((along(self.height, self.kernel.0)?, along(self.width, self.kernel.1)?))
    }

    /// Values in one window over all channels.
    pub(crate) fn window(&self) -> usize {
        self.channels * self.kernel.0 * self.kernel.1
    }

    /// Values of one image.
    pub(crate) fn image(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// An image with zeros around it, and where windows of it begin.
#[derive(Clone, Copy, Debug)]
struct Frame {
    channels: usize,
    /// With its zeros.
    width: usize,
    /// Rows and columns of zeros before the image.
    padding: usize,
    kernel: (usize, usize),
    stride: usize,
    /// How many windows there are in each direction.
    outputs: (usize, usize),
}

/// Working memory to lay out one image after another.
pub(crate) struct Unfold {
    frame: Frame,
    /// `[height, width, channels]` of the image in its frame, whose zeros stay.
    framed: Vec<f32>,
    /// `[outputs, window]`, and room at the end.
    windows: Vec<f32>,
}

impl Unfold {
    /// Room for images of these windows; `outputs` is what they say.
    pub(crate) fn new(windows: &Windows, outputs: (usize, usize)) -> Self {
        let Windows { channels, height, width, kernel, stride, padding } = *windows;
        let (height, width) = (height + 2 * padding, width + 2 * padding);
        let frame = Frame { channels, width, padding, kernel, stride, outputs };
        let framed = vec![0.0; channels * height * width + LANES];
        let laid_out = vec![0.0; windows.window() * outputs.0 * outputs.1 + LANES];
        Self { frame, framed, windows: laid_out }
    }

    /// `[outputs, kernel height * kernel width * channels]` of an image `[channels, height, width]`.
    pub(crate) fn of_planes(&mut self, image: &[f32], (height, width): (usize, usize)) -> &[f32] {
        let Frame { channels, width: framed_width, padding, .. } = self.frame;
        for (number, row) in image.chunks_exact(width.max(1)).enumerate() {
            let (channel, y) = (number / height, number % height);
            let begin = ((padding + y) * framed_width + padding) * channels + channel;
            let places = self.framed[begin..].iter_mut().step_by(channels);
            places.zip(row).for_each(|(place, value)| *place = *value);
        }
        unfold(&self.frame, &self.framed, &mut self.windows);
        let used = self.windows.len() - LANES;
        &self.windows[..used]
    }

    /// Room for what [`Unfold::fold`] adds up: `[outputs, window]`.
    pub(crate) fn windows_mut(&mut self) -> &mut [f32] {
        let used = self.windows.len() - LANES;
        &mut self.windows[..used]
    }

    /// Writes the sum of the windows, each value where in the image it lies.
    pub(crate) fn fold(&mut self, (height, width): (usize, usize), image: &mut [f32]) {
        self.framed.fill(0.0);
        fold(&self.frame, &self.windows, &mut self.framed);
        let Frame { channels, width: framed_width, padding, .. } = self.frame;
        for (number, row) in image.chunks_exact_mut(width.max(1)).enumerate() {
            let (channel, y) = (number / height, number % height);
            let begin = ((padding + y) * framed_width + padding) * channels + channel;
            let places = self.framed[begin..].iter().step_by(channels);
            row.iter_mut().zip(places).for_each(|(value, place)| *value = *place);
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn unfold(frame: &Frame, framed: &[f32], windows: &mut [f32]) {
    let line = frame.kernel.1 * frame.channels;
    let mut into = 0;
    for y in 0..frame.outputs.0 {
        for x in 0..frame.outputs.1 {
            let start = (y * frame.stride * frame.width + x * frame.stride) * frame.channels;
            for row in 0..frame.kernel.0 {
                let from = start + row * frame.width * frame.channels;
                for part in (0..line).step_by(LANES) {
                    let values = &framed[from + part..from + part + LANES];
                    windows[into + part..into + part + LANES].copy_from_slice(values);
                }
                into += line;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn fold(frame: &Frame, windows: &[f32], framed: &mut [f32]) {
    let line = frame.kernel.1 * frame.channels;
    let mut lines = windows.chunks_exact(line);
    for y in 0..frame.outputs.0 {
        for x in 0..frame.outputs.1 {
            let start = (y * frame.stride * frame.width + x * frame.stride) * frame.channels;
            for (row, values) in (0..frame.kernel.0).zip(&mut lines) {
                let into = start + row * frame.width * frame.channels;
                let sums = framed[into..into + line].iter_mut();
                sums.zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
    }
}

/// `[columns, rows]` of `[rows, columns]`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn transpose(values: &[f32], columns: usize, into: &mut [f32]) {
    let rows = values.len() / columns.max(1);
    for first in (0..columns).step_by(LANES) {
        let many = LANES.min(columns - first);
        for (number, row) in values.chunks_exact(columns).enumerate() {
            for (offset, value) in row[first..first + many].iter().enumerate() {
                into[(first + offset) * rows + number] = *value;
            }
        }
    }
}
