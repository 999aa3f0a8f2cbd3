"""Requests that the client of a package sends: one for each of its methods, with every argument that the method declares.

    >>> for name, request, returned in calls(openai.OpenAI(api_key="none"), Samples()):
    ...     print(name, request.method, request.url.path, returned)
    audio.speech.create POST /v1/audio/speech <class 'openai...HttpxBinaryResponseContent'>

Nothing is sent: the package's HTTP library is stopped where it would open a connection.
"""

import contextlib
import importlib
import inspect
import re
import typing

import samples

# Libraries through which packages send, each with a class `Client`.
SENDERS = ["httpx", "httpx2"]
# Methods of clients that take a path, or that are about the client itself.
OF_THE_CLIENT = {"get", "post", "put", "patch", "delete", "request", "get_api_list", "copy", "close", "wait"}
# Members of resources that lead back to the client.
BACK = {"parent_ref", "sdk_configuration"}
# Methods that first send another request than their own.
NOT_FIRST = {"tokenize", "detokenize", "messages.batches.results", "beta.messages.batches.results"}
# Arguments about one call: its headers, time, retries; where others stand in for them.
OF_THE_CALL = re.compile(
    r"self|extra_(headers|query|body)|timeout\w*|betas|request_options|retries|server_url|http_headers|\w+_override"
    r"|idempotency_key|api_version"
)
# Resources inside resources.
DEPTH = 4
# Arguments that a method may refuse, one after the other.
REFUSED = 12


class Sent(BaseException):
    """The end of a call whose request is complete. Packages try again after any other exception."""

    def __init__(self, request):
        self.request = request


@contextlib.contextmanager
def stopped():
    """What is sent inside ends in `Sent`."""

    def send(_client, request, **_options):
        raise Sent(request)

    before = []
    for name in SENDERS:
        with contextlib.suppress(ImportError):
            client = importlib.import_module(name).Client
            before.append((client, client.send))
            client.send = send
    try:
        yield
    finally:
        for client, original in before:
            client.send = original


def calls(client, made):
    """Name, request and type of the response of each method that sends one, and of each of its overloads."""
    with stopped():
        for name, method, function in methods(client, package_of(client)):
            for overload in typing.get_overloads(function) or [function]:
                hints = hints_of(overload)
                request = sent_by(method, overload, hints, made, name)
                if request is not None:
                    request.read()
                    yield name, request, hints.get("return")


def package_of(value):
    return type(value).__module__.split(".")[0]


def methods(resource, package, path=(), seen=()):
    """Name, bound method and its function for each public method of a resource, and of the resources in it."""
    kind = type(resource)
    members = {*dir(kind), *vars(resource), *getattr(kind, "__annotations__", ()), *getattr(kind, "_sub_sdk_map", ())}
    for name in sorted(members):
        is_hidden = name.startswith(("_", "with_")) or name in BACK or (not path and name in OF_THE_CLIENT)
        if is_hidden or ".".join((*path, name)) in NOT_FIRST:
            continue
        declared = inspect.getattr_static(kind, name, None)
        if inspect.isfunction(declared):
            if not inspect.iscoroutinefunction(declared) and not name.endswith("_async"):
                yield ".".join((*path, name)), getattr(resource, name), declared
            continue
        try:
            inner = getattr(resource, name)
        except Exception:
            continue
        is_resource = package_of(inner) == package and not inspect.isroutine(inner) and not isinstance(inner, type)
        if is_resource and len(path) < DEPTH and type(inner) not in seen and hasattr(inner, "__dict__"):
            yield from methods(inner, package, (*path, name), (*seen, kind))


def hints_of(function):
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return dict(getattr(function, "__annotations__", {}))


def sent_by(method, function, hints, made, name):
    """The request that a method sends when it is called with a sample of each argument, or None if it sends none."""
    arguments = {}
    for parameter in inspect.signature(function).parameters.values():
        is_one = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if is_one and not OF_THE_CALL.fullmatch(parameter.name):
            try:
                value = argument(parameter, samples.plain(hints.get(parameter.name, str)), made, name)
            except NameError:
                # Some packages import the type of an argument only for type checkers.
                continue
            if value is not None:
                arguments[parameter.name] = value
    for _ in range(REFUSED):
        try:
            result = method(**arguments)
            if hasattr(result, "__enter__"):
                result.__enter__()
            elif inspect.isgenerator(result):
                next(result, None)
            return None
        except Sent as sent:
            return sent.request
        except Exception as error:
            named = [each for each in arguments if re.search(rf"\b{re.escape(each)}\b", str(error))]
            if not named:
                return None
            del arguments[named[0]]
    return None


def argument(parameter, kind, made, name):
    """A sample for one argument; an id where it is a part of the path."""
    is_of_path = parameter.default is parameter.empty and parameter.kind == parameter.POSITIONAL_OR_KEYWORD
    if re.fullmatch(r"(\w+_)?id", parameter.name) or (is_of_path and kind is str):
        return "id_1"
    return made.of(kind, f"{name} request.{parameter.name}")
