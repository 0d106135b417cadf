//! Everything that can be asked for, made ahead as bytes with their tags.

use super::{Settings, badge, page, statuspage};
use crate::model::status::{PublicStatus, State};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The ends of the addresses of [`Files::v2`].
pub use super::statuspage::PATHS as V2;

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// What it holds.
    pub bytes: Bytes,
    /// Its entity tag, quoted.
    pub tag: String,
    /// Its media type.
    pub kind: &'static str,
}

impl File {
    /// A text with its tag.
    #[must_use]
    pub fn new(kind: &'static str, text: impl Into<Bytes>) -> Self {
        let bytes = text.into();
        let mut tag = String::from("\"");
        for byte in &Sha256::digest(&bytes)[..12] {
            // Writing into a String cannot fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        Self { bytes, tag, kind }
    }

    fn json(value: &impl serde::Serialize) -> Self {
        Self::new("application/json", serde_json::to_vec(value).unwrap_or_default())
    }
}

/// The page: below the board or on a listener of its own, and with or without renewing itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether it is on a listener of its own.
    pub alone: bool,
    /// Whether it renews itself.
    pub renews: bool,
}

/// The files of one moment.
#[derive(Debug)]
pub struct Files {
    pages: Vec<(Look, File)>,
    /// `status.json`.
    pub json: File,
    /// In the shapes of Statuspage, by the end of their addresses.
    pub v2: HashMap<&'static str, File>,
    badges: HashMap<String, Badge>,
}

/// What a component's badge is made of.
#[derive(Debug)]
struct Badge {
    name: String,
    state: State,
    svg: File,
    shield: File,
}

impl Files {
    fn of(status: &PublicStatus, settings: &Settings, base: &str) -> Arc<Self> {
        let looks = [(false, true), (false, false), (true, true), (true, false)];
        let pages = looks.map(|(alone, renews)| {
            let look = Look { alone, renews };
            let text = page::render(status, if alone { None } else { Some(base) }, renews);
            (look, File::new("text/html; charset=utf-8", text))
        });
        let badges = status.components.iter().map(|component| {
            let badge = Badge {
                name: component.name.clone(),
                state: component.state,
                svg: File::new(SVG, badge::svg(&component.name, component.state)),
                shield: File::json(&badge::shield(&component.name, component.state)),
            };
            (component.id.clone(), badge)
        });
        let v2 = statuspage::all(status, &settings.url).into_iter();
        Arc::new(Self {
            pages: pages.into(),
            json: File::json(status),
            v2: v2.map(|(path, value)| (path, File::json(&value))).collect(),
            badges: badges.collect(),
        })
    }

    /// The page.
    #[must_use]
    pub fn page(&self, look: Look) -> Option<&File> {
        self.pages.iter().find(|(one, _)| *one == look).map(|(_, file)| file)
    }

    /// The badge of a component, with other words on its left if wanted.
    #[must_use]
    pub fn badge(&self, component: &str, label: Option<&str>) -> Option<File> {
        let badge = self.badges.get(component)?;
        let label = label.map(badge::label).filter(|label| !label.is_empty());
        Some(match label {
            Some(label) if label != badge.name => File::new(SVG, badge::svg(&label, badge.state)),
            _ => badge.svg.clone(),
        })
    }

    /// The same for shields.io.
    #[must_use]
    pub fn shield(&self, component: &str) -> Option<&File> {
        self.badges.get(component).map(|badge| &badge.shield)
    }
}

const SVG: &str = "image/svg+xml; charset=utf-8";

/// The files of a moment, and what is served in their place when nothing has been heard since.
#[derive(Debug)]
pub struct Both {
    /// As it is.
    pub fresh: Arc<Files>,
    /// With nothing claimed but the past.
    pub without_news: Arc<Files>,
}

impl Both {
    /// Makes all of them.
    #[must_use]
    pub fn of(status: &PublicStatus, settings: &Settings, base: &str) -> Self {
        Self {
            fresh: Files::of(status, settings, base),
            without_news: Files::of(&status.without_news(), settings, base),
        }
    }
}

/// The page's style sheet.
#[must_use]
pub fn style() -> File {
    File::new(
        "text/css; charset=utf-8",
        concat!(
            include_str!("../../../style/tokens.css"),
            include_str!("../../../style/status.css")
        ),
    )
}
