//! The hosts of the job and which of them this is: resourceconfig.json or its variables.

use super::Error;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a host is called where nobody says so.
const ONLY_HOST: &str = "localhost";

/// The hosts of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// All hosts, sorted as text: the number in a name means nothing, the position does.
    pub hosts: Vec<String>,
    /// This host.
    pub current_host: String,
    /// Hosts by instance group, sorted; none where the launcher knows no groups.
    pub groups: BTreeMap<String, Vec<String>>,
    /// What kinds of machines the hosts are, where the launcher says it.
    pub instance_types: BTreeSet<String>,
}

impl Default for Resources {
    fn default() -> Self {
        Self::of(vec![ONLY_HOST.to_owned()], ONLY_HOST)
    }
}

impl Resources {
    /// These hosts, without groups.
    pub fn of(mut hosts: Vec<String>, current_host: &str) -> Self {
        hosts.sort();
        hosts.dedup();
        let current_host = current_host.to_owned();
        Self { hosts, current_host, groups: BTreeMap::new(), instance_types: BTreeSet::new() }
    }

    /// From resourceconfig.json, or from a variable of the same content.
    ///
    /// # Errors
    /// It is no JSON object, or a key that we need is of another type.
    pub fn read(what: &str, text: &str) -> Result<Self, Error> {
        let wrong = |message: String| Error::new(format!("reading {what}: {message}"));
        let value: Value = serde_json::from_str(text)
            .map_err(|error| wrong(format!("expected a JSON object: {error}")))?;
        let object = value.as_object().ok_or_else(|| wrong("expected a JSON object".into()))?;
        let current = object.get("current_host").and_then(Value::as_str);
        let listed = match object.get("hosts") {
            None | Some(Value::Null) => Vec::new(),
            Some(hosts) => names(hosts)
                .ok_or_else(|| wrong(format!("hosts: expected a list of names, found {hosts}")))?,
        };
        let (mut groups, mut instance_types) = (BTreeMap::new(), BTreeSet::new());
        for group in object.get("instance_groups").and_then(Value::as_array).into_iter().flatten() {
            let name = group.get("instance_group_name").and_then(Value::as_str);
            let hosts = group.get("hosts").and_then(names);
            let kind = group.get("instance_type").and_then(Value::as_str);
            instance_types.extend(kind.map(str::to_owned));
            if let (Some(name), Some(mut hosts)) = (name, hosts) {
                hosts.sort();
                groups.insert(name.to_owned(), hosts);
            }
        }
        let current = current.or(listed.first().map(String::as_str)).unwrap_or(ONLY_HOST);
        let current = current.to_owned();
        let listed = if listed.is_empty() { vec![current.clone()] } else { listed };
        Self { groups, instance_types, ..Self::of(listed, &current) }.check(what)
    }

    /// The same with what single variables say: `SM_HOSTS` and `SM_CURRENT_HOST`.
    ///
    /// # Errors
    /// The list cannot be read, or does not hold this host.
    pub fn with(mut self, hosts: Option<&str>, current: Option<&str>) -> Result<Self, Error> {
        if let Some(text) = hosts {
            let list = serde_json::from_str(text).ok().and_then(|value: Value| names(&value));
            let list = list.filter(|list| !list.is_empty()).ok_or_else(|| {
                Error::new(format!("SM_HOSTS: expected a JSON list of names, found {text}"))
            })?;
            self.hosts = Self::of(list, "").hosts;
        }
        match current {
            Some(current) => self.current_host = current.to_owned(),
            None if hosts.is_some() && self.hosts.len() == 1 => {
                self.current_host.clone_from(&self.hosts[0]);
            }
            None => (),
        }
        if hosts.is_none() && self.hosts == [ONLY_HOST] {
            self.hosts = vec![self.current_host.clone()];
        }
        self.check("SM_HOSTS and SM_CURRENT_HOST")
    }

    fn check(self, what: &str) -> Result<Self, Error> {
        if self.hosts.contains(&self.current_host) {
            return Ok(self);
        }
        let (current, hosts) = (&self.current_host, self.hosts.join(", "));
        Err(Error::new(format!(
            "reading {what}: the current host {current} is not among the hosts {hosts}"
        )))
    }
}

fn names(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned));
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Resources {
        Resources::read("resourceconfig.json", text).unwrap()
    }

    #[test]
    fn the_services_file_is_read_whatever_its_order() {
        let resources = read(
            r#"{"current_group_name":"homogeneousCluster","current_host":"algo-2",
                "current_instance_type":"ml.p4d.24xlarge","hosts":["algo-10","algo-1","algo-2"],
                "instance_groups":[{"hosts":["algo-2","algo-1","algo-10"],
                 "instance_group_name":"homogeneousCluster","instance_type":"ml.p4d.24xlarge"}],
                "network_interface_name":"eth0","topology":null,"new":{"key":1}}"#,
        );
        assert_eq!(resources.hosts, ["algo-1", "algo-10", "algo-2"]);
        assert_eq!(resources.current_host, "algo-2");
        assert_eq!(resources.groups["homogeneousCluster"], ["algo-1", "algo-10", "algo-2"]);
    }

    #[test]
    fn missing_keys_are_one_host() {
        assert_eq!(read("{}"), Resources::default());
        assert_eq!(read(r#"{"current_host":"a"}"#).hosts, ["a"]);
        assert_eq!(read(r#"{"hosts":["b","a"]}"#).current_host, "b");
        assert_eq!(read(r#"{"hosts":null,"instance_groups":null}"#).hosts, ["localhost"]);
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for (text, word) in [
            ("[]", "JSON object"),
            (r#"{"hosts":[1]}"#, "list of names"),
            (r#"{"current_host":"c","hosts":["a","b"]}"#, "the current host c"),
        ] {
            let error = Resources::read("resourceconfig.json", text).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("resourceconfig.json"), "{error}");
        }
    }

    #[test]
    fn variables_win() {
        let hosts = r#"["algo-2","algo-1"]"#;
        let resources = Resources::default().with(Some(hosts), Some("algo-1")).unwrap();
        assert_eq!((resources.hosts.len(), resources.current_host.as_str()), (2, "algo-1"));
        assert_eq!(Resources::default().with(None, Some("me")).unwrap().hosts, ["me"]);
        assert!(Resources::default().with(Some(hosts), Some("algo-3")).is_err());
        assert!(Resources::default().with(Some("algo-1"), None).is_err());
    }
}
