"""A double of the providers that keeps conversations and refuses what the real ones refuse.

Usage: provider.py       prints its port, and serves until it is killed

It speaks OpenAI's Responses and Chat, Anthropic's Messages and Gemini's generateContent, also in Code Assist's envelope, whole and
streamed. Its model calls the tools of the scenario when a user says "clean up" and they are offered, and answers anything else with a text. Before it does, it checks the
conversation as the provider would: the texts of its errors are the providers' own. `POST /-/scenario` takes the
tools to call as a JSON list, each a name or a name and its arguments, and forgets everything; `GET /-/seen` tells the errors that were answered since.
"""

import itertools
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARGUMENTS = {"name": "Ada"}
DONE = "All done."
# Google's word for a call that no model made: https://ai.google.dev/gemini-api/docs/thought-signatures
UNSIGNED = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}
# What gemini-cli asks of Code Assist beside content.
ACCOUNT = [
    "loadCodeAssist",
    "onboardUser",
    "fetchAdminControls",
    "listExperiments",
    "retrieveUserQuota",
    "recordCodeAssistMetrics",
]


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Double:
    def __init__(self):
        self.begin([])

    def begin(self, tools):
        self.tools = [(tool, ARGUMENTS) if isinstance(tool, str) else tuple(tool) for tool in tools]
        self.seen = []
        self.number = itertools.count(1)
        self.items = {}
        self.responses = {}
        self.conversations = {}

    def next(self, prefix, length=48):
        """An id as long as the provider's."""
        return f"{prefix}{next(self.number):0{length}x}"

    def plan(self, said, offered):
        """What the model calls after a user's text, each with its arguments; nothing after anything else."""
        if not said or "clean up" not in said:
            return []
        return [(name, arguments) for name, arguments in self.tools if name in offered]

    def write(self, said):
        """What the model writes: in the notation of ReAct the call that the question's scratchpad has no observation of."""
        prompt, _, question = said.rpartition("Question:")
        if "Action Input:" not in prompt:
            return DONE
        if "clean up" in question:
            for name, arguments in self.tools[question.count("Observation:") :]:
                return f"I clean up. Action: {name}\nAction Input: {arguments['name']}"
        return f"I am done.\nFinal Answer: {DONE}"


# ---- OpenAI Responses ------------------------------------------------------------------------------------------------

PREFIX = {"message": "msg", "function_call": "fc", "reasoning": "rs", "function_call_output": "fc"}


def text_of(content):
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [])


def responses(double, body):
    before = []
    if earlier := body.get("previous_response_id"):
        if earlier not in double.responses:
            raise Refused(400, f"Previous response with id '{earlier}' not found.")
        before = double.responses[earlier]
    conversation = body.get("conversation")
    if conversation := conversation.get("id") if isinstance(conversation, dict) else conversation:
        if conversation not in double.conversations:
            raise Refused(404, f"Conversation with id '{conversation}' not found.")
        before = double.conversations[conversation]
    asked = body["input"]
    if isinstance(asked, str):
        asked = [{"type": "message", "role": "user", "content": asked}]
    added = []
    for at, item in enumerate(asked):
        kind = item.get("type", "message")
        if kind == "item_reference":
            if item["id"] not in double.items:
                raise Refused(404, f"Item with id '{item['id']}' not found.")
            item = double.items[item["id"]]
        elif (id := item.get("id")) and kind in PREFIX:
            if not id.startswith(PREFIX[kind]):
                raise Refused(
                    400, f"Invalid 'input[{at}].id': '{id}'. Expected an ID that begins with '{PREFIX[kind]}'."
                )
            if len(id) > 64:
                raise Refused(400, f"Invalid 'input[{at}].id': string too long. Expected a maximum length of 64.")
        added.append(item)
    items = before + added
    check_items(items)
    last = items[-1]
    said = text_of(last.get("content")) if last.get("role") == "user" else None
    output = []
    tools = double.plan(said, {tool.get("name") for tool in body.get("tools", [])})
    if tools:
        output.append({"type": "reasoning", "id": double.next("rs_"), "summary": [], "encrypted_content": "c2VhbGVk"})
    for name, arguments in tools:
        output.append(
            {
                "type": "function_call",
                "id": double.next("fc_"),
                "call_id": double.next("call_", 24),
                "name": name,
                "arguments": json.dumps(arguments),
                "status": "completed",
            }
        )
    if not tools:
        part = {"type": "output_text", "text": DONE, "annotations": [], "logprobs": []}
        message = {"type": "message", "id": double.next("msg_"), "role": "assistant", "status": "completed"}
        output.append({**message, "content": [part]})
    response = {
        "id": double.next("resp_"),
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": earlier,
        "store": body.get("store") is not False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "top_p": 1.0,
        "usage": {
            "input_tokens": 5,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 8,
        },
    }
    if conversation:
        response["conversation"] = {"id": conversation}
        double.conversations[conversation] = items + output
    if response["store"]:
        double.responses[response["id"]] = items + output
        double.items |= {item["id"]: item for item in output}
    return response


