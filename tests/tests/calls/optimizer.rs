//! The servers as the optimizer of a training loop of one's own.

use candle_core::{Device, Var};
use candle_nn::{Optimizer, VarMap};
use ps_tests::loopback::{JOB, Server};
use ps_worker::optimizer::{AsyncOptimizer, AsyncOptimizerConfig};

/// A variable `weight` of zeros, whose gradient in [`step`] is (3, 4).
fn vars() -> (VarMap, Var) {
    let (map, weight) = (VarMap::new(), Var::zeros(2, candle_core::DType::F32, &Device::Cpu));
    let weight = weight.unwrap();
    map.data().lock().unwrap().insert("weight".to_owned(), weight.clone());
    (map, weight)
}

fn step(optimizer: &mut AsyncOptimizer, weight: &Var) -> candle_core::Result<Vec<f32>> {
    let factors = candle_core::Tensor::new(&[3_f32, 4.0], &Device::Cpu)?;
    optimizer.backward_step(&(weight.as_tensor() * factors)?.sum_all()?)?;
    weight.to_vec1()
}

/// A step of a loop against a server, with settings that this changes.
async fn stepped(change: impl Fn(&mut AsyncOptimizerConfig) + Send + 'static) -> Vec<f32> {
    let server = Server::start(0).await.unwrap();
    let address = server.address.clone();
    let stepped = tokio::task::spawn_blocking(move || {
        let (map, weight) = vars();
        let mut config = AsyncOptimizerConfig::new(map, [address]);
        JOB.clone_into(&mut config.job);
        change(&mut config);
        step(&mut AsyncOptimizer::new(vec![weight.clone()], config).unwrap(), &weight).unwrap()
    });
    stepped.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gradients_are_clipped_to_the_norm_that_the_settings_give() {
    let plain = stepped(|config| config.settings.learning_rate.base = 1.0).await;
    assert_eq!(plain, [-3.0, -4.0]);
    let clipped = stepped(|config| {
        config.settings.learning_rate.base = 1.0;
        config.settings.clip_norm = Some(2.5);
    });
    let clipped = clipped.await;
    assert!((clipped[0] + 1.5).abs() < 1e-6 && (clipped[1] + 2.0).abs() < 1e-6, "{clipped:?}");
}

#[test]
fn a_schedule_that_nobody_could_follow_is_refused() {
    let (map, weight) = vars();
    let mut config = AsyncOptimizerConfig::new(map, ["127.0.0.1:1"]);
    config.settings.learning_rate.warmup = 0.1;
    let refused = AsyncOptimizer::new(vec![weight], config).err().unwrap().to_string();
    assert!(refused.contains("--warmup") && refused.contains("set_learning_rate"), "{refused}");
}
