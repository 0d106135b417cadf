//! The words that make a name a secret's, and those that make it speak of something else.

use super::keys::Place;

/// The built-in list: S-24's, and what real payloads add to it.
///
/// Flags: `n` hides numbers too, `l` hides the rest of a line that begins with the name, `L` the rest of the line wherever
/// the name is in it, `w` is a word of messages too (see [`super::keys::Grade::Message`]), `e` is as often no secret at all
/// ([`super::keys::Grade::Weak`]), `i` excepts names that end in `id`.
pub(super) const DEFAULTS: &[(Place, &str, &str)] = &[
    (Place::Part, "nl", "password passwd passwort"),
    (Place::Part, "n", "passcode secret"),
    (Place::Part, "", "apikey accesskey privatekey secretkey"),
    (Place::Part, "i", "credential"),
    (Place::Part, "L", "passphrase authorization connectionstring setcookie"),
    (Place::End, "n", "token pwd"),
    (Place::End, "L", "cookie"),
    (Place::End, "", "jwt apikeys"),
    (Place::Last, "w", "pass"),
    (Place::Word, "n", "passw pswd creds cred"),
    (
        Place::Word,
        "",
        "sessionid sessid phpsessid jsessionid connectsid bearer privkey encryptionkey decryptionkey signingkey \
         masterkey sharedkey accountkey sshkey hmackey licensekey servicekey subscriptionkey sessionkey authkey \
         webhookkey storagekey functionkey serverkey accesscode csrf xsrf sastoken recoverycodes backupcodes \
         requirepass masterauth",
    ),
    (Place::Word, "L", "mnemonic seedphrase recoveryphrase"),
    (Place::Word, "ei", "auth authn oauth signature cert certificate"),
    (Place::Word, "e", "session sess salt"),
    (
        Place::Word,
        "n",
        "otp totp hotp otpcode mfacode cvv cvc cvv2 cvc2 csc ssn socialsecurity socialsecuritynumber iban \
         creditcard debitcard cardnumber cardno ccnumber pincode pinnumber verificationcode securitycode onetimecode \
         authcode recoverycode backupcode",
    ),
    (Place::Word, "nei", "card pin mfa 2fa tfa passkey"),
];

/// Names of what people are known by; hidden where the configuration says `personal = true`.
pub(super) const PERSONAL: &str = "email emailaddress phone phonenumber telephone mobile mobilenumber cellphone fax \
    firstname lastname middlename surname familyname givenname fullname maidenname realname customername recipientname \
    contactname ownername cardholder cardholdername holdername accountholder birthday birthdate birthplace dateofbirth dob \
    address addressline addressline1 addressline2 street streetaddress streetname housenumber postalcode postcode zip \
    zipcode passport passportnumber nationalid taxid driverlicense driverslicense licenseplate ipaddress ip clientip \
    latitude longitude gender";

/// Last words of names that say something about a secret.
pub(super) const ABOUT: &str = "at on by count counts counter type types kind class length len size sizes used usage limit \
    limits quota remaining total totals max min avg budget bucket expiry expires expire expired expiration expiring ttl \
    lifetime age duration timeout start end started ended date time timestamp enabled disabled required optional valid \
    invalid verified verification policy strategy status state version method mode algorithm alg provider scheme format \
    strength attempts retries failures failure errors error exception exceptions warning reason message name names label \
    title topic brand network country issuer funding wallet last4 lastfour exp month year url uri endpoint path file \
    filename dir prefix rate ratio cost price color colour holder field fields index order user username email login \
    consent banner domain samesite reset changed change rotated rotation sent hint less manager service queue job worker \
    event events page link per generated updated created deleted revoked history present set exists missing match matches \
    mismatch ok changes rules requirements template chain region zone env environment stage host hostname port database \
    declined failed rejected denied refused blocked locked lost stolen found unsupported unknown incorrect wrong malformed \
    exceeded throttled exhausted unavailable unauthorized forbidden disallowed pending active inactive refreshed renewed \
    store storage handler factory builder module client server api middleware guard helper test tests spec";

/// Of these, those that are a part of what signs in: `{"auth": {"user": …}}`.
pub(super) const IDENTITY: &str = "user username login email";

/// What `secret` may go on with and be another word.
pub(super) const NOT_SECRET: [&[u8]; 5] = [b"ary", b"aries", b"ariat", b"ion", b"smanager"];

/// Words in front of `token` with which it is a place in a list, a mark of a request, or a piece of source code.
pub(super) const OTHER_TOKEN: &str = "next nextpage page pagination paging continuation cursor sync resume starting scroll \
    position idempotency cancellation cancel fencing unexpected illegal unrecognized";
