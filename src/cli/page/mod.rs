//! The page that `report` writes and `watch` serves: one file with its style, scripts and data inside, which loads
//! nothing from a network.

use serde_json::Value;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const PARTS: &str = include_str!("parts.js");

/// The hosts that a page may connect to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Nothing,
    /// The server that it came from.
    #[cfg(feature = "serve")]
    Server,
}

/// A page whose program is `script`, over the parts that all pages share.
pub(super) fn of(title: &str, script: &str, data: &Value, reach: Reach) -> String {
    // So that no string in it ends the script element; in JSON, < occurs only in strings.
    let data = data.to_string().replace('<', "\\u003c");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let policy = if reach == Reach::Nothing { "" } else { "; connect-src 'self'" };
    let mut page = String::new();
    for (i, part) in PAGE.split("{{").enumerate() {
        let (name, rest) = if i == 0 { ("", part) } else { part.split_once("}}").unwrap_or(("", part)) };
        page.push_str(match name {
            "title" => &title,
            "policy" => policy,
            "style" => STYLE,
            "parts" => PARTS,
            "script" => script,
            "data" => &data,
            _ => "",
        });
        page.push_str(rest);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_page() {
        let data = json!({ "name": "</script><script>alert(1)</script>", "n": "{{title}}" });
        let page = of("<b>a</b> & {{data}}", "", &data, Reach::Nothing);
        assert!(page.contains("<title>&lt;b>a&lt;/b> &amp; {{data}}</title>"));
        assert_eq!(page.matches("</script>").count(), 3, "those of the data and of the programs");
        assert!(page.contains(r#""n":"{{title}}""#));
        assert!(!page.contains("connect-src"), "a written page speaks with nobody");
    }
}
