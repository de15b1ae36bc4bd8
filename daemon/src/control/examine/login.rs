//! Whether the daemon starts at the next login.

use imgrepo_proto::Refusal;
use imgrepo_proto::control::finding::Finding;

use crate::service::ServiceStatus;

const CHECK: &str = "login";

pub(super) fn findings(
    service: &Result<ServiceStatus, Refusal>,
    autostart: Option<&str>,
) -> Vec<Finding> {
    let service = match service {
        Ok(service) => service,
        Err(refusal) => {
            return vec![Finding::problem(CHECK, refusal.message.clone(), refusal.hint.clone())];
        }
    };
    let unit = service.unit.as_deref().unwrap_or_default();
    let mut findings = Vec::new();
    match autostart {
        Some(_) if service.installed && service.enabled => {
            let end = match service.lingering {
                Some(true) => ", and without a login",
                _ => "",
            };
            let by = service.manager;
            findings.push(Finding::ok(
                CHECK,
                format!("it starts at every login{end}, by {by} (`{unit}`)"),
            ));
        }
        Some(other) => {
            findings.push(Finding::ok(CHECK, format!("it starts at every login, by the {other}")))
        }
        None if service.installed => {}
        None => findings.push(Finding::warning(
            CHECK,
            "nothing starts it at the next login",
            Some("imgrepod service install".to_owned()),
        )),
    }
    // One that starts it beside the service is a fault; alone, it is what the line above says.
    let problems = service.problems.iter().filter(|_| service.installed || autostart.is_none());
    findings.extend(
        problems.map(|told| Finding::warning(CHECK, told.message.clone(), told.hint.clone())),
    );
    findings
}

#[cfg(test)]
mod tests {
    use imgrepo_proto::control::finding::FindingState;

    use super::*;

    fn service(installed: bool, enabled: bool) -> ServiceStatus {
        ServiceStatus {
            installed,
            enabled,
            running: true,
            manager: "systemd",
            unit: Some("/u".to_owned()),
            lingering: Some(true),
            ..ServiceStatus::default()
        }
    }

    #[test]
    fn it_starts_or_the_fix_is_said() {
        let of = |service, autostart| findings(&Ok(service), autostart).remove(0);
        let told = of(service(true, true), Some("systemd"));
        assert_eq!(told.state, FindingState::Ok);
        let message = "it starts at every login, and without a login, by systemd (`/u`)";
        assert_eq!(told.message, message);
        let told = of(service(false, false), Some("autostart entry"));
        assert_eq!(told.message, "it starts at every login, by the autostart entry");
        let told = of(service(false, false), None);
        assert_eq!(told.state, FindingState::Warning);
        assert_eq!(told.hint.as_deref(), Some("imgrepod service install"));
        let unreadable = Refusal::new(imgrepo_proto::ErrorCode::FileError, "cannot read `/u`");
        assert_eq!(findings(&Err(unreadable), None)[0].state, FindingState::Problem);
    }
}
