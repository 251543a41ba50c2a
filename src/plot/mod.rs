//! Plots, as SVG or PNG by the file's extension: curves, dot plots, sheets of small images, confusion matrices,
//! decision boundaries and graphs of boxes.
//!
//! Each kind of picture lays itself out as a scene of a few kinds of shapes, which two writers draw. An SVG names a
//! common font and leaves the letters to its viewer; a PNG is drawn with the built-in font, at two pixels a unit.
//!
//! ```
//! use neural::plot::Chart;
//! # let path = std::env::temp_dir().join(format!("neural-doc-plot-{}.svg", std::process::id()));
//! Chart::new("Learning to read digits")
//!     .x_label("epoch")
//!     .y_label("loss")
//!     .line("training", &[(1.0, 0.42), (2.0, 0.21), (3.0, 0.15)])
//!     .line("validation", &[(1.0, 0.30), (2.0, 0.22), (3.0, 0.20)])
//!     .save(&path)?;
//! # std::fs::remove_file(&path).ok();
//! # Ok::<(), neural::Error>(())
//! ```

mod axis;
mod boundary;
mod chart;
mod color;
mod diagram;
mod dots;
mod font;
mod frame;
mod grid;
mod layers;
mod matrix;
mod panels;
mod png;
mod scene;
mod svg;

pub use boundary::{Area, Boundary};
pub use chart::Chart;
pub use diagram::{Block, Diagram, Role};
pub use dots::Dots;
pub use grid::Grid;
pub use matrix::Matrix;
pub use panels::Panels;
pub use scene::file;
