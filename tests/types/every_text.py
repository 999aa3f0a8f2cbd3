"""Whether a policy sees every text that the packages of the providers and of MCP can send or receive, and whether it lets
through all that they send where it forbids nothing.

Usage: every_text.py AGENTGUARD PACKAGE...

Each type of a package has every member that it declares filled in (samples.py), each text with a word of its own; of a package
with a client, each of its methods is called (client_calls.py). An event must have that word; else a policy that denies the word
must deny the exchange that has it there alone. Members that are names or ids, which no rule searches for words, are listed
below, and so are requests that are refused for what they are. Prints the members that no rule sees and the requests that
are refused, and fails if there are any.
"""

import importlib
import json
import pathlib
import re
import subprocess
import sys
import typing
import warnings

import client_calls
import samples

POLICY = pathlib.Path(__file__).with_name("forbidden.yaml")
NO_POLICY = pathlib.Path(__file__).with_name("nothing_forbidden.yaml")
WORD = re.compile(r"word\d{5}")

# Clients by their packages, and what they need to be made.
KEY = {"api_key": "none"}
CLIENTS = {
    "openai": ("openai", "OpenAI", {**KEY, "admin_api_key": "none"}),
    "anthropic": ("anthropic", "Anthropic", KEY),
    "cohere": ("cohere", "Client", {**KEY, "log_warning_experimental_features": False}),
    "mistralai": ("mistralai.client", "Mistral", KEY),
    "openrouter": ("openrouter", "OpenRouter", KEY),
    "fireworks": ("fireworks", "Fireworks", KEY),
    "perplexity": ("perplexity", "Perplexity", KEY),
    "groq": ("groq", "Groq", KEY),
    "together": ("together", "Together", KEY),
}
# Types of responses that come as events, by their names.
STREAMS = {"Stream", "EventStream", "Iterator", "Iterable", "Generator"}
# Codes of endpoints without content that is known (most are for administration), and of credentials for others.
REFUSED = {"AG2007", "AG2013"}
# Samples that are refused with AG2001 with good reason.
IMPOSSIBLE = {
    "a file for a batch must be JSON lines": r"\S+/files",
    "a called function is an object, whatever Fireworks' package says": r"/inference/v1/chat/completions",
}
IMPOSSIBLE = re.compile("|".join(IMPOSSIBLE.values()))

# Members that no rule searches for words, by their last name.
NO_TEXT = {
    "ids of calls, items, files, tasks, and of who made them": r"(\w*_)?ids?(\[\])?|\w+Ids?|\w+Identifier"
    r"|created_by|fingerprint|system_fingerprint|container|conversation|bucketOwner|token|progressToken",
    "names of models, servers, tools, skills and presets, which rules match as names": r"model|\w*model|server_label|(mcp_)?server_name|serverName|tool_names?(\[\])?"
    r"|toolset_name|namespace|voice|tool\.name|ResponseSkillLoadedEventOutput\.name|request\.preset|tool_choice\.type|(tool_choice|function_call)\S*\.name",
    "versions, times, sizes, formats and other words of a closed list": r"version|\w+Version|supportedVersions\[\]|createdAt|lastUpdatedAt|sizes?(\[\])?"
    r"|quality|output_format|background|stopReason|inference_geo|error\.type|code|param|toolResult\.type",
    "content that can't be read: coverage tells of it": r"data|file_data|blob|result|partial_image_b64|encrypted_\w+|signature|requestState"
    r"|fallback_credit_token|remove_to_redeem\[\]|ResponseAudioDeltaEvent\.delta",
    "where the next page begins": r"cursor|nextCursor",
    "credentials of the client for a server": r"authorization|authorization_token",
    "padding against traffic analysis": r"obfuscation",
    "what a provider says of its models, of what it charges for, and of itself": r"(models|usage|providers|endpoints)\.\S+ response\S*"
    r"|\S+\.list_(models|model_endpoints) response\S*|(api_keys|generations)\.get_\w+ response\S*",
    "states, kinds, languages and times of what is kept": r"response\S*\.(object|status|purpose|endpoint|completion_window|language|task"
    r"|created_at|service_tier|next_page)|environment\.type|data\.type|purpose|md5|mime_type|content_type|Content-Type"
    r"|data\.object|\w*(Chunk|Output)\.object|language|training_file|validation_file|resolution|seconds|input_audio\.format_?",
}
NO_TEXT = re.compile(rf"(?<![^. ])({'|'.join(NO_TEXT.values())})$")


def server_sent(event):
    """A server-sent event with this data."""
    named = f"event: {event['type']}\n" if "type" in event else ""
    return f"{named}data: {json.dumps(event)}\n\n"


def exchange(name, host, path, request, response, stream=None, headers=(), status=200):
    """One exchange as `agentguard replay` reads it. `stream` is the response as server-sent events."""
    body = json.dumps(response) if stream is None else "".join(map(server_sent, stream))
    kind = "application/json" if stream is None else "text/event-stream"
    return {
        "id": name,
        "request": {
            "method": "POST",
            "host": host,
            "path": path,
            "headers": {"content-type": "application/json", **dict(headers)},
            "body": json.dumps(request),
        },
        "response": {"status": status, "headers": {"content-type": kind}, "body": body},
    }


