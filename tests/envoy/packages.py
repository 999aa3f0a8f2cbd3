"""What the official Python packages of the providers make of answers.

Usage: packages.py FORMAT < LINES

A line is {"address": …, "http": "1.1" or "2", "questions": [a request {"path": …, "body": …, "stream": whether its answer
streams}]}. Each is asked once, by one client of the package for that format. For each line comes out a list with one object
for each question:

    {"texts":  [text of each choice or block; of a stream, put together from the pieces],
     "final":  [of a stream, the same, as the package itself puts it together at the end],
     "tools":  [[name, arguments] of each tool call that the package hands to its caller],
     "finish": [why each choice ended]}

or {"raised": name of the exception, "message": its text}. Where a package has no helper that puts an answer together,
`final` is absent. Of an answer in one piece, a refusal is a text, too. packages.cjs does the same with the npm packages.
"""

import collections
import json
import sys
import urllib.parse


class Texts:
    """Texts that come in pieces, each under a key, in the order in which they began."""

    def __init__(self):
        self.pieces = {}

    def add(self, key, piece):
        if piece:
            self.pieces.setdefault(key, []).append(piece)

    def list(self):
        return ["".join(self.pieces[key]) for key in sorted(self.pieces)]


def said(texts):
    """Empty texts say nothing, whether they are there or not."""
    return [text for text in texts if text]


def client_options(http_version):
    if http_version == "2":
        return {"http1": False, "http2": True}
    return {}


def openai_client(address, http_version):
    import httpx
    import openai

    http_client = httpx.Client(trust_env=False, **client_options(http_version))
    return openai.OpenAI(base_url=f"http://{address}/v1", api_key="none", http_client=http_client)


class OpenAiChat:
    def __init__(self, address, http_version):
        self.client = openai_client(address, http_version)

    def stream(self, path, body):
        body = {key: value for key, value in body.items() if key != "stream"}
        texts = Texts()
        with self.client.chat.completions.stream(
            model=body["model"], messages=body["messages"], extra_body=body
        ) as stream:
            for event in stream:
                if event.type == "chunk":
                    for choice in event.chunk.choices:
                        texts.add(choice.index, choice.delta.content)
            final = stream.get_final_completion()
        return {
            "texts": texts.list(),
            "final": said(choice.message.content for choice in final.choices),
            "tools": [
                [call.function.name, call.function.arguments]
                for choice in final.choices
                for call in choice.message.tool_calls or []
            ],
            "finish": [choice.finish_reason for choice in final.choices],
        }

    def whole(self, path, body):
        answer = self.client.chat.completions.create(**body)
        return {
            "texts": said(choice.message.content or choice.message.refusal for choice in answer.choices),
            "tools": [
                [call.function.name, call.function.arguments]
                for choice in answer.choices
                for call in choice.message.tool_calls or []
            ],
            "finish": [choice.finish_reason for choice in answer.choices],
        }


class OpenAiResponses:
    def __init__(self, address, http_version):
        self.client = openai_client(address, http_version)

    def whole(self, path, body):
        answer = self.client.responses.create(**body)
        return {
            "texts": said(
                part.text if part.type == "output_text" else part.refusal
                for item in answer.output
                if item.type == "message"
                for part in item.content
            ),
            "tools": [[item.name, item.arguments] for item in answer.output if item.type == "function_call"],
            "finish": [answer.status],
        }

    def stream(self, path, body):
        body = {key: value for key, value in body.items() if key != "stream"}
        texts = Texts()
        with self.client.responses.stream(model=body["model"], input=body["input"], extra_body=body) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    texts.add((event.output_index, event.content_index), event.delta)
            final = stream.get_final_response()
        return {
            "texts": texts.list(),
            "final": said(
                part.text
                for item in final.output
                if item.type == "message"
                for part in item.content
                if part.type == "output_text"
            ),
            "tools": [[item.name, item.arguments] for item in final.output if item.type == "function_call"],
            "finish": [final.status],
        }


class Anthropic:
    def __init__(self, address, http_version):
        import anthropic
        import httpx2

        http_client = httpx2.Client(trust_env=False, **client_options(http_version))
        self.client = anthropic.Anthropic(
            base_url=f"http://{address}", api_key="none", http_client=http_client
        )

    def whole(self, path, body):
        answer = self.client.messages.create(**body)
        return {
            "texts": said(block.text for block in answer.content if block.type == "text"),
            "tools": [[block.name, json.dumps(block.input)] for block in answer.content if block.type == "tool_use"],
            "finish": [answer.stop_reason],
        }

    def stream(self, path, body):
        body = {key: value for key, value in body.items() if key != "stream"}
        texts = Texts()
        with self.client.messages.stream(
            model=body["model"], messages=body["messages"], max_tokens=body["max_tokens"], extra_body=body
        ) as stream:
            for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    texts.add(event.index, event.delta.text)
            final = stream.get_final_message()
        return {
            "texts": texts.list(),
            "final": said(block.text for block in final.content if block.type == "text"),
            "tools": [[block.name, json.dumps(block.input)] for block in final.content if block.type == "tool_use"],
            "finish": [final.stop_reason],
        }


