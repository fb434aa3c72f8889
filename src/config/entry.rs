//! One server of the file.

use std::time::Duration;

use super::error::Problem;
use super::file::Surroundings;
use super::json::JsonPath;
use super::node::{Expansion, Members, Node};
use super::{
    EraSetting, Isolation, OnCrash, PoolMode, PoolSpec, RestartSpec, ServerName, ServerSpec, Startup, Target,
    personal, quota, target, tools,
};

/// Keys of an entry that protect something and that this version does not have.
const PROTECTING: &[&str] = &["auth", "tls"];

/// A request may hardly take longer than this many seconds: whoever writes more means milliseconds.
const SUSPICIOUS_TIMEOUT: Duration = Duration::from_secs(10_000);

/// When a server is started.
pub(super) const STARTUP: &[(&str, Startup)] =
    &[("eager", Startup::Eager), ("normal", Startup::Normal), ("lazy", Startup::Lazy)];

/// Reads the entry at `node`, which is mounted as `name`; `startup` is what holds where it does not say when to start.
pub(super) fn read(
    name: ServerName,
    node: &Node<'_>,
    startup: Startup,
    surroundings: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<ServerSpec, Problem> {
    let mut members = node.members("an object that describes a server")?;
    members.refuse(PROTECTING)?;
    // An entry of a list has its name inside.
    members.get("name");
    let enabled = members.get("enabled").map(|node| node.flag()).transpose()?.unwrap_or(true);
    let disabled = members.get("disabled").map(|node| node.flag()).transpose()?.unwrap_or(false);
    let target = target::read(&mut members, &node.path, surroundings, warnings)?;
    let target = if enabled && !disabled { target } else { Target::Disabled };

    let mut expansion = Expansion::new(surroundings.variables);
    let mut spec = ServerSpec::new(name, target);
    if let Some(node) = members.get("timeout") {
        spec.timeout = node.seconds()?;
        warnings.extend(spec.timeout.and_then(|timeout| in_milliseconds(timeout, &node.path)));
    }
    if let Some(node) = members.get("startTimeout") {
        spec.start_timeout = node.positive_seconds()?;
        warnings.extend(in_milliseconds(spec.start_timeout, &node.path));
    }
    spec.startup = when(&mut members, &mut expansion)?.unwrap_or(startup);
    let lazy = spec.startup == Startup::Lazy;
    if let Some(node) = members.get("pool") {
        spec.pool = pool(spec.pool, &node, lazy, &mut expansion, warnings)?;
    }
    if lazy {
        spec.pool.warm = 0;
    }
    if let Some(node) = members.protecting("envFromHeader")? {
        spec.env_from_header = personal::read(&node)?;
        keep_apart(&mut spec, &node, warnings)?;
    }
    if let Some(node) = members.get("era") {
        let words =
            [("auto", EraSetting::Auto), ("legacy", EraSetting::Legacy), ("modern", EraSetting::Modern)];
        spec.era = expansion.word(&node, &words)?;
    }
    if let Some(node) = members.get("restart") {
        spec.restart = restart(&node, &mut expansion, warnings)?;
    }
    if let Some(node) = members.protecting("limits")? {
        spec.limits = quota::of_mount(&node)?;
    }
    if let Some(node) = members.protecting("tools")? {
        spec.tools = tools::read(&node)?;
    }
    if let (Some(reason), false) = (expansion.reason(), spec.target == Target::Disabled) {
        spec.target = Target::Broken(reason);
    }
    members.refuse_near(&["sandbox", "tools", "limits", "envFromHeader"])?;
    warnings.extend(members.unknown());
    Ok(spec)
}

/// What follows from `envFromHeader` at `node`: nothing runs without a user, and nothing for two.
fn keep_apart(spec: &mut ServerSpec, node: &Node<'_>, warnings: &mut Vec<String>) -> Result<(), Problem> {
    let refuse = |found: &str, wanted: &str| {
        let (path, found, wanted) = (node.path.clone(), found.to_owned(), wanted.to_owned());
        Err(Problem::Value { path, found, wanted })
    };
    if matches!(spec.target, Target::Remote(_)) {
        return refuse(
            "it in an entry with a `url`, where no process has an environment",
            "a `command`: what a user sends is not passed on to remote servers",
        );
    }
    if spec.pool.max == 1 {
        return refuse(
            "it beside a `pool.max` of 1, which is one process for all",
            "a greater `max`: each user has a process of his own",
        );
    }
    if spec.startup == Startup::Eager {
        warnings.push(format!(
            "{}: the server is not started before its first user comes, though it is `eager`",
            node.path
        ));
    }
    (spec.startup, spec.pool.warm) = (Startup::Lazy, 0);
    Ok(())
}

/// When it is to be started, if the entry says so: by `startup`, or by `lazy`, which is one of its words.
fn when(members: &mut Members<'_>, expansion: &mut Expansion<'_>) -> Result<Option<Startup>, Problem> {
    let lazy = members.get("lazy").map(|node| node.flag()).transpose()?;
    let Some(node) = members.get("startup") else {
        return Ok(lazy.map(|lazy| if lazy { Startup::Lazy } else { Startup::Normal }));
    };
    let startup = expansion.word(&node, STARTUP)?;
    if lazy.is_some_and(|lazy| lazy != (startup == Startup::Lazy)) {
        let found = "`startup` beside a `lazy` that contradicts it".to_owned();
        return Err(Problem::Value { path: node.path, found, wanted: "one of them".to_owned() });
    }
    Ok(Some(startup))
}

fn pool(
    mut pool: PoolSpec,
    node: &Node<'_>,
    lazy: bool,
    expansion: &mut Expansion<'_>,
    warnings: &mut Vec<String>,
) -> Result<PoolSpec, Problem> {
    let mut members = node.members("an object")?;
    if let Some(node) = members.get("mode") {
        pool.mode = expansion.word(&node, &[("session", PoolMode::Session), ("shared", PoolMode::Shared)])?;
    }
    if let Some(node) = members.get("max") {
        pool.max = node.count(1..=100_000)?;
    }
    let warm = members.get("warm").map(|node| Ok((node.count(0..=100_000)?, node.path))).transpose()?;
    if let Some((warm, path)) = warm {
        pool.warm = warm;
        if lazy && warm > 0 {
            warnings.push(format!("{path}: ignored: a lazy server has no processes that stand ready"));
        } else if warm > pool.max {
            warnings.push(format!("{path}: {warm} is more than `pool.max`, which is {}", pool.max));
        }
    }
    pool.warm = pool.warm.min(pool.max);
    if let Some(node) = members.get("idleTimeout") {
        pool.idle_timeout = Some(node.seconds()?);
    }
    if let Some(node) = members.get("isolation") {
        let words = [
            ("shared", Isolation::Shared),
            ("principal", Isolation::Principal),
            ("request", Isolation::Request),
        ];
        pool.isolation = expansion.word(&node, &words)?;
    }
    warnings.extend(members.unknown());
    Ok(pool)
}

fn restart(
    node: &Node<'_>,
    expansion: &mut Expansion<'_>,
    warnings: &mut Vec<String>,
) -> Result<RestartSpec, Problem> {
    let mut members = node.members("an object")?;
    let mut restart = RestartSpec::default();
    if let Some(node) = members.get("onCrash") {
        restart.on_crash = expansion.word(&node, &[("restart", OnCrash::Restart), ("end", OnCrash::End)])?;
    }
    if let Some(node) = members.get("attempts") {
        let attempts = node.count(1..=1000)?;
        restart.attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    }
    warnings.extend(members.unknown());
    Ok(restart)
}

fn in_milliseconds(time: Duration, path: &JsonPath) -> Option<String> {
    (time >= SUSPICIOUS_TIMEOUT).then(|| {
        format!(
            "{path}: {} seconds are more than {} hours; milliseconds are not meant here",
            time.as_secs(),
            time.as_secs() / 3600
        )
    })
}
