"""Text of administrators as dialogs show it: the manual's tags, and what hostile or careless ones contain."""

from __future__ import annotations

import pytest

from appliance.agent.notice_text import LONGEST, MOST_LINES, duration, one_line, plain


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Hello<br/>world", "Hello\nworld"),
        ("Hello<br>world<BR />again", "Hello\nworld\nagain"),
        ("one<br/>\ntwo", "one\ntwo"),
        ("<b>Firefox</b> is <i>about</i> to be <u>installed</u>.", "Firefox is about to be installed."),
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<ul><li>One</li><li>Two</li></ul>", "One\n\nTwo"),
        ("typed\r\nin two lines", "typed\nin two lines"),
        ("many     spaces\t&nbsp;here", "many spaces here"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("  \n\n ends are cut \n\n", "ends are cut"),
        ("", ""),
        ("<br/><p></p>", ""),
        # what is no tag stays
        ("a < b and c > d", "a < b and c > d"),
        ("1<2", "1<2"),
        ("mail <me@example.org>", "mail <me@example.org>"),
        ("unfinished <b", "unfinished <b"),
        # entities are decoded once, and what comes out is not read again
        ("caf&eacute; &amp; th&#233;", "café & thé"),
        ("&lt;b&gt;not bold&lt;/b&gt;", "<b>not bold</b>"),
        ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
        ("&#60;script&#62;x", "<script>x"),
        ("&unknown; &", "&unknown; &"),
        # other tags are taken out, with what is between them where it is for no person
        ('<a href="http://example.org/">here</a>', "here"),
        ("<script>alert(1)</script>Hi", "Hi"),
        ("<style>b { color: red }</style >Hi<script>", "Hi"),
        ("<SCRIPT>x<br/></b>y</script>Hi", "Hi"),
        ("<!-- hidden <b> -->Hi<!-- never closed", "Hi"),
        # characters that move a cursor, ring, or turn the text round
        ("\x1b[2JHi\x07", "[2JHi"),
        ("&#27;[2J&#x9b;2J&#8238;gpj.exe", "[2J›2Jgpj.exe"),
        ("a\u202eb\u2066c\u200bd\x00e\x7ff\x85g", "abcdefg"),
        ("half \ud800 character", "half character"),
    ],
)
def test_tags_and_entities_become_plain_lines(written: str, shown: str) -> None:
    assert plain(written) == shown


def test_a_long_text_is_cut_so_that_the_buttons_stay_on_the_screen() -> None:
    assert plain("word " * 5000).endswith(" …")
    assert len(plain("word " * 5000)) <= LONGEST
    many = plain("line<br/>" * 1000)
    assert len(many.splitlines()) == MOST_LINES
    assert many.endswith("…")
    assert plain("x" * LONGEST) == "x" * LONGEST


@pytest.mark.parametrize("evil", ["<", "<b", "<b ", "<!--", "&", "<script>", "<br/>", "</", "<a <a "])
def test_no_text_takes_long(evil: str) -> None:
    assert len(plain(evil * (1 << 20))) <= LONGEST  # a regular expression that goes back would never come to the end


def test_a_name_is_one_line_and_its_tags_are_shown_as_they_are() -> None:
    assert one_line("Media <b>player</b>\r\n\x1b[1m 2.0 ") == "Media <b>player</b> [1m 2.0"
    assert one_line("x" * 500) == "x" * 79 + "…"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"), (1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (90, "1 min 30 s"),
        (120, "2 minutes"), (3600, "1 hour"), (9999, "2 h 46 min"), (28800, "8 hours"),
    ],
)  # fmt: skip
def test_seconds_are_said_as_people_say_them(seconds: int, said: str) -> None:
    assert duration(seconds) == said
