//! Writes the data sets that are made for the recipes of scripts/recipes: `cargo run --release --example made_data`.

mod made;

use clap::Parser;
use neural::data::safetensors;
use std::path::PathBuf;

/// Writes the data sets that are made for the recipes of scripts/recipes
#[derive(Parser)]
struct Made {
    /// Where they are written
    #[arg(default_value = "data/made")]
    folder: PathBuf,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Made { folder } = Made::parse();
    std::fs::create_dir_all(&folder)?;
    for (name, make) in made::SETS {
        let tensors = make()?;
        let list: Vec<_> = tensors.iter().map(|(name, array)| (*name, array)).collect();
        let path = folder.join(format!("{name}.safetensors"));
        std::fs::write(&path, safetensors::encode(&list, None)?)?;
        println!("{}", path.display());
    }
    Ok(())
}
