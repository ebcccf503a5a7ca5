//! Which keys do what: those of emacs, or those of vi.

use reedline::{
    EditMode, Emacs, KeyCode, KeyModifiers, Keybindings, ReedlineEvent, Vi, default_emacs_keybindings,
    default_vi_insert_keybindings, default_vi_normal_keybindings, default_vi_visual_keybindings,
};

use super::menu;

/// The variable that says which keys are wanted.
const VARIABLE: &str = "FERRY_KEYS";

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// Emacs', which shells have by default.
    #[default]
    Emacs,
    /// Vi's.
    Vi,
}

impl std::str::FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "emacs" => Ok(Self::Emacs),
            "vi" => Ok(Self::Vi),
            _ => Err(format!(
                "`{}` is no set of keys; there are emacs and vi",
                ferry_core::text::escape(text.as_bytes())
            )),
        }
    }
}

impl Keys {
    /// What the environment says; `None` when it says nothing.
    ///
    /// # Errors
    /// A sentence for people when it says something that there is not.
    pub fn from_env() -> Result<Option<Self>, String> {
        match std::env::var(VARIABLE) {
            Ok(text) if !text.is_empty() => text.parse().map(Some).map_err(|error| format!("{VARIABLE}: {error}")),
            _ => Ok(None),
        }
    }

    pub(super) fn mode(self) -> Box<dyn EditMode> {
        match self {
            Self::Emacs => Box::new(Emacs::new(with_menu(default_emacs_keybindings()))),
            Self::Vi => Box::new(Vi::new(
                with_menu(default_vi_insert_keybindings()),
                default_vi_normal_keybindings(),
                default_vi_visual_keybindings(),
            )),
        }
    }
}

fn with_menu(mut keys: Keybindings) -> Keybindings {
    let complete = vec![ReedlineEvent::Menu(menu::NAME.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_sets_of_keys() {
        assert_eq!("vi".parse(), Ok(Keys::Vi));
        assert_eq!("emacs".parse(), Ok(Keys::Emacs));
        assert!("nano\x1b".parse::<Keys>().is_err_and(|error| !error.contains('\x1b')));
    }
}
