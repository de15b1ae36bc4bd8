//! What the menu says: one table per language.

use std::ffi::OsString;

use super::Choice;

/// The words of a language.
pub(super) struct Texts {
    upload: &'static str,
    list: &'static str,
    download: &'static str,
    view: &'static str,
    disconnect: &'static str,
    quit: &'static str,
    pub(super) choose: &'static str,
    pub(super) which_files: &'static str,
    pub(super) which_image: &'static str,
    pub(super) which_server: &'static str,
    pub(super) unknown: &'static str,
}

const ENGLISH: Texts = Texts {
    upload: "Upload",
    list: "List",
    download: "Download",
    view: "View",
    disconnect: "Disconnect",
    quit: "Quit",
    choose: "Your choice:",
    which_files: "Files or folders:",
    which_image: "Image (number or name):",
    which_server: "Server (empty to stay offline):",
    unknown: "There is no such choice.",
};

const PORTUGUESE: Texts = Texts {
    upload: "Enviar",
    list: "Listar",
    download: "Baixar",
    view: "Visualizar",
    disconnect: "Desconectar",
    quit: "Sair",
    choose: "Sua escolha:",
    which_files: "Arquivos ou pastas:",
    which_image: "Imagem (número ou nome):",
    which_server: "Servidor (vazio para ficar desconectado):",
    unknown: "Essa opção não existe.",
};

/// Those of the language that the environment names (POSIX: the first of these that is set).
pub(super) fn of(var: impl Fn(&str) -> Option<OsString>) -> &'static Texts {
    let named = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .find_map(|name| var(name).filter(|value| !value.is_empty()));
    let named = named.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let language = named.split(['_', '.', '@', '-']).next();
    if language == Some("pt") { &PORTUGUESE } else { &ENGLISH }
}

impl Texts {
    /// The word of a choice.
    pub(super) fn of(&self, choice: Choice) -> &'static str {
        match choice {
            Choice::Upload => self.upload,
            Choice::List => self.list,
            Choice::Download => self.download,
            Choice::View => self.view,
            Choice::Disconnect => self.disconnect,
            Choice::Quit => self.quit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_names_the_language() {
        let quit = |vars: &[(&str, &str)]| {
            let find = |name: &str| vars.iter().find(|(key, _)| *key == name);
            of(|name| find(name).map(|(_, value)| value.into())).quit
        };
        assert_eq!(quit(&[]), "Quit");
        assert_eq!(quit(&[("LANG", "pt_BR.UTF-8")]), "Sair");
        assert_eq!(quit(&[("LC_ALL", ""), ("LC_MESSAGES", "pt"), ("LANG", "en_US")]), "Sair");
        assert_eq!(quit(&[("LC_ALL", "C"), ("LANG", "pt_PT")]), "Quit");
        assert_eq!(quit(&[("LANG", "ptx")]), "Quit");
    }
}
