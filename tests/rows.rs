//! Rows that are read when needed: they train as rows in memory do, to the bit, whatever happens to the reader.

mod common;

use common::numbers;
use neural::data::{
    Blocks, Dataset, Format, ReadError, Rows, Scale, Shuffle, Source, Splits, Targets, block_order, each_row,
    in_blocks, pad, read_ahead, safetensors, sequence,
};
use neural::graph::Type;
use neural::loss::Loss;
use neural::nn::{self, Module};
use neural::recipe::Recipe;
use neural::runs::{Folder, Session, Which};
use neural::runtime::Device;
use neural::train::{Augment, Event, FunctionTrainer, Run, Trainer};
use neural::{Array, DType, Error, optim};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The CPU as two devices.
fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| {
        // SAFETY: set before XLA starts its threads, and every test comes here first.
        unsafe { std::env::set_var("XLA_FLAGS", "--xla_force_host_platform_device_count=2") };
        Device::cpu().expect("XLA's CPU device opens")
    })
}

const ROWS: usize = 110;

fn splits() -> Splits {
    Splits { train: (0..88).collect(), validation: (88..ROWS as u32).collect(), test: Vec::new() }
}

fn labels() -> Targets {
    Targets::numbered((0..ROWS).map(|i| (i * 7 % 3) as i32).collect()).expect("labels")
}

fn pictures() -> Array {
    let pixels = numbers(ROWS * 36, 3).iter().map(|&x| x as f32 * 40.0).collect();
    Array::new(&[ROWS, 6, 6, 1], pixels).expect("as many pixels")
}

fn in_memory() -> Dataset {
    let data = Dataset::new(pictures(), labels(), splits()).expect("a data set");
    data.scaled(Scale::StandardizeFeatures).expect("scaled")
}

/// The same pictures as rows, with something that happens before each read.
struct Pictures<F>(Array, F);

impl<F: Fn(&[u32]) -> Result<(), ReadError> + Send + Sync> Rows for Pictures<F> {
    fn count(&self) -> usize {
        ROWS
    }

    fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
        (self.1)(rows)?;
        let some: Vec<u8> =
            rows.iter().flat_map(|&row| self.0.bytes()[row as usize * 144..][..144].to_vec()).collect();
        Ok(vec![Array::from_bytes(DType::F32, &[rows.len(), 6, 6, 1], some)?])
    }
}

fn reading(before: impl Fn(&[u32]) -> Result<(), ReadError> + Send + Sync + 'static) -> Dataset {
    let data = Dataset::from_rows(Pictures(pictures(), before), labels(), splits()).expect("a data set");
    data.scaled(Scale::StandardizeFeatures).expect("scaled")
}

/// Everything that draws for its rows or reaches over a batch; the last batch is masked.
fn trainer() -> Trainer {
    let model = nn::sequential([
        nn::flatten(),
        nn::dense(6),
        nn::batch_norm(),
        nn::relu(),
        nn::dropout(0.3),
        nn::dense(3),
    ]);
    Trainer::new(model)
        .optimizer(optim::adam(0.01))
        .augment([Augment::Flip, Augment::Noise(0.1)])
        .batch_size(16)
        .steps_per_call(2)
        .epochs(3)
}

fn trained(trainer: &Trainer, data: &Dataset) -> (Vec<Array>, Vec<(f64, String)>) {
    let mut run = trainer.start(device(), data).expect("starts");
    let epochs = run.fit(|_| ControlFlow::Continue(())).expect("trains");
    let figures = epochs.iter().map(|epoch| (epoch.loss, format!("{:?}", epoch.validation))).collect();
    (run.state().expect("readable"), figures)
}