def openai():
    from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params as chat
    from openai.types.responses import Response, ResponseStreamEvent, response_create_params as responses

    def post(name, path, request, response=None, stream=None):
        return exchange(name, "api.openai.com", path, {**request, "model": "gpt-5"}, response, stream)

    asks = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    for made in variants(14):
        question = made.of(responses.ResponseCreateParamsNonStreaming, "Responses request")
        # Either goes on with what the provider keeps.
        question.pop("conversation" if made.alternative % 2 else "previous_response_id")
        question["stream"] = False
        yield made, post("responses", "/v1/responses", question, made.of(Response, "Responses response"))
        question = made.of(chat.CompletionCreateParamsNonStreaming, "Chat request")
        question["stream"] = False
        answer = made.of(ChatCompletion, "Chat response")
        yield made, post("chat", "/v1/chat/completions", question, answer)
        chunk = made.of(ChatCompletionChunk, "Chat chunk")
        yield made, post("chat stream", "/v1/chat/completions", asks, stream=[chunk])
    for made in variants(3):
        for kind in samples.alternatives(ResponseStreamEvent):
            event = made.of(kind, f"Responses event {kind.__name__}")
            yield made, post("events", "/v1/responses", {"input": "Hi", "stream": True}, stream=[event])


def anthropic():
    from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent, message_create_params

    def post(name, request, response=None, stream=None):
        version = {"anthropic-version": "2023-06-01"}
        request = {**request, "model": "claude-5", "max_tokens": 9}
        return exchange(name, "api.anthropic.com", "/v1/messages", request, response, stream, version)

    asks = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    usage = {"input_tokens": 1, "output_tokens": 1}
    begun = {"id": "m", "type": "message", "role": "assistant", "model": "claude-5", "content": [], "usage": usage}
    for made in variants(14):
        question = made.of(message_create_params.MessageCreateParamsNonStreaming, "Messages request")
        question["stream"] = False
        question.pop("betas")  # A header.
        yield made, post("messages", question, made.of(BetaMessage, "Messages response"))
    for made in variants(24):
        for kind in samples.alternatives(BetaRawMessageStreamEvent):
            event = made.of(kind, f"Messages event {kind.__name__}")
            start = [] if event["type"] == "message_start" else [{"type": "message_start", "message": begun}]
            yield made, post("messages stream", asks, stream=[*start, event])


def google():
    from google.genai import types

    question = {
        "contents": list[types.Content],
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "safetySettings": list[types.SafetySetting],
        "generationConfig": types.GenerationConfig,
    }
    # The package's own.
    made_by_package = {"sdkHttpResponse", "parsed", "automaticFunctionCallingHistory"}
    for made in variants(14):
        asks = {name: made.of(kind, f"Gemini request.{name}") for name, kind in question.items()}
        answer = made.of(types.GenerateContentResponse, "Gemini response")
        answer = {name: value for name, value in answer.items() if name not in made_by_package}
        host, model = "generativelanguage.googleapis.com", "/v1beta/models/gemini-3"
        yield made, exchange("gemini", host, f"{model}:generateContent", asks, answer)
        yield made, exchange("gemini stream", host, f"{model}:streamGenerateContent?alt=sse", asks, None, [answer])


def botocore():
    import botocore.session

    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    model = "/model/anthropic.claude-5"
    for operation, path in {"Converse": "converse", "CountTokens": "count-tokens"}.items():
        described = service.operation_model(operation)
        for made in variants(14):
            asks = made.of_shape(described.input_shape, f"{operation} request")
            answer = made.of_shape(described.output_shape, f"{operation} response")
            host = "bedrock-runtime.us-east-1.amazonaws.com"
            yield made, exchange(operation, host, f"{model}/{path}", asks, answer)


def mcp():
    from mcp import types

    def post(name, message, response=None, stream=None, status=200):
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        return exchange(name, "mcp.example", "/mcp", message, response, stream, headers, status)

    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "run", "arguments": {}}}
    answered = {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}
    bases = {"Request", "ClientRequest", "ServerRequest", "JSONRPCRequest", "PaginatedRequest", "InputRequest"}
    bases |= {"Notification", "ClientNotification", "ServerNotification", "JSONRPCNotification"}
    from_server = {types.CreateMessageRequest, types.ElicitRequest, types.ListRootsRequest}
    for made in variants(12):
        for name in sorted(set(dir(types)) - bases):
            kind = getattr(types, name)
            if name.endswith("Request"):
                message = {"jsonrpc": "2.0", "id": 1, **made.of(kind, name)}
                answer = name.replace("Request", "Result")
                result = made.of(getattr(types, answer, types.EmptyResult), answer)
                response = {"jsonrpc": "2.0", "id": 1, "result": result}
                if kind in from_server:
                    yield made, post(f"{name} of the server", call, stream=[message, answered])
                    yield made, post(f"{name}'s answer", {**response, "id": 7}, "", status=202)
                else:
                    yield made, post(name, message, response)
                    yield made, post(f"{name} stream", message, stream=[response])
            elif name.endswith("Notification"):
                message = {"jsonrpc": "2.0", **made.of(kind, name)}
                yield made, post(name, message, "", status=202)
                yield made, post(f"{name} of the server", call, stream=[message, answered])


