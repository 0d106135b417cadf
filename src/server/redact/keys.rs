//! Which names mean a secret.
//!
//! A name is folded to lower case without what separates its words, and the places where words begin are kept:
//! `X-Api-Key`, `apiKey` and `api_key` are one name of words `api` and `key`. Most of the list has to begin and end with a
//! word, so that `cardinality`, `author` and `passenger` are nobody's secret; and a name that ends in a word such as
//! `count`, `type` or `expires` speaks *about* a secret.

use std::collections::HashSet;

/// Letters of a name that are looked at: its last ones.
const LONGEST: usize = 96;

/// What is hidden under a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Secret {
    /// Numbers too: a code, or the number of a card.
    pub numbers: bool,
    /// How far it goes in plain text.
    pub line: Line,
    /// The word also begins sentences ("auth: connection refused"): in prose only what looks like a secret is one.
    pub weak: bool,
    /// Whatever the value is.
    pub everything: bool,
}

/// Whether a value in plain text goes on to the end of its line: it may have spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// It is one word.
    #[default]
    Never,
    /// Where its name is the first of the line.
    First,
    /// Wherever its name stands.
    Always,
}

impl Secret {
    /// A place that the configuration names.
    pub(super) const NAMED: Self = Self {
        numbers: true,
        line: Line::Never,
        weak: false,
        everything: true,
    };
}

/// Where a needle has to stand in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Anywhere.
    Part,
    /// At the end of a word, or in front of its `s`.
    End,
    /// From the beginning of a word to the end of one.
    Word,
    /// The same, and nothing follows.
    Last,
}

#[derive(Debug)]
struct Needle {
    text: Box<[u8]>,
    place: Place,
    secret: Secret,
    /// A name that ends in `id` is no secret.
    id: bool,
    /// Whether words about a secret do not matter: the configuration named it.
    always: bool,
}

/// The built-in list: S-24's, and what real payloads add to it. `n` hides numbers too, `l` the line where it
/// begins with the name, `L` wherever the name stands, `w` is weak, `i` excepts ids.
const DEFAULTS: &[(Place, &str, &str)] = &[
    (Place::Part, "nl", "password passwd passwort"),
    (Place::Part, "n", "passcode secret"),
    (Place::Part, "", "apikey accesskey privatekey secretkey"),
    (Place::Part, "i", "credential"),
    (Place::Part, "L", "passphrase authorization connectionstring setcookie"),
    (Place::End, "n", "token pwd"),
    (Place::End, "L", "cookie"),
    (Place::End, "", "jwt apikeys"),
    (Place::Last, "", "pass"),
    (Place::Word, "n", "passw pswd creds cred passkey"),
    (
        Place::Word,
        "",
        "sessionid sessid phpsessid jsessionid connectsid bearer oauth privkey encryptionkey decryptionkey signingkey \
         masterkey sharedkey accountkey sshkey hmackey licensekey servicekey subscriptionkey sessionkey authkey \
         webhookkey storagekey functionkey serverkey accesscode csrf xsrf sastoken recoverycodes backupcodes",
    ),
    (Place::Word, "L", "mnemonic seedphrase recoveryphrase"),
    (Place::Word, "wi", "auth authn signature cert certs certificate"),
    (Place::Word, "w", "session sess salt"),
    (
        Place::Word,
        "n",
        "otp totp hotp otpcode mfa mfacode 2fa tfa cvv cvc cvv2 cvc2 csc ssn socialsecurity socialsecuritynumber iban \
         creditcard debitcard cardnumber cardno ccnumber pincode pinnumber verificationcode securitycode onetimecode \
         authcode recoverycode backupcode",
    ),
    (Place::Word, "nwi", "card pin"),
];

/// Last words of names that say something about a secret.
const ABOUT: &str = "at on by count counts counter type types kind class length len size sizes used usage limit limits quota \
    remaining total totals max min avg budget bucket expiry expires expire expired expiration expiring ttl lifetime age \
    duration timeout start end started ended date time timestamp enabled disabled required optional valid invalid verified \
    verification policy strategy status state version method mode algorithm alg provider scheme format strength attempts \
    retries failures errors error reason message name names label title topic brand network country issuer last4 lastfour \
    url uri endpoint path file filename dir prefix rate ratio cost price color colour holder field fields index order user \
    username email login consent banner domain samesite reset changed change rotated rotation sent hint less manager \
    service queue job worker event events page link per generated updated created deleted revoked history \
    present set exists missing match matches mismatch ok changes rules requirements";

/// What `secret` may go on with and be another word.
const NOT_SECRET: [&[u8]; 4] = [b"ary", b"aries", b"ariat", b"ion"];

/// The names that mean a secret, compiled.
#[derive(Debug)]
pub(super) struct Keys {
    /// By their first byte.
    needles: Vec<Vec<Needle>>,
    about: HashSet<&'static [u8]>,
    /// Names, folded, that are shown whatever the list says.
    keep: HashSet<Vec<u8>>,
}

/// A name without what separates its words.
struct Folded {
    text: [u8; LONGEST],
    /// Whether a word begins here.
    begins: [bool; LONGEST + 1],
    len: usize,
    /// Where the last part of a phrase begins.
    last_part: usize,
}

