//! Attention of each position to itself and those before it (Vaswani et al., 2017), head by head.

use super::matrix::{WriteMode, multiply_here, wide_rows, wide_rows_mut};
use super::parts;
use super::softmax::{softmax_row, softmax_row_back};

/// The sizes of one attention: what comes in is `[samples, positions, 3 * width]`, queries, keys and
/// values side by side; what comes out is `[samples, positions, width]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) positions: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
}

impl Attention {
    fn head(&self) -> usize {
        self.width / self.heads
    }

    /// How much a product of a query and a key counts.
    fn scale(&self) -> f32 {
        1.0 / (self.head() as f32).sqrt()
    }

    /// Values of one sample that come in, that come out, and probabilities.
    fn each(&self) -> (usize, usize, usize) {
        let come_out = self.positions * self.width;
        (3 * come_out, come_out, self.heads * self.positions * self.positions)
    }

    /// Where a head's part of queries (0), keys (1) or values (2) of a sample lies.
    fn range(&self, part: usize, head: usize) -> std::ops::Range<usize> {
        let begin = part * self.width + head * self.head();
        begin..(self.positions - 1) * 3 * self.width + begin + self.head()
    }

    /// Where a head's part of a sample's output lies.
    fn range_out(&self, head: usize) -> std::ops::Range<usize> {
        let begin = head * self.head();
        begin..(self.positions - 1) * self.width + begin + self.head()
    }

    /// Writes outputs and `probabilities`, how much each position attends to each:
    /// `[samples, heads, positions, positions]`.
    pub(crate) fn forward(&self, inputs: &[f32], outputs: &mut [f32], probabilities: &mut [f32]) {
        let (input, output, share) = self.each();
        let each = parts(inputs.len() / input.max(1)).max(1);
        let inputs = inputs.chunks(each * input);
        let parts = outputs.chunks_mut(each * output).zip(probabilities.chunks_mut(each * share));
        rayon::scope(|scope| {
            for (inputs, (outputs, probabilities)) in inputs.zip(parts) {
                scope.spawn(move |_| {
                    let samples = outputs.chunks_exact_mut(output);
                    let samples = samples.zip(probabilities.chunks_exact_mut(share));
                    for (input, (output, probabilities)) in inputs.chunks_exact(input).zip(samples)
                    {
                        self.forward_one(input, output, probabilities);
                    }
                });
            }
        });
    }

    fn forward_one(&self, input: &[f32], output: &mut [f32], probabilities: &mut [f32]) {
        let (count, size, apart) = (self.positions, self.head(), 3 * self.width);
        for (head, probabilities) in probabilities.chunks_exact_mut(count * count).enumerate() {
            let part = |part| wide_rows(&input[self.range(part, head)], size, apart);
            let into = wide_rows_mut(probabilities, count, count);
            multiply_here(part(0), part(1).t(), into, WriteMode::Overwrite);
            for (position, row) in probabilities.chunks_exact_mut(count).enumerate() {
                let (seen, unseen) = row.split_at_mut(position + 1);
                seen.iter_mut().for_each(|product| *product *= self.scale());
                softmax_row(seen);
                unseen.fill(0.0);
            }
            let into = wide_rows_mut(&mut output[self.range_out(head)], size, self.width);
            multiply_here(
                wide_rows(probabilities, count, count),
                part(2),
                into,
                WriteMode::Overwrite,
            );
        }
    }

    /// Writes the gradients of the inputs.
    pub(crate) fn backward(
        &self,
        inputs: &[f32],
        probabilities: &[f32],
        of_outputs: &[f32],
        of_inputs: &mut [f32],
    ) {
        let (input, output, share) = self.each();
        let each = parts(inputs.len() / input.max(1)).max(1);
        let given = inputs.chunks(each * input).zip(probabilities.chunks(each * share));
        let given = given.zip(of_outputs.chunks(each * output));
        rayon::scope(|scope| {
            for (((inputs, probabilities), of_outputs), of_inputs) in
                given.zip(of_inputs.chunks_mut(each * input))
            {
                scope.spawn(move |_| {
                    let mut of_probabilities = vec![0.0; self.positions * self.positions];
                    let given = inputs.chunks_exact(input).zip(probabilities.chunks_exact(share));
                    let given = given.zip(of_outputs.chunks_exact(output));
                    for (((input, probabilities), of_output), of_input) in
                        given.zip(of_inputs.chunks_exact_mut(input))
                    {
                        self.backward_one(
                            input,
                            probabilities,
                            of_output,
                            of_input,
                            &mut of_probabilities,
                        );
                    }
                });
            }
        });
    }

    fn backward_one(
        &self,
        input: &[f32],
        probabilities: &[f32],
        of_output: &[f32],
        of_input: &mut [f32],
        of_probabilities: &mut [f32],
    ) {
        let (count, size, apart) = (self.positions, self.head(), 3 * self.width);
        for (head, probabilities) in probabilities.chunks_exact(count * count).enumerate() {
            let part = |part| wide_rows(&input[self.range(part, head)], size, apart);
            let of_output = wide_rows(&of_output[self.range_out(head)], size, self.width);
            let share_rows = wide_rows(probabilities, count, count);
            let mut write = |part, left, right| {
                let into = wide_rows_mut(&mut of_input[self.range(part, head)], size, apart);
                multiply_here(left, right, into, WriteMode::Overwrite);
            };
            write(2, share_rows.t(), of_output);
            let into = wide_rows_mut(of_probabilities, count, count);
            multiply_here(of_output, part(2).t(), into, WriteMode::Overwrite);
            let rows =
                of_probabilities.chunks_exact_mut(count).zip(probabilities.chunks_exact(count));
            for (of_row, row) in rows {
                // What was not seen has a share of zero, and so no gradient.
                softmax_row_back(row, of_row);
                of_row.iter_mut().for_each(|gradient| *gradient *= self.scale());
            }
            let of_probabilities = wide_rows(of_probabilities, count, count);
            write(0, of_probabilities, part(1));
            write(1, of_probabilities.t(), part(0));
        }
    }
}
