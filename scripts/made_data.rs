//! Writes the data sets that are made for the recipes of scripts/recipes: `cargo run --release --example made_data`.

mod made;

use neural::data::safetensors;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "data/made".into());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, make) in made::SETS {
        let tensors = make()?;
        let list: Vec<_> = tensors.iter().map(|(name, array)| (*name, array)).collect();
        let path = folder.join(format!("{name}.safetensors"));
        std::fs::write(&path, safetensors::encode(&list, None)?)?;
        println!("{}", path.display());
    }
    Ok(())
}
