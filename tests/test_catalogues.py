"""The console's languages are complete: what can be said is in the catalogue, translated, with the same places."""

from __future__ import annotations

import gettext
import io
from pathlib import Path

import catalogues
import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po

SOURCES = sorted(catalogues.LOCALES.glob("*/LC_MESSAGES/*.po"))
each_language = pytest.mark.parametrize("source", SOURCES, ids=[path.parts[-3] for path in SOURCES])


@pytest.fixture(scope="module")
def texts() -> Catalog:
    """All that the sources, templates and tables can say."""
    return catalogues.extracted()


def texts_of(catalogue: Catalog) -> set[catalogues.Key]:
    """A catalogue's texts; singular and plural are one entry."""
    return {m.id if isinstance(m.id, tuple) else (m.id,) for m in catalogue if m.id}


def held(source: Path) -> Catalog:
    """A .po file as Babel reads it, which does not believe in what our own reader skips."""
    return read_po(io.BytesIO(source.read_bytes()), abort_invalid=True)


def test_there_is_a_spanish_catalogue() -> None:
    assert [path.relative_to(catalogues.LOCALES).as_posix() for path in SOURCES] == ["es/LC_MESSAGES/console.po"]


@each_language
def test_the_catalogue_misses_no_text_and_holds_no_stale_one(source: Path, texts: Catalog) -> None:
    there, wanted = texts_of(held(source)), texts_of(texts)
    advice = "run `python3 build/make.py words`, then translate"
    assert not wanted - there, f"missing: {advice}"
    assert not there - wanted, f"stale: {advice}"


@each_language
def test_every_text_is_translated(source: Path) -> None:
    translated = catalogues.read(source.read_text(encoding="utf-8"))
    assert sorted(texts_of(held(source)) - set(translated)) == []


@each_language
def test_no_translation_is_fuzzy(source: Path) -> None:
    assert [message.id for message in held(source) if message.id and message.fuzzy] == []


@each_language
def test_a_translation_has_the_places_of_its_text_and_begins_and_ends_alike(source: Path) -> None:
    for key, told in catalogues.read(source.read_text(encoding="utf-8")).items():
        if key == ("",):
            continue
        allowed = [catalogues.places(text) for text in key]
        for text in told:
            assert catalogues.places(text) in allowed, (key, text)
            first = key[0]
            assert (text[:1].isspace(), text[-1:].isspace()) == (first[:1].isspace(), first[-1:].isspace()), key
            assert (text[-1] == ".") == (first[-1] == "."), (key, text)


@each_language
def test_the_file_is_as_make_py_words_writes_it(source: Path, texts: Catalog) -> None:
    text = source.read_text(encoding="utf-8")
    assert catalogues.updated(source.parts[-3], text, held(source)) == text, "run `python3 build/make.py words`"


PO = (
    catalogues.HEADER.format(language="es")
    + r"""
# said by a person
msgid "Build"
msgstr "Generar"

#, python-brace-format
msgid ""
"{name!r} is \"taken\"; "
"choose another."
msgstr ""
"{name!r} ya existe;\n"
"elija otro."

msgid "%(n)s computer"
msgid_plural "%(n)s computers"
msgstr[0] "%(n)s ordenador"
msgstr[1] "%(n)s ordenadores"

msgid "Not yet"
msgstr ""

#, fuzzy
msgid "Perhaps"
msgstr "Quizás"
"""
)


def test_what_is_compiled_is_what_gettext_reads() -> None:
    made = catalogues.machine(catalogues.read(PO))
    spanish = gettext.GNUTranslations(io.BytesIO(made))
    assert spanish.gettext("Build") == "Generar"
    assert spanish.gettext('{name!r} is "taken"; choose another.') == "{name!r} ya existe;\nelija otro."
    plural = ("%(n)s computer", "%(n)s computers")
    assert [spanish.ngettext(*plural, n) for n in (1, 0, 2)] == ["%(n)s ordenador"] + 2 * ["%(n)s ordenadores"]
    assert spanish.gettext("Not yet") == "Not yet"
    assert spanish.gettext("Perhaps") == "Perhaps"
    assert "charset=utf-8" in spanish.gettext("")
    assert made == catalogues.machine(dict(reversed(catalogues.read(PO).items())))


def test_our_reader_and_babel_agree_on_every_line() -> None:
    for text in [PO, *(path.read_text(encoding="utf-8") for path in SOURCES)]:
        read = catalogues.read(text)
        for message in read_po(io.BytesIO(text.encode()), abort_invalid=True):
            key = message.id if isinstance(message.id, tuple) else (message.id,)
            said = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
            if message.id and all(said) and not message.fuzzy:
                assert read[key] == tuple(said)
            elif message.id:
                assert key not in read


def test_an_update_keeps_what_was_translated_drops_what_is_gone_and_guesses_nothing() -> None:
    texts = Catalog()
    for text in ("Build", "Builds", "Not yet"):
        texts.add(text)
    after = catalogues.updated("es", PO, texts)
    read = catalogues.read(after)
    assert (read["Build",], texts_of(texts)) == (("Generar",), {("Build",), ("Builds",), ("Not yet",)})
    assert set(read) == {("",), ("Build",)}
    assert "fuzzy" not in after
    assert "taken" not in after
    assert catalogues.updated("es", after, texts) == after


def test_texts_are_found_in_calls_within_calls_in_both_branches_and_in_pieces() -> None:
    source = b"""
raise invalid("name", "{name!r} is taken; "
              "choose another.", name=name)
visit.go(address("/x", a="no text"), visit.say("one") if a else N_("two"))
return self.page("packages.html", Page(ngettext("{n} file", "{n} files", n)))
visit.say(variable, "no text")
visit.go(f"/packages/{package}", "built" if fresh else "built again")
"""
    found = [text for _, _, text, _ in catalogues.calls(io.BytesIO(source), catalogues.KEYWORDS, (), {})]
    texts = {"{name!r} is taken; choose another.", "one", "two", "built", "built again"}
    assert {text for text in found if isinstance(text, str)} == texts
    assert ("{n} file", "{n} files") in found
    assert len(found) == len(texts) + 1


def test_places_are_those_of_both_kinds_and_not_braces_that_are_meant() -> None:
    assert catalogues.places("{b!r} and {a} of {{c}}, %(d)s") == ["%(d)s", "{a}", "{b!r}"]
