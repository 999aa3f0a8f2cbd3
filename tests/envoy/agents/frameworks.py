"""Agents of the common Python frameworks, each in a conversation of two turns.

Usage: frameworks.py ADDRESS DOUBLE < QUESTIONS

QUESTIONS is one JSON object a line: {"client": one of CLIENTS, "stream": whether answers stream, "say": the first thing that
the user says, "tools": what the model then calls}. The agent has two tools, `find_customer` and `delete_customer`. ADDRESS is
where it asks its model; DOUBLE is the provider's own, for what is set and asked of it beside. For each question one JSON
object comes out:

    {"answers": [what the agent says at last, in each turn],
     "ran":     [each tool that was executed],
     "refused": [what the provider refused, in its words],
     "raised":  what ended the agent, if something did, "message": its text}
"""

import asyncio
import json
import os
import sys
import urllib.request
import warnings

warnings.simplefilter("ignore")
for name in list(os.environ):
    if name.lower().endswith("_proxy"):
        del os.environ[name]
os.environ["GOOGLE_API_KEY"] = os.environ["OPENAI_API_KEY"] = "none"

ADDRESS, DOUBLE = (f"http://{address}" for address in sys.argv[1:])
RAN = []


def find_customer(name: str) -> str:
    """Finds a customer."""
    RAN.append("find_customer")
    return f"{name} is customer 7."


def delete_customer(name: str) -> str:
    """Deletes a customer."""
    RAN.append("delete_customer")
    return f"{name} is deleted."


TOOLS = [find_customer, delete_customer]


def double(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(DOUBLE + path, data) as answer:
        return json.load(answer)


def openai_agents(kind):
    async def converse(say, stream):
        import agents
        from openai import AsyncOpenAI

        agents.set_tracing_disabled(True)
        client = AsyncOpenAI(base_url=f"{ADDRESS}/v1", api_key="none")
        models = {"chat": agents.OpenAIChatCompletionsModel}
        model = models.get(kind, agents.OpenAIResponsesModel)(model="gpt-5", openai_client=client)
        agent = agents.Agent(name="agent", model=model, tools=[agents.function_tool(tool) for tool in TOOLS])
        options = {}
        if kind == "previous":
            options = {"auto_previous_response_id": True}
        elif kind == "conversation":
            options = {"conversation_id": double("/v1/conversations", {})["id"]}
        said = []
        for text in (say, "what now?"):
            asked = said + [{"role": "user", "content": text}]
            if stream:
                result = agents.Runner.run_streamed(agent, asked, **options)
                async for _ in result.stream_events():
                    pass
            else:
                result = await agents.Runner.run(agent, asked, **options)
            if kind == "previous":
                options = {**options, "previous_response_id": result.last_response_id}
            elif kind != "conversation":
                said = result.to_input_list()
            yield result.final_output

    return converse


def pydantic_model(kind):
    if kind in ("chat", "responses"):
        from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        model = OpenAIChatModel if kind == "chat" else OpenAIResponsesModel
        return model("gpt-5", provider=OpenAIProvider(base_url=f"{ADDRESS}/v1", api_key="none"))
    if kind == "anthropic":
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = AsyncAnthropic(base_url=ADDRESS, api_key="none")
        return AnthropicModel("claude-sonnet-4-5", provider=AnthropicProvider(anthropic_client=client))
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.providers.google import GoogleProvider

    return GoogleModel("gemini-3-pro-preview", provider=GoogleProvider(api_key="none", base_url=ADDRESS))


def pydantic(kind, settings=None):
    async def converse(say, stream):
        from pydantic_ai import Agent

        async def drain(_, events):
            async for _ in events:
                pass

        agent = Agent(pydantic_model(kind), tools=TOOLS, model_settings=settings, retries=0)
        history = None
        for text in (say, "what now?"):
            options = {"event_stream_handler": drain} if stream else {}
            result = await agent.run(text, message_history=history, **options)
            history = result.all_messages()
            yield result.output

    return converse


def langchain_model(kind, stream):
    if kind in ("chat", "responses", "previous"):
        from langchain_openai import ChatOpenAI

        options = {"use_responses_api": kind != "chat", "use_previous_response_id": kind == "previous"}
        return ChatOpenAI(model="gpt-5", base_url=f"{ADDRESS}/v1", api_key="none", streaming=stream, **options)
    if kind == "anthropic":
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model="claude-sonnet-4-5", base_url=ADDRESS, api_key="none", streaming=stream)
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(model="gemini-3-pro-preview", base_url=ADDRESS, api_key="none", streaming=stream)


def langchain(kind):
    async def converse(say, stream):
        from langchain.agents import create_agent

        agent = create_agent(langchain_model(kind, stream), TOOLS)
        said = []
        for text in (say, "what now?"):
            result = await agent.ainvoke({"messages": said + [{"role": "user", "content": text}]})
            said = result["messages"]
            yield said[-1].text

    return converse