#[test]
fn rows_that_are_read_train_as_those_in_memory() {
    // A reader that is slow now and then, and one that reads whole blocks and keeps two of them.
    let calls = AtomicUsize::new(0);
    let slow = reading(move |_| {
        std::thread::sleep(Duration::from_millis((calls.fetch_add(1, SeqCst) % 4) as u64));
        Ok(())
    });
    let all = pictures();
    let blocks = in_blocks(ROWS, 11, 2, move |rows| {
        let bytes = all.bytes()[rows.start as usize * 144..rows.end as usize * 144].to_vec();
        Ok(vec![Array::from_bytes(DType::F32, &[rows.len(), 6, 6, 1], bytes)?])
    });
    let blocks = Dataset::from_rows(blocks, labels(), splits()).expect("a data set");
    let blocks = blocks.scaled(Scale::StandardizeFeatures).expect("scaled");
    let memory = in_memory();
    assert_eq!((&slow.scaling, &blocks.scaling), (&memory.scaling, &memory.scaling));
    assert_eq!(slow.fingerprint(), blocks.fingerprint());

    let by_blocks = trainer().shuffle_blocks(Blocks { rows: 11, window: 2 });
    let cases = [
        (trainer(), &slow),
        (by_blocks, &blocks),
        (trainer().shuffle(false), &blocks),
        (trainer().devices(2), &slow),
    ];
    for (trainer, data) in cases {
        assert!(trained(&trainer, data) == trained(&trainer, &memory), "{trainer:?}");
    }
}

#[test]
fn rows_that_come_one_after_another_train_in_their_order() {
    let all = pictures();
    let rows = |end: usize| {
        let all = all.clone();
        let begin = move || {
            let all = all.clone();
            (0..end).map(move |row| Ok(vec![all.row(row)?]))
        };
        let data = Dataset::from_rows(sequence(ROWS, begin), labels(), splits());
        data.and_then(|data| data.scaled(Scale::StandardizeFeatures))
    };
    let data = rows(ROWS).expect("a data set");
    let ordered = trainer().shuffle(false);
    assert!(trained(&ordered, &data) == trained(&ordered, &in_memory()));
    let refused = trainer().start(device(), &data).map(|_| ()).expect_err("refused").to_string();
    assert!(refused.starts_with("shuffle: expected false"), "{refused}");
    let short = rows(20).expect_err("refused").to_string();
    assert!(short.contains("expected 110 rows, got an iterator that ended after 20"), "{short}");

    // An iterator that cannot be restarted trains a function, a batch at a time.
    let batches = read_ahead((0..6).map(|i| Array::full(DType::F32, &[4, 3], f64::from(i))), 2);
    let trainer = FunctionTrainer::new(&[Type::new(DType::F32, &[4, 3])], |cx, batch| {
        Ok(vec![nn::dense(1).forward(&batch[0], cx)?.square()?.mean_all()?])
    });
    let mut run = trainer.start(device()).expect("starts");
    batches.for_each(|batch| drop(run.step(&[batch]).expect("trains")));
    assert_eq!(run.steps_done(), 6);
}

/// Philox4x32-10 with the counter (index, 1, epoch), as src/data/random.rs documents it, from its authors' paper.
fn random(seed: u64, epoch: u64) -> impl FnMut() -> u64 {
    let (mut index, mut block) = (0u64, Vec::new());
    move || {
        if block.is_empty() {
            let mut c = [index, 1, epoch & 0xffff_ffff, epoch >> 32];
            let mut k = [seed & 0xffff_ffff, seed >> 32];
            for _ in 0..10 {
                let (a, b) = (c[0] * 0xD251_1F53, c[2] * 0xCD9E_8D57);
                c = [(b >> 32) ^ c[1] ^ k[0], b & 0xffff_ffff, (a >> 32) ^ c[3] ^ k[1], a & 0xffff_ffff];
                k = [(k[0] + 0x9E37_79B9) & 0xffff_ffff, (k[1] + 0xBB67_AE85) & 0xffff_ffff];
            }
            index += 1;
            block = c.to_vec();
        }
        block.remove(0)
    }
}

fn shuffled<T>(items: &mut [T], next: &mut impl FnMut() -> u64) {
    for last in (1..items.len()).rev() {
        let bound = last as u64 + 1;
        let at = loop {
            let product = next() * bound;
            if product & 0xffff_ffff >= (1 << 32) % bound {
                break product >> 32;
            }
        };
        items.swap(last, at as usize);
    }
}

