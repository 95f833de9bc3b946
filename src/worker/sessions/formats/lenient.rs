//! Values that are read in one go with the record around them, and do not spoil it where they are of another kind.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Text;

/// An object; none where it is something else.
#[derive(Debug, Clone)]
pub(in crate::worker::sessions) struct Maybe<T>(pub(in crate::worker::sessions) Option<T>);

impl<T> Default for Maybe<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A text, or a list of blocks; no blocks where it is something else.
#[derive(Debug, Clone)]
pub(in crate::worker::sessions) enum Content<'a, B> {
    Text(Text<'a>),
    Blocks(Vec<B>),
}

impl<B> Default for Content<'_, B> {
    fn default() -> Self {
        Self::Blocks(Vec::new())
    }
}

impl<B> Content<'_, B> {
    /// The blocks.
    pub(in crate::worker::sessions) fn blocks(&self) -> &[B] {
        match self {
            Content::Blocks(blocks) => blocks,
            Content::Text(_) => &[],
        }
    }

    /// The text, or what its blocks say with a blank line between them.
    pub(in crate::worker::sessions) fn text(&self, said: impl Fn(&B) -> Option<&str>) -> String {
        self.joined("\n\n", said)
    }

    /// The text, or what its blocks say, with that between them.
    pub(in crate::worker::sessions) fn joined(&self, between: &str, said: impl Fn(&B) -> Option<&str>) -> String {
        match self {
            Content::Text(text) => text.to_string(),
            Content::Blocks(blocks) => blocks.iter().filter_map(said).collect::<Vec<_>>().join(between),
        }
    }
}

/// What is not wanted is skipped.
macro_rules! skip_scalars {
    ($none:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($none)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($none)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($none)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($none)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($none)
        }
    };
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = Maybe<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Maybe(Some(value)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Maybe(None))
            }
            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Maybe(None))
            }
            skip_scalars!(Maybe(None));
        }
        deserializer.deserialize_any(Object(PhantomData))
    }
}

impl<'de: 'a, 'a, B: Deserialize<'de>> Deserialize<'de> for Content<'a, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Spoken<'a, B>(PhantomData<(&'a (), B)>);
        impl<'de: 'a, 'a, B: Deserialize<'de>> Visitor<'de> for Spoken<'a, B> {
            type Value = Content<'a, B>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text or blocks")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Text(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Text(Cow::Owned(text.to_owned()))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut blocks = Vec::new();
                while let Some(block) = seq.next_element::<Maybe<B>>()? {
                    blocks.extend(block.0);
                }
                Ok(Content::Blocks(blocks))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::default())
            }
            skip_scalars!(Content::default());
        }
        deserializer.deserialize_any(Spoken(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Record<'a> {
        #[serde(borrow, default)]
        one: Maybe<Block<'a>>,
        #[serde(borrow, default)]
        many: Content<'a, Block<'a>>,
        after: u8,
    }

    #[derive(Debug, Deserialize)]
    struct Block<'a> {
        #[serde(borrow)]
        text: Text<'a>,
    }

    #[test]
    fn what_is_of_another_kind_does_not_spoil_the_record() {
        for odd in
            ["null", "true", "-1", "1", "1.5", "\"x\"", "\"\\u0041\"", "[{}, 1]", "{\"text\": \"t\", \"x\": [1]}"]
        {
            let text = format!("{{\"one\": {odd}, \"many\": {odd}, \"after\": 7}}");
            match serde_json::from_str::<Record<'_>>(&text) {
                Ok(record) => assert_eq!(record.after, 7),
                // A block without its text is damaged.
                Err(error) => assert!(odd.starts_with("[{}"), "{odd}: {error}"),
            }
        }
        let text = r#"{"one": {"text": "a"}, "many": [{"text": "b"}, 5, {"text": "c\n"}], "after": 1}"#;
        let record: Record<'_> = serde_json::from_str(text).expect("read");
        assert_eq!(record.one.0.expect("there").text.0, "a");
        let Content::Blocks(blocks) = record.many else { panic!("blocks") };
        assert_eq!(blocks.iter().map(|block| &*block.text).collect::<Vec<_>>(), ["b", "c\n"]);
    }
}
