//! Finding a key in canonical JSON, which is what configurations are: no spaces between tokens.

/// Returns the value under `key` of the outermost object, a text without its quotes.
///
/// Keys are compared as written, so a key with an escape is not found.
pub fn find<'a>(json: &'a [u8], key: &str) -> Option<&'a [u8]> {
    if json.first() != Some(&b'{') {
        return None;
    }
    let mut at = 1;
    while json.get(at) == Some(&b'"') {
        let end = skip_text(json, at);
        let from = end + 1;
        let to = skip_value(json, from);
        let value = json.get(from..to)?;
        if &json[at + 1..end - 1] == key.as_bytes() {
            return Some(match value {
                [b'"', inner @ .., b'"'] => inner,
                _ => value,
            });
        }
        at = to + 1;
    }
    None
}

/// Returns the offset behind the text (in quotes) that starts at `at`, or the end.
fn skip_text(json: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < json.len() && json[at] != b'"' {
        at += 1 + usize::from(json[at] == b'\\');
    }
    json.len().min(at + 1)
}

/// Returns the offset behind the value that starts at `at`.
fn skip_value(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0_u32;
    while at < json.len() {
        match json[at] {
            b',' | b'}' | b']' if depth == 0 => return at,
            b'"' => {
                at = skip_text(json, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_key_of_the_outermost_object_is_found() {
        let json = br#"{"a":{"b":1},"b":[2,{"c":"}"}],"name":"o\"k","z":-5}"#;
        assert_eq!(find(json, "a"), Some(&br#"{"b":1}"#[..]));
        assert_eq!(find(json, "name"), Some(&br#"o\"k"#[..]));
        assert_eq!(find(json, "z"), Some(&b"-5"[..]));
        assert_eq!(find(json, "c"), None);
    }

    #[test]
    fn what_is_cut_off_or_no_object_has_no_keys() {
        for json in ["", "{", "[1]", "{\"", "{\"a", "{\"a\"", "{\"a\":", "7"] {
            assert_eq!(find(json.as_bytes(), "b"), None, "{json}");
        }
    }
}
