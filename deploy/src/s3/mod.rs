//! One object from S3, signed with what a container is given; no more of S3 than that.
//!
//! The variables are those of every AWS tool: `AWS_ACCESS_KEY_ID` and so on, or where a container
//! gets credentials, `AWS_REGION`, `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL`.

mod credentials;
mod location;

use crate::contract::environment::Variables;
use credentials::credentials;
pub use location::Location;
use rusty_s3::{Bucket, S3Action, UrlStyle};
use std::io::Read;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

/// How long a signed address is good for, and one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// How often something that may pass is attempted.
const ATTEMPTS_MAX: u32 = 4;
/// Time before the second attempt; it doubles.
const BACKOFF: Duration = Duration::from_millis(500);

/// What became of one attempt.
enum Attempt {
    Fetched(Vec<u8>),
    /// The bucket is in this region.
    OtherRegion(String),
    /// It may be better the next time.
    Transient(String),
    /// It will not.
    Permanent(String),
}

/// Fetches an object of at most `bytes_max`.
///
/// # Errors
/// What was wrong, and what to do, in words.
pub fn fetch(
    location: &Location,
    variables: &Variables,
    bytes_max: u64,
) -> Result<Vec<u8>, String> {
    let agent = agent();
    let mut region = region(variables);
    let mut last = String::new();
    for attempt in 0..ATTEMPTS_MAX {
        match fetch_once(&agent, location, variables, &region, bytes_max) {
            Attempt::Fetched(content) => return Ok(content),
            Attempt::Permanent(why) => return Err(format!("fetching {location}: {why}")),
            Attempt::OtherRegion(there) if there != region => region = there,
            Attempt::OtherRegion(_) => last = "the bucket is in no region that it names".to_owned(),
            Attempt::Transient(why) => {
                last = why;
                std::thread::sleep(BACKOFF * 2_u32.pow(attempt));
            }
        }
    }
    Err(format!("fetching {location} from {region}: {last}, {ATTEMPTS_MAX} times"))
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(ATTEMPT_TIMEOUT))
        .http_status_as_error(false)
        // A redirection is signed for another region: followed by us, not by the client.
        .max_redirects(0)
        .build();
    config.into()
}

fn fetch_once(
    agent: &Agent,
    location: &Location,
    variables: &Variables,
    region: &str,
    bytes_max: u64,
) -> Attempt {
    let credentials = match credentials(agent, variables) {
        Ok(credentials) => credentials,
        Err(why) => return Attempt::Transient(why),
    };
    let bucket = match bucket(location, variables, region) {
        Ok(bucket) => bucket,
        Err(why) => return Attempt::Permanent(why),
    };
    let url = bucket.get_object(credentials.as_ref(), &location.key).sign(ATTEMPT_TIMEOUT);
    match agent.get(url.as_str()).call() {
        Ok(response) => classify(response, region, credentials.is_some(), bytes_max),
        Err(error) => Attempt::Transient(format!("{}: {error}", bucket.base_url())),
    }
}

/// What a response means.
fn classify(
    mut response: Response<ureq::Body>,
    region: &str,
    is_signed: bool,
    bytes_max: u64,
) -> Attempt {
    let status = response.status();
    if status.is_success() {
        let mut content = Vec::new();
        let mut body = response.body_mut().as_reader().take(bytes_max + 1);
        return match body.read_to_end(&mut content) {
            Ok(_) if content.len() as u64 > bytes_max => {
                Attempt::Permanent(format!("more than {bytes_max} bytes"))
            }
            Ok(_) => Attempt::Fetched(content),
            Err(error) => Attempt::Transient(error.to_string()),
        };
    }
    let there = response.headers().get("x-amz-bucket-region").and_then(|it| it.to_str().ok());
    if let Some(there) = there.filter(|there| *there != region) {
        return Attempt::OtherRegion(there.to_owned());
    }
    let said = response.body_mut().read_to_string().unwrap_or_default();
    let said = between(&said, "<Message>", "</Message>").unwrap_or_default();
    let what = format!("{status}: {said}");
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED if !is_signed => {
            Attempt::Permanent(format!(
                "{what} (there were no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
             give the job a role)"
            ))
        }
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Attempt::Permanent(format!(
            "{what} (the job's role needs s3:GetObject on it, and s3:ListBucket to be told whether it \
             is there)"
        )),
        _ if status.is_client_error() => Attempt::Permanent(what),
        _ => Attempt::Transient(what),
    }
}

