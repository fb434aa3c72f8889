//! What clients, web pages and servers may try: each gets its clear answer, and the next good request works.

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::mcp::{Client, log_line, request, result};
use support::puppet::{puppet, puppet_told, router_of_puppet};
use support::raw::{address, raw};
use support::router::{Router, demo, with};

#[tokio::test]
async fn what_is_no_message_is_400_and_the_next_request_works() {
    let router = Router::of_demo().await;
    let client = Client::open(router.mcp("demo")).await;
    let deep = |levels: usize| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}"#, "[".repeat(levels))
    };
    for (body, code) in [
        ("", -32700),
        (" ", -32700),
        ("{", -32700),
        ("nonsense", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, -32700),
        (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#, -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":\"a\u{0}b\",\"method\":\"ping\"}", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":\"a\nb\",\"method\":\"ping\"}", -32700),
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", -32700),
        ("1", -32600),
        ("null", -32600),
        ("\"text\"", -32600),
        ("{}", -32600),
        ("[]", -32600),
        ("[1]", -32600),
        (r#"{"id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (&deep(200_000), -32600),
        (&"[".repeat(200_000), -32600),
        (&"{\"a\":".repeat(200_000), -32600),
    ] {
        let shown: String = body.chars().take(80).collect();
        let answer = client.post(body.to_owned()).await;
        assert_eq!(answer.status, 400, "{shown}");
        let refused = answer.json().await;
        assert_eq!(refused["error"]["code"], code, "{shown}: {refused}");
        assert!(!refused["error"]["message"].as_str().unwrap().is_empty());
        client.assert_serves().await;
    }
    for bytes in [
        &b"\xff\xfe"[..],
        b"{\"jsonrpc\":\"2.0\",\"id\":\"\xc3\x28\",\"method\":\"ping\"}",
        b"\x1f\x8b\x08\x00",
    ] {
        assert_eq!(client.post(bytes).await.refusal().await, (400, -32700));
        client.assert_serves().await;
    }
}

#[tokio::test]
async fn as_deep_as_allowed_passes_both_ways_and_one_level_more_is_refused() {
    let file = json!({ "mcpServers": { "puppet": puppet() }, "limits": { "depth": 20 } });
    let router = Router::start(file, &[]).await;
    let client = Client::open(router.mcp("puppet")).await;
    let nested = |levels: usize| {
        let value: Value = serde_json::from_str(&("[".repeat(levels) + &"]".repeat(levels))).unwrap();
        request(json!(1), "ping", json!({ "deep": value }))
    };
    assert_eq!(client.post(nested(18)).await.status, 200);
    assert_eq!(client.post(nested(19)).await.refusal().await, (400, -32600));
    let brackets = "[".repeat(1000);
    let harmless =
        client.request(json!(1), "ping", json!({ "text": format!("{brackets}\"{brackets}") })).await;
    assert_eq!(harmless.status, 200);
    let deepest = client.call(2, "any", json!({ "nest": [2, 18] })).await.outcome().await;
    assert!(deepest["result"]["deep"].is_array(), "{deepest}");
    let deeper = client.call(3, "any", json!({ "nest": [3, 19] })).await.outcome().await;
    assert_eq!((&deeper["id"], &deeper["error"]["code"]), (&json!(3), &json!(-31006)));
    client.assert_serves().await;
}

#[tokio::test]
async fn two_hundred_thousand_nested_arrays_of_a_server_end_its_call_only() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let other = client.events_only().call("other", "any", json!({ "say": [] })).await;
    let outcome = client.call(1, "any", json!({ "nest": [1, 200_000] })).await.outcome().await;
    assert_eq!((&outcome["id"], &outcome["error"]["code"]), (&json!(1), &json!(-31006)), "{outcome}");
    client.have_said(&[result("other", json!("fine"))]).await;
    assert_eq!(other.outcome().await["result"], "fine");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_its_length_and_by_its_chunks() {
    let file = json!({ "mcpServers": { "demo": demo() }, "limits": { "body": 2000 } });
    let router = Router::start(file, &[]).await;
    let client = Client::open(router.mcp("demo")).await;
    let head = format!(
        "POST /servers/demo/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: {}\r\n",
        client.session()
    );
    let by_length = raw(&router, format!("{head}Content-Length: 99999999999\r\n\r\n{{").as_bytes()).await;
    let chunk = "x".repeat(1500);
    let by_chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n5dc\r\n{chunk}\r\n5dc\r\n{chunk}\r\n");
    let by_chunks = raw(&router, by_chunks.as_bytes()).await;
    for answer in [by_length, by_chunks] {
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("\"code\":-31005") && answer.contains("limits.body"), "{answer}");
    }
    let fits = client.call(1, "echo", json!({ "text": "x".repeat(1500) })).await;
    assert_eq!(fits.status, 200);
    assert_eq!(
        client.call(1, "echo", json!({ "text": "x".repeat(2000) })).await.refusal().await,
        (413, -31005)
    );
    client.assert_serves().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let file = json!({ "mcpServers": { "demo": demo() }, "limits": { "bodyTimeout": 0.2 } });
    let router = Router::start(file, &[]).await;
    let stalled = "POST /servers/demo/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                   Content-Length: 100\r\n\r\n{";
    let answer = raw(&router, stalled.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("limits.bodyTimeout"), "{answer}");
    Client::open(router.mcp("demo")).await.assert_serves().await;
}