#[test]
fn the_order_by_blocks_is_the_one_that_is_documented() {
    for (count, size, window, seed, epoch) in
        [(100, 8, 3, 1, 0), (97, 10, 4, 7, 2), (5, 8, 2, 1, 1), (64, 1, 64, 3, 1 << 40)]
    {
        let rows: Vec<u32> = (0..count).map(|i| 3 * i + 1).collect();
        let mut next = random(seed, epoch);
        let mut blocks: Vec<Vec<u32>> = rows.chunks(size).map(<[u32]>::to_vec).collect();
        shuffled(&mut blocks, &mut next);
        let mut expected = Vec::new();
        for window in blocks.chunks(window) {
            let mut rows = window.concat();
            shuffled(&mut rows, &mut next);
            expected.extend(rows);
        }
        let order =
            block_order(&rows, Blocks { rows: size, window }, Shuffle { seed, epoch }).expect("an order");
        assert_eq!(order, expected);
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
    }
    let refused =
        |rows, window| block_order(&[1, 2], Blocks { rows, window }, Shuffle { seed: 1, epoch: 0 }).is_err();
    assert!(refused(0, 1) && refused(1, 0));
}

/// Sequences of up to 5 positions of 2 numbers each, padded by NaN, and a class for each position, padded or not.
fn walks() -> (Array, Array) {
    let lengths = (0..ROWS).map(|row| row % 4 + 2);
    let steps = numbers(ROWS * 10, 5);
    let walk = |(row, length): (usize, usize)| {
        let of_row = steps[row * 10..][..length * 2].iter().map(|&x| x as f32).collect();
        Array::new(&[length, 2], of_row).expect("as many")
    };
    let walks: Vec<Array> = lengths.enumerate().map(walk).collect();
    let classes = (0..ROWS * 5).map(|i| (i * 7 % 3) as i32).collect();
    (pad(&walks).expect("sequences"), Array::new(&[ROWS, 5], classes).expect("as many"))
}

#[test]
fn padded_positions_of_sequences_that_are_read_have_no_label_and_no_loss() {
    let (inputs, labels) = walks();
    let names: Vec<String> = (0..3).map(|class| class.to_string()).collect();
    let of = |labels: Array| Targets::Positions { labels, names: names.clone() };
    let one = inputs.clone();
    let alone = move |row: u32| Ok(vec![one.row(row as usize)?]);
    let (both, their) = (inputs.clone(), labels.clone());
    let with_labels = move |row: u32| Ok(vec![both.row(row as usize)?, their.row(row as usize)?]);
    let masked = |layers: [nn::Layer; 3]| nn::sequential([nn::Layer::Masking].into_iter().chain(layers));

    let memory = Dataset::new(inputs.clone(), of(labels.clone()), splits()).expect("a data set");
    let beside = Dataset::from_rows(each_row(ROWS, alone.clone()), of(labels), splits()).expect("a data set");
    let none = of(Array::zeros(DType::I32, &[0, 5]));
    let read = Dataset::from_rows(each_row(ROWS, with_labels), none, splits()).expect("a data set");
    let model = masked([nn::dense(6), nn::tanh(), nn::dense(3)]);
    let trainer = Trainer::new(model).optimizer(optim::adam(0.01)).batch_size(16).steps_per_call(2).epochs(2);
    let expected = trained(&trainer, &memory);
    for data in [&beside, &read] {
        assert!(trained(&trainer, data) == expected);
        let of = |data: &Dataset| {
            let evaluation =
                trainer.start(device(), data).expect("starts").evaluate(&[0, 3, 5]).expect("runs");
            (evaluation.labels().to_vec(), evaluation.outputs.clone())
        };
        let (answers, outputs) = of(data);
        // Rows 0, 3 and 5 have 2, 5 and 3 positions.
        assert_eq!((answers.len(), outputs.len()), (10, 30));
        assert!((answers, outputs) == of(&memory));
    }

    // An autoencoder need not reproduce padding either.
    let model = masked([nn::dense(4), nn::tanh(), nn::dense(2)]);
    let trainer = Trainer::new(model).loss(Loss::MeanSquaredError).batch_size(16).steps_per_call(2).epochs(2);
    let memory = Dataset::new(inputs, Targets::Inputs, splits()).expect("a data set");
    let read = Dataset::from_rows(each_row(ROWS, alone), Targets::Inputs, splits()).expect("a data set");
    let given_back = trained(&trainer, &read);
    assert!(given_back.1.iter().all(|(loss, _)| loss.is_finite()));
    assert!(given_back == trained(&trainer, &memory));
    let refused = read.scaled(Scale::Standardize).expect_err("refused").to_string();
    assert!(refused.starts_with("input input: scale: expected no scaling of padded sequences"), "{refused}");
}

