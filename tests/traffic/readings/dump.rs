//! A reading as text: every event, text and problem with its place, in words of this file's own, so that a type or a field
//! may be renamed without a change of the text.

use agentguard::event::{
    Author, DefaultGate, Direction, Event, Form, Known, Pending, Reading, RpcMessage, Text, Usage,
};
use agentguard::protocol::stream::{
    ArgumentStep, CallDelta, CallKey, Delta, Extent, FrameReading, TextKey,
};
use agentguard::wire::json::{JsonBody, NodeId};
use std::fmt::Write;

/// What a reader found in one body or frame.
pub fn reading(out: &mut String, nest: &JsonBody<'_>, reading: &Reading) {
    for (number, read) in reading.texts.iter().enumerate() {
        let _ = write!(out, "text {number}");
        text(out, nest, read);
    }
    for read in &reading.events {
        event(out, nest, read);
    }
    for problem in &reading.problems {
        let _ = writeln!(out, "problem {} at {}", problem.code, problem.at);
    }
    for message in &reading.rpc {
        rpc(out, nest, message);
    }
    answer(out, nest, reading);
}

fn text(out: &mut String, nest: &JsonBody<'_>, text: &Text) {
    let form = match text.form {
        Form::String => "string",
        Form::Key => "key",
        Form::Number => "number",
    };
    let place = nest.pointer(text.place);
    let _ = write!(out, " {} {form} {place}", text.class.word());
    for (what, at) in [("under", text.key()), ("over", text.over())] {
        if let Some(at) = at {
            let name = nest.value(at).and_then(|value| value.text());
            let _ = write!(out, " {what} {:?}", name.unwrap_or_default());
        }
    }
    if text.is_data {
        out.push_str(" data");
    }
    out.push('\n');
}

/// A value that may be known.
fn known<T>(out: &mut String, what: &str, known: &Known<T>, told: impl Fn(&T) -> String) {
    let _ = match known {
        Known::Missing => Ok(()),
        Known::Unknown => write!(out, " {what}=?"),
        Known::Is(value) => write!(out, " {what}={}", told(value)),
    };
}

fn event(out: &mut String, nest: &JsonBody<'_>, event: &Event) {
    let pointer = |place: &NodeId| nest.pointer(*place);
    let direction = match event.direction {
        Direction::Request => "request",
        Direction::Response => "response",
    };
    let _ = write!(
        out,
        "event {} in {direction} at {} texts {}..{} part {} turn {} choice {}",
        event.kind.word(),
        pointer(&event.at),
        event.texts.start,
        event.texts.end,
        event.part.word(),
        event.turn.word(),
        event.choice,
    );
    known(out, "tool", &event.tool, |tool| format!("{tool:?}"));
    known(out, "args", &event.args, pointer);
    known(out, "result", &event.result, pointer);
    known(out, "ok", &event.ok, bool::to_string);
    known(out, "from", &event.from, |from: &Author| {
        from.word().to_owned()
    });
    known(out, "unoffered", &event.unoffered, bool::to_string);
    for (what, is) in [
        ("run by the provider", event.provider_run),
        ("told again", event.is_duplicate),
    ] {
        if is {
            let _ = write!(out, ", {what}");
        }
    }
    for (what, word) in [("code", event.code), ("opacity", event.opacity)] {
        if let Some(word) = word {
            let _ = write!(out, " {what}={word}");
        }
    }
    if let Some(rpc) = event.rpc {
        let _ = write!(out, " rpc={rpc}");
    }
    match event.gate {
        DefaultGate::Requests => {}
        DefaultGate::Plumbing => out.push_str(" gate=plumbing"),
        DefaultGate::Origin => out.push_str(" gate=origin"),
        DefaultGate::Calls => out.push_str(" gate=calls"),
        DefaultGate::Named => out.push_str(" gate=named"),
    }
    out.push('\n');
}

fn rpc(out: &mut String, nest: &JsonBody<'_>, message: &RpcMessage) {
    let bytes = |bytes: &Option<Box<[u8]>>| {
        let bytes = bytes.as_deref().unwrap_or(b"-");
        bytes.escape_ascii().to_string()
    };
    let _ = write!(
        out,
        "rpc id={} method={} args={} uri={}",
        bytes(&message.id),
        message.method.as_deref().unwrap_or("-"),
        bytes(&message.args),
        message.uri.as_deref().unwrap_or("-"),
    );
    known(out, "tool", &message.tool, |tool| format!("{tool:?}"));
    if let Some(params) = message.params {
        let _ = write!(out, " params={}", nest.pointer(params));
    }
    for (what, is) in [
        ("answer", message.is_answer),
        ("typed", message.typed_result),
        ("task", message.as_task),
    ] {
        if is {
            let _ = write!(out, " {what}");
        }
    }
    out.push('\n');
}

fn counts(usage: &Usage) -> String {
    let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    format!(
        "{} {} {} {}",
        count(usage.input_tokens),
        count(usage.output_tokens),
        count(usage.cached_tokens),
        count(usage.reasoning_tokens)
    )
}

