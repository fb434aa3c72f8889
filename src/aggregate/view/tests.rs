use super::*;
use crate::aggregate::lists::List;
use crate::config::Prefix;
use serde_json::json;

fn lists(tools: &[&str], resources: &[&str]) -> Lists {
    let item = |json: Value| Box::from(json.to_string());
    let mut lists = Lists::default();
    lists.lists[Kind::Tools as usize].items = tools
        .iter()
        .map(|name| item(json!({ "name": name, "description": "d", "inputSchema": {} })))
        .collect();
    lists.lists[Kind::Resources as usize] =
        List { items: resources.iter().map(|uri| item(json!({ "uri": uri }))).collect(), ..List::default() };
    lists
}

fn shelf(spec: &AggregateSpec, kind: Kind, servers: &[(&str, Lists)]) -> Shelf {
    let names: Vec<ServerName> = servers.iter().map(|(name, _)| name.parse().unwrap()).collect();
    let servers: Vec<_> = names.iter().zip(servers).map(|(name, (_, lists))| (name, Some(lists))).collect();
    Shelf::new(spec, kind, &servers, &|_, _, _, _| true)
}

fn shown(shelf: &Shelf) -> Vec<&str> {
    shelf.items.iter().map(|item| &*item.name).collect()
}

#[test]
fn every_tool_is_called_by_its_server_and_its_own_name() {
    let shelf = shelf(
        &AggregateSpec::default(),
        Kind::Tools,
        &[("a", lists(&["x", "y"], &[])), ("b.c", lists(&["x"], &[]))],
    );
    assert_eq!(shown(&shelf), ["a__x", "a__y", "b_c__x"]);
    let item = shelf.find("b_c__x").unwrap();
    assert_eq!((item.server, &*item.own), (1, "x"));
    assert_eq!(&*item.json, r#"{"description":"d","inputSchema":{},"name":"b_c__x"}"#);
}

#[test]
fn a_schema_that_legacy_clients_cannot_read_is_left_out_for_them_alone() {
    let mut of_server = lists(&["x"], &[]);
    of_server.lists[Kind::Tools as usize]
        .items
        .push(r#"{"name":"y","outputSchema":{"type":"array"}}"#.into());
    let shelf = shelf(&AggregateSpec::default(), Kind::Tools, &[("a", of_server)]);
    let x = shelf.find("a__x").unwrap();
    assert_eq!(x.listed(Era::Legacy), x.listed(Era::Modern));
    let y = shelf.find("a__y").unwrap();
    assert_eq!(y.listed(Era::Legacy), r#"{"name":"a__y"}"#);
    assert_eq!(y.listed(Era::Modern), r#"{"name":"a__y","outputSchema":{"type":"array"}}"#);
}

#[test]
fn where_names_need_not_say_the_server_they_do_so_only_in_conflict_or_never() {
    let servers = [("a", lists(&["x", "y"], &[])), ("b", lists(&["x", "z"], &[]))];
    let conflict = AggregateSpec { prefix: Prefix::OnConflict, ..AggregateSpec::default() };
    assert_eq!(shown(&shelf(&conflict, Kind::Tools, &servers)), ["a__x", "y", "b__x", "z"]);
    let never = AggregateSpec { prefix: Prefix::Never, ..AggregateSpec::default() };
    let never = shelf(&never, Kind::Tools, &servers);
    assert_eq!(shown(&never), ["y", "z"]);
    assert!(never.find("x").is_none());
    let reason = never.refusal("x").unwrap();
    assert!(reason.contains("a__x and of b__x") && reason.contains("aggregate.prefix"), "{reason}");
}

#[test]
fn two_servers_whose_names_become_one_do_not_share_a_tool() {
    let shelf = shelf(
        &AggregateSpec::default(),
        Kind::Tools,
        &[("a.b", lists(&["x"], &[])), ("a_b", lists(&["x", "y"], &[]))],
    );
    assert_eq!(shown(&shelf), ["a_b__y"]);
    assert!(shelf.refusal("a_b__x").is_some());
}

#[test]
fn a_view_shows_what_it_allows_under_the_names_that_it_gives() {
    let rules = Rules {
        allow: Some(vec!["a__*".into(), "b__x".into()]),
        deny: vec!["*__secret".into()],
        rename: [("a__x".into(), "search".into())].into(),
        describe: [("a__x".into(), "Finds \"it\".".into())].into(),
    };
    let spec = AggregateSpec { tools: rules, ..AggregateSpec::default() };
    let shelf =
        shelf(&spec, Kind::Tools, &[("a", lists(&["x", "secret"], &[])), ("b", lists(&["x", "y"], &[]))]);
    assert_eq!(shown(&shelf), ["search", "b__x"]);
    assert_eq!(
        &*shelf.find("search").unwrap().json,
        r#"{"description":"Finds \"it\".","inputSchema":{},"name":"search"}"#
    );
    assert!(shelf.find("a__x").is_none());
}

#[test]
fn a_resource_that_two_servers_have_says_which_server_is_meant() {
    let servers = [("a", lists(&[], &["f://1", "f://2"])), ("b", lists(&[], &["f://1"]))];
    let shelf = shelf(&AggregateSpec::default(), Kind::Resources, &servers);
    assert_eq!(shown(&shelf), ["f://1", "f://2", "switchboard://b/f://1"]);
    assert_eq!(shelf.of(1, "f://1").map(|item| &*item.name), Some("switchboard://b/f://1"));
}

#[test]
fn a_uri_that_names_a_server_is_not_another_ones() {
    let servers = [("a", lists(&[], &["switchboard://b/f://1"])), ("b", lists(&[], &["f://1"]))];
    let shelf = shelf(&AggregateSpec::default(), Kind::Resources, &servers);
    assert_eq!(shown(&shelf), ["switchboard://a/switchboard://b/f://1", "f://1"]);
}

#[test]
fn what_a_server_lists_twice_is_listed_once_and_takes_no_time() {
    let names = vec!["x"; 20_000];
    let servers = [("a", lists(&names, &[]))];
    assert_eq!(shown(&shelf(&AggregateSpec::default(), Kind::Tools, &servers)), ["a__x"]);
}