def by_client(package):
    """What the client of a package sends, each with the response that its method returns."""
    module, name, arguments = CLIENTS[package]
    client = getattr(importlib.import_module(module), name)(**arguments)
    for made in variants(6):
        for method, request, returned in client_calls.calls(client, made):
            sent = {
                "method": request.method,
                "host": request.url.host,
                "path": request.url.raw_path.decode(),
                "headers": {key: value for key, value in request.headers.items() if OF_CONTENT.match(key)},
                "body": request.content.decode(),
            }
            for kind, body in responses(made, method, returned):
                received = {"status": 200, "headers": {"content-type": kind}, "body": body}
                yield made, {"id": f"{package}'s {method}", "request": sent, "response": received}


# Headers that say how a request is read.
OF_CONTENT = re.compile("content-type|accept$|anthropic-|openai-")


def responses(made, method, returned):
    """Media type and body of what a method returns; each event of a stream by itself."""
    returned = samples.plain(returned)
    inner = typing.get_args(returned)
    name = getattr(typing.get_origin(returned) or returned, "__name__", "")
    if name not in STREAMS or not inner:
        value = made.of(returned, f"{method} response") if returned is not None else None
        yield ("application/json", json.dumps(value)) if isinstance(value, (dict, list)) else ("text/plain", "")
        return
    for kind in samples.alternatives(inner[0]):
        event = made.of(kind, f"{method} event {getattr(kind, '__name__', kind)}")
        # Mistral's types have the event around its data.
        event = event.get("data", event) if isinstance(event, dict) else event
        if isinstance(event, dict):
            yield "text/event-stream", server_sent(event)


def variants(count):
    return map(samples.Samples, range(count))


def only(exchange, word):
    """The exchange with the forbidden word in the place of this one, and harmless ones elsewhere."""

    def replace(body):
        return WORD.sub(lambda found: "forbidden" if found[0] == word else "plain", body)

    return {
        **exchange,
        "request": {**exchange["request"], "body": replace(exchange["request"]["body"])},
        "response": {**exchange["response"], "body": replace(exchange["response"]["body"])},
    }


def run(command, exchanges, *arguments):
    """What the command says of each exchange, by its id."""
    lines = "\n".join(json.dumps(each) for each in exchanges)
    output = subprocess.run(
        [command, *arguments, "--json"], input=lines, capture_output=True, text=True, check=True
    ).stdout
    said = [json.loads(line) for line in output.splitlines()]
    said = {each["id"]: each for each in said if "id" in each}
    assert said.keys() == {each["id"] for each in exchanges}
    return said


def exchanges(package):
    if package in CLIENTS:
        yield from by_client(package)
    if package in globals():
        yield from globals()[package]()


def main(command, packages):
    warnings.simplefilter("ignore")
    wholes = [each for package in packages for each in exchanges(package)]
    named = [{**whole, "id": str(at)} for at, (_, whole) in enumerate(wholes)]
    shown = run(command, named, "inspect")
    allowed = run(command, named, "replay", "--policy", str(NO_POLICY))
    refused = {}
    for (_, whole), exchange in zip(wholes, named):
        code = allowed[exchange["id"]].get("code")
        path = exchange["request"]["path"].split("?")[0]
        if code and code not in REFUSED and not (code == "AG2001" and IMPOSSIBLE.fullmatch(path)):
            refused.setdefault(f"{code}: {whole['id']} ({path})", exchange)
    for text in refused:
        print(f"refused with {text}")
    texts, left = set(), {}
    for (made, whole), exchange in zip(wholes, named):
        in_events = set(WORD.findall(json.dumps(shown[exchange["id"]]["events"])))
        for word in dict.fromkeys(WORD.findall(whole["request"]["body"] + whole["response"]["body"])):
            text = (whole["id"], made.members[word])
            if text not in texts and not NO_TEXT.search(made.members[word]):
                texts.add(text)
                if word not in in_events:
                    left[text] = {**only(whole, word), "id": str(len(left))}
    # Copies of what was in an event before are searched, but not shown once more.
    denied = run(command, list(left.values()), "replay", "--policy", str(POLICY))
    unseen = [text for text, exchange in left.items() if denied[exchange["id"]]["action"] == "allow"]
    for name, member in unseen:
        print(f"not seen in {name}: {member}")
    print(f"{len(texts)} texts, {len(unseen)} not seen; {len(named)} exchanges, {len(refused)} refused")
    return 1 if unseen or refused or not texts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