/// What a reading tells of the whole exchange; nothing is written for what stayed as it begins.
fn answer(out: &mut String, nest: &JsonBody<'_>, reading: &Reading) {
    let models = &reading.models;
    let mut line = |what: &str, value: String, usual: &str| {
        if value != usual {
            let _ = writeln!(out, "{what} {value}");
        }
    };
    line("models", models.names.join(" "), "");
    line("spellings of models", models.spellings.join(" "), "");
    line(
        "agent",
        reading.agent.as_deref().unwrap_or("").to_owned(),
        "",
    );
    line("usage", counts(&reading.usage), "- - - -");
    line("finish", reading.finish.join(" "), "");
    line("without finish", reading.endless.to_string(), "0");
    let max_tokens = reading.max_tokens.map(|most| most.to_string());
    line("max tokens", max_tokens.unwrap_or_default(), "");
    line("messages", reading.messages.all.to_string(), "0");
    let by_author = reading.messages.by_author.map(|count| count.to_string());
    line("messages by author", by_author.join(" "), "0 0 0 0");
    if let Some(error) = &reading.error {
        line("error", format!("{error:?}"), "");
    }
    let attachments = &reading.attachments;
    let attachments = [
        attachments.image,
        attachments.file,
        attachments.audio,
        attachments.beside,
    ];
    let attachments = attachments.map(|count| count.to_string());
    line("attachments", attachments.join(" "), "0 0 0 0");
    let params = reading.params.map(|params| nest.pointer(params));
    line(
        "params",
        params.map_or("-".to_owned(), |at| format!("{at:?}")),
        "-",
    );
    line(
        "endpoint",
        reading.endpoint.unwrap_or_default().to_owned(),
        "",
    );
    let sealed: Vec<String> = reading.sealed.iter().map(|at| nest.pointer(*at)).collect();
    line("sealed", sealed.join(" "), "");
    let pending = match reading.pending {
        None => "",
        Some(Pending::Nothing) => "nothing",
        Some(Pending::ById) => "by id",
        Some(Pending::Stuck) => "stuck",
    };
    line("pending", pending.to_owned(), "");
    for (what, is) in [
        ("unread", reading.is_unread),
        ("an unknown model", models.unknown),
        ("stream", reading.stream),
        ("forces a tool", reading.forces_tool),
        ("structured output", reading.structured_output),
        ("continues elsewhere", reading.continues_elsewhere),
        ("unstored", reading.unstored),
    ] {
        line("is", if is { what.to_owned() } else { String::new() }, "");
    }
}

/// What a frame says beside its reading.
pub fn frame(out: &mut String, nest: &JsonBody<'_>, frame: &FrameReading) {
    let _ = write!(out, "frame lanes {:x}", frame.lanes.0);
    if frame.last {
        out.push_str(" last");
    }
    if frame.quiet {
        out.push_str(" quiet");
    }
    let metered = counts(&frame.metered);
    if metered != "- - - -" {
        let _ = write!(out, " metered {metered}");
    }
    out.push('\n');
    for piece in &frame.pieces {
        self::piece(out, nest, piece);
    }
}

fn text_key(channel: &TextKey) -> String {
    let TextKey { choice, part, item } = channel;
    format!("{choice}/{}/{item}", part.word())
}

fn call_key(key: &CallKey) -> String {
    format!("{}/{}", key.choice, key.item)
}

fn piece(out: &mut String, nest: &JsonBody<'_>, piece: &Delta) {
    let _ = match piece {
        Delta::Text(text) => writeln!(
            out,
            "  text {} {} {} repeats {}{}",
            text_key(&text.text_key),
            text.class.word(),
            nest.pointer(text.place),
            text.repeats,
            if text.is_duplicate { " told again" } else { "" }
        ),
        Delta::TextEnd(channel) => writeln!(out, "  text {} ends", text_key(channel)),
        Delta::TextRest(channel) => writeln!(out, "  text {} rests", text_key(channel)),
        Delta::Call { key, element, what } => {
            let element = nest.pointer(*element);
            let what = call_piece(nest, what);
            writeln!(out, "  call {} in {element}: {what}", call_key(key))
        }
        Delta::CallsEnd(keys) => {
            let keys: Vec<String> = keys.iter().map(call_key).collect();
            writeln!(out, "  calls {} end", keys.join(" "))
        }
        Delta::End(choice) => writeln!(out, "  end of {choice:?}"),
    };
}

fn call_piece(nest: &JsonBody<'_>, piece: &CallDelta) -> String {
    let at = |place: &NodeId| nest.pointer(*place);
    match piece {
        CallDelta::Begin { provider_run } => format!("begins, run by the provider: {provider_run}"),
        CallDelta::Name(place) => format!("name {}", at(place)),
        CallDelta::Named(name) => format!("named {name:?}"),
        CallDelta::Alias(place) => format!("alias {}", at(place)),
        CallDelta::Arguments(place) => format!("arguments {}", at(place)),
        CallDelta::Argument(name, place) => format!("argument {name} {}", at(place)),
        CallDelta::At(steps, place, extent) => {
            let steps: Vec<String> = steps
                .iter()
                .map(|step| match step {
                    ArgumentStep::Index(index) => index.to_string(),
                    ArgumentStep::Name(name) => name.to_string(),
                })
                .collect();
            let extent = match extent {
                Extent::Part => "part",
                Extent::Last => "last",
                Extent::Whole => "whole",
                Extent::Null => "null",
            };
            format!("argument at {} {} {extent}", steps.join("/"), at(place))
        }
        CallDelta::Input(place) => format!("input {}", at(place)),
        CallDelta::NameAgain(place) => format!("name again {}", at(place)),
        CallDelta::ArgumentsAgain(place) => format!("arguments again {}", at(place)),
        CallDelta::ArgumentsWhole(place) => format!("all arguments {}", at(place)),
    }
}
