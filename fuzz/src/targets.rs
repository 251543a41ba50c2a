//! The readers, each as a function of a file's contents.

use flate2::{Compression, write::GzEncoder};
use neural::DType;
use neural::data::cifar::{self, Cifar};
use neural::data::images::{self, Form};
use neural::data::table::{Features, Layout, Missing, Table};
use neural::data::{idx, npy, safetensors};
use neural::recipe::Recipe;
use neural::runs::Saved;
use std::io::{Cursor, Write};
use std::path::Path;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Packs the contents of one file.
type Pack = fn(&[u8]) -> Vec<u8>;

/// A reader under test.
pub struct Target {
    pub name: &'static str,
    pub read: fn(&[u8]) -> Result<(), String>,
    /// Packs a changed file, which is read both plain and packed: a change to compressed bytes seldom gets past the
    /// checksum.
    pack: Option<Pack>,
    /// The bytes that may be allocated for a file of any size, such as a decompressor's tables.
    base: usize,
    /// The bytes that may be allocated for each byte of the file.
    expansion: usize,
}

const TARGETS: [Target; 8] = [
    // Deflate makes 1,032 bytes of one, and widening i8 to i32 four more of each.
    Target { name: "idx", read: read_idx, pack: Some(gzip), base: 1 << 20, expansion: 1032 * 5 },
    // A cell of two bytes is one of at most 256 names, and becomes as many f32.
    Target { name: "table", read: read_table, pack: None, base: 1 << 20, expansion: 2 * 256 * 4 },
    Target { name: "cifar", read: read_cifar, pack: None, base: 1 << 12, expansion: 4 },
    // The crate `zip` sets aside 216 bytes for each of the entries that an archive declares, at most 65,535.
    Target { name: "npy", read: read_npy, pack: Some(pack_zip), base: 1 << 24, expansion: 1032 * 5 },
    Target { name: "safetensors", read: read_safetensors, pack: None, base: 1 << 16, expansion: 64 },
    // Deflate again, and copies in four channels, or a picture beside its coefficients, of two bytes each, in progressive JPEG.
    Target { name: "images", read: read_image, pack: None, base: 1 << 20, expansion: 1032 * 4 * 3 },
    // A layer of a few letters is some dozens of nodes in a graph.
    Target { name: "recipe", read: read_recipe, pack: None, base: 1 << 20, expansion: 1 << 12 },
    Target {
        name: "checkpoint",
        read: read_checkpoint,
        pack: Some(fit_header),
        base: 1 << 20,
        expansion: 1 << 12,
    },
];

impl Target {
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    pub fn names() -> Vec<&'static str> {
        TARGETS.iter().map(|target| target.name).collect()
    }

    /// The contents themselves, and packed.
    pub fn variants(&self, contents: &[u8]) -> Vec<Vec<u8>> {
        let packed = self.pack.map(|pack| pack(contents));
        [contents.to_vec()].into_iter().chain(packed).collect()
    }

    /// The bytes that may be allocated at a time for a file of `length` bytes.
    pub fn allowed(&self, length: usize) -> usize {
        self.base + length * self.expansion
    }
}

fn file() -> &'static Path {
    Path::new("file")
}

fn read_idx(contents: &[u8]) -> Result<(), String> {
    idx::decode(file(), contents).map(drop).map_err(|e| e.to_string())
}

fn read_table(contents: &[u8]) -> Result<(), String> {
    let read = |missing| {
        let table = Table::parse(file(), contents, &Layout::default())?;
        let target = table.header().last().cloned().unwrap_or_default();
        table.targets(&target, None, None)?;
        table.encode(&table.features(&target, &Features { missing, ..Features::default() }, &[0])?.0)
    };
    read(Missing::Refuse).or_else(|_| read(Missing::Mean)).map(drop).map_err(|e| e.to_string())
}

fn read_cifar(contents: &[u8]) -> Result<(), String> {
    let ten = cifar::decode(file(), contents, Cifar::Ten);
    ten.or_else(|_| cifar::decode(file(), contents, Cifar::Hundred)).map(drop).map_err(|e| e.to_string())
}

fn read_npy(contents: &[u8]) -> Result<(), String> {
    if !contents.starts_with(b"PK") {
        return npy::decode(file(), contents).map(drop).map_err(|e| e.to_string());
    }
    let mut archive = npy::Archive::new(file(), contents.to_vec()).map_err(|e| e.to_string())?;
    for name in archive.names() {
        archive.array(&name).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn read_safetensors(contents: &[u8]) -> Result<(), String> {
    for name in safetensors::names(file(), contents).map_err(|e| e.to_string())? {
        safetensors::decode(file(), contents, &name).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn read_image(contents: &[u8]) -> Result<(), String> {
    images::decode(file(), contents, Form::default()).map(drop).map_err(|e| e.to_string())
}

/// Writes the recipe and reads it back, then applies its layers to small pictures or sequences.
fn read_recipe(contents: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(contents).map_err(|e| e.to_string())?;
    let recipe = Recipe::parse(text, file()).map_err(|e| e.to_string())?;
    let written = recipe.to_toml().map_err(|e| e.to_string())?;
    let again = Recipe::parse(&written, file()).expect("a recipe that was written is read");
    assert_eq!(again.to_toml().expect("it was written before"), written);
    let trainer = recipe.trainer();
    trainer.optimizer.check().map_err(|e| e.to_string())?;
    let mut names = trainer.model.inputs();
    if names.is_empty() {
        names.push("input");
    }
    let summary = |sample: &[usize]| {
        let samples: Vec<_> = names.iter().map(|&name| (name, sample)).collect();
        trainer.model.summary(DType::F32, &samples)
    };
    summary(&[8, 8, 1]).or_else(|_| summary(&[8, 8])).map(drop).map_err(|e| e.to_string())
}

/// The file's model too, as the graph that would be compiled.
fn read_checkpoint(contents: &[u8]) -> Result<(), String> {
    let path = std::env::temp_dir().join(format!("neural-fuzz-{}", std::process::id()));
    std::fs::write(&path, contents).expect("a temporary file is written");
    let model = Saved::read(&path).and_then(Saved::model);
    let function = model.and_then(|model| model.function(1));
    std::fs::remove_file(&path).expect("it was written before");
    function.map(drop).map_err(|e| e.to_string())
}

/// Safetensors whose length of the header, in its first 8 bytes, reaches to the header's last brace and the blanks
/// after it.
fn fit_header(contents: &[u8]) -> Vec<u8> {
    let rest = contents.get(8..).unwrap_or_default();
    let end = rest.iter().rposition(|&b| b == b'}').map_or(0, |last| last + 1);
    let blanks = rest[end..].iter().take_while(|&&b| b == b' ').count();
    [&((end + blanks) as u64).to_le_bytes(), rest].concat()
}

fn gzip(contents: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(contents).and_then(|()| encoder.finish()).expect("writing to memory")
}

fn pack_zip(contents: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("x.npy", SimpleFileOptions::default()).expect("writing to memory");
    archive.write_all(contents).expect("writing to memory");
    archive.finish().expect("writing to memory").into_inner()
}
