//! `imgctl doctor`: whether everything is as it should be, each finding with its fix. The daemon
//! looks; where there is none, this looks at what would start it.

use std::process::{Command, Stdio};

use imgrepo_proto::control::finding::{Finding, FindingState};
use imgrepo_proto::control::{Outcome, Request};
use imgrepo_proto::name::shown;
use imgrepo_proto::{ErrorCode, Refusal};
use serde::{Deserialize, Serialize};

use crate::context::{Context, program, unexpected};
use crate::failure::{Failure, cause};
use crate::output::Style;
use crate::programs;
use crate::table::{Align, columns};

/// `{"v":1,"findings":[{"check":"socket","state":"ok","message":"...","hint":null}]}`.
#[derive(Serialize)]
struct Document<'a> {
    findings: &'a [Finding],
}

/// What `imgrepod service status --json` says.
#[derive(Deserialize)]
struct ServiceDocument {
    service: Service,
}

#[derive(Deserialize)]
struct Service {
    installed: bool,
    enabled: bool,
    manager: String,
    #[serde(default)]
    problems: Vec<ServiceProblem>,
}

#[derive(Deserialize)]
struct ServiceProblem {
    message: String,
    hint: Option<String>,
}

/// Looks and shows.
pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let findings = match context.open() {
        Ok(mut daemon) => {
            let version = daemon.daemon().map(|daemon| daemon.version.clone());
            let mut findings: Vec<_> =
                version.and_then(|version| differs(&version)).into_iter().collect();
            match daemon.call(&Request::Examine) {
                Ok(Outcome::Findings(found)) => findings.extend(found),
                Ok(other) => findings.push(refused("daemon", unexpected(&other))),
                Err(refusal) => findings.push(refused("daemon", refusal)),
            }
            findings
        }
        Err(refusal) => {
            let mut findings = vec![refused("socket", refusal)];
            findings.extend(at_login());
            findings
        }
    };
    show(context, &findings)?;
    match findings.iter().any(|finding| finding.state == FindingState::Problem) {
        true => Err(Failure::Said(ErrorCode::Internal.exit_code())),
        false => Ok(()),
    }
}

fn refused(check: &str, refusal: Refusal) -> Finding {
    Finding::problem(check, refusal.message, refusal.hint)
}

/// A daemon of another version works where it can; that it is another is to be known.
fn differs(daemon: &str) -> Option<Finding> {
    let own = program().version;
    (daemon != own).then(|| {
        let message = format!("imgctl is {own}, and the daemon that runs {daemon}");
        let hint = Some("restart the daemon: imgctl stop && imgrepod".to_owned());
        Finding::warning("versions", message, hint)
    })
}

/// What will be at the next login, by the daemon's own program.
fn at_login() -> Vec<Finding> {
    let path = programs::program("imgrepod");
    let mut command = Command::new(&path);
    command.args(["service", "status", "--json"]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            let message = format!("cannot run `{}`: {}", path.display(), cause(&error));
            let hint = Some("put imgrepod beside imgctl, or into a folder of PATH".to_owned());
            return vec![Finding::problem("program", message, hint)];
        }
    };
    match serde_json::from_slice::<ServiceDocument>(&output.stdout) {
        Ok(said) => of_service(said.service),
        Err(_) => {
            let message = format!("`{}` does not tell what starts it at login", path.display());
            vec![Finding::warning("login", message, None)]
        }
    }
}

fn of_service(service: Service) -> Vec<Finding> {
    let Service { installed, enabled, manager, problems } = service;
    if !problems.is_empty() {
        let of = |said: ServiceProblem| Finding::problem("login", said.message, said.hint);
        return problems.into_iter().map(of).collect();
    }
    vec![match (installed, enabled) {
        (true, true) => {
            let message = format!("{manager} starts the daemon at the next login");
            Finding::ok("login", message)
        }
        (true, false) => {
            let message = format!("{manager} knows the daemon, but does not start it at login");
            let hint = Some("imgrepod service install".to_owned());
            Finding::warning("login", message, hint)
        }
        (false, _) => {
            let hint = Some("imgrepod service install".to_owned());
            let message = "nothing starts the daemon at login";
            Finding::warning("login", message, hint)
        }
    }]
}

fn show(context: &Context, findings: &[Finding]) -> Result<(), Failure> {
    let out = &context.out;
    if out.json() {
        return out.document(&Document { findings });
    }
    let word = |state| match state {
        FindingState::Ok => ("ok", Style::Green),
        FindingState::Warning => ("warning", Style::Yellow),
        FindingState::Problem => ("problem", Style::Red),
    };
    let row = |finding: &Finding| {
        let (state, _) = word(finding.state);
        vec![state.to_owned(), shown(&finding.check), shown(&finding.message)]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    let lines = columns(&[Align::Left; 3], &rows);
    for (line, finding) in lines.iter().zip(findings) {
        let (state, style) = word(finding.state);
        out.line(&line.replacen(state, &out.styled(style, state), 1))?;
        if let Some(hint) = &finding.hint {
            out.line(&format!("         hint: {}", shown(hint)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_says_is_told_with_its_fix() {
        let of = |json: &str| {
            let said: ServiceDocument = serde_json::from_str(json).unwrap();
            let found = of_service(said.service);
            let one = |finding: Finding| (finding.state, finding.hint.unwrap_or_default());
            found.into_iter().map(one).collect::<Vec<_>>()
        };
        let install = || "imgrepod service install".to_owned();
        assert_eq!(
            of(
                r#"{"v":1,"service":{"installed":false,"enabled":false,"running":false,"manager":"systemd","unit":null,"lingering":null,"program":"/p","problems":[]}}"#
            ),
            [(FindingState::Warning, install())]
        );
        assert_eq!(
            of(r#"{"service":{"installed":true,"enabled":true,"manager":"systemd"}}"#),
            [(FindingState::Ok, String::new())]
        );
        assert_eq!(
            of(
                r#"{"service":{"installed":true,"enabled":true,"manager":"systemd","problems":[{"message":"m","hint":"h"},{"message":"n","hint":null}]}}"#
            ),
            [(FindingState::Problem, "h".to_owned()), (FindingState::Problem, String::new())]
        );
        assert_eq!(differs(&program().version), None);
        assert!(differs("0.0.1").is_some());
    }
}
