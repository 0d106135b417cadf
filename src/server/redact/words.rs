//! Words that are no secret: of results, of messages, and of settings; and what a word of any kind looks like.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a known word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A result or a state: `expired`, `insufficient`, `verified`.
    State,
    /// A word that messages are made of: `is`, `must`, `characters`.
    Message,
    /// A setting that has a name: `basic`, `visa`, `sha256`.
    Mode,
}

/// What was the result, and what is the matter.
const STATES: &str = "abandoned aborted absent accepted active added alive already ambiguous approved authenticated \
    authorized bad banned blacklisted blank blocked broken busy cached canceled cancelled captured changed closed collision \
    compromised confirmed conflict connected corrupt corrupted created declined deleted denied deprecated destroyed \
    disabled disallowed disconnected done dropped duplicate duplicated duplicates empty enabled encrypted ended enrolled \
    err error errors established exceeded exceeds exception exhausted exist exists expired expires failed failing fails \
    failure failures fatal faulty filtered forbidden found fraudulent frozen generated gone granted hidden idle illegal \
    inactive incompatible incomplete inconsistent incorrect initialized insecure insufficient interrupted invalid \
    invalidated issued leaked limited locked lost malformed masked mismatch mismatched mismatches missing nonexistent \
    obsolete offline ok omitted outdated overdue overflow oversized paid passed paused pending present processed \
    processing prohibited protected quarantined queued ready redacted refreshed refunded refused registered rejected \
    removed renewed replaced replayed required requires restricted revoked rotated running saved settled short signed \
    skipped stale started stolen stopped stored succeeded successful suspended terminated throttled timeout truncated \
    unable unacceptable unauthenticated unauthorised unauthorized unavailable unchanged unconfirmed undefined \
    unencrypted unexpected unhandled unknown unlocked unmatched unpaid unreachable unreadable unrecognised unrecognized \
    unregistered unresolved unsafe unset unsigned unspecified unsuccessful unsupported untrusted unusable unused \
    unverified updated used valid validated verified violated violation weak withdrawn wrong";

/// What sentences about a failure are made of.
const MESSAGES: &str = "a about above absolute access accessing account accounts acquire action add address after again \
    against algorithm all allow allowed also altnames an and another any anyone anything api app application are argument arguments as \
    array assertion at attempt attempting attempts attribute audience authenticate authentication authority authorization \
    authorizer available base64 be because been before begin being below between binary block body bool boolean both bucket but by \
    byte bytes call callback called can cannot can't cant certificate certificates chain change channel character \
    characters charge charset check checksum claim class client cluster code codec column command complexity condition \
    config configuration configure configured connect connecting connection constraint contain contained contains content \
    context cookie cookies could couldn't create credential credentials csrf current data database date decode decoded \
    decoding decrypt decryption default delete deserialize did didn't different digit digits do does doesn't don't domain \
    during each either element encode encoding encryption end endpoint enough entity entry enum equal even exactly exchange \
    expect expected expecting expects expiration expiry extension extra fault fetch field fields file find first float flow \
    following for format fraud from function funds future generate get getting given grant group had handshake has hasn't \
    have haven't having header headers host hostname how identifier identity if ignored in include included includes index \
    initialize input instance instead int integer interaction internal into io is isn't issuer it item its json key keypair \
    keyring keys keystore kind label last least left length less let letter letters level like limit line lines list literal \
    load loading local login logged long longer look lookup loop lowercase made make many mapping match matches matching \
    max maximum may member message method might min minimum minlength maxlength minutes mode more most mount must name names \
    near need needed needs negative network new next no nobody node non nonce not nothing now null number numbers numeric \
    object of off on once one only open operation option optional options or other our output over own package padding page \
    pair panic parameter parameters parent parse parsed parser parsing part party passphrase password passwords path payload peer per period permission \
    permissions permitted please plugin point policy pool port position positive possible prefix presented previous private \
    process profile property provide provided provider public query quota range read reading reason receive received record \
    redirect reference refresh region registry reissue relation remote remove renew repeat replay replica request requested \
    requesting requests require resolve resource response result retries retry return returned returns revoke role root row \
    rule same schema scope scopes second seconds secret secrets section see segment segments self send sender sent serialize \
    server service services session sessions set setting settings setup shall shard should shouldn't sign signature signatures \
    signer signing since single size skew so some source space special specified specify stage start state statement status \
    still stop storage store str stream string strings struct subject submitted such suffix support syntax system table tag take taken \
    target template tenant terminal than that the their them then there these this those thread throttle thumbprint time times \
    to token tokens too transaction transport tried try trying twice two type types unique unmarshal until up update upload \
    uppercase upon url usage use user username userinfo users uses using uuid validate validation validator value values \
    variable verification verify verifying version very via wait waiting warning was wasn't we were weren't what when where \
    whether which while whitespace who whose will with within without won't work would wouldn't write you your zero";

