//! The networks that each user has signed in from, and the names that an administrator has unlocked.
//!
//! Too many wrong passwords for a name, from any network, lock that name. Its user can still sign in from a network that they
//! have signed in from before: wrong passwords from other networks do not count there. `drover user unlock` adds such a
//! network, or lifts the lock.

use super::file::StateFile;
use crate::model::{Millis, now};
use crate::server::limiter::network;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// How long a network is known after the last sign-in from it.
const KEPT: Millis = 30 * 86_400_000;

/// How exactly the last sign-in is noted: most sign-ins write no file.
const NOTED: Millis = 86_400_000;

/// Networks of one user, and in all; the longest unused are removed first.
const OF_ONE: usize = 20;
const IN_ALL: usize = 2_000;

/// The network that a request comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientNetwork {
    /// The network of an address, see [`network`].
    Network(IpAddr),
    /// The Unix socket, if no proxy sends an address.
    Socket,
}

impl ClientNetwork {
    /// The network of an address.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Socket, |address| Self::Network(network(address)))
    }
}

/// An entry of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: String,
    /// A network that they signed in from; `None` if an administrator unlocked the name.
    network: Option<ClientNetwork>,
    at: Millis,
}

/// See the module.
#[derive(Debug)]
pub struct KnownNetworks(StateFile<Known>);

impl KnownNetworks {
    /// Those in a file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(StateFile::at(path))
    }

    fn find(&self, name: &str, network: Option<&ClientNetwork>) -> Option<Millis> {
        let all = self.0.read().inspect_err(|error| {
            tracing::warn!("{} cannot be read: {error}", self.0.path().display());
        });
        let all = all.ok()?;
        let same = |known: &&Known| known.name == name && known.network.as_ref() == network;
        all.iter().find(same).map(|known| known.at)
    }

    /// Whether a user has signed in from a network, or an administrator has added it.
    #[must_use]
    pub fn knows(&self, name: &str, network: &ClientNetwork) -> bool {
        self.find(name, Some(network)).is_some_and(|at| now() - at < KEPT)
    }

    /// When an administrator unlocked a name.
    #[must_use]
    pub fn unlocked(&self, name: &str) -> Option<Millis> {
        self.find(name, None)
    }

    /// Notes that a user signed in from a network.
    pub fn note(&self, name: &str, network: &ClientNetwork) {
        if self.find(name, Some(network)).is_some_and(|at| now() - at < NOTED) {
            return;
        }
        if let Err(why) = self.add(name, Some(network.clone())) {
            tracing::warn!("the network that {name} signed in from cannot be noted: {why}");
        }
    }

    /// Unlocks a name, and adds a network that its user signs in from.
    ///
    /// # Errors
    ///
    /// When it cannot be written, in a sentence.
    pub fn unlock(&self, name: &str, from: Option<IpAddr>) -> Result<(), String> {
        if let Some(address) = from {
            self.add(name, Some(ClientNetwork::of(Some(address))))?;
        }
        self.add(name, None)
    }

    fn add(&self, name: &str, network: Option<ClientNetwork>) -> Result<(), String> {
        let new = Known {
            name: name.to_owned(),
            network,
            at: now(),
        };
        self.0.change(|all| {
            all.retain(|known| new.at - known.at < KEPT && (known.name != new.name || known.network != new.network));
            // The newest last.
            let own = all.iter().filter(|known| known.name == new.name).count();
            let (mut surplus, mut over) = ((own + 1).saturating_sub(OF_ONE), (all.len() + 1).saturating_sub(IN_ALL));
            all.retain(|known| {
                let goes = over > 0 || (surplus > 0 && known.name == new.name);
                over = over.saturating_sub(usize::from(goes));
                surplus = surplus.saturating_sub(usize::from(goes && known.name == new.name));
                !goes
            });
            all.push(new);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> ClientNetwork {
        ClientNetwork::of(Some(text.parse().unwrap()))
    }

    // S-11
    #[test]
    fn a_network_is_known_for_one_user_and_the_file_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let networks = KnownNetworks::at(dir.path().join("networks.json"));
        assert!(!networks.knows("ada", &network("192.0.2.1")));
        networks.note("ada", &network("192.0.2.1"));
        networks.note("ada", &ClientNetwork::Socket);
        let again = KnownNetworks::at(dir.path().join("networks.json"));
        assert!(again.knows("ada", &network("192.0.2.1")) && again.knows("ada", &ClientNetwork::Socket));
        assert!(!again.knows("eve", &network("192.0.2.1")) && !again.knows("ada", &network("192.0.2.2")));
        assert_eq!(again.unlocked("ada"), None);
        again.unlock("ada", Some("2001:db8::1".parse().unwrap())).unwrap();
        assert!(networks.knows("ada", &network("2001:db8::ffff")), "its network");
        assert!(networks.unlocked("ada").is_some());
        for n in 0..OF_ONE {
            networks.note("ada", &network(&format!("198.51.100.{n}")));
        }
        assert!(
            !networks.knows("ada", &network("192.0.2.1")),
            "the longest unused is forgotten"
        );
        assert!(networks.knows("ada", &network("198.51.100.19")));
        let kept: Vec<Known> = (0..IN_ALL)
            .map(|n| Known {
                name: n.to_string(),
                network: Some(ClientNetwork::Socket),
                at: now(),
            })
            .collect();
        StateFile::at(dir.path().join("networks.json")).write(&kept).unwrap();
        networks.note("ada", &ClientNetwork::Socket);
        assert_eq!(networks.0.read().unwrap().len(), IN_ALL);
        assert!(networks.knows("ada", &ClientNetwork::Socket) && !networks.knows("0", &ClientNetwork::Socket));
    }
}
