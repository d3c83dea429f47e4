//! Who we are to S3.

use crate::contract::environment::Variables;
use rusty_s3::Credentials;
use serde_json::Value;
use ureq::Agent;

/// Where a container asks for its role's credentials, when it is told a path only.
const CONTAINER_ENDPOINT: &str = "http://169.254.170.2";

/// What the variables give, or the place that they name gives; nothing where there is neither.
pub(super) fn credentials(
    agent: &Agent,
    variables: &Variables,
) -> Result<Option<Credentials>, String> {
    let get = |name: &str| variables.get(name).filter(|it| !it.is_empty()).cloned();
    if let (Some(key), Some(secret)) = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        return Ok(Some(with_session(key, secret, get("AWS_SESSION_TOKEN"))));
    }
    let path = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = path.map(|path| format!("{CONTAINER_ENDPOINT}{path}"));
    let Some(url) = url.or_else(|| get("AWS_CONTAINER_CREDENTIALS_FULL_URI")) else {
        return Ok(None);
    };
    let wrong = |what: String| format!("asking for credentials at {url}: {what}");
    let mut request = agent.get(&url);
    if let Some(token) = get("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
        request = request.header("Authorization", token);
    }
    let mut response = request.call().map_err(|error| wrong(error.to_string()))?;
    let text = response.body_mut().read_to_string().map_err(|error| wrong(error.to_string()))?;
    if !response.status().is_success() {
        return Err(wrong(response.status().to_string()));
    }
    let given: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let word = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
    match (word("AccessKeyId"), word("SecretAccessKey")) {
        (Some(key), Some(secret)) => Ok(Some(with_session(key, secret, word("Token")))),
        _ => Err(wrong("expected AccessKeyId and SecretAccessKey".to_owned())),
    }
}

fn with_session(key: String, secret: String, token: Option<String>) -> Credentials {
    match token {
        Some(token) => Credentials::new_with_token(key, secret, token),
        None => Credentials::new(key, secret),
    }
}
