//! The names of classes.

/// The name of a class in everything that is shown or written. A model may have more outputs than there are classes;
/// such an output gets a name that no class of numbers has.
pub(crate) fn class_name(names: &[String], class: usize) -> String {
    match names.get(class) {
        Some(name) => name.clone(),
        None if names.is_empty() => class.to_string(),
        None => format!("output {class}"),
    }
}
