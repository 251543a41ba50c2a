//! Augmentation: each picture is changed a little, at random and anew in every epoch, before a training step sees it.

use crate::array::DType;
use crate::error::{Error, Result};
use crate::graph::{Graph, Random, Tensor};
use crate::named::{self, Named};
use serde::{Deserialize, Deserializer, Serialize};

/// One way of changing the pictures `[height, width, channels]` of a batch. Where a change brings in what lies outside
/// of the picture, that is 0 in the picture's own numbers, which is black.
///
/// In a recipe: `augment = ["flip", { shift = 2 }, { crop = 0.9 }, { rotate = 10 }, { cutout = 8 }, { noise = 0.1 }]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augment {
    /// Left and right change places in half of the pictures.
    Flip,
    /// By up to so many whole pixels along each axis.
    Shift(usize),
    /// A part of the picture, at a random place, fills the frame: along each axis at least this part of it, all parts
    /// equally likely (bilinear).
    Crop(f64),
    /// About the middle, by up to so many degrees to either side (bilinear).
    Rotate(f64),
    /// A square of so many pixels a side about a random pixel is 0 (`DeVries` and Taylor, 2017).
    Cutout(usize),
    /// Normal noise of this deviation is added to the scaled picture, or to rows of any shape.
    Noise(f64),
}

impl Named for Augment {
    const WHAT: &'static str = "an augmentation";
    const NAMES: &'static [&'static str] = &["flip", "shift", "crop", "rotate", "cutout", "noise"];

    fn read<'de, D: Deserializer<'de>>(name: &str, settings: D) -> std::result::Result<Self, D::Error> {
        match name {
            "flip" => <()>::deserialize(settings).map(|()| Augment::Flip),
            "shift" => usize::deserialize(settings).map(Augment::Shift),
            "crop" => f64::deserialize(settings).map(Augment::Crop),
            "rotate" => f64::deserialize(settings).map(Augment::Rotate),
            "cutout" => usize::deserialize(settings).map(Augment::Cutout),
            "noise" => f64::deserialize(settings).map(Augment::Noise),
            _ => Err(serde::de::Error::custom(named::unknown(Self::WHAT, name, Self::NAMES))),
        }
    }
}

impl<'de> Deserialize<'de> for Augment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        named::deserialize(deserializer)
    }
}

/// All of `list` but the noise, on pictures f32 `[batch, height, width, channels]` in their own numbers.
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

/// For each picture of a batch the affine map that says from where in the old picture each pixel of the new one comes:
/// with pixels measured from the middle, (y, x) = matrix · (v, u) + offset. Each entry is f32 `[batch]`.
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

    /// This map after the pixels of the new picture went through `inner` and were moved by `by`.
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
        // The place is that of the part within the picture before it is enlarged.
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

/// A square of `size` pixels a side about a random pixel of each picture becomes 0.
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
