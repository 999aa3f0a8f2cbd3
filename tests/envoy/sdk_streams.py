"""What the official packages of the providers make of streamed answers.

Usage: sdk_streams.py ADDRESS PACKAGE HTTP_VERSION < QUESTIONS

QUESTIONS is one JSON object a line: what was recorded of a request, {"path": …, "body": …}. Each is asked once, through
the package, with streaming. For each question one JSON object comes out:

    {"deltas": [text of each choice or block, put together from the pieces],
     "final":  [the same, as the package itself puts it together at the end],
     "tools":  [[name, arguments] of each tool call that the package hands to its caller],
     "finish": [why each choice ended]}

or {"raised": name of the exception, "message": its text}. Where a package has no helper that puts an answer together,
`final` is absent.
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
    return openai.OpenAI(base_url=f"http://{address}/v1", api_key="none", max_retries=0, http_client=http_client)


class OpenAiChat:
    def __init__(self, address, http_version):
        self.client = openai_client(address, http_version)

    def ask(self, path, body):
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
            "deltas": texts.list(),
            "final": said(choice.message.content for choice in final.choices),
            "tools": [
                [call.function.name, call.function.arguments]
                for choice in final.choices
                for call in choice.message.tool_calls or []
            ],
            "finish": [choice.finish_reason for choice in final.choices],
        }


class OpenAiResponses:
    def __init__(self, address, http_version):
        self.client = openai_client(address, http_version)

    def ask(self, path, body):
        body = {key: value for key, value in body.items() if key != "stream"}
        texts = Texts()
        with self.client.responses.stream(model=body["model"], input=body["input"], extra_body=body) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    texts.add((event.output_index, event.content_index), event.delta)
            final = stream.get_final_response()
        return {
            "deltas": texts.list(),
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
            base_url=f"http://{address}", api_key="none", max_retries=0, http_client=http_client
        )

    def ask(self, path, body):
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
            "deltas": texts.list(),
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

    def ask(self, path, body):
        from google.genai import types

        model = path.split("/models/")[1].split(":")[0]
        # What the caller of the package says goes in by its own road; the rest of the recorded body beside it.
        rest = {key: value for key, value in body.items() if key != "contents"}
        config = types.GenerateContentConfig(http_options=types.HttpOptions(extra_body=rest))
        contents = [types.Content.model_validate(content) for content in body["contents"]]
        texts, tools, finish = Texts(), [], {}
        for chunk in self.client.models.generate_content_stream(model=model, contents=contents, config=config):
            for at, candidate in enumerate(chunk.candidates or []):
                for part in (candidate.content and candidate.content.parts) or []:
                    if part.text and not part.thought:
                        texts.add(candidate.index or at, part.text)
                    if part.function_call:
                        tools.append([part.function_call.name, json.dumps(part.function_call.args)])
                if candidate.finish_reason:
                    finish[candidate.index or at] = candidate.finish_reason.value
        return {"deltas": texts.list(), "tools": tools, "finish": [finish[at] for at in sorted(finish)]}


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
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )

    def ask(self, path, body):
        model = urllib.parse.unquote(path.split("/model/")[1].split("/")[0])
        answer = self.client.converse_stream(modelId=model, **body)
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
            "deltas": texts.list(),
            "tools": [[names[index], arguments[index]] for index in sorted(names)],
            "finish": finish,
        }


class Ollama:
    def __init__(self, address, http_version):
        import ollama

        self.client = ollama.Client(host=f"http://{address}", trust_env=False, **client_options(http_version))

    def ask(self, path, body):
        texts, tools, finish = Texts(), [], []
        known = ("model", "messages", "tools", "think", "format", "options", "keep_alive")
        for chunk in self.client.chat(**{key: body[key] for key in known if key in body}, stream=True):
            texts.add(0, chunk.message.content)
            tools += [
                [call.function.name, json.dumps(dict(call.function.arguments))] for call in chunk.message.tool_calls or []
            ]
            if chunk.done:
                finish.append(chunk.done_reason)
        return {"deltas": texts.list(), "tools": tools, "finish": finish}


PACKAGES = {
    "openai.chat": OpenAiChat,
    "openai.responses": OpenAiResponses,
    "anthropic.messages": Anthropic,
    "gemini.generate": Gemini,
    "bedrock.converse": BedrockConverse,
    "ollama.chat": Ollama,
}


def main():
    address, package, http_version = sys.argv[1:]
    client = PACKAGES[package](address, http_version)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            result = client.ask(question["path"], question["body"])
        except Exception as error:  # whatever the caller of the package would have got
            result = {"raised": type(error).__name__, "message": str(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
