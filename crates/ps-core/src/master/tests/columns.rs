//! Members learn the columns of their shares together.

use super::super::*;
use super::harness::{Job, config};
use crate::schema::{BeginningLine, ColumnSums, LinePlace, TableSums, ValueRules};

/// What a process counted in a column of numbers beside a label.
fn sums(who: u64, numbers: &[u32]) -> TableSums {
    let rules = ValueRules::default();
    let mut columns = vec![ColumnSums::of_columns(2); 2];
    for (column, name) in columns.iter_mut().zip(["x", "kind"]) {
        column.beginnings = vec![name.to_owned()];
    }
    columns[1].label.get_or_insert_default();
    for number in numbers {
        columns[0].values.add(&number.to_string(), rules.value(&number.to_string()));
        columns[1].values.add("a", rules.value("a"));
        columns[1].label.get_or_insert_default().add("a", &rules);
    }
    let place = LinePlace { file: format!("host{who}: /d/a.csv"), line: 1 };
    let beginnings = vec![BeginningLine { place, times: 1, moved: None }];
    TableSums {
        delimiter: b',',
        samples: numbers.len() as u64,
        beginnings,
        unlabelled: None,
        columns,
    }
}

fn asks(role: Role, token: u64) -> ColumnsRequest {
    let address = format!("host{token}");
    ColumnsRequest { role, token, address, is_same: false, parts: 0, part: None, wanted: 0 }
}

impl Job {
    fn learn(&mut self, request: ColumnsRequest) -> Result<ColumnsAnswer, Rejection> {
        let answer = self.machine.learn_columns(request, self.now);
        self.obey();
        answer
    }

    /// Sends all that a process counted.
    fn send(&mut self, role: Role, token: u64, sums: &TableSums) -> ColumnsAnswer {
        let parts = sums.parts(1);
        let request = ColumnsRequest { parts: parts.len() as u32, ..asks(role, token) };
        for (number, part) in (0..).zip(parts) {
            let part = Some((number, part));
            // What is sent twice counts once.
            let request = ColumnsRequest { part, ..request.clone() };
            self.learn(request.clone()).unwrap();
            assert_eq!(self.learn(request).unwrap().next, number + 1);
        }
        self.learn(request).unwrap()
    }

    /// A moment later these ask again.
    fn ask_again(&mut self, tokens: &[(Role, u64)]) -> Vec<ColumnsAnswer> {
        self.now += Duration::from_millis(200);
        tokens.iter().map(|(role, token)| self.learn(asks(*role, *token)).unwrap()).collect()
    }

    /// The numbers of the sum, once it is fixed.
    fn sum(&mut self) -> Option<(u64, f64)> {
        let mut sum = TableSums::default();
        let mut request = asks(Role::Worker, 99);
        loop {
            let answer = self.learn(request.clone()).unwrap();
            if !answer.is_settled {
                return None;
            }
            sum.add_part(answer.part?).unwrap();
            request.wanted += 1;
            if request.wanted == answer.parts {
                let numbers = &sum.columns[0].values.numbers;
                return Some((numbers.count, numbers.mean()));
            }
        }
    }
}

const WORKERS: [(Role, u64); 2] = [(Role::Worker, 1), (Role::Worker, 2)];
const EVALUATOR: (Role, u64) = (Role::Evaluator, 3);

#[test]
fn all_are_given_the_sum_of_what_all_counted() {
    let mut job = Job::new(config(1, 2, 1));
    assert!(!job.send(Role::Worker, 1, &sums(1, &[1, 2])).is_settled);
    assert!(!job.send(Role::Worker, 2, &sums(2, &[9])).is_settled);
    job.ask_again(&WORKERS);
    assert!(!job.learn(asks(EVALUATOR.0, EVALUATOR.1)).unwrap().is_settled, "it has no share");
    let all = [WORKERS[0], WORKERS[1], EVALUATOR];
    job.ask_again(&all);
    assert_eq!(job.sum(), Some((3, 4.0)));
    // Who comes later gets the same, whatever it counted.
    assert!(job.learn(ColumnsRequest { parts: 7, ..asks(Role::Worker, 8) }).unwrap().is_settled);
    assert_eq!(job.sum(), Some((3, 4.0)));
}

