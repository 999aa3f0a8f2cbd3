//! Spellings of the names of actions. Policies without `apiVersion` name an action in words; tools name it as code does.

use crate::wire::letter_case;

/// Returns all spellings of an action's name, the given one first: `read file`, `read:file`, `readFile`, `read-file`,
/// `read_file`. Wildcards are included: `delete:*` is also `delete_*`, `delete *` and `delete[A-Z]*`.
pub(crate) fn spellings(action: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last_lower = false;
    let mut in_set = false;
    for c in action.chars() {
        let is_wild = in_set || matches!(c, '*' | '?' | '[');
        in_set = is_wild && (c == '[' || in_set && c != ']');
        let is_letter = is_wild || c.is_alphanumeric();
        let begins = !is_letter || (!is_wild && c.is_uppercase() && last_lower);
        last_lower = !is_wild && (c.is_lowercase() || c.is_numeric());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if is_letter {
            if words.is_empty() {
                words.push(String::new());
            }
            match words.last_mut() {
                Some(word) if is_wild => word.push(c),
                Some(word) => word.extend(letter_case::lower_of(c)),
                None => {}
            }
        }
    }
    words.retain(|word| !word.is_empty());
    let camel: String = words
        .iter()
        .enumerate()
        .map(|(number, word)| match (number, word.chars().next()) {
            (1.., Some('*')) => format!("[A-Z]{word}"),
            (1.., Some('?')) => word.replacen('?', "[A-Z]", 1),
            (1.., Some(first)) => {
                let rest = word.get(first.len_utf8()..).unwrap_or_default();
                letter_case::upper_of(first).chain(rest.chars()).collect()
            }
            _ => word.clone(),
        })
        .collect();
    let mut names = vec![action.to_owned()];
    let is_all = !words.is_empty() && words.iter().all(|word| word.bytes().all(|b| b == b'*'));
    let joined = ["_", "-", ":", ".", " ", "/"].map(|between| words.join(between));
    let every = is_all.then(|| "*".to_owned());
    for name in joined.into_iter().chain([camel]).chain(every) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::spellings;

    #[test]
    fn an_action_goes_by_every_spelling_of_its_words() {
        for action in [
            "read file",
            "read:file",
            "readFile",
            "read-file",
            "Read_File",
        ] {
            let names = spellings(action);
            for name in [
                "read_file",
                "read-file",
                "read:file",
                "readFile",
                "read file",
            ] {
                assert!(
                    names.iter().any(|known| known == name),
                    "{action}: {names:?}"
                );
            }
        }
    }

    #[test]
    fn an_action_with_wildcards_goes_by_every_spelling_too() {
        let named = [
            "delete_*",
            "delete-*",
            "delete:*",
            "delete.*",
            "delete *",
            "delete/*",
            "delete[A-Z]*",
        ];
        for action in ["delete:*", "delete *", "Delete_*"] {
            let names = spellings(action);
            for name in named {
                assert!(
                    names.iter().any(|known| known == name),
                    "{action}: {names:?}"
                );
            }
        }
        assert!(spellings("*:user").contains(&"*User".to_owned()));
        assert!(spellings("get_[a-c]").contains(&"get-[a-c]".to_owned()));
        assert!(spellings("*:*").contains(&"*".to_owned()));
        assert_eq!(spellings("*"), ["*"]);
        assert!(spellings("read_file?").contains(&"readFile?".to_owned()));
    }
}
