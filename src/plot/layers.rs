//! Places the boxes of a graph in layers, each box below all that lead to it, after Sugiyama, Tagawa and Toda (1981).

use super::scene::Point;
use crate::error::{Error, Result};

/// Between boxes side by side, and between the layers.
const ASIDE: f64 = 26.0;
const BELOW: f64 = 34.0;
/// The room that an arrow takes where it passes a layer.
const WAY: f64 = 16.0;
const SWEEPS: usize = 8;

pub(super) struct Laid {
    pub corners: Vec<Point>,
    /// The points of each arrow's line.
    pub arrows: Vec<Vec<Point>>,
    pub size: Point,
}

/// A box, or the place where an arrow passes a layer.
struct Place {
    layer: usize,
    size: Point,
    /// The middle.
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Places boxes of these sizes with arrows between them.
///
/// # Errors
/// When arrows form a cycle.
pub(super) fn lay(sizes: &[Point], arrows: &[(usize, usize)]) -> Result<Laid> {
    let layers = depths(sizes.len(), arrows)?;
    let place = |(&layer, &size): (&usize, &Point)| Place {
        layer,
        size,
        x: 0.0,
        above: Vec::new(),
        below: Vec::new(),
    };
    let mut places: Vec<Place> = layers.iter().zip(sizes).map(place).collect();
    let mut ways = Vec::new();
    for &(from, to) in arrows {
        let mut way = vec![from];
        for layer in layers[from] + 1..layers[to] {
            way.push(places.len());
            places.push(place((&layer, &[WAY, 0.0])));
        }
        way.push(to);
        for pair in way.windows(2) {
            places[pair[0]].below.push(pair[1]);
            places[pair[1]].above.push(pair[0]);
        }
        ways.push(way);
    }
    let count = layers.iter().max().map_or(0, |deepest| deepest + 1);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (i, place) in places.iter().enumerate() {
        rows[place.layer].push(i);
    }
    untangle(&mut rows, &mut places);

    let heights: Vec<f64> =
        rows.iter().map(|row| row.iter().map(|&i| places[i].size[1]).fold(0.0, f64::max)).collect();
    let mut tops = vec![0.0; count];
    for layer in 1..count {
        tops[layer] = tops[layer - 1] + heights[layer - 1] + BELOW;
    }
    let left = places.iter().map(|place| place.x - place.size[0] / 2.0).fold(f64::MAX, f64::min);
    places.iter_mut().for_each(|place| place.x -= left);
    let width = places.iter().map(|place| place.x + place.size[0] / 2.0).fold(0.0, f64::max);
    let top = |place: &Place| tops[place.layer] + (heights[place.layer] - place.size[1]) / 2.0;
    let corners =
        places[..sizes.len()].iter().map(|place| [place.x - place.size[0] / 2.0, top(place)]).collect();
    let line = |way: &Vec<usize>| {
        let mut points = Vec::new();
        for (i, &at) in way.iter().enumerate() {
            let place = &places[at];
            let (is_first, is_last) = (i == 0, i + 1 == way.len());
            if is_first {
                points.push([port(&places, &place.below, place, way[1]), top(place) + place.size[1]]);
            } else if is_last {
                points.push([port(&places, &place.above, place, way[i - 1]), top(place)]);
            } else {
                let top = tops[place.layer];
                points.extend([[place.x, top], [place.x, top + heights[place.layer]]]);
            }
        }
        points
    };
    let arrows = ways.iter().map(line).collect();
    let height = tops.last().zip(heights.last()).map_or(0.0, |(top, height)| top + height);
    Ok(Laid { corners, arrows, size: [width, height] })
}

/// The point at which an arrow meets the edge of a box: arrows to boxes further left come further left.
fn port(places: &[Place], neighbours: &[usize], place: &Place, other: usize) -> f64 {
    let before = neighbours.iter().filter(|&&i| places[i].x < places[other].x).count() as f64;
    let middle = (neighbours.len() as f64 - 1.0) / 2.0;
    let apart = f64::min(place.size[0] / (neighbours.len() as f64 + 1.0), 40.0);
    place.x + (before - middle) * apart
}

/// The layer of each box: one below the lowest box that leads to it. A box that nothing leads to is directly above the
/// first that it leads to.
fn depths(count: usize, arrows: &[(usize, usize)]) -> Result<Vec<usize>> {
    let mut layers = vec![0; count];
    for round in 0..=count {
        let mut moved = false;
        for &(from, to) in arrows {
            if layers[to] <= layers[from] {
                layers[to] = layers[from] + 1;
                moved = true;
            }
        }
        match moved {
            false => break,
            true if round == count => {
                return Err(Error::value("arrows", "none that lead in a circle", "some that do"));
            }
            true => {}
        }
    }
    for i in 0..count {
        if !arrows.iter().any(|(_, to)| *to == i) {
            let below = arrows.iter().filter(|(from, _)| *from == i).map(|(_, to)| layers[*to]);
            layers[i] = below.min().map_or(0, |layer| layer - 1);
        }
    }
    Ok(layers)
}

/// Orders each layer's places by the means of their neighbours, and moves them towards these.
fn untangle(rows: &mut [Vec<usize>], places: &mut [Place]) {
    for row in rows.iter() {
        spread(row, places, &vec![0.0; row.len()]);
    }
    for sweep in 0..2 * SWEEPS {
        let down = sweep % 2 == 0;
        for step in 1..rows.len() {
            let layer = if down { step } else { rows.len() - 1 - step };
            let wanted = |i: usize, places: &[Place]| {
                let neighbours = if down { &places[i].above } else { &places[i].below };
                let sum: f64 = neighbours.iter().map(|&n| places[n].x).sum();
                if neighbours.is_empty() { places[i].x } else { sum / neighbours.len() as f64 }
            };
            // The last sweeps leave the order as it is.
            if sweep < SWEEPS {
                rows[layer].sort_by(|&a, &b| wanted(a, places).total_cmp(&wanted(b, places)));
            }
            let middles: Vec<f64> = rows[layer].iter().map(|&i| wanted(i, places)).collect();
            spread(&rows[layer], places, &middles);
        }
    }
}

/// Puts a layer's places as close to `wanted` as they fit side by side, in order.
fn spread(row: &[usize], places: &mut [Place], wanted: &[f64]) {
    let mut right = f64::MIN;
    for (&i, &x) in row.iter().zip(wanted) {
        let half = places[i].size[0] / 2.0;
        places[i].x = f64::max(x, right + half);
        right = places[i].x + half + ASIDE;
    }
    let off: f64 = row.iter().zip(wanted).map(|(&i, x)| x - places[i].x).sum();
    let shift = off / row.len().max(1) as f64;
    row.iter().for_each(|&i| places[i].x += shift);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(a: usize, b: usize, laid: &Laid, sizes: &[Point]) -> bool {
        let ends = |i: usize, axis: usize| (laid.corners[i][axis], laid.corners[i][axis] + sizes[i][axis]);
        [0, 1].iter().any(|&axis| {
            let ((a0, a1), (b0, b1)) = (ends(a, axis), ends(b, axis));
            a1 <= b0 || b1 <= a0
        })
    }

    #[test]
    fn boxes_do_not_overlap_and_arrows_lead_down() {
        // Two inputs of which one skips two layers, and a wide fan.
        let arrows = [(0, 2), (1, 2), (2, 3), (3, 4), (0, 4), (2, 5), (2, 6), (2, 7), (5, 4), (6, 4), (7, 4)];
        let sizes: Vec<Point> =
            (0..8).map(|i| [60.0 + 30.0 * f64::from(i % 3), 20.0 + 15.0 * f64::from(i)]).collect();
        let laid = lay(&sizes, &arrows).unwrap();
        for a in 0..sizes.len() {
            assert!((0..a).all(|b| apart(a, b, &laid, &sizes)), "{a}: {:?}", laid.corners);
            assert!(laid.corners[a].iter().all(|edge| *edge >= 0.0));
            assert!((0..2).all(|axis| laid.corners[a][axis] + sizes[a][axis] <= laid.size[axis] + 1e-9));
        }
        for way in &laid.arrows {
            assert!(way.windows(2).all(|pair| pair[0][1] <= pair[1][1]), "{way:?}");
        }
        assert!(lay(&sizes[..2], &[(0, 1), (1, 0)]).is_err());
        assert_eq!(lay(&[], &[]).unwrap().size, [0.0, 0.0]);
    }
}
