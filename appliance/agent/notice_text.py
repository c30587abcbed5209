"""A notice's text as any dialog can show it: plain lines. Pure. Source: the manual, "Create packages" (Warn user).

Administrators may write tags (`<br/>`, `<b>`, `<i>`, `<u>`, `<p>`). What comes out has neither tags nor entities nor
control characters; how a dialog keeps it from being read as markup again is that dialog's business.
"""

from __future__ import annotations

import html
import re

MOST_READ = 16 * 1024  # characters of a text that are looked at; the builder lets 8 Ki pass
LONGEST = 2000  # characters of what comes out, and
MOST_LINES = 30  # a window higher than the screen hides its buttons
LONGEST_LINE = 80  # characters of a name

_TAG = re.compile(r"<!--|<(/?)([A-Za-z][A-Za-z0-9]*)(?=[\s/>])[^<>]*>")
_LINE_TAGS = frozenset({"br", "li", "tr", "dt", "dd", "div"})
_PARAGRAPH_TAGS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "hr", "blockquote", "pre"})
_UNREAD_TAGS = frozenset({"script", "style"})  # what is between them is not for people
# Control characters, those that turn the direction of writing, and halves of characters
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_SPACES = re.compile("[ \t\u00a0]+")


def plain(text: str) -> str:
    """The text without tags, entities decoded once, at most LONGEST characters in MOST_LINES lines.

    `a < b` is no tag and stays; `&lt;b&gt;` becomes `<b>` and stays as well: what was decoded is not read again.
    """
    pieces: list[str] = []
    text = text[:MOST_READ].replace("\r\n", "\n").replace("\r", "\n")
    at = 0
    unread = ""
    while True:
        tag = _TAG.search(text, at)
        between = text[at : tag.start()] if tag else text[at:]
        if not unread:
            pieces.append(html.unescape(between))
        if tag is None:
            return _bounded("".join(pieces))
        at = tag.end()
        if tag.group(2) is None:  # a comment
            end = text.find("-->", at)
            at = len(text) if end < 0 else end + 3
            continue
        name, closes = tag.group(2).lower(), tag.group(1) == "/"
        if unread:
            unread = "" if closes and name == unread else unread
        elif name in _UNREAD_TAGS and not closes:
            unread = name
        elif name in _PARAGRAPH_TAGS:
            pieces.append("\n\n")
        elif name in _LINE_TAGS and not (closes and name == "br"):
            if name == "br" and text.startswith("\n", at):
                at += 1  # `<br/>` at the end of a line is one end, not two
            pieces.append("\n")


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """A name as it may stand in a title: one line without control characters; tags in it are shown as they are."""
    line = _SPACES.sub(" ", _UNSAFE.sub("", text.replace("\n", " ").replace("\r", " "))).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def duration(seconds: int) -> str:
    """Seconds as people say them: `45 seconds`, `2 minutes`, `2 min 30 s`, `3 hours`."""
    minutes, rest = divmod(seconds, 60)
    hours, left = divmod(minutes, 60)
    if hours and not left and not rest:
        return f"{hours} hour{'s' * (hours != 1)}"
    if hours:
        return f"{hours} h {left} min"
    if minutes and rest:
        return f"{minutes} min {rest} s"
    if minutes:
        return f"{minutes} minute{'s' * (minutes != 1)}"
    return f"{seconds} second{'s' * (seconds != 1)}"


def _bounded(text: str) -> str:
    lines: list[str] = []
    for line in _UNSAFE.sub("", text).replace("\t", " ").split("\n"):
        line = _SPACES.sub(" ", line).strip()
        if line or (lines and lines[-1]):
            lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    cut = "\n".join(lines[:MOST_LINES])
    if len(lines) > MOST_LINES or len(cut) > LONGEST:
        return cut[: LONGEST - 2].rstrip() + " …"
    return cut
