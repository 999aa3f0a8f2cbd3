"""What the official openai package makes of our answers.

Usage: sdk.py < LINES

A line is {"base_url": …, "question": name of a question}. For each comes out what the caller of the package gets, as one
JSON object.
"""

import json
import sys

import openai

QUESTIONS = {
    "hello": {"messages": [{"role": "user", "content": "hello"}]},
    "forbidden": {"messages": [{"role": "user", "content": "the forbidden word"}]},
    "no model": {"messages": [{"role": "user", "content": "hello"}], "model": 5},
    "tools": {
        "messages": [{"role": "user", "content": "do it"}],
        "tools": [
            {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
            for name in ("get_customer", "delete_customer")
        ],
    },
    "forced": {
        "messages": [{"role": "user", "content": "do it"}],
        "tools": [
            {"type": "function", "function": {"name": "delete_customer", "parameters": {"type": "object"}}}
        ],
        "tool_choice": "required",
    },
    "stream": {"messages": [{"role": "user", "content": "hello"}], "stream": True},
}


def told(completion):
    choice = completion.choices[0]
    message = choice.message
    return {
        "id": completion.id,
        "finish_reason": choice.finish_reason,
        "role": message.role,
        "content": message.content,
        "refusal": message.refusal,
        "tool_calls": [call.function.name for call in message.tool_calls or []],
        "usage": completion.usage and completion.usage.total_tokens,
    }


def ask(base_url, name):
    client = openai.OpenAI(base_url=base_url, api_key="none", max_retries=2)
    question = {"model": "gpt-4o", **QUESTIONS[name]}
    try:
        answer = client.chat.completions.create(**question)
        if question.get("stream"):
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
            result = {"content": text}
        else:
            result = told(answer)
    except openai.APIStatusError as error:
        result = {
            "raised": type(error).__name__,
            "status": error.status_code,
            "message": error.message,
            "code": error.code,
            "type": error.type,
            "agentguard": error.body.get("agentguard"),
            "headers": {k: v for k, v in error.response.headers.items() if k.startswith("x-agentguard-")},
        }
    return result


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(ask(asked["base_url"], asked["question"])), flush=True)


if __name__ == "__main__":
    main()
