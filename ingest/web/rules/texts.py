"""Files of rules as texts. Pure."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def decoded_text(body: bytes) -> str:
    """Return a file's text: UTF-8, as the standards say, or UTF-16 where its first bytes say so.

    Some editors write that, and their owners would be heard by nobody. Bytes that are neither
    become replacement characters.
    """
    encoding = "utf-16" if body.startswith(_UTF_16) else "utf-8-sig"
    return body.decode(encoding, errors="replace")