impl Folded {
    /// Folds the last letters of a name; behind `part` bytes its last part begins.
    fn of(name: &[u8], part: usize) -> Self {
        let mut folded = Self {
            text: [0; LONGEST],
            begins: [false; LONGEST + 1],
            len: 0,
            last_part: 0,
        };
        let from = name.len().saturating_sub(LONGEST);
        let mut apart = true;
        for (i, &byte) in name.iter().enumerate().skip(from) {
            if i == part {
                folded.last_part = folded.len;
            }
            if !byte.is_ascii_alphanumeric() && byte < 0x80 {
                apart = true;
                continue;
            }
            let before = if i > from { name[i - 1] } else { b' ' };
            let after = name.get(i + 1).copied().unwrap_or(b' ');
            let hump = byte.is_ascii_uppercase()
                && (before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && after.is_ascii_lowercase()));
            folded.begins[folded.len] = apart || hump;
            folded.text[folded.len] = byte.to_ascii_lowercase();
            folded.len += 1;
            apart = false;
        }
        folded.begins[folded.len] = true;
        folded
    }

    fn text(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// Whether a word begins or ends here; digits belong to no word.
    fn edge(&self, at: usize) -> bool {
        at == self.len
            || self.begins[at]
            || (at > 0 && (self.text[at - 1].is_ascii_digit() || self.text[at].is_ascii_digit()))
    }

    fn last_word(&self) -> (usize, &[u8]) {
        let start = (0..self.len).rev().find(|at| self.begins[*at]).unwrap_or(0);
        (start, &self.text[start..self.len])
    }
}

/// A name as `keep` compares it.
pub(super) fn folded(name: &str) -> Vec<u8> {
    // Longer names are compared by their ends, as they are looked for.
    Folded::of(name.as_bytes(), 0).text().to_vec()
}

impl Keys {
    /// The built-in list if `defaults`, with these names added and those taken off.
    pub(super) fn new<'a>(
        defaults: bool,
        added: impl IntoIterator<Item = &'a String>,
        keep: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let mut needles: Vec<Vec<Needle>> = (0..256).map(|_| Vec::new()).collect();
        let mut add = |needle: Needle| {
            if let Some(first) = needle.text.first() {
                needles[usize::from(*first)].push(needle);
            }
        };
        let list = if defaults { DEFAULTS } else { &[] };
        for (place, flags, words) in list {
            for word in words.split_whitespace() {
                add(Needle {
                    text: word.as_bytes().into(),
                    place: *place,
                    secret: Secret {
                        numbers: flags.contains('n'),
                        line: match flags {
                            _ if flags.contains('L') => Line::Always,
                            _ if flags.contains('l') => Line::First,
                            _ => Line::Never,
                        },
                        weak: flags.contains('w'),
                        everything: false,
                    },
                    id: flags.contains('i'),
                    always: false,
                });
            }
        }
        for name in added {
            add(Needle {
                text: folded(name).into(),
                place: Place::Word,
                secret: Secret {
                    numbers: true,
                    ..Secret::default()
                },
                id: false,
                always: true,
            });
        }
        Self {
            needles,
            about: ABOUT.split_whitespace().map(str::as_bytes).collect(),
            keep: keep.into_iter().map(|name| folded(name)).collect(),
        }
    }

    /// What is hidden under a name, if anything.
    pub(super) fn of(&self, name: &[u8]) -> Option<Secret> {
        self.of_phrase(name, 0)
    }

    /// The same of words in a text; what is found has to reach into the part that begins behind `part` bytes.
    pub(super) fn of_phrase(&self, name: &[u8], part: usize) -> Option<Secret> {
        let name = Folded::of(name, part);
        let text = name.text();
        let mut found: Option<Secret> = None;
        for at in 0..text.len() {
            for needle in &self.needles[usize::from(text[at])] {
                if !text[at..].starts_with(&needle.text) || !needle.fits(&name, at, &self.about) {
                    continue;
                }
                let end = at + needle.text.len();
                let secret = Secret {
                    // "passwords": 3 counts them.
                    numbers: needle.secret.numbers && name.edge(end),
                    ..needle.secret
                };
                found = Some(match found {
                    None => secret,
                    Some(before) => Secret {
                        numbers: before.numbers || secret.numbers,
                        line: before.line.max(secret.line),
                        weak: before.weak && secret.weak,
                        everything: false,
                    },
                });
            }
        }
        found.filter(|_| self.keep.is_empty() || !self.keep.contains(text))
    }
}

impl Needle {
    fn fits(&self, name: &Folded, at: usize, about: &HashSet<&'static [u8]>) -> bool {
        let end = at + self.text.len();
        if end <= name.last_part {
            return false;
        }
        let crosses = (at + 1..end).any(|i| name.begins[i]);
        let placed = match self.place {
            Place::Part => !crosses || (name.edge(at) && name.edge(end)),
            Place::End => {
                let plural = name.text.get(end) == Some(&b's') && end < name.len && name.edge(end + 1);
                (name.edge(end) || plural) && (!crosses || name.edge(at))
            }
            Place::Word => name.edge(at) && name.edge(end),
            Place::Last => name.edge(at) && end == name.len,
        };
        if !placed {
            return false;
        }
        if self.always {
            return true;
        }
        let rest = &name.text()[end..];
        if &*self.text == b"secret" && !name.edge(end) && NOT_SECRET.iter().any(|more| rest.starts_with(more)) {
            return false;
        }
        let (start, last) = name.last_word();
        // `tokenCount` is about tokens; and `passwordless`, in one word.
        let aside = start >= end && (about.contains(last) || (self.id && last == b"id"));
        !aside && rest != b"less"
    }
}
