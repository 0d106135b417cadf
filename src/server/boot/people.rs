//! `drover user` and `drover token`: users and tokens, from the command line.

use crate::model::{format, now};
use crate::server::args::{TokenCommand, UserCommand};
use crate::server::auth::networks::KnownNetworks;
use crate::server::auth::tokens::{Tokens, Wanted};
use crate::server::auth::users::Users;
use crate::server::config::Config;
use std::process::ExitCode;

/// Runs the command and prints the result.
pub(super) fn user(config: &Config, command: UserCommand) -> ExitCode {
    let users = Users::at(config.auth.folder.join("users.json"));
    told(match command {
        UserCommand::Add {
            name,
            role,
            queues,
            groups,
            password_stdin,
        } => password(password_stdin).and_then(|(password, made)| {
            users.add(&name, &password, role, &queues, &groups)?;
            Ok(format!("added {name}{}", shown(&password, made)))
        }),
        UserCommand::Password { name, password_stdin } => password(password_stdin).and_then(|(password, made)| {
            users.set_password(&name, &password)?;
            Ok(format!(
                "changed the password of {name}, who has to sign in again{}",
                shown(&password, made)
            ))
        }),
        UserCommand::Remove { name } => users
            .remove(&name)
            .map(|()| format!("removed {name}, who is signed out")),
        UserCommand::Unlock { name, from } => users.known(&name).and_then(|()| {
            KnownNetworks::at(config.auth.folder.join("networks.json")).unlock(&name, from)?;
            Ok(match from {
                None => format!("{name} is unlocked"),
                Some(address) => {
                    format!("{name} is unlocked, and can sign in from {address} although the name may be locked again")
                }
            })
        }),
        UserCommand::List => users.list().map(|all| {
            let line = |user: &crate::server::auth::users::User| {
                let role = user.role.as_deref().unwrap_or("-");
                format!(
                    "{}\t{role}\t{}\t{}",
                    user.name,
                    user.queues.join(","),
                    user.groups.join(",")
                )
            };
            let lines: Vec<String> = all.iter().map(line).collect();
            if lines.is_empty() {
                "no users yet; `drover user add` adds one".into()
            } else {
                lines.join("\n")
            }
        }),
    })
}

/// Runs the command and prints the result.
pub(super) fn token(config: &Config, command: TokenCommand) -> ExitCode {
    let tokens = Tokens::at(config.auth.folder.join("tokens.json"));
    told(match command {
        TokenCommand::Add {
            name,
            role,
            allow,
            queues,
            days,
        } => {
            let wanted = Wanted {
                name,
                role,
                allow,
                queues,
                days,
            };
            tokens.add(&wanted).map(|(secret, token)| {
                say_error!(
                    "token {} for {}: {} on {}, until {}. It is shown this once:",
                    token.id,
                    token.name,
                    token.allow.join(", "),
                    token.queues.join(", "),
                    format::iso(token.expires)
                );
                secret
            })
        }
        TokenCommand::Revoke { which } => tokens.revoke(&which).map(|()| format!("revoked {which}")),
        TokenCommand::List => tokens.list().map(|all| {
            let line = |token: &crate::server::auth::tokens::Token| {
                let ended = if token.expires <= now() { " (expired)" } else { "" };
                format!(
                    "{}\t{}\t{}\t{}\t{}{ended}",
                    token.id,
                    token.name,
                    token.allow.join(","),
                    token.queues.join(","),
                    format::iso(token.expires)
                )
            };
            let lines: Vec<String> = all.iter().map(line).collect();
            if lines.is_empty() {
                "no tokens yet; `drover token add` creates one".into()
            } else {
                lines.join("\n")
            }
        }),
    })
}

fn told(answer: Result<String, String>) -> ExitCode {
    match answer {
        Ok(text) => {
            say!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            say_error!("drover: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A password from standard input, or a generated one; and whether it was generated.
fn password(from_stdin: bool) -> Result<(String, bool), String> {
    if !from_stdin {
        use base64::Engine as _;
        let made = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>());
        return Ok((made, true));
    }
    let text = std::io::read_to_string(std::io::stdin()).map_err(|error| format!("standard input: {error}"))?;
    Ok((text.trim_end_matches(['\r', '\n']).to_owned(), false))
}

fn shown(password: &str, made: bool) -> String {
    if made {
        format!("; the password, shown this once:\n{password}")
    } else {
        String::new()
    }
}