def check_items(items):
    calls, answered, ids = {}, set(), set()
    for at, item in enumerate(items):
        kind = item.get("type", "message")
        if id := item.get("id"):
            if id in ids:
                raise Refused(400, f"Duplicate item found with id {id}. Remove duplicate items from your input and try again.")
            ids.add(id)
        if kind == "function_call":
            calls[item["call_id"]] = item
        elif kind == "function_call_output":
            if item["call_id"] not in calls:
                raise Refused(400, f"No tool call found for function call output with call_id {item['call_id']}.")
            answered.add(item["call_id"])
        elif kind == "reasoning":
            follows = items[at + 1] if at + 1 < len(items) else {}
            if follows.get("type", "message") != "function_call" and follows.get("role") != "assistant":
                raise Refused(
                    400, f"Item '{id}' of type 'reasoning' was provided without its required following item."
                )
    for call in calls:
        if call not in answered:
            raise Refused(400, f"No tool output found for function call {call}.")


def responses_stream(response):
    numbers = itertools.count()

    def event(kind, **members):
        data = {"type": kind, "sequence_number": next(numbers), **members}
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n"

    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(response["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        empty = {"message": {"content": []}, "function_call": {"arguments": ""}}.get(item["type"], {})
        status = {"status": "in_progress"} if "status" in item else {}
        yield event("response.output_item.added", output_index=index, item={**item, **empty, **status})
        if item["type"] == "function_call":
            for piece in (item["arguments"][:5], item["arguments"][5:]):
                yield event("response.function_call_arguments.delta", **at, delta=piece)
            yield event("response.function_call_arguments.done", **at, name=item["name"], arguments=item["arguments"])
        for number, part in enumerate(item.get("content") or []):
            place = {**at, "content_index": number}
            yield event("response.content_part.added", **place, part={**part, "text": ""})
            for piece in (part["text"][:3], part["text"][3:]):
                yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
            yield event("response.output_text.done", **place, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **place, part=part)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=response)


# ---- OpenAI Chat -----------------------------------------------------------------------------------------------------


def chat(double, body):
    waiting = []
    for at, message in enumerate(body["messages"]):
        role = message["role"]
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                raise Refused(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                )
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            raise Refused(
                400,
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            )
        calls = message.get("tool_calls")
        if calls == []:
            raise Refused(400, f"Invalid 'messages[{at}].tool_calls': empty array.")
        if role == "assistant" and not calls and message.get("content") is None and message.get("refusal") is None:
            raise Refused(400, f"Invalid value for 'messages[{at}].content': expected a string, got null.")
        waiting = [call["id"] for call in calls or []]
    if waiting:
        raise Refused(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        )
    last = body["messages"][-1]
    offered = {tool["function"]["name"] for tool in body.get("tools", [])}
    tools = double.plan(text_of(last["content"]) if last["role"] == "user" else None, offered)
    written = double.write(text_of(last["content"]))
    message = {"role": "assistant", "content": None if tools else written, "refusal": None}
    if tools:
        message["tool_calls"] = [
            {
                "id": double.next("call_", 24),
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in tools
        ]
    finish = "tool_calls" if tools else "stop"
    return {
        "id": double.next("chatcmpl-"),
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }


def chat_stream(answer):
    choice = answer["choices"][0]

    def chunk(delta, finish=None):
        data = {**answer, "object": "chat.completion.chunk", "usage": None}
        data["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        return f"data: {json.dumps(data)}\n\n"

    yield chunk({"role": "assistant", "content": None if "tool_calls" in choice["message"] else "", "refusal": None})
    for index, call in enumerate(choice["message"].get("tool_calls", [])):
        arguments = call["function"]["arguments"]
        yield chunk({"tool_calls": [{"index": index, **call, "function": {**call["function"], "arguments": ""}}]})
        for piece in (arguments[:5], arguments[5:]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    if text := choice["message"]["content"]:
        yield chunk({"content": text[:3]})
        yield chunk({"content": text[3:]})
    yield chunk({}, choice["finish_reason"])
    yield f"data: {json.dumps({**answer, 'object': 'chat.completion.chunk', 'choices': []})}\n\n"
    yield "data: [DONE]\n\n"


# ---- Anthropic Messages ----------------------------------------------------------------------------------------------


def messages(double, body):
    waiting = set()
    # Claude Code has the system speak between others.
    spoken = [message for message in body["messages"] if message["role"] != "system"]
    for at, message in enumerate(spoken):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            raise Refused(400, f"messages.{at}: all messages must have non-empty content")
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            raise Refused(400, "messages: text content blocks must be non-empty")
        for number, block in enumerate(blocks):
            if block["type"] == "tool_result":
                if block["tool_use_id"] not in waiting:
                    raise Refused(
                        400,
                        f"messages.{at}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks: "
                        f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block in "
                        "the previous message.",
                    )
                waiting.discard(block["tool_use_id"])
        check_uses(at - 1, waiting)
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
    check_uses(len(spoken) - 1, waiting)
    last = spoken[-1]
    content = last["content"]
    texts = content if isinstance(content, str) else text_of([block for block in content if block["type"] == "text"])
    offered = {tool["name"] for tool in body.get("tools", [])}
    tools = double.plan(texts if last["role"] == "user" else None, offered)
    blocks = [
        {"type": "tool_use", "id": double.next("toolu_", 24), "name": name, "input": arguments, "caller": {"type": "direct"}}
        for name, arguments in tools
    ]
    return {
        "id": double.next("msg_"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks or [{"type": "text", "text": DONE}],
        "stop_reason": "tool_use" if tools else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 3},
    }


def check_uses(at, waiting):
    if waiting:
        raise Refused(
            400,
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(waiting)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        )


def messages_stream(answer):
    def event(kind, **members):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n"

    yield event("message_start", message={**answer, "content": [], "stop_reason": None})
    for index, block in enumerate(answer["content"]):
        if block["type"] == "tool_use":
            yield event("content_block_start", index=index, content_block={**block, "input": {}})
            text = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", text[:5], text[5:])]
        else:
            yield event("content_block_start", index=index, content_block={**block, "text": ""})
            deltas = [{"type": "text_delta", "text": piece} for piece in (block["text"][:3], block["text"][3:])]
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    stop = {"stop_reason": answer["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=stop, usage=answer["usage"])
    yield event("message_stop")


# ---- Gemini ----------------------------------------------------------------------------------------------------------


def gemini(double, body):
    contents = body["contents"]
    expected = 0
    turn = max((at for at, content in enumerate(contents) if is_said(content)), default=0)
    for at, content in enumerate(contents):
        parts = content.get("parts") or []
        if not parts:
            raise Refused(400, f"* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.")
        answers = sum("functionResponse" in part for part in parts)
        if answers != expected:
            raise Refused(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn.",
            )
        calls = [part for part in parts if "functionCall" in part]
        expected = len(calls)
        for number, part in enumerate(calls):
            signature = part.get("thoughtSignature")
            name = part["functionCall"]["name"]
            if not signature and number == 0 and at > turn:
                raise Refused(400, f"Function call is missing a thought_signature in functionCall parts. ({name})")
            if signature and signature not in double.items and signature not in UNSIGNED:
                raise Refused(400, "Corrupted thought signature.")
    if expected:
        raise Refused(400, "Please ensure that function call turn comes immediately before a function response turn.")
    last = contents[-1]
    said = " ".join(part.get("text", "") for part in last["parts"]) if last.get("role", "user") == "user" else None
    declared = [tool.get("functionDeclarations", []) for tool in body.get("tools", [])]
    offered = {declaration["name"] for declaration in itertools.chain(*declared)}
    calls = double.plan(said, offered)
    parts = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in calls]
    if parts:
        # Of calls beside each other only the first is signed.
        parts[0]["thoughtSignature"] = double.next("c2lnbmF0dXJl")
        double.items[parts[0]["thoughtSignature"]] = parts[0]
    return {
        "candidates": [
            {"index": 0, "content": {"role": "model", "parts": parts or [{"text": DONE}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
        "modelVersion": "gemini-3-pro",
        "responseId": double.next("r"),
    }


def is_said(content):
    return content.get("role", "user") == "user" and any("text" in part for part in content.get("parts") or [])


def gemini_stream(answer):
    candidate = answer["candidates"][0]
    parts = candidate["content"]["parts"]
    if "text" in parts[0]:
        parts = [{"text": DONE[:3]}, {"text": DONE[3:]}]
    for number, part in enumerate(parts):
        piece = {"index": 0, "content": {"role": "model", "parts": [part]}}
        if number == len(parts) - 1:
            piece["finishReason"] = "STOP"
        yield f"data: {json.dumps({**answer, 'candidates': [piece]})}\r\n\r\n"


def code_assist(double, body):
    return {"response": gemini(double, body["request"]), "traceId": double.next("t")}


def code_assist_stream(answer):
    for piece in gemini_stream(answer["response"]):
        frame = {"response": json.loads(piece.removeprefix("data: ")), "traceId": answer["traceId"]}
        yield f"data: {json.dumps(frame)}\r\n\r\n"


def account(double, body):
    return {"currentTier": {"id": "standard-tier", "name": "Standard"}, "cloudaicompanionProject": "p-1"}


# ---- HTTP ------------------------------------------------------------------------------------------------------------


def openai_error(status, message):
    return {"error": {"message": message, "type": "invalid_request_error", "param": "input", "code": None}}


def anthropic_error(status, message):
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}, "request_id": "req_1"}


def gemini_error(status, message):
    return {"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double = Double()

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/-/seen":
            return self.reply(200, self.double.seen)
        self.reply(404, openai_error(404, "Not found."))

    do_HEAD = do_GET

    def do_POST(self):
        body = json.loads(self.body() or b"null")
        path = self.path.split("?")[0]
        double = self.double
        if path == "/-/scenario":
            double.begin(body)
            return self.reply(200, {})
        if path == "/v1/conversations":
            id = double.next("conv_")
            double.conversations[id] = []
            return self.reply(200, {"id": id, "object": "conversation", "created_at": 1, "metadata": {}})
        routes = [
            ("/responses", responses, responses_stream, openai_error),
            ("/chat/completions", chat, chat_stream, openai_error),
            ("/messages", messages, messages_stream, anthropic_error),
            ("/v1internal:generateContent", code_assist, None, gemini_error),
            ("/v1internal:streamGenerateContent", code_assist, code_assist_stream, gemini_error),
            (":generateContent", gemini, None, gemini_error),
            (":streamGenerateContent", gemini, gemini_stream, gemini_error),
            *((f"/v1internal:{verb}", account, None, gemini_error) for verb in ACCOUNT),
        ]
        answer, stream, error = next((rest for end, *rest in routes if path.endswith(end)), (None, None, openai_error))
        try:
            if not answer:
                raise Refused(404, f"Invalid URL (POST {path})")
            answered = answer(double, body)
        except Refused as refused:
            double.seen.append(str(refused))
            return self.reply(refused.status, error(refused.status, str(refused)))
        if not (body.get("stream") or stream in (gemini_stream, code_assist_stream)):
            return self.reply(200, answered)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in stream(answered):
            self.wfile.write(f"{len(piece.encode()):x}\r\n{piece}\r\n".encode())
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    sys.stdout.flush()
    server.serve_forever()