#[test]
fn large_rows_are_read_in_pieces_and_trained_on_in_short_calls() {
    const WIDTH: usize = 1 << 18;
    struct Large(Arc<AtomicUsize>);
    impl Rows for Large {
        fn count(&self) -> usize {
            1024
        }

        fn read(&self, rows: &[u32]) -> Result<Vec<Array>, ReadError> {
            self.0.fetch_max(rows.len(), SeqCst);
            Ok(vec![
                Array::zeros(DType::U8, &[rows.len(), WIDTH]),
                Array::zeros(DType::F32, &[rows.len(), 1]),
            ])
        }
    }
    let most = Arc::new(AtomicUsize::new(0));
    let targets = Targets::Values(Array::zeros(DType::F32, &[0, 1]));
    let splits = Splits { train: (0..1024).collect(), ..Splits::default() };
    let data = Dataset::from_rows(Large(most.clone()), targets, splits).expect("a data set");
    assert_eq!(most.load(SeqCst), (16 << 20) / (WIDTH + 4));
    // 32 MiB a step, and a little more: not two of them.
    let trainer = Trainer::new(nn::sequential([nn::dense(1)])).loss(Loss::MeanSquaredError).batch_size(128);
    assert_eq!(trainer.start(device(), &data).expect("starts").steps_per_call().expect("builds"), 1);
    let small = trainer.batch_size(32).start(device(), &data).expect("starts").steps_per_call();
    assert!((2..=7).contains(&small.expect("builds")));
}

