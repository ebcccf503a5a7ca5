//! The macro that turns a struct into a verb's arguments. [`wrong`](super::wrong) has what it says to what it cannot read.

/// Declares a verb's arguments: a struct whose doc comments are the help and whose types say how values are read and
/// completed. A field without a doc comment does not compile.
///
/// A field is positional; `bool` fields and those with `#[arg(option)]` or `#[arg(short('x'))]` are options. `Option` is
/// optional, `Vec` takes any number, [`Many`](crate::Many) at least one. `#[arg(...)]` takes, in any order, the builder methods of
/// [`ArgSpec`](crate::args::ArgSpec); it stands after the doc comment.
///
/// ```
/// use ferry_core::{Args, args::Role};
/// ferry_core::args! {
///     /// Counts things.
///     pub struct Count {
///         /// What to count.
///         things: Vec<String>,
///         /// Starts from here.
///         #[arg(option, short('f'))]
///         from: Option<u32>,
///         /// Counts backwards.
///         down: bool,
///     }
/// }
/// assert_eq!(Count::ARGS.len(), 3);
/// assert!(Count::ARGS[2].is_option);
/// ```
///
/// ```compile_fail
/// ferry_core::args! {
///     /// Counts things.
///     pub struct Count { things: Vec<String> }
/// }
/// ```
#[macro_export]
macro_rules! args {
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])+
                $(#[arg($($method:ident $(($($value:tt)+))?),+ $(,)?)])?
                $field:ident : $ty:ty
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone)]
        $vis struct $name {
            $( $(#[doc = $field_doc])+ $vis $field: $ty, )*
        }

        const _: () = {
            impl $crate::args::Args for $name {
                const ARGS: &'static [$crate::args::ArgSpec] = &[$(
                    $crate::args::ArgSpec::of::<$ty>(stringify!($field), concat!($($field_doc, "\n"),+))
                        $($( .$method($({
                            // Roles by their own names, here alone: a verb may be called `Rename`.
                            #[allow(unused_imports, reason = "most options are no role")]
                            use $crate::args::Role::*;
                            $($value)+
                        })?) )+)?
                ),*];
                const DOC: &'static str = concat!($($doc, "\n"),+);
            }

            #[derive(Default)]
            struct Fields { $( $field: Option<$ty>, )* }

            #[allow(unused_variables, unused_mut, unused_assignments, reason = "a verb may have no arguments")]
            impl<'de> $crate::args::decode::Fields<'de> for Fields {
                type Out = $name;
                fn take<M: $crate::serde::de::MapAccess<'de>>(&mut self, key: &str, map: &mut M) -> ::core::result::Result<bool, M::Error> {
                    let mut specs = <$name as $crate::args::Args>::ARGS.iter();
                    $(
                        if let Some(spec) = specs.next() && spec.name == key {
                            self.$field = $crate::args::decode::value(spec, map)?;
                            return Ok(true);
                        }
                    )*
                    Ok(false)
                }
                fn finish<E: $crate::serde::de::Error>(self) -> ::core::result::Result<$name, E> {
                    let mut specs = <$name as $crate::args::Args>::ARGS.iter();
                    Ok($name {
                        $( $field: match specs.next() {
                            Some(spec) => $crate::args::decode::finish(spec, self.$field)?,
                            None => return Err(E::custom("argument list out of step")),
                        }, )*
                    })
                }
            }

            impl<'de> $crate::serde::Deserialize<'de> for $name {
                fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> ::core::result::Result<Self, D::Error> {
                    $crate::args::decode::map::<D, Fields>(deserializer)
                }
            }
        };
    };
    ($($what:tt)*) => { $crate::args_wrong! { $($what)* } };
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use crate::args::{ArgKind, Args as _, Many, Role};
    use crate::path::RemotePath;

    crate::args! {
        /// Tests things.
        ///
        /// At length.
        pub(crate) struct Sample {
            /// Paths to test.
            paths: Many<RemotePath>,
            /// Target.
            #[arg(name("as"), option, role(Rename))]
            rename: Option<String>,
            /// Times.
            #[arg(short('n'))]
            times: Option<u32>,
            /// Loudly.
            loud: bool,
        }
    }

    crate::args! {
        /// Has a word that Rust reserves.
        pub(crate) struct Reserved {
            /// What kind.
            #[arg(option)]
            r#type: Option<String>,
        }
    }

    #[test]
    fn a_word_that_rust_reserves_is_a_name_like_any_other() {
        assert_eq!(Reserved::ARGS[0].name, "type");
        let bytes = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("type", "f")])).unwrap();
        assert_eq!(
            rmp_serde::from_slice::<Reserved>(&bytes).unwrap().r#type.as_deref(),
            Some("f")
        );
    }

    fn decode(value: &impl Serialize) -> Result<Sample, rmp_serde::decode::Error> {
        rmp_serde::from_slice(&rmp_serde::to_vec_named(value).unwrap())
    }

    #[derive(Serialize)]
    struct Given<'a> {
        paths: Vec<&'a str>,
        r#as: &'a str,
    }

    #[test]
    fn absent_options_have_their_defaults() {
        let sample = decode(&Given {
            paths: vec!["a"],
            r#as: "b",
        })
        .unwrap();
        assert_eq!(
            (sample.paths.len(), sample.rename.as_deref(), sample.times, sample.loud),
            (1, Some("b"), None, false)
        );
    }

    #[test]
    fn wrong_arguments_are_named() {
        let message = |result: Result<Sample, rmp_serde::decode::Error>| result.unwrap_err().to_string();
        assert!(message(decode(&Given { paths: vec![], r#as: "" })).contains("`paths`"));
        assert!(message(decode(&std::collections::BTreeMap::from([("loud", true)]))).contains("`paths` is missing"));
        assert!(message(decode(&std::collections::BTreeMap::from([("volume", 11)]))).contains("`volume`"));
        assert!(message(decode(&std::collections::BTreeMap::from([("times", "many")]))).contains("`times`"));
    }

    #[test]
    fn the_list_says_what_the_fields_say() {
        let [paths, rename, times, loud] = Sample::ARGS else {
            panic!("four arguments")
        };
        assert!(paths.required && paths.repeated && !paths.is_option);
        assert!(rename.name == "as" && rename.is_option && !rename.required && rename.role == Role::Rename);
        assert!(times.short == Some('n') && times.is_option && times.kind == ArgKind::Integer);
        assert!(loud.is_option && loud.kind == ArgKind::Flag);
        assert!(Sample::DOC.trim().starts_with("Tests things."));
    }
}
