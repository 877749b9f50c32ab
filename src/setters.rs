//! Builder methods for structs of options and conditions: `Options::default().durability(..)`.
//!
//! The structs are non-exhaustive, so a caller outside of the crate cannot write one out. Their
//! fields are public: a caller reads them, and may assign one where a method does not fit.

/// Makes a method for each field that is named. A field under `into` takes everything that becomes
/// its type by `into`: an `Option` with or without `Some`, a `Vec` or an array.
macro_rules! setters {
    ($(set $name:ident: $type:ty,)* $(; $(into $as:ident: $to:ty,)*)?) => {
        $(
            #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $name;
                self
            }
        )*
        $($(
            #[doc = concat!("Sets [`", stringify!($as), "`](Self#structfield.", stringify!($as), ").")]
            #[must_use]
            pub fn $as(mut self, $as: impl Into<$to>) -> Self {
                self.$as = $as.into();
                self
            }
        )*)?
    };
}
