// Shown in the documentation of `ps_nn::custom`, too.
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use ps_nn::custom::{
    Floats, cpu_output, deliver, floats, gradient_buffer, has_kernel, mark_used, tensor_like,
    tracked,
};

/// Multiplies the values of each row by one factor for each column.
pub(crate) struct Scale {
    pub(crate) factors: Tensor,
}

impl Scale {
    pub(crate) fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        let inputs = inputs.contiguous()?;
        if !has_kernel(&inputs) {
            return inputs.broadcast_mul(&tracked(&self.factors)?);
        }
        mark_used(&self.factors);
        inputs.apply_op2(&self.factors, ScaleOp)
    }
}

struct ScaleOp;

impl CustomOp2 for ScaleOp {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        inputs_layout: &Layout,
        factors: &CpuStorage,
        factors_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let factors = floats(factors, factors_layout)?;
        let inputs = floats(inputs, inputs_layout)?.iter();
        let outputs = inputs.zip(factors.iter().cycle()).map(|(value, factor)| value * factor);
        cpu_output(outputs.collect(), inputs_layout.shape())
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        factors: &Tensor,
        _outputs: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (values, given) = (Floats::of(inputs)?, Floats::of(&gradient)?);
        let mut of_factors = gradient_buffer(factors);
        of_factors.fill(0.0);
        let columns = of_factors.len();
        for (place, (value, given)) in values.iter().zip(given.iter()).enumerate() {
            of_factors[place % columns] += value * given;
        }
        // Handed over before the inputs' gradient is computed: it can leave meanwhile.
        let of_factors = deliver(factors, of_factors)?;
        let factor_values = Floats::of(factors)?;
        let of_inputs = given.iter().zip(factor_values.iter().cycle());
        let of_inputs = of_inputs.map(|(given, factor)| given * factor).collect();
        Ok((Some(tensor_like(of_inputs, inputs)?), of_factors))
    }
}