#[test]
fn what_rows_that_are_read_cannot_do_is_refused() {
    let refused = |result: Result<Dataset, Error>| result.expect_err("refused").to_string();
    let rows = || each_row(ROWS, |row| Ok(vec![Array::vector(&[1f32, row as f32]), Array::vector(&[0f32])]));
    let none = |shape: &[usize]| Targets::Values(Array::zeros(DType::F32, shape));
    let data = Dataset::from_rows(rows(), none(&[0, 1]), splits()).expect("a data set");
    assert_eq!(data.samples(&[]).expect("none").shape(), [0, 2]);
    let more = refused(data.with_input("more", Array::zeros(DType::F32, &[ROWS, 1])));
    assert!(more.contains("see Dataset::from_named_rows"), "{more}");
    let twice = refused(Dataset::from_named_rows(rows(), &["a", "a"], Targets::Inputs, splits()));
    assert_eq!(twice, "inputs: expected names that differ, got a");
    let empty = each_row(ROWS, |_| Ok(vec![Array::vector(&[1f32]), Array::zeros(DType::F32, &[0])]));
    let empty = refused(Dataset::from_rows(empty, none(&[0, 0]), splits()));
    assert!(empty.contains("no size of 0"), "{empty}");

    // Errors in targets name the row of the data: probabilities that do not sum to 1, and a NaN.
    let halves = |row: u32| {
        Ok(vec![Array::vector(&[1f32]), Array::vector(&[0.5f32, if row == 77 { 0.4 } else { 0.5 }])])
    };
    let data = Dataset::from_rows(each_row(ROWS, halves), none(&[0, 2]), splits()).expect("a data set");
    let trainer = Trainer::new(nn::sequential([nn::dense(2)])).batch_size(16);
    let error = until_it_fails(&mut trainer.start(device(), &data).expect("starts")).to_string();
    assert!(error.contains("a sum of 0.9") && error.ends_with("in row 77"), "{error}");
    let gaps = |row: u32| {
        Ok(vec![
            Array::zeros(DType::F32, &[2, 1]),
            Array::full(DType::F32, &[2, 1], if row == 3 { f64::NAN } else { 0.0 }),
        ])
    };
    let data = Dataset::from_rows(each_row(ROWS, gaps), none(&[0, 2, 1]), splits()).expect("a data set");
    let trainer = Trainer::new(nn::sequential([nn::dense(1)])).loss(Loss::MeanSquaredError).batch_size(16);
    let error = until_it_fails(&mut trainer.start(device(), &data).expect("starts")).to_string();
    assert_eq!(error, "targets: expected finite numbers of f32, got NaN in row 3, place [0, 0]");

    let begin = || (0..ROWS).map(|row| Ok(vec![Array::vector(&[row as f32])]));
    let data = Dataset::from_rows(sequence(ROWS, begin), labels(), splits()).expect("a data set");
    let trainer = Trainer::new(nn::sequential([nn::dense(3)])).shuffle(false).batch_size(16);
    let error = trainer.devices(2).start(device(), &data).map(|_| ()).expect_err("refused").to_string();
    assert!(error.starts_with("devices: expected 1 in a process"), "{error}");
    let function = FunctionTrainer::new(&[Type::new(DType::F32, &[4, 1])], |cx, batch| {
        Ok(vec![nn::dense(1).forward(&batch[0], cx)?.square()?.mean_all()?])
    });
    let mut run = function.shuffle_blocks(Blocks { rows: 4, window: 2 }).start(device()).expect("starts");
    let error = run.pass(&data).expect_err("refused").to_string();
    assert!(error.starts_with("shuffle_blocks: expected none"), "{error}");

    let blocks = in_blocks(10, 4, 2, |rows| Ok(vec![Array::zeros(DType::F32, &[rows.len(), 1])]));
    assert_eq!(
        blocks.read(&[9, 12]).map_err(|e| e.to_string()),
        Err("expected rows below 10, got 12".to_string())
    );
}

