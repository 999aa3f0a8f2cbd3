"""What the official packages of OpenAI and Anthropic make of sessions whose agents run at the provider.

Usage: agent_sessions.py < LINES

A line is {"base_url": …, "package": "openai" or "anthropic", "do": "send" or "listen", "text": what the user says}. For
each comes out what the caller of the package gets, as one JSON object.
"""

import json
import sys

import anthropic
import openai


def openai_events(base_url):
    client = openai.OpenAI(base_url=base_url + "/v1", api_key="none", max_retries=0)
    return client.beta.agents.sessions.events


def anthropic_events(base_url):
    client = anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0)
    return client.beta.sessions.events


def send(package, base_url, text):
    if package == "openai":
        message = {"role": "user", "content": [{"type": "input_text", "text": text}]}
        event = {"type": "agent.session.input.message", "input": [message]}
        openai_events(base_url).create("session_1", events=[event])
    else:
        event = {"type": "user.message", "content": [{"type": "text", "text": text}]}
        anthropic_events(base_url).send("session_1", events=[event])
    return {}


def listen_to_openai(base_url):
    heard = {"pieces": "", "texts": [], "calls": [], "error": None}
    try:
        for event in openai_events(base_url).stream("session_1"):
            kind = event.type
            if kind == "agent.session.turn.output_text.delta":
                heard["pieces"] += event.delta
            elif kind == "agent.session.turn.output_text.done":
                heard["texts"].append(event.text)
            elif kind == "agent.session.turn.item.done" and event.item.type == "function_call":
                heard["calls"].append(event.item.name)
            elif kind == "agent.session.turn.item.done":
                heard["texts"].append(event.item.content[0].text)
            elif kind == "error":
                heard["error"] = event.error.message
    # Packages up to 3.51 raise an error that arrives in a stream, later ones give it to the caller.
    except openai.APIError as error:
        heard["error"] = error.message
    return heard


def listen_to_anthropic(base_url):
    heard = {"pieces": "", "texts": [], "calls": [], "error": None}
    try:
        for event in anthropic_events(base_url).stream("session_1"):
            if event.type == "event_delta":
                heard["pieces"] += event.delta.content.text
            elif event.type == "agent.message":
                heard["texts"].append(event.content[0].text)
            elif event.type == "agent.custom_tool_use":
                heard["calls"].append(event.name)
    except anthropic.APIStatusError as error:
        heard["error"] = error.body["error"]["message"]
    return heard


def ask(asked):
    package, base_url = asked["package"], asked["base_url"]
    try:
        if asked["do"] == "send":
            return send(package, base_url, asked["text"])
        return (listen_to_openai if package == "openai" else listen_to_anthropic)(base_url)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return {"raised": type(error).__name__, "status": error.status_code, "message": error.message}


def main():
    for line in sys.stdin:
        print(json.dumps(ask(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
