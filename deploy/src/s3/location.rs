//! Where an object is.

use std::fmt::{self, Display};
use std::str::FromStr;

/// `s3://BUCKET/KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket's name.
    pub bucket: String,
    /// The object's name in it.
    pub key: String,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match parts {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err(format!("`{text}`: expected s3://BUCKET/KEY")),
        }
    }
}

impl Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_and_key_are_told_apart() {
        let location: Location = "s3://b/a/code.tar.gz".parse().unwrap();
        assert_eq!((location.bucket.as_str(), location.key.as_str()), ("b", "a/code.tar.gz"));
        assert_eq!(location.to_string(), "s3://b/a/code.tar.gz");
        for wrong in ["s3://b", "s3:///k", "s3://b/", "/opt/ml/code", ""] {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }
}
