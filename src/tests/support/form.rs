//! What a browser without JavaScript would send for a form on a page.

use drover::model::address::encode_segment;

/// The fields of the form on `page` with the hidden field `name=value`: as they are filled in, except for these.
pub(crate) fn filled_by(page: &str, (name, value): (&str, &str), more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mark = format!("name=\"{name}\" value=\"{value}\"");
    let at = page
        .find(&mark)
        .unwrap_or_else(|| panic!("no form with {mark} in {page}"));
    let start = page[..at].rfind("<form").unwrap();
    let form = page[start..].split("</form>").next().unwrap();
    let mut fields: Vec<(String, String)> = vec![];
    for input in form.split("<input").skip(1) {
        let tag = input.split('>').next().unwrap();
        if attribute(tag, "type").as_deref() != Some("checkbox") || tag.contains(" checked") {
            let value = attribute(tag, "value").unwrap_or_default();
            fields.extend(attribute(tag, "name").map(|name| (name, value)));
        }
    }
    for area in form.split("<textarea").skip(1) {
        let (tag, rest) = area.split_once('>').unwrap();
        let text = decoded(rest.split("</textarea>").next().unwrap());
        // A browser drops the first line break.
        let text = text.strip_prefix('\n').unwrap_or(&text).to_owned();
        fields.extend(attribute(tag, "name").map(|name| (name, text)));
    }
    for (name, value) in more {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => (*value).clone_into(old),
            None => fields.push(((*name).to_owned(), (*value).to_owned())),
        }
    }
    fields
}

/// The form of an action, by its word, as the body of a request.
pub(crate) fn filled(page: &str, word: &str, more: &[(&str, &str)]) -> String {
    body(&filled_by(page, ("action", word), more))
}

/// Fields as the body of a request.
pub(crate) fn body(fields: &[(String, String)]) -> String {
    let escaped = |text: &str| {
        let text = encode_segment(text).replace('+', "%2B");
        text.replace('&', "%26").replace('=', "%3D")
    };
    let pairs: Vec<String> = fields.iter().map(|(n, v)| format!("{n}={}", escaped(v))).collect();
    pairs.join("&")
}

/// The value of a field.
pub(crate) fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map_or_else(|| panic!("no {name} in {fields:?}"), |(_, value)| value)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1)?;
    Some(decoded(value.split('"').next()?))
}

fn decoded(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&#x27;", "'").replace("&#39;", "'").replace("&amp;", "&")
}
