"""Samples of the types of a package: every member that a type declares, with a word of its own in every text.

    >>> samples = Samples()
    >>> samples.of(TypedDict("Question", {"role": Literal["user"], "text": str}), "question")
    {'role': 'user', 'text': 'word00000 is said'}
    >>> samples.members
    {'word00000': 'question.text'}

Types are those that packages generate from the descriptions of their APIs: typed dictionaries, pydantic models, and the
shapes of botocore.
"""

import collections.abc
import datetime
import enum
import inspect
import json
import types
import typing

import pydantic
import typing_extensions

# Members inside members; types that contain themselves end after two of them.
DEPTH = 9
NESTED = 2


class Samples:
    """Samples with the alternative of this number for each union outside a list. Lists have all alternatives."""

    def __init__(self, alternative=0):
        self.alternative = alternative
        # Word of each text: the member that it is in.
        self.members = {}
        self.open = []

    def text(self, member):
        """A text with a word of its own, in JSON where the member is JSON by its name."""
        word = f"word{len(self.members):05}"
        self.members[word] = member
        # More than one word: a single one may be a code or a tier, which no rule searches.
        text = f"{word} is said"
        return json.dumps({"key": text}) if member.endswith(".arguments") else text

    def chosen(self, among):
        """The alternative of this number, or None of an empty list."""
        return among[self.alternative % len(among)] if among else None

    def of(self, kind, member, depth=0):
        """A value of this type, or None where it would contain itself once more."""
        if depth > DEPTH:
            return None
        kind = plain(kind)
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if is_file(kind):
            return ("notes.txt", self.text(f"{member}.file").encode(), "text/plain")
        if origin is typing.Literal:
            return self.chosen(inner)
        if is_union(kind):
            values = (self.of(self.turned(inner, at), member, depth) for at in range(len(inner)))
            return next((value for value in values if value is not None), None)
        if kind is str:
            return self.text(member)
        if kind in (int, float):
            return 1
        if kind is bool:
            return True
        if kind is bytes:
            return "AAAA"
        if kind is datetime.datetime:
            return "2026-01-01T00:00:00Z"
        if kind in (typing.Any, object) or isinstance(kind, typing.TypeVar):
            return {"any": self.text(f"{member}.any")}
        container = origin or kind
        if container in (dict, collections.abc.Mapping):
            return {"key": self.of(inner[1] if inner else str, f"{member}.*", depth + 1)}
        if typing_extensions.is_typeddict(container):
            hints = typing_extensions.get_type_hints(container, include_extras=True)
            return self.object(container, hints, member, depth)
        if inspect.isclass(container) and issubclass(container, enum.Enum):
            return self.chosen([each.value for each in container])
        if inspect.isclass(container) and issubclass(container, pydantic.BaseModel):
            fields = {
                field.serialization_alias or field.alias or name: field.annotation
                for name, field in container.model_fields.items()
            }
            return self.object(container, fields, member, depth)
        if inner:
            values = [self.of(each, f"{member}[]", depth + 1) for each in alternatives(inner[0])]
            return [value for value in values if value is not None]
        return None

    def turned(self, inner, at):
        """The alternative that is tried as this one: first the sample's own, then those behind it."""
        return inner[(self.alternative + at) % len(inner)]

    def object(self, kind, fields, member, depth):
        """A value for each of the members by their names, without those that would contain this type once more."""
        if self.open.count(kind) >= NESTED:
            return None
        self.open.append(kind)
        values = {name: self.of(hint, f"{member}.{name}", depth + 1) for name, hint in fields.items()}
        self.open.pop()
        return {name: value for name, value in values.items() if value is not None}

    def of_shape(self, shape, member, depth=0):
        """The same of a shape of botocore."""
        if depth > DEPTH or self.open.count(shape.name) >= NESTED:
            return None
        scalars = {"integer": 1, "long": 1, "float": 1, "double": 1, "boolean": True, "timestamp": 0, "blob": "e30="}
        if shape.type_name in scalars:
            return scalars[shape.type_name]
        if shape.type_name == "string":
            return self.chosen(shape.enum) if shape.enum else self.text(member)
        if getattr(shape, "is_document_type", False):
            return {"any": self.text(f"{member}.any")}
        self.open.append(shape.name)
        try:
            if shape.type_name == "map":
                return {"key": self.of_shape(shape.value, f"{member}.*", depth + 1)}
            if shape.type_name == "list":
                of_union = shape.member.members if is_tagged(shape.member) else {None: shape.member}
                values = (
                    (name, self.of_shape(each, f"{member}[]" + (f".{name}" if name else ""), depth + 1))
                    for name, each in of_union.items()
                )
                return [{name: value} if name else value for name, value in values if value is not None]
            inside = {
                name: each
                for name, each in shape.members.items()
                if "location" not in each.serialization
            }
            names = list(inside)
            if is_tagged(shape):
                names = [self.turned(names, at) for at in range(len(names))]
            values = {}
            for name in names:
                value = self.of_shape(inside[name], f"{member}.{name}", depth + 1)
                if value is not None:
                    values[name] = value
                if values and is_tagged(shape):
                    break
            return values or None
        finally:
            self.open.pop()


def is_tagged(shape):
    return getattr(shape, "is_tagged_union", False)


def is_union(kind):
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def is_file(kind):
    """Whether a file may be given: its content, a path to it, or a tuple of its name, content and media type."""
    return is_union(kind) and "os.PathLike" in str(kind) and "uple[" in str(kind)


# What stands for an argument that is left out, and what says only that a list of known values grows.
LEFT_OUT = {"NoneType", "NotGiven", "Omit", "Unset", "UnsetType", "UnrecognizedStr"}
UNKNOWN = (typing.Any, object)
UNKNOWN_VALUES = [(each,) for each in UNKNOWN]


def plain(kind):
    """The type without what says how it is written: Annotated, Required, NewType, an alias, a model with one member."""
    while True:
        origin = typing.get_origin(kind)
        if origin is typing.Annotated or origin in (typing_extensions.Required, typing_extensions.NotRequired):
            kind = typing.get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif hasattr(origin, "__value__"):
            # An alias with arguments, `Nullable[str]`.
            kind = origin.__value__[typing.get_args(kind)]
        elif hasattr(kind, "__value__"):
            kind = kind.__value__
        elif inspect.isclass(kind) and issubclass(kind, pydantic.RootModel):
            kind = kind.model_fields["root"].annotation
        elif is_union(kind) and (known := known_of(kind)) != typing.get_args(kind):
            kind = typing.Union[known]
        else:
            return kind


def known_of(union):
    """The alternatives of a union that say what it is, or all of them if none does."""
    inner = typing.get_args(union)
    inner = tuple(each for each in inner if getattr(each, "__name__", "") not in LEFT_OUT) or inner
    return tuple(each for each in inner if each not in UNKNOWN and typing.get_args(each)[1:] not in UNKNOWN_VALUES) or inner


def alternatives(kind):
    """All alternatives of a union, also of those in it."""
    kind = plain(kind)
    if not is_union(kind) or is_file(kind):
        return [kind]
    return [each for part in typing.get_args(kind) for each in alternatives(part)]
