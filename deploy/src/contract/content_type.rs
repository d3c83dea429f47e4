//! What a channel's content type says of its files.

/// What nobody writes a table's or a record's files as: the files tell.
const SAYS_NOTHING: [&str; 4] =
    ["text/plain", "application/octet-stream", "application/gzip", "application/x-gzip"];

/// Options of a worker that follow from a content type, such as `text/csv;label_size=1`.
///
/// # Errors
/// It is none that we read, in words: the files would be taken for what they are not.
pub(super) fn options(content_type: &str) -> Result<Vec<(&'static str, String)>, String> {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let kind = parts.next().unwrap_or_default();
    match kind.as_str() {
        "application/x-recordio-protobuf" => Ok(vec![("format", "recordio-protobuf".to_owned())]),
        "text/csv" => csv(parts),
        kind if SAYS_NOTHING.contains(&kind) => Ok(Vec::new()),
        _ => Err(format!(
            "content type {content_type} is not read; expected text/csv or application/x-recordio-protobuf, or none, so \
             that the files tell: convert them, or correct the channel"
        )),
    }
}

/// The parameters of CSV: SageMaker's own `label_size`, and `header` of RFC 4180.
fn csv(parameters: impl Iterator<Item = String>) -> Result<Vec<(&'static str, String)>, String> {
    let mut options = vec![("format", "csv".to_owned())];
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((&parameter, ""));
        match (name.trim(), value.trim()) {
            // What the service's own algorithms mean by it: no header, and the label first.
            ("label_size", "1") => {
                options.extend([("header", "no".to_owned()), ("label", "1".to_owned())]);
            }
            ("label_size", size) => {
                return Err(format!(
                    "label_size={size}: only one label can be trained on; expected label_size=1, or none and the \
                     hyperparameter label"
                ));
            }
            ("header", "present") => options.push(("header", "yes".to_owned())),
            ("header", "absent") => options.push(("header", "no".to_owned())),
            ("charset", _) | ("", _) => (),
            (other, _) => {
                return Err(format!("text/csv with {other}: not understood; leave it out"));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(content_type: &str) -> Result<String, String> {
        let words = |(name, value): (&str, String)| format!("{name}={value}");
        Ok(options(content_type)?.into_iter().map(words).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn regression_the_services_csv_has_its_label_first_and_no_header() {
        assert_eq!(words("text/csv;label_size=1").unwrap(), "format=csv header=no label=1");
        assert_eq!(words("Text/CSV; charset=utf-8").unwrap(), "format=csv");
        assert_eq!(words("text/csv; header=present").unwrap(), "format=csv header=yes");
        assert_eq!(words("application/octet-stream").unwrap(), "");
    }

    #[test]
    fn regression_types_that_are_not_read_are_no_text_to_train_on() {
        for (found, part) in [
            ("text/libsvm", "text/libsvm is not read"),
            ("application/x-parquet", "expected text/csv"),
            ("text/csv;label_size=0", "label_size=0"),
            ("text/csv;colour=1", "colour"),
        ] {
            let problem = words(found).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
