"""A command's end of the socket."""

import os
import socket
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import from_json

from agent.control.requests import Request
from collectors.errors import LiniError

T = TypeVar("T")

_PATIENCE_S = 40.0  # more than the agent takes to say that it took too long
_MOST_BYTES = 64_000_000


class NoAgentError(LiniError):
    """No agent answers on this socket: none runs, or not with this configuration."""


class RefusedRequestError(LiniError):
    """The agent did not do it, and said why."""


def ask(path: Path, request: Request, into: type[T]) -> T:
    """Return the answer of the agent that listens at `path`, as a value of type `into`.

    Raises NoAgentError, or RefusedRequestError with the agent's own words.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE_S)
        _connect(connection, path)
        try:
            connection.sendall(request.model_dump_json().encode() + b"\n")
            answer = _line(connection)
        except OSError as error:
            raise RefusedRequestError(
                f"the agent did not answer: {error}", "see its log, and try again"
            ) from error
    try:
        told: dict[str, Any] = from_json(answer)
    except ValueError as error:
        raise RefusedRequestError("the agent's answer is cut off", "see its log") from error
    if "answer" not in told:
        raise RefusedRequestError(str(told.get("what")), str(told.get("hint", "")))
    return TypeAdapter(into).validate_python(told["answer"])


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except PermissionError as error:
        raise RefusedRequestError(
            f"{path}: only the user of the agent may ask it",
            "put `sudo` before the command",
        ) from error
    except OSError as error:
        raise NoAgentError(f"no agent listens at {path}", "start it with `lini run`") from error


def _line(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < _MOST_BYTES and (part := connection.recv(65536)):
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            break
    return b"".join(parts)
