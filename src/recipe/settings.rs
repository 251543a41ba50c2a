//! Keys of a recipe that the command line replaces or drops.

use crate::error::{Error, Result};
use crate::named::shown;
use toml::{Table, Value};

/// The max number of names in the key of a setting. Tables nested much deeper than any recipe's could overflow the
/// stack when written and dropped.
pub(super) const DEEPEST: usize = 32;

/// Applies a setting to the table: `a.b=value` puts the value there and makes tables on the way, `-a.b` drops the key. A
/// number is a place in a list, from 0: `model.layers.1.dense=32`.
///
/// # Errors
/// When the setting has another form, a list has no such place, or there is no such key to drop.
pub(super) fn set(table: &mut Table, setting: &str) -> Result<()> {
    if let Some(key) = setting.strip_prefix('-') {
        return unset(table, key);
    }
    let form = || Error::value("--set", "section.key=value", shown(setting));
    let (key, value) = setting.split_once('=').ok_or_else(form)?;
    let names = names("--set", key)?;
    // Text that is no TOML value is taken as a string, so that quotes need not be quoted in a shell.
    let value = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_string()));
    let (first, rest) = names.split_first().ok_or_else(form)?;
    let mut at = table.entry(*first).or_insert_with(|| Value::Table(Table::new()));
    for name in rest {
        at = match at {
            Value::Array(list) => place(list, key, name)?,
            other => {
                if !other.is_table() {
                    *other = Value::Table(Table::new());
                }
                let table = other.as_table_mut().ok_or_else(form)?;
                table.entry(*name).or_insert_with(|| Value::Table(Table::new()))
            }
        };
    }
    *at = value;
    Ok(())
}

fn unset(table: &mut Table, key: &str) -> Result<()> {
    let missing = || Error::value("--unset", "a key that the recipe has", shown(key));
    let names = names("--unset", key)?;
    let (last, sections) = names.split_last().ok_or_else(missing)?;
    let Some((first, rest)) = sections.split_first() else {
        return table.remove(*last).map(drop).ok_or_else(missing);
    };
    let mut at = table.get_mut(*first).ok_or_else(missing)?;
    for name in rest {
        at = match at {
            Value::Array(list) => place(list, key, name)?,
            other => other.get_mut(*name).ok_or_else(missing)?,
        };
    }
    match at {
        Value::Array(list) => {
            place(list, key, last)?;
            let index = last.parse::<usize>().map_err(|_| missing())?;
            list.remove(index);
            Ok(())
        }
        other => other.as_table_mut().and_then(|table| table.remove(*last)).map(drop).ok_or_else(missing),
    }
}

/// The names in a key; as in TOML, a name with a dot is quoted.
fn names<'a>(flag: &str, key: &'a str) -> Result<Vec<&'a str>> {
    let malformed = || Error::value(flag, "a key such as train.epochs", format!("{:?}", shown(key)));
    let (mut names, mut rest) = (Vec::new(), key.trim());
    loop {
        let (name, after) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).ok_or_else(malformed)?,
            _ => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if name.trim().is_empty() {
            return Err(malformed());
        }
        names.push(name.trim());
        rest = match after.trim_start().strip_prefix('.') {
            Some(next) => next.trim_start(),
            None if after.trim().is_empty() => break,
            None => return Err(malformed()),
        };
    }
    if names.len() > DEEPEST {
        let got = format!("{} that begin with {}", names.len(), names[..3].join("."));
        return Err(Error::value(flag, format!("a key of at most {DEEPEST} names"), got));
    }
    Ok(names)
}

/// The element of a list that a key names.
fn place<'a>(list: &'a mut [Value], key: &str, name: &str) -> Result<&'a mut Value> {
    let length = list.len();
    let expected = match length {
        0 => "no element of a list that is empty".to_string(),
        1 => "the place 0 in a list of 1".to_string(),
        _ => format!("a place from 0 to {} in the list", length - 1),
    };
    let index = name.parse::<usize>().ok().filter(|&index| index < length);
    index.and_then(|index| list.get_mut(index)).ok_or_else(|| Error::value(shown(key), expected, shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "
        [model]
        layers = ['flatten', { dense = 128 }, 'sigmoid', { dense = { units = 10 } }]
        [train]
        epochs = 10
        early_stopping = { patience = 3 }";

    fn after(settings: &[&str]) -> Result<Table> {
        let mut table = toml::from_str(RECIPE).expect("TOML");
        settings.iter().try_for_each(|setting| set(&mut table, setting))?;
        Ok(table)
    }

    #[test]
    fn elements_of_lists_are_replaced() -> Result<()> {
        let table =
            after(&["model.layers.1.dense=32", "model.layers.2=relu", "model.layers.3.dense.units=5"])?;
        let expected = "['flatten', { dense = 32 }, 'relu', { dense = { units = 5 } }]";
        let expected = toml::from_str::<Table>(&format!("layers = {expected}")).expect("TOML");
        assert_eq!(table["model"].as_table(), Some(&expected));
        for (setting, words) in [
            ("model.layers.4=relu", "model.layers.4: expected a place from 0 to 3 in the list, got 4"),
            ("model.layers.first=relu", "expected a place from 0 to 3"),
            ("-model.layers.4", "expected a place from 0 to 3"),
        ] {
            let error = after(&[setting]).expect_err(setting).to_string();
            assert!(error.contains(words), "{error}");
        }
        Ok(())
    }

    #[test]
    fn names_with_dots_stand_in_quotes() -> Result<()> {
        let table = after(&["model.rename.\"fc.\"=other.", "train . 'a.b' = 1"])?;
        assert_eq!(table["model"]["rename"]["fc."].as_str(), Some("other."));
        assert_eq!(table["train"]["a.b"].as_integer(), Some(1));
        for setting in ["model.\"fc=1", "model.\"fc\"x=1", "model.\"\"=1"] {
            assert!(after(&[setting]).is_err(), "{setting}");
        }
        Ok(())
    }

    #[test]
    fn keys_are_dropped() -> Result<()> {
        let table = after(&["-train.early_stopping", "-model.layers.2"])?;
        assert_eq!(table["train"].as_table().map(Table::len), Some(1));
        assert_eq!(table["model"]["layers"].as_array().map(Vec::len), Some(3));
        for setting in ["-train.early_stoping", "-nothing", "-train.epochs.deeper", "-", "train..epochs=1"] {
            assert!(after(&[setting]).is_err(), "{setting}");
        }
        Ok(())
    }
}
