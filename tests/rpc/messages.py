# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages of the RPC, as schema/rpc.proto has them."""

import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMA = os.path.join(TOP, "schema", "rpc.proto")


class Failure(Exception):
    pass


def read_schema():
    """({message: {field: (number, type, repeated)}}, {enum: {name: number}})"""
    messages, enums, inside = {}, {}, None
    with open(SCHEMA, encoding="utf-8") as file:
        for line in file:
            begin = re.match(r"(message|enum) (\w+) {", line)
            field = re.match(r"\t(\w+) (\w+) (\w+) = (\d+)", line)
            value = re.match(r"\t(\w+) = (\d+);", line)
            if begin:
                inside = (messages if begin.group(1) == "message" else enums).setdefault(
                    begin.group(2), {})
            elif field:
                inside[field.group(3)] = (int(field.group(4)), field.group(2),
                                          field.group(1) == "repeated")
            elif value:
                inside[value.group(1)] = int(value.group(2))
    return messages, enums


MESSAGES, ENUMS = read_schema()
TYPES = ENUMS["criu_req_type"]


def varint(number):
    number &= (1 << 64) - 1
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def pack(message, **fields):
    """A message; a field's value is a number, a text, a dictionary or a list of these."""
    out = b""
    for name, values in fields.items():
        number, kind, _ = MESSAGES[message][name]
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, (str, dict)):
                content = value.encode() if isinstance(value, str) else pack(kind, **value)
                out += varint(number << 3 | 2) + varint(len(content)) + content
            else:
                out += varint(number << 3) + varint(int(value))
    return out


def take_varint(data):
    number = shift = 0
    for i, byte in enumerate(data):
        number |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return number, data[i + 1:]
    raise Failure("an answer ends in a number")


def unpack(message, data):
    rows = {number: (name, kind) for name, (number, kind, _) in MESSAGES[message].items()}
    found = {}
    while data:
        key, data = take_varint(data)
        name, kind = rows[key >> 3]
        if key & 7 == 2:
            length, data = take_varint(data)
            content, data = data[:length], data[length:]
            found[name] = content.decode() if kind == "string" else unpack(kind, content)
        else:
            number, data = take_varint(data)
            if kind == "int32" and number >> 63:
                number -= 1 << 64
            found[name] = number
    return found
