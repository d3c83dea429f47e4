//! A trained model behind HTTP.

use ps_tests::process::{Process, alone, job_id, signal};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);

const TABLE: &str = "size,colour,kind\n1.0,red,ash\n1.2,blue,ash\n3.1,red,oak\n3.0,blue,oak\n0.9,red,ash\n\
                     2.9,red,oak\n1.1,blue,ash\n3.3,blue,oak\n";

/// A model of a small table.
fn model(folder: &Path) {
    let table = folder.join("table.csv");
    std::fs::write(&table, TABLE).unwrap();
    let [table, out] = [table.as_path(), folder].map(|path| path.to_str().unwrap());
    let args = ["local", "--instances", "1", "--passes", "200", "--hidden", "8", "--lr", "0.05"];
    let more = ["--data", table, "--test", table, "--out", out];
    Process::start(&job_id("serving"), &[&args[..], &more].concat()).wait(PATIENCE).expect_code(0);
}

/// A server of this model, and where it listens.
fn serve(folder: &Path, more: &[&str]) -> (Process, String) {
    let args = ["serve", "--model", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let server = Process::start("", &[&args[..], more].concat());
    server.wait_for_stdout("listening=", PATIENCE);
    let out = server.stdout();
    let address = out.split("listening=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    (server, address)
}

/// Status and body of the reply to a request.
fn request(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}Host: test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    reply(&mut stream)
}

fn reply(stream: &mut TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn invoke(address: &str, content_type: &str, accept: &str, body: &str) -> (u16, String) {
    let head = format!(
        "POST /invocations HTTP/1.1\r\nContent-Type: {content_type}\r\nAccept: {accept}\r\n"
    );
    request(address, &head, body)
}

#[test]
fn a_model_answers_by_the_hosting_contract_in_each_format() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let (mut server, address) = serve(folder.path(), &["--body-mib", "1"]);
    assert_eq!(request(&address, "GET /ping HTTP/1.1\r\n", "").0, 200);
    let predictions = |body: &str| {
        body.lines().map(|line| line.split(',').next().unwrap().to_owned()).collect::<Vec<String>>()
    };
    // With a header and labels, without either, and with the columns in another order.
    for body in [
        TABLE.lines().take(4).collect::<Vec<_>>().join("\n"),
        "1.0,red\n1.2,blue\n3.1,red\n".into(),
        "colour,size\nred,1.0\nblue,1.2\nred,3.1".into(),
    ] {
        let (status, reply) = invoke(&address, "text/csv", "", &body);
        assert_eq!(
            (status, predictions(&reply)),
            (200, vec!["ash".into(), "ash".into(), "oak".into()]),
            "{reply}"
        );
    }
    // What else an object has is not asked for.
    let object = r#"{"size": 3.1, "colour": "red", "note": 1}"#;
    for (content_type, body) in [
        ("application/json", format!(r#"{{"instances": [{object}, [3.1, "red"]]}}"#)),
        ("application/json", format!("[{object}]")),
        ("application/json", object.to_owned()),
        ("application/jsonlines", format!("{object}\n[3.1, \"red\", null]\n")),
    ] {
        let (status, reply) = invoke(&address, content_type, "application/jsonlines, */*", &body);
        assert_eq!(status, 200, "{body}: {reply}");
        for line in reply.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["prediction"], "oak", "{body}");
            assert!(line["probabilities"]["oak"].as_f64().unwrap() > 0.5, "{line}");
        }
    }
    for (content_type, accept, body, status, part) in [
        ("text/csv", "", "wide,red\n", 400, "`wide` is not a finite number"),
        ("text/csv", "", "", 400, "at least one sample"),
        ("text/csv", "", "1,2,3,4\n", 400, "4 columns"),
        ("application/json", "", "{", 400, "not JSON"),
        ("application/json", "", r#"{"size": 1}"#, 400, "no `colour`"),
        ("application/json", "", r#"{"size": 1, "hue": 1}"#, 400, "`hue` is no column"),
        ("text/xml", "", "<a/>", 415, "text/csv"),
        ("text/csv", "image/png", "1,red\n", 406, "image/png"),
    ] {
        let (found, reply) = invoke(&address, content_type, accept, body);
        assert_eq!((found, reply.contains(part)), (status, true), "{body}: {reply}");
    }
    let (status, _) = invoke(&address, "text/csv", "", &"1.0,red\n".repeat(200_000));
    assert_eq!(status, 413);
    signal(server.pid(), Signal::TERM);
    server.wait(PATIENCE).expect_code(143);
}

/// Requests that are computed together are answered as each by itself would be, and who was heard is answered after a
/// signal, too.
#[test]
fn many_at_once_get_their_own_answers_and_a_signal_cuts_nobody_off() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let (mut server, address) = serve(folder.path(), &[]);
    let body = |number: usize| match number % 2 {
        0 => "1.0,red\n".repeat(1 + number % 7),
        _ => "3.1,blue\n".repeat(1 + number % 5),
    };
    let alone: Vec<String> =
        (0..35).map(|it| invoke(&address, "text/csv", "", &body(it)).1).collect();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (address, alone, body) = (&address, &alone, &body);
            scope.spawn(move || {
                for number in (0..35).map(|number| (number + thread) % 35) {
                    let (status, together) = invoke(address, "text/csv", "", &body(number));
                    assert_eq!(status, 200);
                    let class =
                        |text: &str| text.lines().map(|it| it[..3].to_owned()).collect::<Vec<_>>();
                    assert_eq!(class(&together), class(&alone[number]), "request {number}");
                }
            });
        }
    });
    // Half of a request, a signal, the other half.
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /invocations HTTP/1.1\r\nHost: test\r\nContent-Type: text/csv\r\n";
    write!(stream, "{head}Connection: close\r\nContent-Length: 8\r\n\r\n1.0").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    signal(server.pid(), Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(b",red\n").unwrap();
    let (status, answer) = reply(&mut stream);
    assert!(status == 200 && answer.starts_with("ash,"), "{status}: {answer}");
    server.wait(PATIENCE).expect_code(143);
}
