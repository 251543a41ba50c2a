//! The names of classes.

/// The name of a class in everything that is shown or written. A model may have more outputs than there are classes; the
/// name of such an output is not a number, as a class may have that number as its name.
pub(crate) fn class_name(names: &[String], class: usize) -> String {
    match names.get(class) {
        Some(name) => name.clone(),
        None if names.is_empty() => class.to_string(),
        None => format!("output {class}"),
    }
}