class Gemini:
    def __init__(self, address, http_version):
        from google import genai
        from google.genai import types

        self.client = genai.Client(
            api_key="none",
            http_options=types.HttpOptions(
                base_url=f"http://{address}",
                client_args={"trust_env": False, **client_options(http_version)},
            ),
        )

    def asked(self, path, body):
        from google.genai import types

        # What the caller of the package says goes in by its own road; the rest of the body beside it.
        rest = {key: value for key, value in body.items() if key != "contents"}
        return {
            "model": path.split("/models/")[1].split(":")[0],
            "contents": [types.Content.model_validate(content) for content in body["contents"]],
            "config": types.GenerateContentConfig(http_options=types.HttpOptions(extra_body=rest)),
        }

    def stream(self, path, body):
        return self.told(self.client.models.generate_content_stream(**self.asked(path, body)))

    def whole(self, path, body):
        return self.told([self.client.models.generate_content(**self.asked(path, body))])

    def told(self, answers):
        texts, tools, finish = Texts(), [], {}
        for answer in answers:
            for at, candidate in enumerate(answer.candidates or []):
                for part in (candidate.content and candidate.content.parts) or []:
                    if part.text and not part.thought:
                        texts.add(candidate.index or at, part.text)
                    if part.function_call:
                        tools.append([part.function_call.name, json.dumps(part.function_call.args)])
                if candidate.finish_reason:
                    finish[candidate.index or at] = candidate.finish_reason.value
        return {"texts": texts.list(), "tools": tools, "finish": [finish[at] for at in sorted(finish)]}


class BedrockConverse:
    def __init__(self, address, http_version):
        import boto3
        from botocore.config import Config

        self.client = boto3.client(
            "bedrock-runtime",
            endpoint_url=f"http://{address}",
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=Config(proxies={}),
        )

    def whole(self, path, body):
        answer = self.client.converse(modelId=self.model(path), **body)
        blocks = answer["output"]["message"]["content"]
        calls = [block["toolUse"] for block in blocks if "toolUse" in block]
        return {
            "texts": said(block.get("text") for block in blocks),
            "tools": [[call["name"], json.dumps(call["input"])] for call in calls],
            "finish": [answer["stopReason"]],
        }

    def model(self, path):
        return urllib.parse.unquote(path.split("/model/")[1].split("/")[0])

    def stream(self, path, body):
        answer = self.client.converse_stream(modelId=self.model(path), **body)
        texts, arguments, names, finish = Texts(), collections.defaultdict(str), {}, []
        for event in answer["stream"]:
            if "contentBlockStart" in event:
                start = event["contentBlockStart"]
                if "toolUse" in start["start"]:
                    names[start["contentBlockIndex"]] = start["start"]["toolUse"]["name"]
            if "contentBlockDelta" in event:
                block = event["contentBlockDelta"]
                delta = block["delta"]
                if "text" in delta:
                    # Some models put each delta in a block of its own.
                    texts.add(0, delta["text"])
                if "toolUse" in delta:
                    arguments[block["contentBlockIndex"]] += delta["toolUse"]["input"]
            if "messageStop" in event:
                finish.append(event["messageStop"]["stopReason"])
        return {
            "texts": texts.list(),
            "tools": [[names[index], arguments[index]] for index in sorted(names)],
            "finish": finish,
        }


class Ollama:
    def __init__(self, address, http_version):
        import ollama

        self.client = ollama.Client(host=f"http://{address}", trust_env=False, **client_options(http_version))

    def stream(self, path, body):
        return self.told(self.client.chat(**self.asked(body), stream=True))

    def whole(self, path, body):
        return self.told([self.client.chat(**self.asked(body))])

    def asked(self, body):
        known = ("model", "messages", "tools", "think", "format", "options", "keep_alive")
        return {key: body[key] for key in known if key in body}

    def told(self, answers):
        texts, tools, finish = Texts(), [], []
        for answer in answers:
            texts.add(0, answer.message.content)
            for call in answer.message.tool_calls or []:
                tools.append([call.function.name, json.dumps(dict(call.function.arguments))])
            if answer.done:
                finish.append(answer.done_reason)
        return {"texts": texts.list(), "tools": tools, "finish": finish}


PACKAGES = {
    "openai.chat": OpenAiChat,
    "openai.responses": OpenAiResponses,
    "anthropic.messages": Anthropic,
    "gemini.generate": Gemini,
    "bedrock.converse": BedrockConverse,
    "ollama.chat": Ollama,
}


def ask(client, question):
    try:
        return (client.stream if question["stream"] else client.whole)(question["path"], question["body"])
    except Exception as error:  # whatever the caller of the package would have got
        return {"raised": type(error).__name__, "message": str(error)}


def main():
    package = PACKAGES[sys.argv[1]]
    for line in sys.stdin:
        asked = json.loads(line)
        client = package(asked["address"], asked["http"])
        print(json.dumps([ask(client, question) for question in asked["questions"]]), flush=True)


if __name__ == "__main__":
    main()
