//! Variables as one flat vector, for training loops that already exist.

use candle_core::{DType, Device, Var};
use candle_nn::VarMap;
use ps_worker::model::{FlatVars, ModelError};

fn zeros(shape: &[usize], dtype: DType) -> Var {
    Var::zeros(shape, dtype, &Device::Cpu).unwrap()
}

fn map(vars: &[(&str, &Var)]) -> VarMap {
    let map = VarMap::new();
    for (name, var) in vars {
        map.data().lock().unwrap().insert((*name).to_owned(), (*var).clone());
    }
    map
}

#[test]
fn weights_go_there_and_back() {
    let (a, b, c) = (zeros(&[], DType::F32), zeros(&[2, 3], DType::F32), zeros(&[4], DType::F32));
    let flat = FlatVars::new(&map(&[("b", &b), ("a", &a), ("c", &c)])).unwrap();
    let weights: Vec<f32> = (0..11).map(|value| value as f32).collect();
    flat.set(&weights).unwrap();
    assert_eq!(flat.get().unwrap(), weights);
    assert_eq!(b.to_vec2::<f32>().unwrap(), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let error = flat.set(&weights[1..]).unwrap_err().to_string();
    assert!(error.contains("10 weights for a model of 11"), "{error}");
}

#[test]
fn a_variable_is_found_by_its_identity() {
    let (a, b) = (zeros(&[1], DType::F32), zeros(&[1], DType::F32));
    let flat = FlatVars::new(&map(&[("b", &b), ("a", &a)])).unwrap();
    assert_eq!((flat.position(&a), flat.position(&b)), (Some(0), Some(1)));
    assert_eq!(flat.position(&zeros(&[1], DType::F32)), None);
}

#[test]
fn gradients_come_in_layout_order_whatever_their_strides() {
    let (a, b, c) = (zeros(&[1], DType::F32), zeros(&[2, 3], DType::F32), zeros(&[4], DType::F32));
    let flat = FlatVars::new(&map(&[("a", &a), ("b", &b), ("c", &c)])).unwrap();
    flat.set(&(0..11).map(|value| value as f32).collect::<Vec<f32>>()).unwrap();
    // Through a transposition, so that the gradient of b may come out transposed in memory.
    let loss = b.t().unwrap().sqr().unwrap().sum_all().unwrap();
    let gradient = flat.gradient(&loss.backward().unwrap()).unwrap();
    assert_eq!(gradient.present, [false, true, false]);
    assert_eq!(gradient.values, [0., 2., 4., 6., 8., 10., 12., 0., 0., 0., 0.]);
}

#[test]
fn variables_that_cannot_be_one_vector_are_refused() {
    assert!(matches!(FlatVars::new(&VarMap::new()), Err(ModelError::Layout(_))));
    let var = zeros(&[2], DType::F32);
    let error = FlatVars::new(&map(&[("a", &var), ("b", &var)])).err().unwrap().to_string();
    assert!(error.contains("`a` and `b` are one"), "{error}");
    let wide = zeros(&[2], DType::F64);
    let error = FlatVars::new(&map(&[("a", &wide)])).err().unwrap().to_string();
    assert!(error.contains("`a` is F64"), "{error}");
}
