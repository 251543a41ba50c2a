//! Augmentation: each picture is changed a little before a training step, at random and differently in every epoch.

use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Random, Tensor};
use crate::named;
use serde::Deserialize;

named::table! {
    /// One way of changing the pictures `[height, width, channels]` of a batch. Pixels from outside the picture are 0
    /// before scaling, which is black.
    ///
    /// In a recipe: `augment = ["flip", { shift = 2 }, { crop = 0.9 }, { rotate = 10 }, { cutout = 8 }, { noise = 0.1 }]`.
    ///
    /// ```
    /// use neural::train::Augment;
    /// let text = "augment = ['flip', { shift = 2 }]";
    /// let list: std::collections::HashMap<String, Vec<Augment>> = toml::from_str(text)?;
    /// assert_eq!(list["augment"], [Augment::Flip, Augment::Shift(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Augment: "an augmentation" {
        /// Mirrors half of the pictures, left to right.
        Flip = "flip" | "randomhorizontalflip";
        /// Moves the picture along each axis by up to this number of whole pixels. `{ shift = 2 }`
        Shift(usize) = "shift";
        /// Fills the frame with a part of the picture, from a random place: along each axis at least this part of it, all
        /// parts equally likely (bilinear). `{ crop = 0.9 }`
        Crop(f64) = "crop";
        /// Turns the picture about its middle by up to this number of degrees to either side (bilinear).
        /// `{ rotate = 10 }`
        Rotate(f64) = "rotate";
        /// Sets a square of this number of pixels a side, about a random pixel, to 0.
        /// `{ cutout = 8 }`
        Cutout(usize) = "cutout";
        /// Adds normal noise of this deviation to the scaled picture, or to rows of any shape. `{ noise = 0.1 }`
        Noise(f64) = "noise" | "gaussiannoise";
    }
}

/// Applies all of `list` but the noise, on unscaled pictures f32 `[batch, height, width, channels]`.
pub(super) fn move_pixels(list: &[Augment], x: &Tensor, random: &mut Random) -> Result<Tensor> {
    check(list)?;
    if list.iter().all(|augment| matches!(augment, Augment::Noise(_))) {
        return Ok(x.clone());
    }
    let &[batch, height, width, _] = x.shape() else {
        return Err(Error::shape("augment", "pictures [n, height, width, channels]", x.ty()));
    };
    let mut map = Map::identity(x.graph(), batch)?;
    for augment in list {
        map = match *augment {
            Augment::Flip => map.flipped(random)?,
            Augment::Shift(pixels) => map.shifted(pixels, random)?,
            Augment::Crop(least) => map.cropped(least, [height, width], random)?,
            Augment::Rotate(degrees) => map.rotated(degrees, random)?,
            Augment::Cutout(_) | Augment::Noise(_) => map,
        };
    }
    let smooth = list.iter().any(|a| matches!(a, Augment::Crop(_) | Augment::Rotate(_)));
    let sharp = list.iter().any(|a| matches!(a, Augment::Flip | Augment::Shift(_)));
    let mut x = if smooth || sharp { map.apply(x, smooth)? } else { x.clone() };
    for augment in list {
        if let Augment::Cutout(size) = *augment {
            x = cut_out(&x, size, random)?;
        }
    }
    Ok(x)
}

/// The noise of `list`, on scaled samples.
pub(super) fn add_noise(list: &[Augment], x: &Tensor, random: &mut Random) -> Result<Tensor> {
    list.iter().try_fold(x.clone(), |x, augment| match *augment {
        Augment::Noise(deviation) => &x + (random.normal(DType::F32, x.shape())? * deviation)?,
        _ => Ok(x),
    })
}

