//! A choice among named things as one table.

/// Declares an enum whose variants are read and written by their names, from one line for each:
///
/// ```text
/// named::table! {
///     /// A shape.
///     #[derive(Clone, Debug, PartialEq)]
///     pub enum Shape: "a shape" {
///         /// A circle: `radius`, `filled`.
///         Circle(Circle) = "circle" | "disc" | "disk", short "radius";
///         /// A polygon of other settings.
///         Polygon(Polygon) = "polygon";
///         /// Nothing.
///         Empty = "empty";
///     }
/// }
/// ```
///
/// The names after the first are the names in other libraries, in lower case without separators. `short` names the
/// setting whose value may stand for the whole table. After `"a shape"`, `or Circle` lets a plain number stand for that
/// variant; after the table, `else { Custom(Type) = "custom" }` adds one that no recipe can name.
///
/// The enum gets `kind()`, serde's two traits, [`Named`](super::Named), and `REFERENCE`, the rows of its table in
/// docs/recipes.md, made of the variants' documentation.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $Enum:ident: $what:literal $(or $Plain:ident)? {
            $(
                $(#[doc = $doc:literal])+
                $Variant:ident $(($Settings:ty))? = $name:literal $(| $alias:literal)* $(, short $short:literal)?;
            )+
        }
        $(else {
            $(#[$other_attribute:meta])*
            $Other:ident($Type:ty) = $other_name:literal
        })?
    ) => {
        $(#[$attribute])*
        #[non_exhaustive]
        $visibility enum $Enum {
            $(
                $(#[doc = $doc])+
                $Variant $(($Settings))?,
            )+
            $(
                $(#[$other_attribute])*
                $Other($Type),
            )?
        }

        impl $Enum {
            /// The name under which a recipe has it.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($crate::named::table!(@pattern $Enum $Variant $(($Settings))?) => $name,)+
                    $($Enum::$Other(_) => $other_name,)?
                }
            }

            /// Each name with its documentation.
            #[cfg(test)]
            pub(crate) const REFERENCE: &'static [(&'static str, &'static str)] =
                &[$(($name, concat!($($doc),+))),+];
        }

        impl $crate::named::Named for $Enum {
            const WHAT: &'static str = $what;
            const NAMES: &'static [&'static str] = &[$($name),+];
            const ALIASES: &'static [(&'static str, &'static str)] = &[$($(($alias, $name),)*)+];

            fn read<'de, D: serde::Deserializer<'de>>(
                name: &str,
                settings: D,
            ) -> std::result::Result<Self, D::Error> {
                match name {
                    $($name => $crate::named::table!(
                        @read settings, $Enum $Variant $(($Settings))? $(, $short)?
                    ),)+
                    _ => Err(serde::de::Error::custom($crate::named::unknown($what, name, Self::NAMES))),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $Enum {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                $crate::named::table!(@deserialize deserializer $(, $Enum::$Plain)?)
            }
        }

        impl serde::Serialize for $Enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                $(if let $Enum::$Plain(number) = self {
                    return number.serialize(serializer);
                })?
                let enum_name = stringify!($Enum);
                match self {
                    $($crate::named::table!(@pattern settings $Enum $Variant $(($Settings))?) =>
                        $crate::named::table!(@write serializer, enum_name, $name $(, settings: $Settings)?),)+
                    $($Enum::$Other(_) => {
                        let message = format!("no recipe can name {} that is {}", $what, $other_name);
                        Err(serde::ser::Error::custom(message))
                    })?
                }
            }
        }
    };

    (@deserialize $deserializer:ident) => { $crate::named::deserialize($deserializer) };
    (@deserialize $deserializer:ident, $Enum:ident::$Plain:ident) => {
        $crate::named::number_or($deserializer, $Enum::$Plain)
    };

    (@write $serializer:ident, $enum_name:ident, $name:literal) => {
        $serializer.serialize_unit_variant($enum_name, 0, $name)
    };
    (@write $serializer:ident, $enum_name:ident, $name:literal, $settings:ident: $Settings:ty) => {
        $serializer.serialize_newtype_variant($enum_name, 0, $name, $settings)
    };

    (@pattern $settings:ident $Enum:ident $Variant:ident) => { $Enum::$Variant };
    (@pattern $settings:ident $Enum:ident $Variant:ident ($Settings:ty)) => { $Enum::$Variant($settings) };

    (@pattern $Enum:ident $Variant:ident) => { $Enum::$Variant };
    (@pattern $Enum:ident $Variant:ident ($Settings:ty)) => { $Enum::$Variant(_) };

    (@read $settings:ident, $Enum:ident $Variant:ident) => {
        <()>::deserialize($settings).map(|()| $Enum::$Variant)
    };
    (@read $settings:ident, $Enum:ident $Variant:ident ($Settings:ty)) => {
        <$Settings>::deserialize($settings).map($Enum::$Variant)
    };
    (@read $settings:ident, $Enum:ident $Variant:ident ($Settings:ty), $short:literal) => {
        $crate::named::short($settings, $short).map($Enum::$Variant)
    };
}

pub(crate) use table;

#[cfg(test)]
pub(crate) mod reference {
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};

    /// Tests run side by side, and each writes a part of the same file.
    static TURN: Mutex<()> = Mutex::new(());

    /// Checks that docs/recipes.md has the table of `rows` between `<!-- name -->` and `<!-- end of name -->`. With
    /// `UPDATE_REFERENCE=1` in the environment it is written instead.
    pub fn check(name: &str, rows: &[(&str, &str)]) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin:?} in {path:?}"));
        let (written, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end:?} in {path:?}"));
        let row = |(name, doc): &(&str, &str)| format!("| `{name}` | {} |\n", doc.trim());
        let table = rows.iter().map(row).collect::<String>();
        let (header, _) = written.split_once("|---|---|\n").expect("a table of two columns");
        let made = format!("{header}|---|---|\n{table}");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(&path, format!("{before}{begin}{made}{end}{after}")).unwrap();
        } else {
            assert_eq!(written, made, "UPDATE_REFERENCE=1 writes it");
        }
    }
}
