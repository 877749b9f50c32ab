//! Values that are taken when they have the expected shape, and ignored when they have not.
//!
//! Recordings are written by other programs, in many versions. A field of another type than in the
//! versions that we know must not make the line a broken one.

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt, marker::PhantomData};

/// A string, borrowed where it has no escapes; `None` for anything else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Str<'a>(pub(crate) Option<Cow<'a, str>>);

impl Str<'_> {
    /// The string, unless there is none or it is empty.
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.as_deref() == Some(text)
    }

    pub(crate) fn owned(&self) -> Option<String> {
        self.get().map(str::to_owned)
    }
}

/// An object of a known shape; `None` for anything else.
#[derive(Debug, Clone)]
pub(crate) struct Obj<T>(pub(crate) Option<T>);

impl<T> Default for Obj<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// Says whether the value is `true`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flag(pub(crate) bool);

/// A whole number; `None` for anything else.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Num(pub(crate) Option<u64>);

/// Text, or a list of blocks; neither for anything else.
#[derive(Debug, Clone, Default)]
pub(crate) enum Content<'a, T> {
    Text(Cow<'a, str>),
    Blocks(Vec<T>),
    #[default]
    Other,
}

/// Text, or an object of a known shape; neither for anything else.
#[derive(Debug, Clone, Default)]
pub(crate) enum Either<'a, T> {
    Text(Cow<'a, str>),
    Object(T),
    #[default]
    Other,
}

/// The methods of a visitor that ignore what is not written out before them.
macro_rules! ignore {
    ($else:expr; $($what:ident)*) => { $(ignore!(@ $what, $else);)* };
    (@ bool, $else:expr) => {
        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> { Ok($else) }
    };
    (@ num, $else:expr) => {
        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> { Ok($else) }
    };
    (@ other_num, $else:expr) => {
        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> { Ok($else) }
        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> { Ok($else) }
    };
    (@ str, $else:expr) => {
        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> { Ok($else) }
    };
    (@ null, $else:expr) => {
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> { Ok($else) }
    };
    (@ seq, $else:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($else)
        }
    };
    (@ map, $else:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($else)
        }
    };
}

fn any(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("any JSON value")
}

impl<'de: 'a, 'a> Deserialize<'de> for Str<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for V<'a> {
            type Value = Str<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Str<'a>, E> {
                Ok(Str(Some(Cow::Borrowed(text))))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Str<'a>, E> {
                Ok(Str(Some(Cow::Owned(text.to_owned()))))
            }
            ignore! { Str(None); bool num other_num null seq map }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Obj<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Obj<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Obj<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|v| Obj(Some(v)))
            }
            ignore! { Obj(None); bool num other_num str null seq }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Flag;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }
            ignore! { Flag(false); num other_num str null seq map }
        }
        deserializer.deserialize_any(V)
    }
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Num;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Num, E> {
                Ok(Num(Some(value)))
            }
            ignore! { Num(None); bool other_num str null seq map }
        }
        deserializer.deserialize_any(V)
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Content<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<'a, T>(PhantomData<(&'a (), T)>);
        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for V<'a, T> {
            type Value = Content<'a, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = seq.next_element::<Obj<T>>()? {
                    blocks.extend(block.0);
                }
                Ok(Content::Blocks(blocks))
            }
            ignore! { Content::Other; bool num other_num null map }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Either<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<'a, T>(PhantomData<(&'a (), T)>);
        impl<'de: 'a, 'a, T: Deserialize<'de>> Visitor<'de> for V<'a, T> {
            type Value = Either<'a, T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                any(f)
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Either::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Either::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Either::Object)
            }
            ignore! { Either::Other; bool num other_num null seq }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(default)]
    struct Shape<'a> {
        #[serde(borrow)]
        s: Str<'a>,
        o: Obj<BTreeNums>,
        f: Flag,
        n: Num,
        #[serde(borrow)]
        c: Content<'a, BTreeNums>,
    }
    type BTreeNums = std::collections::BTreeMap<String, u64>;

    impl Default for Shape<'_> {
        fn default() -> Self {
            Self { s: Str(None), o: Obj(None), f: Flag(false), n: Num(None), c: Content::Other }
        }
    }

    #[test]
    fn what_has_the_expected_shape_is_taken() {
        let shape: Shape<'_> =
            serde_json::from_str(r#"{"s":"a\nb","o":{"k":1},"f":true,"n":7,"c":[1,{"k":2}]}"#)
                .unwrap();
        assert!(shape.s.is("a\nb") && shape.f.0 && shape.n.0 == Some(7));
        assert_eq!(shape.o.0.unwrap()["k"], 1);
        assert!(matches!(shape.c, Content::Blocks(blocks) if blocks.len() == 1));
    }

    #[test]
    fn what_has_another_shape_is_ignored() {
        for other in ["null", "true", "-1", "1.5", "[1,[2]]", r#""x""#, "12"] {
            let line = format!(r#"{{"o":{other},"z":{other}}}"#);
            let shape: Shape<'_> = serde_json::from_str(&line).unwrap();
            assert!(shape.o.0.is_none());
        }
        for other in ["null", "1", "-1", "1.5", r#"{"a":{"b":[]}}"#, "[[1]]", "false"] {
            let line = format!(r#"{{"s":{other},"f":{other}}}"#);
            let shape: Shape<'_> = serde_json::from_str(&line).unwrap();
            assert!(shape.s.get().is_none() && !shape.f.0);
        }
    }
}
