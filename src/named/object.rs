use std::fmt;
use std::sync::Arc;

/// An object of the user's as one of the named choices; equal to another only where both are the same object.
pub(crate) struct Object<T: ?Sized> {
    pub name: String,
    pub value: Arc<T>,
}

impl<T: ?Sized> Clone for Object<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), value: self.value.clone() }
    }
}

impl<T: ?Sized> fmt::Debug for Object<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl<T: ?Sized> PartialEq for Object<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.value, &other.value)
    }
}