#[test]
fn who_died_before_all_were_there_is_not_counted_but_its_successor() {
    let mut job = Job::new(config(1, 2, 1));
    job.send(Role::Worker, 1, &sums(1, &[1, 2]));
    job.ask_again(&[EVALUATOR]);
    // Its successor, and still no worker 2.
    job.send(Role::Worker, 7, &sums(1, &[1, 2]));
    for _ in 0..40 {
        job.ask_again(&[(Role::Worker, 7), EVALUATOR]);
    }
    let answers = job.ask_again(&[(Role::Worker, 7), EVALUATOR]);
    assert!(!answers[0].is_settled, "who died is not heard of");
    for _ in 0..20 {
        job.ask_again(&[(Role::Worker, 7), EVALUATOR]);
    }
    job.send(Role::Worker, 2, &sums(2, &[9]));
    job.ask_again(&[(Role::Worker, 7), (Role::Worker, 2), EVALUATOR]);
    assert_eq!(job.sum(), Some((3, 4.0)));
}

#[test]
fn at_the_deadline_the_sum_is_that_of_those_who_came() {
    let mut job = Job::new(config(1, 2, 1));
    let server = job.join(Role::Server, 0, Some(0)).unwrap();
    job.send(Role::Worker, 1, &sums(1, &[1, 3]));
    for _ in 0..101 {
        // That it has not read its data yet is not true any more.
        job.machine.loading("host1", false, job.now);
        job.ask_again(&[WORKERS[0]]);
        job.pass_time(1, &[server]);
    }
    assert_eq!(job.sum(), Some((2, 2.0)));
    assert!(job.logs.iter().any(|line| line.contains("from 1 of 2 workers")), "{:?}", job.logs);
    assert_eq!(job.reports.len(), 0, "it has a moment to register");
    job.pass_time(50, &[server]);
    assert_eq!(job.reports.len(), 0);
}

#[test]
fn a_share_of_another_table_ends_the_job_at_once() {
    let mut job = Job::new(config(1, 2, 1));
    let mut other = sums(2, &[9]);
    other.columns.push(other.columns[0].clone());
    job.ask_again(&[EVALUATOR]);
    job.send(Role::Worker, 1, &sums(1, &[1, 2]));
    job.send(Role::Worker, 2, &other);
    job.ask_again(&[EVALUATOR, WORKERS[0]]);
    let refused = job.learn(asks(Role::Worker, 2)).unwrap_err();
    let is_told = matches!(&refused, Rejection::JobOver { reason }
        if reason.contains("host1: /d/a.csv") && reason.contains("host2: /d/a.csv"));
    assert!(is_told, "{refused:?}");
}

#[test]
fn counts_that_cannot_be_end_the_job_by_name() {
    let mut job = Job::new(config(1, 1, 1));
    let mut wrong = sums(4, &[9]);
    wrong.columns[0].values.texts = 1 << 50;
    let parts = wrong.parts(1 << 20);
    let part = Some((0, parts[0].clone()));
    let request = ColumnsRequest { parts: 1, part, ..asks(Role::Worker, 4) };
    let refused = job.learn(request).unwrap_err();
    let is_told = matches!(&refused, Rejection::JobOver { reason }
        if reason.contains("host4") && reason.contains("column 1"));
    assert!(is_told, "{refused:?}");
}

#[test]
fn where_nobody_has_a_table_nobody_waits_for_long() {
    let mut job = Job::new(config(1, 2, 1));
    let all = [WORKERS[0], WORKERS[1], EVALUATOR];
    job.ask_again(&all);
    let answers = job.ask_again(&all);
    assert!(answers[2].is_settled && answers[2].parts == 0, "{answers:?}");
    // Who registers without asking has no table: a program.
    let mut job = Job::new(config(1, 1, 1));
    job.join(Role::Worker, 1, None).unwrap();
    job.ask_again(&[EVALUATOR]);
    assert!(job.ask_again(&[EVALUATOR])[0].is_settled);
}

#[test]
fn where_all_have_the_same_the_first_is_enough() {
    let mut job = Job::new(config(1, 2, 1));
    let same = |request| ColumnsRequest { is_same: true, ..request };
    assert!(!job.learn(same(asks(EVALUATOR.0, EVALUATOR.1))).unwrap().is_settled);
    let part = sums(1, &[2, 4]).parts(1 << 20).remove(0);
    let request = ColumnsRequest { parts: 1, part: Some((0, part)), ..asks(Role::Worker, 1) };
    assert!(job.learn(same(request)).unwrap().is_settled);
    assert_eq!(job.sum(), Some((2, 3.0)));
}