fn bucket(location: &Location, variables: &Variables, region: &str) -> Result<Bucket, String> {
    let given = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let given = given.iter().find_map(|name| variables.get(*name)).filter(|url| !url.is_empty());
    // A name with dots is no name that AWS's certificates cover.
    let is_path = given.is_some() || location.bucket.contains('.');
    let style = if is_path { UrlStyle::Path } else { UrlStyle::VirtualHost };
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    let url = given.cloned();
    let url = url.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com{suffix}"));
    let endpoint = url.parse().map_err(|error| format!("the endpoint {url}: {error}"))?;
    Bucket::new(endpoint, style, location.bucket.clone(), region.to_owned())
        .map_err(|error| format!("the endpoint {url}: {error}"))
}

fn region(variables: &Variables) -> String {
    let given = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let given = given.iter().find_map(|name| variables.get(*name)).filter(|it| !it.is_empty());
    // A bucket that is elsewhere says where.
    given.cloned().unwrap_or_else(|| "us-east-1".to_owned())
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// A server that gives each connection the next answer, and says what it was asked for.
    fn served(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                asked.push(lines.next().unwrap().unwrap());
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        (url, serving)
    }

    fn answer(head: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    fn variables(url: &str) -> Variables {
        let all = [
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "eu-west-1"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn code() -> Location {
        "s3://bucket/a/code.tar.gz".parse().unwrap()
    }

    #[test]
    fn an_object_is_fetched_signed_and_after_what_passes() {
        let there = "301 Moved\r\nx-amz-bucket-region: us-west-2";
        let (url, serving) = served(vec![
            answer("503 Slow Down", ""),
            answer(there, ""),
            answer("200 OK", "content"),
        ]);
        assert_eq!(fetch(&code(), &variables(&url), 7).unwrap(), b"content");
        let asked = serving.join().unwrap();
        assert!(asked[0].starts_with("GET /bucket/a/code.tar.gz?"), "{asked:?}");
        assert!(asked[0].contains("eu-west-1") && asked[0].contains("X-Amz-Signature="));
        assert!(asked[2].contains("us-west-2"), "{asked:?}");
    }

    #[test]
    fn what_will_not_pass_is_said_once() {
        let (url, serving) =
            served(vec![answer("404 Not Found", "<Error><Message>no such key</Message></Error>")]);
        let why = fetch(&code(), &variables(&url), 7).unwrap_err();
        assert!(why.contains("s3://bucket/a/code.tar.gz") && why.contains("no such key"), "{why}");
        serving.join().unwrap();
        let (url, serving) = served(vec![answer("200 OK", "too long")]);
        let why = fetch(&code(), &variables(&url), 7).unwrap_err();
        assert!(why.contains("more than 7 bytes"), "{why}");
        serving.join().unwrap();
    }

    #[test]
    fn who_has_no_credentials_is_told_where_they_come_from() {
        let (url, serving) = served(vec![answer("403 Forbidden", "")]);
        let mut variables = variables(&url);
        variables.remove("AWS_ACCESS_KEY_ID");
        let why = fetch(&code(), &variables, 7).unwrap_err();
        assert!(why.contains("AWS_ACCESS_KEY_ID"), "{why}");
        assert!(!serving.join().unwrap()[0].contains("Signature"));
    }

    #[test]
    fn a_containers_credentials_are_asked_for() {
        let given = r#"{"AccessKeyId": "role", "SecretAccessKey": "s", "Token": "t"}"#;
        let (url, serving) = served(vec![answer("200 OK", given), answer("200 OK", "content")]);
        let mut variables = variables(&url);
        variables.remove("AWS_ACCESS_KEY_ID");
        let where_from = ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), format!("{url}/role"));
        variables.extend([where_from]);
        assert_eq!(fetch(&code(), &variables, 7).unwrap(), b"content");
        let asked = serving.join().unwrap();
        assert!(asked[0].starts_with("GET /role "), "{asked:?}");
        assert!(asked[1].contains("X-Amz-Security-Token=t"), "{asked:?}");
    }
}