#[tokio::test]
async fn a_body_with_two_lengths_smuggles_nothing() {
    let router = Router::of_demo().await;
    let hidden = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let request = format!(
        "POST /servers/demo/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let answer = raw(&router, request.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    Client::open(router.mcp("demo")).await.assert_serves().await;
}

#[tokio::test]
async fn strangers_hosts_and_origins_are_refused_on_every_path() {
    let router = Router::of_demo().await;
    let address = address(&router);
    for path in ["/servers/demo/mcp", "/servers/demo/sse", "/status", "/healthz", "/nowhere"] {
        for (hosts, status) in [
            (&["evil.com"][..], 403),
            (&["localhost.evil.com"], 403),
            (&[], 400),
            (&["localhost", "localhost"], 400),
        ] {
            let hosts = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect::<Vec<_>>().concat();
            let answer =
                raw(&router, format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").as_bytes())
                    .await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {hosts}: {answer}");
        }
        for origin in [
            "null",
            "http://127.0.0.1.evil.com",
            "http://evil.com",
            "x",
            "http://localhost\r\nOrigin: http://localhost",
        ] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n"
            );
            let answer = raw(&router, request.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 403 "), "{path} {origin}: {answer}");
        }
    }
    for (host, origin) in [
        (address, String::new()),
        ("LOCALHOST".to_owned(), String::new()),
        ("mcp-switchboard:8080".to_owned(), String::new()),
        ("localhost".to_owned(), "Origin: http://localhost:3000\r\n".to_owned()),
    ] {
        let request = format!("GET /status HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: close\r\n\r\n");
        let answer = raw(&router, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
}

#[tokio::test]
async fn paths_that_look_like_others_are_404() {
    let router = Router::of_demo().await;
    for path in [
        "/servers/demo%2Fmcp",
        "/servers/%64emo/mcp",
        "/servers/demo/../demo/mcp",
        "/servers/%2e%2e/mcp",
        "/servers//mcp",
        "//servers/demo/mcp",
        "/servers/demo/mcp/extra",
        "/servers/demo/mcp//",
        "/servers/",
        "/views/demo/mcp",
        "/views//mcp",
        "/views/../mcp",
        "/",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        let answer = raw(&router, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn what_a_server_says_that_is_no_message_is_skipped_and_logged_without_control_characters() {
    let banner = [
        "Starting up...",
        "\u{1b}[31mred\u{1b}[0m \u{7}",
        "",
        "{\"level\":\"info\"}",
        "[1,2]",
        "\u{202e}evil",
    ];
    let router = Router::mounting(json!({ "puppet": puppet_told(&json!({ "say": banner })) })).await;
    let client = Client::open(router.mcp("puppet")).await;
    let lines = [
        "\u{1b}[2J{",
        "nonsense",
        "\"text\"",
        "{\"jsonrpc\":\"1.0\",\"method\":\"x\"}",
        &result(1, json!("done")),
    ];
    let answer = client.call(1, "any", json!({ "say": lines })).await;
    assert!(answer.is_json());
    assert_eq!(answer.outcome().await["result"], "done");
    let log = router.logs("Starting up...").await;
    assert!(log.contains("puppet") && !log.contains('\u{1b}') && !log.contains('\u{7}'), "{log}");
}

#[tokio::test]
async fn names_and_ids_of_clients_are_harmless_in_the_log() {
    let file = json!({ "mcpServers": { "demo": demo() } });
    let router = Router::start(file, &["--log-level", "debug"]).await;
    let client = Client::open(router.mcp("demo")).await;
    let evil = "\u{1b}[31m\r\nFAKE LOG LINE\u{0}";
    let outcome = client.request(json!(evil), evil, json!({ "name": evil })).await.outcome().await;
    assert_eq!((&outcome["id"], &outcome["error"]["code"]), (&json!(evil), &json!(-32601)));
    client.call(evil, evil, json!({})).await.outcome().await;
    client.notify("notifications/cancelled", json!({ "requestId": evil, "reason": evil })).await;
    client.assert_serves().await;
    let log = router.log();
    assert!(!log.contains('\u{1b}') && !log.contains("\nFAKE") && !log.contains('\0'), "{log}");
}

#[tokio::test]
async fn a_server_that_answers_twice_or_what_nobody_asked_reaches_nobody() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let stream = client.listen().await;
    let lines = [
        result("unknown", json!("whose?")),
        result("1", json!("another id")),
        result(1, json!("first")),
        result(1, json!("second")),
    ];
    let answer = client.call(1, "any", json!({ "say": lines })).await;
    assert!(answer.is_json());
    assert_eq!(answer.outcome().await["result"], "first");
    // What the server says in order is heard in order, so nothing of it is left when the id is used again.
    client.assert_serves().await;
    let again = client.call(1, "any", json!({ "say": [result(1, json!("third"))] })).await;
    assert_eq!(again.outcome().await["result"], "third");
    client.delete().await;
    assert!(stream.messages().await.is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_mcp_ends_its_call_with_31006() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    for said in [
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}"#,
    ] {
        let outcome = client.call(1, "any", json!({ "say": [said] })).await.outcome().await;
        assert_eq!(
            (&outcome["id"], &outcome["error"]["code"]),
            (&json!(1), &json!(-31006)),
            "{said}: {outcome}"
        );
        client.assert_serves().await;
    }
}

#[tokio::test]
async fn a_line_over_the_limit_ends_its_call_with_31005_and_the_process_is_kept() {
    let alone = with(puppet(), &json!({ "pool": { "warm": 0 } }));
    let file = json!({ "mcpServers": { "puppet": alone }, "limits": { "line": 100_000 } });
    let router = Router::start(file, &[]).await;
    let client = Client::open(router.mcp("puppet")).await;
    let before = router.mount("puppet").await["pids"].take();
    let other = client.events_only().call("other", "any", json!({ "say": [] })).await;
    let fits = client.call(1, "any", json!({ "fill": [1, 99_000] })).await.outcome().await;
    assert_eq!(fits["result"]["text"].as_str().unwrap().len(), 99_000);
    for size in [100_000, 5_000_000] {
        let outcome = client.call(2, "any", json!({ "fill": [2, size] })).await.outcome().await;
        assert_eq!((&outcome["id"], &outcome["error"]["code"]), (&json!(2), &json!(-31005)), "{outcome}");
        assert!(outcome["error"]["message"].as_str().unwrap().contains("limits.line"), "{outcome}");
    }
    // A notification that is too long answers nothing, so nobody's call ends.
    client.have_said(&[log_line(&"x".repeat(200_000))]).await;
    client.have_said(&[result("other", json!("fine"))]).await;
    assert_eq!(other.outcome().await["result"], "fine");
    assert_eq!(router.mount("puppet").await["pids"], before);
}

#[tokio::test]
async fn a_line_of_65_mib_costs_its_call_only() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let outcome = client.call(1, "any", json!({ "fill": [1, 65 << 20] })).await.outcome().await;
    assert_eq!(outcome["error"]["code"], -31005, "{outcome}");
    client.assert_serves().await;
}

#[tokio::test]
async fn a_server_that_floods_its_stdout_harms_nobody() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let neighbour = Client::open(router.mcp("puppet")).await;
    // Nobody listens, then somebody does who never reads, then somebody who reads.
    client.order(json!({ "flood": 20_000 })).await;
    neighbour.assert_serves().await;
    client.json_only().assert_serves().await;
    let idle = client.listen().await;
    client.order(json!({ "flood": 20_000 })).await;
    client.json_only().assert_serves().await;
    drop(idle);
    let reader = Client::open(router.mcp("puppet")).await;
    let orders = json!({ "flood": 5000, "answer": "over" });
    let messages = reader.events_only().call("all", "any", orders).await.messages().await;
    let (answer, flood) = messages.split_last().unwrap();
    assert_eq!(answer["result"], "over");
    let numbers: Vec<u64> = flood.iter().map(|message| message["params"]["data"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..5000).collect::<Vec<_>>());
    neighbour.assert_serves().await;
}

#[tokio::test]
async fn a_server_that_reads_nothing_stalls_nobody_else() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let neighbour = Client::open(router.mcp("puppet")).await;
    client.order(json!({ "deaf": true })).await;
    let huge = "x".repeat(1 << 20);
    let mut waiting = Vec::new();
    let (probe, refused) = loop {
        let id = waiting.len();
        // One that fits in the queue is in flight; the first that does not is refused at once.
        let answer = client.events_only().call(id, "any", json!({ "text": huge })).await;
        let begun = Instant::now();
        // A hang-up cancels nothing: each probe that was queued stays in flight, and needs an id of its own.
        let name = format!("probe {id}");
        let probe = client.call(&*name, "any", json!({ "text": huge }));
        match tokio::time::timeout(Duration::from_millis(300), probe).await {
            Ok(answer) => {
                assert!(begun.elapsed() < Duration::from_secs(1));
                break (name, answer);
            }
            Err(_) => waiting.push(answer),
        }
        assert!(waiting.len() < 16, "the queue has no end");
    };
    assert_eq!(refused.status, 200);
    let refused = refused.outcome().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(probe), &json!(-31004)), "{refused}");
    assert!(refused["error"]["data"]["retryAfterMs"].as_u64().unwrap() > 0, "{refused}");
    neighbour.assert_serves().await;
    assert_eq!(client.delete().await.status, 204);
    for call in waiting {
        assert!(call.outcome().await["error"]["code"].is_number());
    }
    Client::open(router.mcp("puppet")).await.assert_serves().await;
}

#[tokio::test]
async fn a_server_that_closes_its_stdout_and_lives_counts_as_dead() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let outcome = client.call(1, "any", json!({ "close_stdout": true })).await.outcome().await;
    assert_eq!(outcome["error"]["code"], -31002, "{outcome}");
    client.assert_serves().await;
    assert_eq!(router.mount("puppet").await["restarts"], 1);
}

#[tokio::test]
async fn the_last_line_of_a_process_is_heard_though_it_has_no_end() {
    let router = router_of_puppet().await;
    let client = Client::open(router.mcp("puppet")).await;
    let last = client.call(1, "any", json!({ "mutter": result(1, json!("last words")), "exit": 0 })).await;
    assert_eq!(last.outcome().await["result"], "last words");
    router.until("puppet", "going on", |status| status["restarts"] == 1).await;
    client.assert_serves().await;
}
