//! What the classic dialect says to people, in the language of its users.

use imgrepo_proto::name::shown;
use imgrepo_proto::session::Event;
use imgrepo_proto::session::v1::BadCommand;
use imgrepo_proto::{ErrorCode, ImageRecord, Refusal};

pub(super) const BUSY: &str =
    "Erro: o servidor está com muitas transferências em andamento; tente de novo em instantes";
pub(super) const GUESTS_DENIED: &str =
    "Erro: este repositório não aceita visitantes; é preciso ter uma conta";
pub(super) const GOODBYE: &str = "Até logo!";

pub(super) fn welcome(person: &str) -> String {
    format!("Bem-vindo(a), {}!", shown(person))
}

/// Old programs take the message's last number for the new id.
pub(super) fn stored(image: &ImageRecord) -> String {
    format!("Arquivo '{}' recebido com o id {}", shown(&image.name), image.id)
}

pub(super) fn sent(image: &ImageRecord) -> String {
    format!("Arquivo '{}' enviado por completo", shown(&image.name))
}

pub(super) fn new_upload(event: &Event) -> String {
    let name = event.image.as_ref().map(|image| shown(&image.name)).unwrap_or_default();
    let by = event.image.as_ref().map(|image| shown(&image.uploader)).unwrap_or_default();
    format!("Novo arquivo '{name}' enviado por {by}")
}

pub(super) fn bad_person(name: &str) -> String {
    format!("Erro: '{}' não serve como nome de usuário", shown(name))
}

pub(super) fn too_large(name: &str, size: u64, most: u64) -> String {
    format!("Erro: '{}' tem {size} bytes; por este protocolo o limite é {most}", shown(name))
}

/// A message that is no command.
pub(super) fn bad_command(bad: &BadCommand) -> String {
    let why = match bad {
        BadCommand::Unreadable(_) => "a mensagem não é um comando em JSON".to_owned(),
        BadCommand::Unknown(word) => format!("não existe o comando '{}'", shown(word)),
        BadCommand::NoName(word) => format!("{} precisa do nome de uma imagem", shown(word)),
        BadCommand::NoSize => "UPLOAD precisa do tamanho em bytes, em decimal".to_owned(),
    };
    format!("Erro: comando inválido: {why}")
}

/// A refusal of the repository about an image of this name.
pub(super) fn refused(name: &str, refusal: &Refusal) -> String {
    let name = shown(name);
    let why = match refusal.code {
        ErrorCode::NotFound => return format!("Erro: arquivo '{name}' não encontrado"),
        ErrorCode::NotAnImage => "o conteúdo não é uma imagem",
        ErrorCode::TooLarge => "o arquivo é grande demais",
        ErrorCode::BadName => "o nome não é permitido",
        ErrorCode::WrongSize => "o tamanho é diferente do anunciado",
        ErrorCode::StorageFull => "não há mais espaço no servidor",
        ErrorCode::Cancelled => {
            "era esperado o conteúdo em uma mensagem binária; o envio foi cancelado"
        }
        ErrorCode::Busy => "o servidor está ocupado; tente de novo em instantes",
        ErrorCode::Denied => "sem permissão",
        ErrorCode::ShuttingDown => "o servidor está sendo encerrado",
        ErrorCode::Damaged => {
            "o conteúdo está danificado no servidor; quem ainda tem o arquivo pode enviá-lo de novo"
        }
        ErrorCode::Internal => "falha interna do servidor",
        _ => return format!("Erro: '{name}': {}", shown(&refusal.message)),
    };
    format!("Erro: '{name}': {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgrepo_proto::ImageId;
    use imgrepo_proto::session::v1::Command;

    #[test]
    fn the_id_is_the_last_number_and_names_are_shown_safely() {
        let image = ImageRecord::bare(ImageId(41), "praia 2024\u{1b}[31m.jpg", "ana");
        let text = stored(&image);
        assert!(text.ends_with(" 41"));
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn what_is_no_command_is_told_in_the_language_of_its_people() {
        let said = |text| bad_command(&Command::decode(text).unwrap_err());
        let reason = |why| format!("Erro: comando inválido: {why}");
        assert_eq!(said("[]"), reason("a mensagem não é um comando em JSON"));
        assert_eq!(said(r#"{"cmd":"view"}"#), reason("VIEW precisa do nome de uma imagem"));
        assert_eq!(said(r#"{"cmd":"MOVE"}"#), reason("não existe o comando 'MOVE'"));
        assert_eq!(
            said(r#"{"cmd":"UPLOAD","args":["a.jpg","x"]}"#),
            reason("UPLOAD precisa do tamanho em bytes, em decimal")
        );
    }
}
