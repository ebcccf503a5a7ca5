//! The menu of proposals. It is the editor's own, but for one thing: with nothing to propose it goes away, and takes no key from the line.

use reedline::{ColumnarMenu, Completer, Editor, Menu, MenuBuilder as _, MenuEvent, MenuSettings, Painter, Suggestion};

use super::style::Styles;

/// What the menu is called in key bindings.
pub(super) const NAME: &str = "words";

pub(super) struct Quiet(ColumnarMenu);

impl Quiet {
    pub(super) fn new(styles: &Styles, indicator: &str) -> Self {
        let menu = ColumnarMenu::default()
            .with_name(NAME)
            .with_marker(indicator)
            .with_columns(6)
            .with_text_style(styles.plain)
            .with_selected_text_style(styles.selected)
            .with_description_text_style(styles.hint)
            .with_match_text_style(styles.plain)
            .with_selected_match_text_style(styles.selected);
        Self(menu)
    }

    fn leave_if_empty(&mut self) {
        if self.0.is_active() && self.0.get_values().is_empty() && !self.0.results_are_provisional() {
            self.0.menu_event(MenuEvent::Deactivate);
        }
    }
}

impl Menu for Quiet {
    fn settings(&self) -> &MenuSettings {
        self.0.settings()
    }
    fn is_active(&self) -> bool {
        self.0.is_active()
    }
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }
    fn clear_input(&mut self) {
        self.0.clear_input();
    }
    fn on_activate(&mut self) {
        self.0.on_activate();
    }
    fn menu_event(&mut self, event: MenuEvent) {
        self.0.menu_event(event);
    }
    fn can_quick_complete(&self) -> bool {
        self.0.can_quick_complete()
    }
    fn can_partially_complete(&mut self, values_updated: bool, editor: &mut Editor, completer: &mut dyn Completer) -> bool {
        self.0.can_partially_complete(values_updated, editor, completer)
    }
    fn update_values(&mut self, editor: &mut Editor, completer: &mut dyn Completer) {
        self.0.update_values(editor, completer);
        self.leave_if_empty();
    }
    fn reset_position(&mut self) {
        self.0.reset_position();
    }
    fn update_working_details(&mut self, editor: &mut Editor, completer: &mut dyn Completer, painter: &Painter) {
        self.0.update_working_details(editor, completer, painter);
        self.leave_if_empty();
    }
    fn replace_in_buffer(&self, editor: &mut Editor) {
        self.0.replace_in_buffer(editor);
    }
    fn menu_required_lines(&self, terminal_columns: u16) -> u16 {
        self.0.menu_required_lines(terminal_columns)
    }
    fn menu_string(&self, available_lines: u16, use_ansi_coloring: bool) -> String {
        self.0.menu_string(available_lines, use_ansi_coloring)
    }
    fn min_rows(&self) -> u16 {
        self.0.min_rows()
    }
    fn get_values(&self) -> &[Suggestion] {
        self.0.get_values()
    }
    fn results_are_provisional(&self) -> bool {
        self.0.results_are_provisional()
    }
    fn is_awaiting_first_answer(&self) -> bool {
        self.0.is_awaiting_first_answer()
    }
    fn set_cursor_pos(&mut self, pos: (u16, u16)) {
        self.0.set_cursor_pos(pos);
    }
}
