//! `drover user` and `drover token`: users and tokens, from the command line, beside a Drover that runs and before the first.

use crate::model::{format, now};
use crate::server::archive::{Archive, Settings};
use crate::server::args::{TokenCommand, UserCommand};
use crate::server::auth::identity::Identity;
use crate::server::auth::networks::KnownNetworks;
use crate::server::auth::tokens::{Token, Tokens, Wanted};
use crate::server::auth::users::{User, Users};
use crate::server::config::Config;
use crate::server::database::OwnData;
use crate::server::tasks::Tasks;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the database may take to be closed.
const CLOSE: Duration = Duration::from_secs(2);

/// Runs the command and prints the result.
pub(super) fn user(config: &Config, command: UserCommand) -> ExitCode {
    told(with_data(config, async |data| {
        of_user(config, data.map(Users::new), command).await
    }))
}

/// Runs the command and prints the result.
pub(super) fn token(config: &Config, command: TokenCommand) -> ExitCode {
    told(with_data(config, async |data| {
        of_token(&Tokens::new(data?), command).await
    }))
}

/// Does something with Drover's own data, or with the reason why it cannot be used.
fn with_data(
    config: &Config,
    work: impl AsyncFnOnce(Result<OwnData, String>) -> Result<String, String>,
) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("the runtime cannot start: {error}"))?;
    runtime.block_on(async {
        let tasks = Tasks::new(CancellationToken::new());
        let done = work(open(config, &tasks).await).await;
        tasks.stop().cancel();
        tasks.ended(CLOSE).await;
        done
    })
}

/// Opens it, and takes over what an earlier Drover left in files.
async fn open(config: &Config, tasks: &Tasks) -> Result<OwnData, String> {
    let archive = match config.archive.clone() {
        None => None,
        Some(settings) => {
            // Only the server removes anything.
            let archive = Archive::new(Settings {
                keep: vec![],
                policies: vec![],
                ..settings.clone()
            })?;
            if settings.migrate {
                archive.migrate().await?;
            }
            let archive = Arc::new(archive);
            archive.start(tasks);
            Some(archive)
        }
    };
    let shared = archive.map(|archive| archive.shared().clone());
    let data = OwnData::new(shared, &config.audit_file);
    data.open_beside(tasks).await.map_err(|trouble| trouble.to_string())?;
    Identity::new(data.clone(), &config.auth.folder).take_over().await?;
    Ok(data)
}

async fn of_user(config: &Config, users: Result<Users, String>, command: UserCommand) -> Result<String, String> {
    match command {
        UserCommand::Add {
            name,
            role,
            queues,
            groups,
            password_stdin,
        } => {
            let (password, made) = password(password_stdin)?;
            users?.add(&name, &password, role, &queues, &groups).await?;
            Ok(format!("added {name}{}", shown(&password, made)))
        }
        UserCommand::Password { name, password_stdin } => {
            let (password, made) = password(password_stdin)?;
            users?.set_password(&name, &password).await?;
            Ok(format!(
                "changed the password of {name}, who has to sign in again{}",
                shown(&password, made)
            ))
        }
        UserCommand::Remove { name } => {
            users?.remove(&name).await?;
            Ok(format!("removed {name}, who is signed out"))
        }
        UserCommand::Unlock { name, from } => {
            match users {
                Ok(users) => users.known(&name).await?,
                // The networks are in a file: this must be possible when the database is part of an incident.
                Err(why) => say_error!("drover: whether there is a user {name:?} is not known: {why}"),
            }
            KnownNetworks::at(config.auth.folder.join("networks.json")).unlock(&name, from)?;
            Ok(match from {
                None => format!("{name} is unlocked"),
                Some(address) => {
                    format!("{name} is unlocked, and can sign in from {address} although the name may be locked again")
                }
            })
        }
        UserCommand::List => {
            let line = |user: &User| {
                let role = user.role.as_deref().unwrap_or("-");
                format!(
                    "{}\t{role}\t{}\t{}",
                    user.name,
                    user.queues.join(","),
                    user.groups.join(",")
                )
            };
            let lines: Vec<String> = users?.list().await?.iter().map(line).collect();
            Ok(if lines.is_empty() {
                "no users yet; `drover user add` adds one".into()
            } else {
                lines.join("\n")
            })
        }
    }
}

async fn of_token(tokens: &Tokens, command: TokenCommand) -> Result<String, String> {
    match command {
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
            let (secret, token) = tokens.add(&wanted).await?;
            say_error!(
                "token {} for {}: {} on {}, until {}. It is shown this once:",
                token.id,
                token.name,
                token.allow.join(", "),
                token.queues.join(", "),
                format::iso(token.expires)
            );
            Ok(secret)
        }
        TokenCommand::Revoke { which } => {
            tokens.revoke(&which).await?;
            Ok(format!("revoked {which}"))
        }
        TokenCommand::List => {
            let line = |token: &Token| {
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
            let lines: Vec<String> = tokens.list().await?.iter().map(line).collect();
            Ok(if lines.is_empty() {
                "no tokens yet; `drover token add` creates one".into()
            } else {
                lines.join("\n")
            })
        }
    }
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
