//! Small generated data sets for the recipes and programs of unusual networks.
#![allow(dead_code, reason = "each program uses one of the data sets")]

use neural::{Array, Error, Result};

/// Tensors by their names.
pub type Tensors = Vec<(&'static str, Array)>;

/// Makes a data set.
pub type Make = fn() -> Result<Tensors>;

/// Every data set by its name.
pub const SETS: [(&str, Make); 4] =
    [("shapes", shapes), ("houses", houses), ("tags", tags), ("series", series)];

/// The arrays of a data set, in their order.
pub fn arrays<const N: usize>(make: Make) -> Result<[Array; N]> {
    let arrays: Vec<Array> = make()?.into_iter().map(|(_, array)| array).collect();
    arrays.try_into().map_err(|arrays: Vec<Array>| Error::value("arrays of the data set", arrays.len(), N))
}

/// Numbers that look random and are the same everywhere, from 0 to below 1 (xorshift; Marsaglia, 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() * end as f64) as usize
    }
}

/// Pictures `x` `[240, 16, 16, 1]` of a square or a disc on noise, and for each pixel `y` whether it is ground (0), square (1)
/// or disc (2); 255 along the edges of the picture, where none is asked.
pub fn shapes() -> Result<Tensors> {
    const SIDE: usize = 16;
    const COUNT: usize = 240;
    let mut random = Numbers(1);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..COUNT {
        let kind = 1 + random.below(2);
        let radius = 2 + random.below(3);
        let [top, left] = [(); 2].map(|()| radius + random.below(SIDE - 2 * radius));
        let light = 60.0 + 60.0 * random.next();
        for row in 0..SIDE {
            for column in 0..SIDE {
                let (down, across) = (row.abs_diff(top), column.abs_diff(left));
                let inside = match kind {
                    1 => down.max(across) <= radius,
                    _ => down * down + across * across <= radius * radius,
                };
                x.push((100.0 * random.next() + if inside { light } else { 0.0 }) as u8);
                let is_edge = [row, column].iter().any(|&i| i == 0 || i == SIDE - 1);
                y.push(if is_edge {
                    255i32
                } else if inside {
                    kind as i32
                } else {
                    0
                });
            }
        }
    }
    Ok(vec![("x", Array::new(&[COUNT, SIDE, SIDE, 1], x)?), ("y", Array::new(&[COUNT, SIDE, SIDE], y)?)])
}

/// Houses: a `picture` `[300, 8, 8, 1]` whose light is in its upper or its lower half or everywhere, which is their `kind`, a
/// `table` of area, rooms and age, and a `price` that depends on both.
pub fn houses() -> Result<Tensors> {
    const COUNT: usize = 300;
    let mut random = Numbers(2);
    let (mut picture, mut table, mut kinds, mut prices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COUNT {
        let kind = random.below(3);
        for row in 0..8 {
            let is_light = kind == 2 || (row < 4) == (kind == 0);
            picture.extend((0..8).map(|_| (90.0 * random.next() + if is_light { 110.0 } else { 0.0 }) as u8));
        }
        let (area, rooms, age) = (40.0 + 160.0 * random.next(), 1 + random.below(6), 80.0 * random.next());
        table.extend([area as f32, rooms as f32, age as f32]);
        let price = 2000.0 * area + 8000.0 * rooms as f64 - 900.0 * age + 40_000.0 * kind as f64;
        kinds.push(kind as i32);
        prices.push((price + 5000.0 * random.next()) as f32);
    }
    Ok(vec![
        ("picture", Array::new(&[COUNT, 8, 8, 1], picture)?),
        ("table", Array::new(&[COUNT, 3], table)?),
        ("kind", Array::vector(&kinds)),
        ("price", Array::new(&[COUNT, 1], prices)?),
    ])
}

/// Sequences `x` `[200, 12]` of tokens from 1 to 9, filled up with 0, and a tag `y` for each: whether the token is larger (1) or
/// not (0) than the one before it; -1 where there is none.
pub fn tags() -> Result<Tensors> {
    const COUNT: usize = 200;
    const LENGTH: usize = 12;
    let mut random = Numbers(3);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..COUNT {
        let end = 3 + random.below(LENGTH - 2);
        let mut before = 0;
        for place in 0..LENGTH {
            let token = if place < end { 1 + random.below(9) as i32 } else { 0 };
            x.push(token);
            y.push(if place < end { i32::from(token > before) } else { -1 });
            before = token;
        }
    }
    Ok(vec![("x", Array::new(&[COUNT, LENGTH], x)?), ("y", Array::new(&[COUNT, LENGTH], y)?)])
}

/// Windows `x` `[320, 24, 1]` of a wave whose height changes slowly, and the six values `y` after each, NaN where the series has
/// ended.
pub fn series() -> Result<Tensors> {
    const COUNT: usize = 320;
    let mut random = Numbers(4);
    let at = |t: usize| {
        let t = t as f64;
        (1.0 + 0.3 * (t / 40.0).sin()) * (t / 3.0).sin() + 0.2 * (t / 7.0).cos()
    };
    let values: Vec<f64> = (0..COUNT + 24).map(|t| at(t) + 0.02 * random.next()).collect();
    let value = |t: usize| values.get(t).map_or(f32::NAN, |value| *value as f32);
    let window = |from: usize, count: usize| (from..from + count).map(value);
    let x = (0..COUNT).flat_map(|from| window(from, 24)).collect();
    let y = (0..COUNT).flat_map(|from| window(from + 24, 6)).collect();
    Ok(vec![("x", Array::new(&[COUNT, 24, 1], x)?), ("y", Array::new(&[COUNT, 6], y)?)])
}
