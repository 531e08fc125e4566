"""What several commands take alike: times, and numbers in a row."""

from datetime import tzinfo

from collectors.errors import FixTheFileError


def time_ns(text: str, zone: tzinfo, *, form: str) -> int:
    """Return a time in ns since 1970, of `zone` if it names none. `form` shows how to write one."""
    from datetime import datetime

    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise FixTheFileError(f"`{text}` is no time", f"as {form}") from error
    return int((time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()) * 10**9


def span(text: str, *, fault: str) -> tuple[int, int]:
    """Return first and last of the numbers that are written as 17 or 17-96."""
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or len(text) > 30:
        raise FixTheFileError(f"`{text}` {fault}", "as 17, or 17-96")
    return int(first), int(last or first)
