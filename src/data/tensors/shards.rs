//! Tensors in several files: their shards.

/// The files of a tensor among `all`: the one of its name, or else its shards in the order of their numbers.
///
/// # Errors
/// A message, when two shards have the same number, or do not match `-of-N`.
pub(super) fn files_of<'f>(all: &'f [String], name: &str) -> Result<Vec<&'f str>, String> {
    if let Some(whole) = all.iter().find(|file| *file == name) {
        return Ok(vec![whole]);
    }
    let mut shards: Vec<_> = all.iter().filter_map(|file| Some((shard(file, name)?, &file[..]))).collect();
    shards.sort_unstable();
    for pair in shards.windows(2) {
        let [((one, _), first), ((other, _), second)] = [pair[0], pair[1]];
        if one == other {
            return Err(format!("expected one shard {one} of {name}, got {first}.npy and {second}.npy"));
        }
    }
    if let Some((of, file)) = shards.iter().find_map(|((_, of), file)| Some(((*of)?, file)))
        && (shards.len() as u64 != of || shards.iter().any(|((_, other), _)| *other != Some(of)))
    {
        let got = shards.iter().filter(|((_, other), _)| *other == Some(of)).count();
        return Err(format!(
            "expected {of} shards of {name} that end in -of-{of}, as {file}.npy says, and no others, got {got} in {} files",
            shards.len()
        ));
    }
    Ok(shards.into_iter().map(|(_, file)| file).collect())
}

/// The number of a shard of a tensor, and the total if the file's name contains it: `x-000`, `x-00001-of-00010`, `x_3`.
/// `None` for other files.
fn shard(file: &str, name: &str) -> Option<(u64, Option<u64>)> {
    let rest = file.strip_prefix(name)?.strip_prefix(['-', '_'])?;
    let number =
        |part: &str| -> Option<u64> { part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())? };
    match rest.split_once("-of-") {
        Some((index, of)) => Some((number(index)?, Some(number(of)?))),
        None => Some((number(rest)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_one_file_or_all_of_its_shards_in_their_order() {
        let of = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            files_of(&files, "x").map(|own| own.join(" "))
        };
        for (files, expected) in [
            (&["x-1", "x-10", "x-2", "y-1"][..], "x-1 x-2 x-10"),
            (&["x", "x_2", "x-3"], "x"),
            (&["x_b", "x-", "x_test", "xx-1", "x-1-of-", "x--1"], ""),
            (&["x-00002-of-00002", "x-00001-of-00002"], "x-00001-of-00002 x-00002-of-00002"),
        ] {
            assert_eq!(of(files).as_deref(), Ok(expected), "{files:?}");
        }
        for (files, words) in [
            (&["x-1", "x_01"][..], "expected one shard 1 of x, got x-1.npy and x_01.npy"),
            (&["x-0-of-3", "x-2-of-3"], "expected 3 shards of x"),
            (&["x-0-of-2", "x-1-of-2", "x-2-of-2"], "got 3 in 3 files"),
            (&["x-0-of-1", "x-1"], "got 1 in 2 files"),
            (&["x-0-of-2", "x-1"], "expected 2 shards of x"),
            (&["x-0-of-2", "x-1-of-3"], "as x-0-of-2.npy says"),
        ] {
            let refused = of(files).expect_err("refused");
            assert!(refused.contains(words), "{files:?}: {refused}");
        }
    }
}
