//! Temporary.
use mcp_switchboard::config::*;
#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().map(String::as_str) == Some("demo-server") {
        let _ = mcp_switchboard::demo_server::run();
        std::process::exit(0);
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut config = Config::default();
    let mut i = 0;
    while i < args.len() {
        match args[i].as_str() {
            "--port" => {
                config.listen.set_port(args[i + 1].parse().unwrap());
                i += 2;
            }
            "--stateless" => {
                config.stateless = true;
                i += 1;
            }
            "--named-server-config" => {
                let v: serde_json::Value =
                    serde_json::from_str(&std::fs::read_to_string(&args[i + 1]).unwrap()).unwrap();
                for (k, e) in v["mcpServers"].as_object().unwrap() {
                    let mut c = CommandSpec::new(e["command"].as_str().unwrap());
                    c.args = e["args"]
                        .as_array()
                        .map(|a| a.iter().map(|x| x.as_str().unwrap().to_owned()).collect())
                        .unwrap_or_default();
                    let mut s = ServerSpec::stdio(k.parse().unwrap(), c);
                    s.pool.max = 1000;
                    config.servers.push(s);
                }
                config.limits.processes = 1100;
                config.limits.connections = 8192;
                i += 2;
            }
            "--named-server" => {
                let mut words = shlex::split(&args[i + 2]).unwrap().into_iter();
                let mut c = CommandSpec::new(words.next().unwrap());
                c.args = words.collect();
                config.servers.push(ServerSpec::stdio(args[i + 1].parse().unwrap(), c));
                i += 3;
            }
            _ => panic!("{}", args[i]),
        }
    }
    let _ = mcp_switchboard::peer::orphans::become_subreaper();
    let router = mcp_switchboard::router::Router::start(config).await.unwrap();
    println!("listening on http://{}", router.local_addr().unwrap());
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    tokio::select! { _ = tokio::signal::ctrl_c() => {}, _ = term.recv() => {} }
    router.stop().await;
}
