//! `log`: who was let in, who was refused, and why.

use super::Context;
use super::args::{Stop, Words};
use super::client::{Failure, PATIENCE};
use super::reply::Part;
use super::text::{Look, Paint, width};
use crate::json::json;
use serde_json::Value;

/// Which events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Go on with what happens from now on.
    pub follow: bool,
    /// Only of this address.
    pub mac: Option<String>,
    /// Only what has to do with this device.
    pub device: Option<String>,
    /// Only with these outcomes; all if empty.
    pub outcomes: Vec<String>,
    /// Only the latest.
    pub limit: Option<u32>,
}

/// Understands the arguments.
pub fn parse(words: &mut Words) -> Result<Query, Stop> {
    words.about("log");
    let mut query = Query::default();
    let [] = words.rest([], |words, option| {
        match option {
            "--follow" | "-f" => query.follow = true,
            "--mac" => query.mac = Some(words.value()?),
            "--device" => query.device = Some(words.value()?),
            "--outcome" => query.outcomes.push(words.value()?),
            "--limit" | "-n" => {
                let limit = words.value()?.parse().map_err(|_| words.usage("--limit needs a number"))?;
                query.limit = Some(limit);
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(query)
}

/// Asks and prints; with `follow` until the daemon or the user ends it.
pub fn run(context: &mut Context<'_>, query: &Query) -> Result<(), Failure> {
    let params = json!({
        "mac": query.mac,
        "device": query.device,
        "outcome": query.outcomes,
        "limit": query.limit,
        "follow": query.follow,
    });
    let mut client = context.connect()?;
    let reply = client.call("log", params, PATIENCE)?;
    if !query.follow {
        return context.finish(&reply, render);
    }
    let mut lines = Lines::default();
    if !context.json {
        lines.widen(Part(&reply));
    }
    for event in Part(&reply).list("events") {
        follow(context, &mut lines, event.0)?;
    }
    if Part(&reply).list("events").len() == 0 {
        context.note("Nothing has happened yet. Waiting for devices to join (Ctrl-C ends it).\n");
    }
    loop {
        let event = client.event()?;
        follow(context, &mut lines, &event)?;
    }
}

/// One event a line: JSON, or words.
fn follow(context: &mut Context<'_>, lines: &mut Lines, event: &Value) -> Result<(), Failure> {
    let line = if context.json { format!("{event}\n") } else { lines.render(Part(event), &context.look) };
    context.print(&line)
}

fn render(reply: Part<'_>, look: &Look) -> String {
    if reply.list("events").len() == 0 {
        return "Nothing has happened yet. Events show up here when a device tries to join.\n".into();
    }
    let mut lines = Lines::default();
    lines.widen(reply);
    reply.list("events").map(|event| lines.render(event, look)).collect()
}

/// Lines of one shape: the column of names grows when it must.
#[derive(Debug, Default)]
struct Lines {
    widest: usize,
}

impl Lines {
    fn widen(&mut self, reply: Part<'_>) {
        self.widest = reply.list("events").map(|event| width(&who(event))).fold(self.widest, usize::max);
    }

    fn render(&mut self, event: Part<'_>, look: &Look) -> String {
        let who = who(event);
        self.widest = self.widest.max(width(&who));
        let pad = " ".repeat(self.widest - width(&who));
        let paint = match event.at("outcome").0.as_str() {
            Some("refused") => Some(Paint::Bad),
            Some("joined") => Some(Paint::Good),
            _ => None,
        };
        let times = match event.number("count") {
            0 | 1 => String::new(),
            n => format!(" (x{n})"),
        };
        // 2027-01-31T18:00:00Z, easier to read.
        let at = event.text("at").replacen('T', " ", 1);
        format!("{at}  {who}{pad}  {}{times}\n", look.paint(paint, &event.text("text")))
    }
}

fn who(event: Part<'_>) -> String {
    event.maybe("device").unwrap_or_else(|| event.text("mac"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{COLOUR, PLAIN};
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_lines() {
        let reply = json!({ "events": [
            { "id": 1, "at": "2027-01-31T17:58:01Z", "count": 1, "device": "tv", "mac": "00:11:22:33:44:55",
              "outcome": "joined", "text": "let in: its own key (profile iot, VLAN 20)" },
            { "id": 2, "at": "2027-01-31T17:59:02Z", "count": 5, "device": null, "mac": "02:11:22:33:44:55",
              "outcome": "refused", "text": "refused: wrong key for \u{1b}]0;x" },
            { "id": 3, "at": "2027-01-31T17:59:03Z", "count": 1, "device": "tv", "outcome": "accepted", "text": "ok" },
        ]});
        let expected = "\
2027-01-31 17:58:01Z  tv                 let in: its own key (profile iot, VLAN 20)
2027-01-31 17:59:02Z  02:11:22:33:44:55  refused: wrong key for \\x1b]0;x (x5)
2027-01-31 17:59:03Z  tv                 ok
";
        assert_eq!(render(Part(&reply), &PLAIN), expected);
        let colour = render(Part(&reply), &COLOUR);
        assert!(colour.contains("tv                 \x1b[32mlet in: its own key (profile iot, VLAN 20)\x1b[0m\n"));
        assert!(colour.contains("\x1b[31mrefused: wrong key for \\x1b]0;x\x1b[0m (x5)\n"));
        assert!(colour.ends_with("tv                 ok\n"));
        assert!(render(Part(&json!({ "events": [] })), &PLAIN).starts_with("Nothing has happened yet."));
    }
}
