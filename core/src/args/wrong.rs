//! What `args!` says to what it cannot read: which word is wrong, instead of "no rules expected this token".

/// Looks for the fault in what [`args!`](crate::args!) was given. Not for direct use.
#[doc(hidden)]
#[macro_export]
macro_rules! args_wrong {
    // Before the struct.
    (@struct $docs:ident #[doc = $doc:literal] $($rest:tt)*) => { $crate::args_wrong! { @struct documented $($rest)* } };
    (@struct $docs:ident #[$($attribute:tt)*] $($rest:tt)*) => {
        ::core::compile_error! { ::core::concat!(
            "`#[", ::core::stringify!($($attribute)*), "]` cannot stand here: `args!` takes one struct with a doc comment; it makes it Debug and Clone"
        ) }
    };
    (@struct bare $vis:vis struct $name:ident $($rest:tt)*) => {
        ::core::compile_error! { ::core::concat!(
            "`", ::core::stringify!($name), "` needs a doc comment: `/// Does this and that.` is what users see of the verb in `help`"
        ) }
    };
    (@struct documented $vis:vis struct $name:ident { $($fields:tt)* }) => { $crate::args_wrong! { @field bare $($fields)* } };
    (@struct documented $vis:vis struct $name:ident ;) => {
        ::core::compile_error! { ::core::concat!(
            "a verb without arguments is written with braces: `struct ", ::core::stringify!($name), " {}`"
        ) }
    };
    (@struct documented $vis:vis struct $name:ident < $($rest:tt)*) => {
        ::core::compile_error! { ::core::concat!("`", ::core::stringify!($name), "` cannot have parameters: arguments own what they hold") }
    };
    // Before a field, and the field.
    (@field $docs:ident #[doc = $doc:literal] $($rest:tt)*) => { $crate::args_wrong! { @field documented $($rest)* } };
    (@field documented #[arg($($option:tt)*)] $field:ident : $type:ty $(, $($rest:tt)*)?) => {
        $crate::args_wrong! { @field bare $($($rest)*)? }
    };
    (@field documented $field:ident : $type:ty $(, $($rest:tt)*)?) => { $crate::args_wrong! { @field bare $($($rest)*)? } };
    (@field bare $field:ident : $($rest:tt)*) => {
        ::core::compile_error! { ::core::concat!(
            "the argument `", ::core::stringify!($field), "` needs a doc comment: `/// What it is for.` is what users see of it in `help`"
        ) }
    };
    (@field $docs:ident #[arg($($option:tt)*)] $($rest:tt)*) => {
        ::core::compile_error! { ::core::concat!(
            "`#[arg(", ::core::stringify!($($option)*), ")]` cannot stand here: an argument has a doc comment, then at most one `#[arg(...)]`"
        ) }
    };
    (@field $docs:ident #[$($attribute:tt)*] $($rest:tt)*) => {
        ::core::compile_error! { ::core::concat!(
            "`#[", ::core::stringify!($($attribute)*), "]` cannot stand before an argument: it has a doc comment, then at most one `#[arg(...)]`; \
             the types say what can be left out"
        ) }
    };
    (@field $docs:ident pub $($rest:tt)*) => {
        ::core::compile_error! { "an argument is written without `pub`: it can be seen wherever the struct can" }
    };
    (@ $($rest:tt)*) => {
        ::core::compile_error! { "`args!` takes one struct, `/// Doc comment. pub struct Name { /// Doc comment. field: Type, ... }`" }
    };
    ($($rest:tt)*) => { $crate::args_wrong! { @struct bare $($rest)* } };
}