async def react(say, stream):
    """LangChain's agent for models that can't call tools: it reads calls from what the model writes."""
    from langchain_classic.agents import AgentExecutor, create_react_agent
    from langchain_core.prompts import PromptTemplate
    from langchain_core.tools import tool

    prompt = PromptTemplate.from_template(
        "Use these tools: {tools}\nWrite\nThought: what to do\nAction: one of [{tool_names}]\nAction Input: its input\n"
        "or\nFinal Answer: the answer\n\nQuestion: {input}\nThought:{agent_scratchpad}"
    )
    tools = [tool(function) for function in TOOLS]
    agent = create_react_agent(langchain_model("chat", stream), tools, prompt)
    executor = AgentExecutor(agent=agent, tools=tools, handle_parsing_errors=True)
    for text in (say, "what now?"):
        yield (await executor.ainvoke({"input": text}))["output"]


async def google_genai(say, stream):
    """The package by itself, which calls functions and keeps a conversation."""
    from google import genai

    client = genai.Client(api_key="none", http_options={"base_url": ADDRESS})
    chat = client.aio.chats.create(model="gemini-3-pro-preview", config={"tools": TOOLS})
    for text in (say, "what now?"):
        if stream:
            said = [piece.text or "" async for piece in await chat.send_message_stream(text)]
            yield "".join(said)
        else:
            yield (await chat.send_message(text)).text


async def adk(say, stream):
    from google.adk.agents import LlmAgent
    from google.adk.agents.run_config import RunConfig, StreamingMode
    from google.adk.models import Gemini
    from google.adk.runners import InMemoryRunner
    from google.genai import types

    agent = LlmAgent(name="agent", model=Gemini(model="gemini-3-pro-preview", base_url=ADDRESS), tools=TOOLS)
    runner = InMemoryRunner(agent=agent, app_name="test")
    session = await runner.session_service.create_session(app_name="test", user_id="user")
    config = RunConfig(streaming_mode=StreamingMode.SSE if stream else StreamingMode.NONE)
    for text in (say, "what now?"):
        asked = types.Content(role="user", parts=[types.Part(text=text)])
        said = ""
        async for event in runner.run_async(
            user_id="user", session_id=session.id, new_message=asked, run_config=config
        ):
            if event.error_code:
                raise RuntimeError(f"{event.error_code}: {event.error_message}")
            if event.is_final_response() and event.content:
                said = "".join(part.text or "" for part in event.content.parts)
        yield said


def a2a(binding):
    async def converse(say, stream):
        import httpx
        from a2a.client import ClientConfig, ClientFactory
        from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Message, Part, Role, SendMessageRequest

        interface = AgentInterface(protocol_binding=binding, url=f"{ADDRESS}/a2a", protocol_version="1.0")
        card = AgentCard(
            name="agent", supported_interfaces=[interface], capabilities=AgentCapabilities(streaming=stream)
        )
        config = ClientConfig(
            streaming=stream, httpx_client=httpx.AsyncClient(), supported_protocol_bindings=[binding]
        )
        client = ClientFactory(config).create(card)
        message = Message(role=Role.ROLE_USER, message_id="m-1", parts=[Part(text=say)])
        async for event in client.send_message(SendMessageRequest(message=message)):
            yield str(event)

    return converse


CLIENTS = {
    "a2a HTTP+JSON": a2a("HTTP+JSON"),
    "a2a JSONRPC": a2a("JSONRPC"),
    "openai-agents responses": openai_agents("responses"),
    "openai-agents previous": openai_agents("previous"),
    "openai-agents conversation": openai_agents("conversation"),
    "openai-agents chat": openai_agents("chat"),
    "pydantic-ai chat": pydantic("chat"),
    "pydantic-ai responses": pydantic("responses"),
    "pydantic-ai previous": pydantic("responses", {"openai_previous_response_id": "auto"}),
    "pydantic-ai anthropic": pydantic("anthropic"),
    "pydantic-ai google": pydantic("google"),
    "langchain chat": langchain("chat"),
    "langchain responses": langchain("responses"),
    "langchain previous": langchain("previous"),
    "langchain anthropic": langchain("anthropic"),
    "langchain google": langchain("google"),
    "langchain react": react,
    "google-genai": google_genai,
    "google-adk": adk,
}


async def main():
    for line in sys.stdin:
        question = json.loads(line)
        double("/-/scenario", question["tools"])
        RAN.clear()
        result = {"answers": []}
        try:
            async with asyncio.timeout(240):
                async for answer in CLIENTS[question["client"]](question["say"], question["stream"]):
                    result["answers"].append(answer)
        except Exception as error:  # Whatever the framework's user would have got.
            result |= {"raised": type(error).__name__, "message": str(error)}
        result |= {"ran": list(RAN), "refused": double("/-/seen")}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    asyncio.run(main())