#[test]
fn a_run_on_files_that_stay_on_the_disk_is_evaluated_and_exported_in_eight_bits() {
    let parent = tempfile::tempdir().expect("a folder");
    let classes: Vec<u8> = labels().labels().expect("classes").iter().map(|&class| class as u8).collect();
    let named = [("x", &pictures()), ("y", &Array::vector(&classes))];
    fs::write(parent.path().join("arrays.safetensors"), safetensors::encode(&named, None).expect("encoded"))
        .expect("writable");
    let text = "[data]\nformat = 'safetensors'\npath = 'arrays.safetensors'\non_disk = true\nvalidation_fraction = 0.2\n\
                [model]\nlayers = ['flatten', { dense = 6 }, 'relu', { dense = 3 }]\n\
                [train]\nloss = 'softmax-cross-entropy'\noptimizer = { adam = 0.01 }\nepochs = 1\n";
    fs::write(parent.path().join("recipe.toml"), text).expect("writable");
    for arguments in [
        &["train", "recipe.toml", "--name", "run", "--quiet"][..],
        &["evaluate", "runs/run", "--mistakes", "3"],
        &["export", "runs/run", "--to", "onnx", "--int8"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_neural"))
            .args(arguments)
            .current_dir(parent.path())
            .output()
            .expect("runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
    }
}

/// Steps of one call after another until the run fails.
fn until_it_fails(run: &mut Run) -> Error {
    loop {
        match run.proceed() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the run ended"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_run_whose_reader_fails_goes_on_where_it_was_when_that_is_mended() {
    let expected = trained(&trainer(), &in_memory()).0;
    for (is_panic, words) in [(false, "the disk is gone"), (true, "the reader panicked: no such row")] {
        let (is_broken, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (broken, counted) = (is_broken.clone(), reads.clone());
        let data = reading(move |rows| {
            counted.fetch_add(1, SeqCst);
            match rows.iter().find(|row| **row == 41) {
                Some(_) if broken.load(SeqCst) && is_panic => panic!("no such row"),
                Some(row) if broken.load(SeqCst) => Err(format!("row {row}: the disk is gone").into()),
                _ => Ok(()),
            }
        });
        let mut run = trainer().start(device(), &data).expect("starts");
        while run.epoch() < 1 {
            run.proceed().expect("trains");
        }
        is_broken.store(true, SeqCst);
        let error = until_it_fails(&mut run);
        assert!(matches!(error, Error::Rows { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("cannot read 32 rows from ") && text.contains(words), "{text}");
        // It fails again as long as the row cannot be read, and the run stays in place.
        let step = run.step();
        until_it_fails(&mut run);
        assert_eq!(run.step(), step);
        is_broken.store(false, SeqCst);
        let kept = run.checkpoint().expect("readable");
        run.fit(|_| ControlFlow::Continue(())).expect("trains");
        assert!(run.state().expect("readable") == expected);
        // So does another run from that checkpoint, in the middle of an epoch.
        let other = reading(|_| Ok(()));
        let mut resumed = trainer().start(device(), &other).expect("starts");
        resumed.restore(&kept).expect("of the same run");
        assert!(resumed.step() > 0);
        resumed.fit(|_| ControlFlow::Continue(())).expect("trains");
        assert!(resumed.state().expect("readable") == expected);
        assert!(reads.load(SeqCst) > 0);
    }
}

#[test]
fn what_a_reader_must_not_give_is_refused_with_its_row() {
    let refused = |result: Result<Dataset, Error>| result.expect_err("refused").to_string();
    let of = |read: fn(u32) -> Vec<Array>| {
        let splits = Splits { train: (0..50).collect(), ..Splits::default() };
        Dataset::from_rows(each_row(50, move |row| Ok(read(row))), Targets::Inputs, splits)
    };
    let two = |row: u32| vec![Array::vector(&[1f32, row as f32])];
    assert!(of(two).is_ok());
    // A small set is identified by all of its rows; a large one is checked as it is read.
    assert_eq!(
        refused(of(|row| vec![Array::vector(&[1f32, if row == 37 { f32::NAN } else { 0.0 }])])),
        "rows: expected finite numbers of f32, got NaN in row 37"
    );
    let other = refused(of(|row| vec![Array::vector(&vec![0f32; if row == 9 { 3 } else { 2 }])]));
    assert!(other.contains("row 9: expected f32[2], as row 0 is, got f32[3]"), "{other}");
    let kind = refused(of(|_| vec![Array::vector(&[1f64])]));
    assert!(kind.contains("input input: expected u8, i32 or f32"), "{kind}");
    let more = refused(of(|_| vec![Array::vector(&[1f32]); 2]));
    assert!(more.contains("expected 1 arrays, of 1 inputs and 0 targets, got 2"), "{more}");

    // Token ids are checked when they are read.
    let ids = each_row(1000, |row| Ok(vec![Array::vector(&[1i32, if row == 501 { 12 } else { 3 }])]));
    let targets = Targets::numbered((0..1000).map(|i| i % 2).collect()).expect("labels");
    let splits = Splits { train: (0..1000).collect(), ..Splits::default() };
    let data = Dataset::from_rows(ids, targets, splits).expect("a data set");
    let model = nn::sequential([nn::embedding(12, 2), nn::flatten(), nn::dense(2)]);
    let mut run = Trainer::new(model).shuffle(false).batch_size(100).start(device(), &data).expect("starts");
    let error = until_it_fails(&mut run).to_string();
    assert!(
        error.contains(
            "expected whole numbers from 0 to 11, the ids of the embedding, got 12 in row 501, place 1"
        ),
        "{error}"
    );
}

#[test]
fn targets_as_large_as_the_inputs_are_read_with_them() {
    let inputs = pictures();
    let halves: Vec<f32> = inputs.to_f64().iter().map(|x| *x as f32 / 2.0).collect();
    let halves = Array::new(&[ROWS, 6, 6, 1], halves).expect("as many");
    let memory = Dataset::new(inputs.clone(), Targets::Values(halves.clone()), splits()).expect("a data set");
    let of_row = move |row: u32| Ok(vec![inputs.row(row as usize)?, halves.row(row as usize)?]);
    let none = Targets::Values(Array::zeros(DType::F32, &[0, 6, 6, 1]));
    let read = Dataset::from_rows(each_row(ROWS, of_row), none, splits()).expect("a data set");
    let scaled = |data: Dataset| data.standardized()?.scaled_target(Scale::StandardizeFeatures);
    let (memory, read) = (scaled(memory).expect("scaled"), scaled(read).expect("scaled"));
    assert_eq!(memory.target_scaling, read.target_scaling);
    let model = nn::sequential([nn::dense(1)]);
    let trainer = Trainer::new(model).loss(Loss::MeanSquaredError).batch_size(20).epochs(2);
    assert!(trained(&trainer, &memory) == trained(&trainer, &read));
}

#[test]
fn a_function_is_trained_on_rows_that_are_read() {
    let (memory, read) = (in_memory(), reading(|_| Ok(())));
    let passed = |data: &Dataset, blocks: bool| {
        let batch = [Type::new(DType::F32, &[8, 6, 6, 1]), Type::new(DType::I32, &[8])];
        let layers = nn::sequential([nn::flatten(), nn::dense(3)]);
        let trainer = FunctionTrainer::new(&batch, move |cx, batch| {
            let scores = layers.forward(&batch[0], cx)?;
            let far = (scores - batch[1].convert(DType::F32)?.reshape(&[8, 1])?.broadcast_to(&[8, 3])?)?;
            Ok(vec![far.square()?.mean_all()?])
        });
        let trainer = trainer.optimizer(optim::adam(0.01));
        let trainer = if blocks { trainer.shuffle_blocks(Blocks { rows: 11, window: 2 }) } else { trainer };
        let mut run = trainer.start(device()).expect("starts");
        let means: Vec<f64> = (0..3).flat_map(|_| run.pass(data).expect("trains")).collect();
        (means, run.state().expect("readable"))
    };
    assert!(passed(&memory, false) == passed(&read, false));
    assert!(passed(&memory, true) == passed(&read, true));
    assert!(passed(&memory, true) != passed(&memory, false));
}

/// A recipe on the rows of files, with these keys in its `[data]` section.
fn recipe(data: &str) -> Recipe {
    let text = format!(
        "[data]\n{data}\nscale = 'standardize-features'\nvalidation_fraction = 0.2\n\
         [model]\nlayers = ['flatten', {{ dense = 6 }}, 'batch-norm', 'relu', {{ dense = 3 }}]\n\
         [train]\nloss = 'softmax-cross-entropy'\noptimizer = {{ adam = 0.01 }}\nbatch_size = 16\nepochs = 3\nsteps_per_call = 2\n\
         shuffle_blocks = {{ rows = 8, window = 4 }}\n"
    );
    Recipe::parse(&text, Path::new("recipe.toml")).expect("a recipe")
}

/// Trains in a folder until the event `stop`, if there is one; the checkpoint that is left.
fn trained_in(folder: &Folder, data: &Dataset, stop: usize) -> Vec<(String, Array)> {
    let trainer = folder.recipe().expect("a recipe").trainer();
    let mut run = trainer.start(device(), data).expect("starts");
    let mut session = Session::new(&mut run, folder.clone()).expect("a session");
    let mut calls = 0;
    session
        .train(|event| {
            calls += usize::from(matches!(event, Event::Progress(_)));
            if calls == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("trains");
    folder.checkpoint(Which::Last).expect("kept").checkpoint.tensors.clone()
}

/// Writes an array as NumPy does.
fn write_npy(path: &Path, array: &Array) {
    let descr = if array.dtype() == DType::U8 { "|u1" } else { "<f4" };
    let shape: Vec<String> = array.shape().iter().map(|size| format!("{size},")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({})}}\n", shape.concat());
    let length = (header.len() as u16).to_le_bytes();
    let start = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()].concat();
    fs::write(path, [&start, array.bytes()].concat()).expect("writable");
}

#[test]
fn a_recipe_reads_rows_of_files_and_resumes_within_an_epoch() {
    let parent = tempfile::tempdir().expect("a folder");
    let (arrays, file) = (parent.path().join("arrays"), parent.path().join("arrays.safetensors"));
    fs::create_dir(&arrays).expect("a folder");
    let (all, classes) = (pictures(), labels());
    let classes: Vec<u8> = classes.labels().expect("classes").iter().map(|&class| class as u8).collect();
    for (i, rows) in [0..40, 40..41, 41..ROWS].into_iter().enumerate() {
        let bytes = all.bytes()[rows.start * 144..rows.end * 144].to_vec();
        let shard = Array::from_bytes(DType::F32, &[rows.len(), 6, 6, 1], bytes).expect("as many");
        write_npy(&arrays.join(format!("x-{i:05}-of-00003.npy")), &shard);
    }
    write_npy(&arrays.join("y.npy"), &Array::vector(&classes));
    let named = [("x", &all), ("y", &Array::vector(&classes))];
    fs::write(&file, safetensors::encode(&named, None).expect("encoded")).expect("writable");

    let npy = format!("format = 'npy'\npath = '{}'", arrays.display());
    let tensors = format!("format = 'safetensors'\npath = '{}'", file.display());
    let data = |recipe: &Recipe| recipe.data.load().expect("a data set");
    let memory = recipe(&npy);
    let whole = Folder::create(parent.path().join("whole"), &memory).expect("a new folder");
    let expected = trained_in(&whole, &data(&memory), usize::MAX);
    for (name, place) in [("npy", npy), ("tensors", tensors)] {
        let recipe = recipe(&format!("{place}\non_disk = true"));
        let folder = Folder::create(parent.path().join(name), &recipe).expect("a new folder");
        let read = data(&recipe);
        assert!(!read.is_in_memory());
        assert_eq!((read.rows(), read.sample_shape()), (ROWS, &[6, 6, 1][..]));
        // Within the second epoch, whose order is another one.
        trained_in(&folder, &read, 5);
        assert!(trained_in(&folder, &data(&recipe), usize::MAX) == expected, "{name}");
    }

    // A file that is written to during a run, and forms whose rows cannot be read alone.
    let recipe = recipe(&format!("format = 'npy'\npath = '{}'\non_disk = true", arrays.display()));
    let read = data(&recipe);
    let shard = arrays.join("x-00002-of-00003.npy");
    fs::write(&shard, &fs::read(&shard).expect("there")[..2000]).expect("writable");
    let error = read.samples(&[3, 80]).expect_err("refused").to_string();
    assert!(
        error.contains("cannot read 2 rows from 3 to 80") && error.contains("written to since"),
        "{error}"
    );
    let error = recipe.data.load().expect_err("refused").to_string();
    assert!(error.contains("x-00002-of-00003.npy: expected an array [69, 6, 6, 1]"), "{error}");
    let source = Source { on_disk: true, ..Source::new(Format::Idx, "data/mnist") };
    let error = source.load().expect_err("refused").to_string();
    assert!(error.contains("unpack it"), "{error}");
    let table = Source { on_disk: true, ..Source::new(Format::Table, "data/pizza.txt") };
    assert!(
        table.load().expect_err("refused").to_string().starts_with("on_disk: expected a format that uses it")
    );
}