fn check(list: &[Augment]) -> Result<()> {
    for augment in list {
        match *augment {
            Augment::Crop(part) if !(part > 0.0 && part <= 1.0) => {
                return Err(Error::value("augment.crop", "a part of the side, above 0 and at most 1", part));
            }
            Augment::Rotate(degrees) if !(0.0..=180.0).contains(&degrees) => {
                return Err(Error::value("augment.rotate", "from 0 to 180 degrees", degrees));
            }
            Augment::Noise(deviation) if !(deviation >= 0.0 && deviation.is_finite()) => {
                return Err(Error::value("augment.noise", "a deviation of at least 0", deviation));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The affine map of each picture of a batch from the pixels of the new picture to their places in the old one: with
/// pixels measured from the middle, (y, x) = matrix · (v, u) + offset. Each entry is f32 `[batch]`.
struct Map {
    matrix: [[Tensor; 2]; 2],
    offset: [Tensor; 2],
}

impl Map {
    fn identity(graph: &Graph, batch: usize) -> Result<Self> {
        let full = |value: f64| graph.full(DType::F32, &[batch], value);
        Ok(Self {
            matrix: [[full(1.0)?, full(0.0)?], [full(0.0)?, full(1.0)?]],
            offset: [full(0.0)?, full(0.0)?],
        })
    }

    fn batch(&self) -> &[usize] {
        self.offset[0].shape()
    }

    /// This map composed after `inner` and a move by `by` of the new picture's pixels.
    fn after(&self, inner: [[&Tensor; 2]; 2], by: [&Tensor; 2]) -> Result<Self> {
        let dot = |row: &[Tensor; 2], column: [&Tensor; 2]| -> Result<Tensor> {
            (&row[0] * column[0])? + (&row[1] * column[1])?
        };
        let row = |i: usize| -> Result<[Tensor; 2]> {
            let row = &self.matrix[i];
            Ok([dot(row, [inner[0][0], inner[1][0]])?, dot(row, [inner[0][1], inner[1][1]])?])
        };
        let offset = |i: usize| &self.offset[i] + dot(&self.matrix[i], by)?;
        Ok(Self { matrix: [row(0)?, row(1)?], offset: [offset(0)?, offset(1)?] })
    }

    fn flipped(self, random: &mut Random) -> Result<Self> {
        let draw = random.uniform(DType::F32, self.batch())?;
        let (one, zero) = (draw.full_like(1.0)?, draw.full_like(0.0)?);
        let sign = draw.lt(&draw.full_like(0.5)?)?.select(&one, &one.neg()?)?;
        self.after([[&one, &zero], [&zero, &sign]], [&zero, &zero])
    }

    fn shifted(self, pixels: usize, random: &mut Random) -> Result<Self> {
        let mut whole = || {
            let draw = random.uniform(DType::F32, self.batch())?;
            (draw * (2 * pixels + 1) as f64)?.floor()? - pixels as f64
        };
        let (down, right) = (whole()?, whole()?);
        let (one, zero) = (down.full_like(1.0)?, down.full_like(0.0)?);
        self.after([[&one, &zero], [&zero, &one]], [&down, &right])
    }

    fn cropped(self, least: f64, sides: [usize; 2], random: &mut Random) -> Result<Self> {
        let mut axis = |side: usize| -> Result<(Tensor, Tensor)> {
            let part = ((random.uniform(DType::F32, self.batch())? * (1.0 - least))? + least)?;
            let place = (random.uniform(DType::F32, self.batch())? - 0.5)?;
            let room = ((part.neg()? + 1.0)? * (side as f64 - 1.0))?;
            Ok((part, (place * room)?))
        };
        let ((tall, down), (wide, right)) = (axis(sides[0])?, axis(sides[1])?);
        let zero = down.full_like(0.0)?;
        // The place is the part's place in the picture before it is enlarged.
        self.after([[&tall, &zero], [&zero, &wide]], [&down, &right])
    }

    fn rotated(self, degrees: f64, random: &mut Random) -> Result<Self> {
        let draw = random.uniform(DType::F32, self.batch())?;
        let angle = ((draw * 2.0)? - 1.0)?;
        let angle = (angle * degrees.to_radians())?;
        let (sin, cos, zero) = (angle.sin()?, angle.cos()?, angle.full_like(0.0)?);
        let minus = sin.neg()?;
        self.after([[&cos, &sin], [&minus, &cos]], [&zero, &zero])
    }

    /// The new pictures; between pixels the mean of the nearest four by distance if `smooth`, else the nearest one.
    fn apply(&self, x: &Tensor, smooth: bool) -> Result<Tensor> {
        let (graph, shape) = (x.graph(), x.shape());
        let (batch, height, width, channels) = (shape[0], shape[1], shape[2], shape[3]);
        let pixels = [batch, height, width];
        let middle = |side: usize| (side as f64 - 1.0) / 2.0;
        let v = (graph.iota(DType::F32, &pixels, 1)? - middle(height))?;
        let u = (graph.iota(DType::F32, &pixels, 2)? - middle(width))?;
        let of_picture = |t: &Tensor| t.broadcast_in(&pixels, vec![0]);
        let place = |i: usize, side: usize| -> Result<Tensor> {
            let turned = ((of_picture(&self.matrix[i][0])? * &v)? + (of_picture(&self.matrix[i][1])? * &u)?)?;
            (turned + of_picture(&self.offset[i])?)? + middle(side)
        };
        let (y, x_place) = (place(0, height)?, place(1, width)?);
        let table = x.reshape(&[batch * height * width, channels])?;
        let first = (graph.iota(DType::I32, &pixels, 0)? * (height * width) as f64)?;
        // The pixels at whole places, 0 outside of the picture.
        let tap = |y: &Tensor, x: &Tensor| -> Result<Tensor> {
            let within = |t: &Tensor, side: usize| {
                let last = t.full_like(side as f64 - 1.0)?;
                t.ge(&t.full_like(0.0)?)?.and(&t.le(&last)?)
            };
            let inside = within(y, height)?.and(&within(x, width)?)?.convert(DType::F32)?;
            let y = y.clamp(0.0, height as f64 - 1.0)?.convert(DType::I32)?;
            let x = x.clamp(0.0, width as f64 - 1.0)?.convert(DType::I32)?;
            let index = ((&first + (y * width as f64)?)? + x)?;
            let rows = table.take(&index.reshape(&[batch * height * width])?)?;
            rows.reshape(shape)? * inside.broadcast_in(shape, vec![0, 1, 2])?
        };
        if !smooth {
            return tap(&y.round()?, &x_place.round()?);
        }
        let (top, left) = (y.floor()?, x_place.floor()?);
        let (bottom, right) = ((&top + 1.0)?, (&left + 1.0)?);
        let (low, across) = ((&y - &top)?, (&x_place - &left)?);
        let weigh = |pixels: Tensor, weight: Tensor| pixels * weight.broadcast_in(shape, vec![0, 1, 2])?;
        let (high, back) = ((low.neg()? + 1.0)?, (across.neg()? + 1.0)?);
        let upper =
            (weigh(tap(&top, &left)?, (&high * &back)?)? + weigh(tap(&top, &right)?, (&high * &across)?)?)?;
        let lower = (weigh(tap(&bottom, &left)?, (&low * &back)?)?
            + weigh(tap(&bottom, &right)?, (&low * &across)?)?)?;
        upper + lower
    }
}

/// A square of `size` pixels a side about a random pixel of each picture becomes 0 (`DeVries` and Taylor, 2017).
fn cut_out(x: &Tensor, size: usize, random: &mut Random) -> Result<Tensor> {
    let shape = x.shape();
    let pixels = &shape[..3];
    let mut outside = |axis: usize| -> Result<Tensor> {
        let center = (random.uniform(DType::F32, &shape[..1])? * shape[axis] as f64)?.floor()?;
        let from = (center - (size / 2) as f64)?.broadcast_in(pixels, vec![0])?;
        let at = (x.graph().iota(DType::F32, pixels, axis)? - from)?;
        at.lt(&at.full_like(0.0)?)?.or(&at.ge(&at.full_like(size as f64)?)?)
    };
    let kept = outside(1)?.or(&outside(2)?)?.convert(DType::F32)?;
    x * kept.broadcast_in(shape, vec![0, 1, 2])?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use crate::graph::Function;
    use crate::runtime::{Device, Program};

    const SIDE: usize = 9;

    /// `batch` times the same picture, changed.
    fn changed(list: &[Augment], picture: &[f32], batch: usize) -> Vec<Vec<f32>> {
        let graph = Graph::new();
        let pictures = graph.constant(Array::new(&[batch, SIDE, SIDE, 1], picture.repeat(batch)).unwrap());
        let mut random = Random::new(graph.scalar(1u64), graph.scalar(2u64));
        let result = move_pixels(list, &pictures, &mut random).unwrap();
        let device = Device::cpu().unwrap();
        let program = Program::compile(&device, &Function::new(&graph, vec![result]), 0).unwrap();
        let result = program.call(&device, &[]).unwrap()[0].to_vec::<f32>().unwrap();
        result.chunks(SIDE * SIDE).map(<[f32]>::to_vec).collect()
    }

    /// A picture without equal pixels or zeros.
    fn picture() -> Vec<f32> {
        (1..=SIDE * SIDE).map(|i| i as f32).collect()
    }

    fn at(picture: &[f32], y: i32, x: i32) -> f32 {
        let inside = |i: i32| (0..SIDE as i32).contains(&i);
        if inside(y) && inside(x) { picture[y as usize * SIDE + x as usize] } else { 0.0 }
    }

    fn from_each(pixel: impl Fn(i32, i32) -> f32) -> Vec<f32> {
        let side = 0..SIDE as i32;
        side.clone().flat_map(|y| side.clone().map(move |x| (y, x))).map(|(y, x)| pixel(y, x)).collect()
    }

    #[test]
    fn a_shift_moves_whole_pixels_by_all_distances_and_brings_in_zeros() {
        let picture = picture();
        let moves: Vec<(i32, i32)> = (-2..=2).flat_map(|y| (-2..=2).map(move |x| (y, x))).collect();
        let candidates: Vec<Vec<f32>> =
            moves.iter().map(|(down, right)| from_each(|y, x| at(&picture, y + down, x + right))).collect();
        let mut seen = vec![0; candidates.len()];
        for result in changed(&[Augment::Shift(2)], &picture, 500) {
            seen[candidates.iter().position(|c| *c == result).expect("a shift by whole pixels")] += 1;
        }
        // 20 of each on average.
        assert!(seen.iter().all(|count| (4..=45).contains(count)), "{seen:?}");
    }

    #[test]
    fn a_flip_mirrors_half_of_the_pictures() {
        let picture = picture();
        let mirrored = from_each(|y, x| at(&picture, y, SIDE as i32 - 1 - x));
        let results = changed(&[Augment::Flip], &picture, 400);
        assert!(results.iter().all(|result| *result == picture || *result == mirrored));
        let count = results.iter().filter(|result| **result == mirrored).count();
        assert!((150..=250).contains(&count), "{count}");
    }

    #[test]
    fn a_crop_and_a_turn_by_nothing_change_nothing() {
        for list in [Augment::Crop(1.0), Augment::Rotate(0.0)] {
            assert!(changed(&[list], &picture(), 3).iter().all(|result| *result == picture()), "{list:?}");
        }
    }

    #[test]
    fn a_crop_enlarges_a_part_that_lies_within_the_picture() {
        // On a slope, bilinear means are exact: the new picture is a slope from and to values of the old one.
        let slope = from_each(|_, x| 1.0 + x as f32);
        for result in changed(&[Augment::Crop(0.5)], &slope, 100) {
            let (first, last) = (result[0], result[SIDE - 1]);
            assert!(first >= 1.0 - 1e-4 && last <= 9.0 + 1e-4, "{first} {last}");
            assert!(last - first >= 4.0 - 1e-3 && last - first <= 8.0 + 1e-3, "{first} {last}");
            for (x, value) in result[..SIDE].iter().enumerate() {
                let expected = first + (last - first) * x as f32 / (SIDE as f32 - 1.0);
                assert!((value - expected).abs() < 1e-4, "{value} {expected}");
            }
        }
    }

    #[test]
    fn a_turn_keeps_distances_from_the_middle() {
        // A spot 3 pixels right of the middle.
        let spot = from_each(|y, x| if (y, x) == (4, 7) { 100.0 } else { 0.0 });
        let mut angles = Vec::new();
        for result in changed(&[Augment::Rotate(90.0)], &spot, 200) {
            let total: f32 = result.iter().sum();
            let mean = |f: &dyn Fn(usize) -> f32| {
                result.iter().enumerate().map(|(i, v)| v * f(i)).sum::<f32>() / total - 4.0
            };
            let (y, x) = (mean(&|i| (i / SIDE) as f32), mean(&|i| (i % SIDE) as f32));
            assert!((y.hypot(x) - 3.0).abs() < 0.3, "{y} {x}");
            angles.push(y.atan2(x).to_degrees());
        }
        assert!(angles.iter().all(|angle| angle.abs() < 95.0));
        assert!(angles.iter().any(|angle| *angle > 60.0) && angles.iter().any(|angle| *angle < -60.0));
    }

    #[test]
    fn a_cutout_is_a_square_that_the_edge_may_cut() {
        let ones = vec![1f32; SIDE * SIDE];
        let mut sizes = Vec::new();
        for result in changed(&[Augment::Cutout(4)], &ones, 200) {
            let holes: Vec<(usize, usize)> =
                (0..SIDE * SIDE).filter(|&i| result[i] == 0.0).map(|i| (i / SIDE, i % SIDE)).collect();
            let extent = |f: &dyn Fn(&(usize, usize)) -> usize| {
                holes.iter().map(f).max().unwrap_or(0) + 1 - holes.iter().map(f).min().unwrap_or(0)
            };
            let (height, width) = (extent(&|hole| hole.0), extent(&|hole| hole.1));
            assert_eq!(height * width, holes.len());
            assert!(height <= 4 && width <= 4);
            sizes.push(holes.len());
        }
        assert!(sizes.contains(&16) && sizes.iter().all(|size| *size >= 4), "{sizes:?}");
    }

    #[test]
    fn what_is_no_picture_or_out_of_range_is_refused() {
        let graph = Graph::new();
        let rows = graph.full(DType::F32, &[4, 10], 0.0).unwrap();
        let mut random = Random::new(graph.scalar(1u64), graph.scalar(2u64));
        assert!(move_pixels(&[Augment::Flip], &rows, &mut random).is_err());
        assert!(move_pixels(&[Augment::Noise(0.1)], &rows, &mut random).is_ok());
        for wrong in [Augment::Crop(0.0), Augment::Crop(1.5), Augment::Rotate(-1.0), Augment::Noise(f64::NAN)]
        {
            assert!(move_pixels(&[wrong], &rows, &mut random).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_reference_has_the_table() {
        named::reference::check("augmentations", Augment::REFERENCE);
    }
}