/// What settings are set to.
const MODES: &str = "acs admin aes aes128 aes256 alphanumeric always american amex anon anonymous anyone apple applepay argon2 argon2i \
    argon2id asc asymmetric asn1 async auth auth0 authn auto automatic aws azure backend bancaire bancaires bancontact \
    basic bearer bitbucket black body bool boolean bottom box browser business carte cartes cash cashapp cbc center cert \
    cgi challenge checkout club cn cognito commercial common consumer contactless corporate credit cross crt csr custom daily \
    debit deferred delegated delete delta demo der desc desktop dev development device digest diners dinners discord discover \
    domestic dry dsa ecb ecdsa ed25519 eddsa electron elo email embedded entra es256 es384 es512 etc eu express external \
    facebook federated fido fido2 firebase float form frontend full gateway gcm gcp get gift github gitlab global gold google \
    googlepay gpay gssapi guest handled hardware head hex high hipercard hmac hosted hourly hs256 hs384 hs512 html http http2 \
    https iam id idp iframe immediate implicit inbound initial insert instant int interac internal international intl issuing \
    jcb job jwe jws kerberos klarna lax ldap ldaps legacy letsencrypt light linkedin live local lookup low machine maestro \
    magic mail managed manual mastercard mc mean medium memory microsoft mir mobile monthly moto mtls mutual native negotiate \
    never none normal nosniff ntlm oauth oauth1 oauth2 offline oidc okta oneclick online open openid optional organization os \
    otp outbound override partial pass passkey passwordless paypal pbkdf2 pem personal phone physical pin pkce pkcs12 pkcs8 plain \
    plaintext platinum post postgres pow preauth prepaid presence preview primary prod production proxy ps256 ps384 ps512 pss \
    pubkey purchase push put qr rdonly readonly recurring redis regular replace reusable rhel right ro rollback router rs256 \
    rs384 rs512 rsa rupay rw s256 s3 saml saml2 samsung sandbox sasl scram scrypt secondary select serverless sha sha1 sha224 \
    sha256 sha384 sha512 shared signin signup sigv2 sigv4 silver slack sms smtp sns social solo sqs srp ssh ssl sso staging \
    standard static std stdin step strict stripe strong subscription super superuser switch symmetric sync temporary test text \
    tls tlsv1 top totp trial trusted trustly twitter ui unionpay update upi us v1 v2 v3 v4 v5 vault verve virtual visa voice vpay \
    wallet web webapp webauthn webhook weekly wildcard world write x509 xml yearly yubikey";

static KNOWN: LazyLock<HashMap<&'static [u8], Kind>> = LazyLock::new(|| {
    let lists = [(MODES, Kind::Mode), (MESSAGES, Kind::Message), (STATES, Kind::State)];
    let all = lists.into_iter().flat_map(|(list, kind)| {
        let words = list.split_whitespace();
        words.map(move |word| (word.as_bytes(), kind))
    });
    all.collect()
});

/// Longer words are not known.
const KNOWN_MAX: usize = 20;

/// What a word is, whatever its case.
pub(super) fn kind(word: &[u8]) -> Option<Kind> {
    let mut lower = [0; KNOWN_MAX];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    KNOWN.get(&*lower).copied()
}

/// The longest word that is no secret whatever its letters are.
const WORD_MAX: usize = 22;

/// Letters that do not follow a letter, from `a` to `z`: pairs that less than 20 of the 73,000 English words of Debian's
/// `wamerican` have. One in twelve random words of eight letters has none of them, one in fifty of sixteen.
const NEVER: [&str; 26] = [
    "",
    "fghkpqvwxz",
    "bdfgjmnpvwxz",
    "kqxz",
    "",
    "bcdghjkmnpqvwxz",
    "cdjkpqvxz",
    "gjkpqvxz",
    "y",
    "bcdfghjklmnpqrstvwxyz",
    "cgjqvxz",
    "jqxz",
    "dghjkqtvwxz",
    "",
    "",
    "gjkqvxz",
    "abcdefghijklmnopqrstvwxyz",
    "xz",
    "jxz",
    "jkqvx",
    "hquw",
    "bcdfghjklmnpqrstvwxz",
    "cgjquvwxz",
    "bdfgjklmnqrsvwxz",
    "jkqvxy",
    "bcdfghjkmnpqrstvwx",
];

/// Whether letters could be a word of a language rather than chance. Letters of other scripts are.
pub(super) fn looks_like_one(word: &[u8]) -> bool {
    if word.len() > WORD_MAX {
        return false;
    }
    let (mut odd, mut vowels, mut run, mut longest) = (0, 0, 0, 0);
    let mut before = None;
    for byte in word.iter().map(u8::to_ascii_lowercase) {
        if !byte.is_ascii_lowercase() {
            before = None;
            (vowels, run) = (vowels + 1, 0);
            continue;
        }
        if let Some(before) = before
            && NEVER[usize::from(before - b'a')].as_bytes().contains(&byte)
        {
            odd += 1;
        }
        if matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y') {
            (vowels, run) = (vowels + 1, 0);
        } else {
            run += 1;
            longest = longest.max(run);
        }
        before = Some(byte);
    }
    word.len() <= 3 || (odd <= usize::from(word.len() >= 12) && longest <= 4 && vowels * 6 >= word.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_look_like_words_and_chance_does_not() {
        for word in [
            "insufficient",
            "string",
            "honor",
            "Einzugsermächtigung",
            "queue",
            "branch",
            "id",
            "Größe",
        ] {
            assert!(looks_like_one(word.as_bytes()), "{word}");
        }
        for chance in [
            "qwfpgjlu",
            "zxkvbnmq",
            "hxqzkwpj",
            "bcdfghjk",
            "aqzsxwdcefvrgbthnyjm",
            "qkzjvxwqpfgh",
        ] {
            assert!(!looks_like_one(chance.as_bytes()), "{chance}");
        }
    }

    #[test]
    fn each_word_is_known_whatever_its_case() {
        assert_eq!(kind(b"EXPIRED"), Some(Kind::State));
        assert_eq!(kind(b"must"), Some(Kind::Message));
        assert_eq!(kind(b"Visa"), Some(Kind::Mode));
        assert_eq!(kind(b"canary"), None);
        assert_eq!(kind(&[b'a'; 64]), None);
    }
}
