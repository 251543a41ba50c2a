//! Predictions with the variables of a run.

use super::FunctionRun;
use crate::array::{Array, DType};
use crate::error::{Error, Result};
use crate::graph::{Function, Graph, Tensor, Type};
use crate::nn::Context;
use crate::runtime::{Buffer, Program};
use crate::train::program::parameters;
use crate::variables::{Variable, Variables, read_by_evaluation};

/// A function of the variables of a [`FunctionRun`] and of inputs, compiled for a device.
#[derive(Debug)]
pub struct FunctionPredictor {
    program: Program,
    inputs: Vec<Type>,
    /// The names of the variables that it was made for.
    variables: Vec<String>,
}

impl FunctionRun<'_> {
    /// Compiles a function of inputs of these types. It reads the variables of the run, or their moving averages if
    /// kept, in place on the device, so that nothing is copied between training and predicting. Layers are in
    /// evaluation: dropout has no effect.
    ///
    /// # Errors
    /// When the function fails, or uses a variable that the run does not have.
    pub fn predictor(
        &self,
        inputs: &[Type],
        forward: impl FnOnce(&mut Context, &[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<FunctionPredictor> {
        let graph = Graph::new();
        let model: Vec<Variable> =
            self.variables().iter().filter(|v| v.role.is_of_model()).cloned().collect();
        let state = parameters(&graph, &model);
        let given: Vec<_> = inputs.iter().map(|ty| graph.parameter(ty.dtype, &ty.shape)).collect();
        let mut variables = Variables::given(&graph, DType::F32, &model, &state);
        let mut cx = Context::evaluation(&mut variables).compute_in(self.plan.compute);
        let outputs = forward(&mut cx, &given)?;
        let program = Program::compile(&self.device, &Function::new(&graph, outputs), 0)?;
        let variables = model.into_iter().map(|variable| variable.name).collect();
        Ok(FunctionPredictor { program, inputs: inputs.to_vec(), variables })
    }

    /// The results of `predictor` for each of several inputs. Inputs and results are stacked along a first axis.
    ///
    /// # Errors
    /// As [`FunctionRun::predict`], and when one of the inputs is stacked less often than another.
    pub fn predict_each(&self, predictor: &FunctionPredictor, inputs: &[Array]) -> Result<Vec<Array>> {
        let count = inputs.first().and_then(|input| input.shape().first()).copied().unwrap_or(0);
        let mut results: Vec<(Array, Vec<u8>)> = Vec::new();
        for place in 0..count {
            let inputs = inputs.iter().map(|input| input.row(place)).collect::<Result<Vec<_>>>()?;
            let made = self.predict(predictor, &inputs)?;
            if place == 0 {
                results = made.into_iter().map(|array| (array.clone(), array.into_bytes())).collect();
            } else {
                results.iter_mut().zip(made).for_each(|((_, all), one)| all.extend(one.into_bytes()));
            }
        }
        let stacked = |(first, all): (Array, Vec<u8>)| {
            Array::from_bytes(first.dtype(), &[&[count], first.shape()].concat(), all)
        };
        results.into_iter().map(stacked).collect()
    }

    /// The results of `predictor` for `inputs` with the current variables.
    ///
    /// # Errors
    /// When the inputs are of other types than the predictor was made for, or it was made for another run.
    pub fn predict(&self, predictor: &FunctionPredictor, inputs: &[Array]) -> Result<Vec<Array>> {
        super::run::check_types(&predictor.inputs, inputs)?;
        let model = self.variables().iter().filter(|v| v.role.is_of_model());
        if !model.map(|v| &v.name).eq(&predictor.variables) {
            return Err(Error::value("predictor", "one that this run made", "one of another run"));
        }
        let state = self.state.current()?;
        let upload = |array: &Array| Buffer::upload(&self.device, array);
        let inputs = inputs.iter().map(upload).collect::<Result<Vec<_>>>()?;
        let variables = read_by_evaluation(self.variables()).map(|i| &state[i]);
        let results = predictor.program.run(Vec::new(), &variables.chain(&inputs).collect::<Vec<_>>())?;
        results.iter().map(Buffer::download).collect()
    }
}
