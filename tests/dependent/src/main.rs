use neural::{Array, data::{Dataset, Splits, Targets}, nn, optim, runtime::Device, train::Trainer};

fn main() -> neural::Result<()> {
    let inputs = Array::new(&[4, 1], vec![-2f32, -1.0, 1.0, 2.0])?;
    let splits = Splits { train: vec![0, 1, 2, 3], ..Splits::default() };
    let data = Dataset::new(inputs, Targets::numbered(vec![0, 0, 1, 1])?, splits)?;
    let device = Device::cpu()?;
    let trainer = Trainer::new(nn::sequential([nn::dense(2)])).optimizer(optim::sgd(1.0)).epochs(5);
    let mut run = trainer.start(&device, &data)?;
    run.fit(|_| std::ops::ControlFlow::Continue(()))?;
    println!("{}", run.evaluate(&data.splits.train)?);
    Ok(())
}
