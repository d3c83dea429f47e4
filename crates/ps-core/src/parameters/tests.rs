//! Patterns, what they match, and what is refused.

use super::*;
use crate::TensorSpec;

fn layout() -> Layout {
    let tensor = |(name, elements): (&str, usize)| TensorSpec::trainable(name, [elements]);
    let tensors = [("a.bias", 2), ("a.weight", 6), ("b.bias", 3), ("b.weight", 5)];
    Layout::new(tensors.map(tensor).to_vec()).unwrap()
}

fn groups(texts: &[&str]) -> Vec<ParameterGroup> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn groups_are_read_and_written() {
    for text in ["*.bias:lr-scale=1,weight-decay=0", "enc?der.*:lr-scale=0.25", "a:b:lr-scale=0"] {
        let group: ParameterGroup = text.parse().unwrap();
        assert_eq!(group.to_string(), text);
        let json = serde_json::to_string(&group).unwrap();
        assert_eq!(serde_json::from_str::<ParameterGroup>(&json).unwrap(), group);
    }
    for (text, expected) in [
        ("*.bias", "no `:`"),
        ("*.bias:0.1", "no `=`"),
        ("*.bias:lr-scale=fast", "not a number"),
        ("*.bias:lr=0.1", "`lr` is no setting of a group"),
        ("*.bias:lr-scale=-1", "below 0"),
        ("*.bias:weight-decay=inf", "not finite"),
        (":lr-scale=1", "empty"),
        ("a:lr-scale=1,lr-scale=2", "`lr-scale` is set twice"),
        ("a:weight-decay=1, weight-decay = 1", "`weight-decay` is set twice"),
        ("[a:lr-scale=1", "cannot be read"),
    ] {
        let error = text.parse::<ParameterGroup>().unwrap_err().to_string();
        assert!(error.contains(expected) && error.starts_with("--parameter-groups"), "{error}");
    }
}

#[test]
fn the_first_group_that_matches_counts() {
    let rules = rules(&groups(&["a.*:lr-scale=0", "*.bias:weight-decay=0"]), &layout()).unwrap();
    let scales: Vec<f32> = rules.iter().map(|rule| rule.learning_rate_scale).collect();
    assert_eq!(scales, [0.0, 0.0, 1.0, 1.0]);
    let decays: Vec<_> = rules.iter().map(|rule| rule.weight_decay).collect();
    assert_eq!(decays, [None, None, Some(0.0), None]);
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error_that_names_what_there_is() {
    let error = rules(&groups(&["bias:lr-scale=2"]), &layout()).unwrap_err().to_string();
    assert!(error.contains("`bias`") && error.contains("`a.bias`, `a.weight`"), "{error}");
}

#[test]
fn a_group_may_be_for_parameters_that_are_not_there() {
    let one = ParameterGroup::of_linear_path();
    assert_eq!(one.to_string(), "linear-path.*:lr-scale=3,weight-decay=0,if-any");
    assert_eq!(one.to_string().parse(), Ok(one.clone()));
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<ParameterGroup>(&json).unwrap(), one);
    assert_eq!(rules(&[one], &layout()), Ok(Vec::new()));
}

#[test]
fn ranges_are_cut_where_the_rule_changes() {
    let layout = layout();
    let rules = rules(&groups(&["*.bias:lr-scale=2"]), &layout).unwrap();
    let cut = |range: Range<usize>| -> Vec<_> {
        let spans = spans(&layout, &rules, &range).into_iter();
        spans.map(|span| (span.elements, span.rule.learning_rate_scale)).collect()
    };
    assert_eq!(cut(0..16), [(0..2, 2.0), (2..8, 1.0), (8..11, 2.0), (11..16, 1.0)]);
    assert_eq!(cut(1..9), [(0..1, 2.0), (1..7, 1.0), (7..8, 2.0)]);
    assert_eq!(cut(2..8), [], "the optimizer's for all of it");
    assert_eq!(cut(8..10), [(0..2, 2.0)]);
}

/// A name may look like a pattern.
#[test]
fn a_literal_matches_its_name_alone() {
    let layout = Layout::new(vec![
        crate::TensorSpec::trainable("blocks[0].*", [2]),
        crate::TensorSpec::trainable("blocks0.x", [2]),
    ]);
    let group = |name: &str| ParameterGroup {
        pattern: literal(name),
        rule: UpdateRule { learning_rate_scale: 2.0, weight_decay: None },
        if_any: false,
    };
    let rules = rules(&[group("blocks[0].*")], &layout.unwrap()).unwrap();
    assert_eq!(rules.iter().map(|rule| rule.learning_rate_scale).collect::<Vec<_>>(), [1.0, 2.0]);
}
