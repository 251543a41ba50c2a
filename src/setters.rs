//! Methods that each set a public field.

/// Adds to a type of settings a method for each of these fields, which returns the settings with that one changed. So
/// settings read as a chain and may grow: `Conv::new(8, &[3, 3]).stride([2, 2]).bias(false)`.
macro_rules! setters {
    ($Type:ident { $($field:ident: $Value:ty),+ $(,)? }) => {
        impl $Type {
            $(
                #[doc = concat!(
                    "Sets [`", stringify!($field), "`](field@", stringify!($Type), "::", stringify!($field), ")."
                )]
                #[must_use]
                pub fn $field(mut self, $field: $Value) -> Self {
                    self.$field = $field.into();
                    self
                }
            )+
        }
    };
}

pub(crate) use setters;
