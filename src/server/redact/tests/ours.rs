//! Our own texts are never taken for secrets.

use super::mask;
use std::path::Path;

/// All texts in quotation marks below a folder of our code. Left out are tests, the redactor's own lists, and the sentences of
/// the configuration, which go to the terminal unmasked.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["tests", "redact", "config"].contains(&name.as_ref()) {
            texts(&path, found);
        } else if name.ends_with(".rs") && !name.contains("test") {
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
            let code: Vec<&str> = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            // Quotation marks inside of texts, and alone as a letter, begin and end none.
            let code = code.join("\n").replace("\\\"", "'").replace("'\"'", "''");
            for text in code.split('"').skip(1).step_by(2) {
                // A text goes on behind a backslash at the end of its line.
                let lines: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
                found.push((path.display().to_string(), lines.concat()));
            }
        }
    }
}

#[test]
fn none_of_our_own_sentences_is_taken_for_a_secret() {
    let mut found = Vec::new();
    texts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let sentences = found
        .iter()
        .filter(|(_, text)| text.contains(' ') && !text.contains('\n'));
    assert!(sentences.clone().count() > 1_000);
    let hidden: Vec<String> = sentences
        .filter(|(_, text)| mask().text(text) != **text || mask().sentence(text) != **text)
        .map(|(file, text)| format!("{file}: {text}\n    {}", mask().text(text)))
        .collect();
    assert!(hidden.is_empty(), "{}", hidden.join("\n"));
}
