"""
JSON files, with errors in Go's words and the place of the mistake.

Source: RFC 8259; the texts of Go's encoding/json.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from txconsul.language.goflags import quoted

__all__ = ["BadJSONText", "parse_json"]


class BadJSONText(ValueError):
    """The text is no JSON object."""


#: What Python says, and what Go says of the character at the same place.
_WORDS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}
#: Where in a text Python points, relative to the character that Go names.
_SHIFTED = {"Invalid \\escape": 1}


def parse_json(text: str) -> dict[str, Any]:
    """
    The object in a text. A null is an object without keys.

    @raise BadJSONText: there is none.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadJSONText(_message(text, error)) from None
    except RecursionError:
        raise BadJSONText("exceeded max depth") from None
    except ValueError as error:
        raise BadJSONText(str(error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        kinds = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
        kind = kinds[type(value)]
        raise BadJSONText(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"invalid character {_shown(word.lstrip('-')[0])} looking for beginning of value")


def _message(text: str, error: json.JSONDecodeError) -> str:
    message = error.msg.removesuffix(": ")
    at = error.pos + _SHIFTED.get(message, 0)
    place = f" (line {error.lineno}, column {error.colno})"
    while at < len(text) and text[at] in " \t\r\n" and message != "Invalid control character at":
        at += 1
    if at >= len(text) or message.startswith("Unterminated string"):
        return f"unexpected end of JSON input{place}"
    if message == "Expecting ',' delimiter":
        words = "after array element" if _in_array(text[: error.pos]) else "after object key:value pair"
    else:
        words = _WORDS.get(message, message)
    return f"invalid character {_shown(text[at])} {words}{place}"


def _in_array(text: str) -> bool:
    """Whether a correct beginning of JSON ends within an array."""
    opened, in_string, escaped = [], False, False
    for char in text:
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            opened.append(char)
        elif char in "]}" and opened:
            opened.pop()
    return bool(opened) and opened[-1] == "["


def _shown(char: str) -> str:
    """A character as Go's C{%q} shows it."""
    if char == "'":
        return "'\\''"
    return "'" + quoted(char)[1:-1].replace('\\"', '"') + "'"
