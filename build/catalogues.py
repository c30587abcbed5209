"""The console's languages: which texts there are, the translators' files (.po), what the server reads of them (.mo).

Compiling needs the standard library only and is part of every build. Extracting needs Babel and the product's own
modules, so it runs in the tests' environment: `make.py words`, and the tests.
"""

import ast
import importlib
import io
import os
import re
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import workshop
from workshop import ROOT, Stop, step

if TYPE_CHECKING:
    from babel.messages import Catalog

LOCALES = ROOT / "appliance" / "web" / "locale"
SOURCES = ROOT / "appliance"
NOT_SHOWN = {"agent", "cli", "demo.py", "server.py"}  # below appliance/: no page ever says what stands there

# Which argument of which call is a text: the first is 1.
KEYWORDS: dict[str, tuple[int, ...] | None] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "N_": None,  # marks a text of a table
    "Term": None,
    "Remark": (1,),
    "_Fault": (3,),
    "Done": (2,),
    "begin": (2,),
    "_tried": (3,),
    "say": None,
    "go": (2,),
    "Refusal": (2,),
    "invalid": (2,),
    "missing": (1,),
    "conflict": (1,),
    "forbidden": (1,),
}

# Texts that stand in tables and enums, where no call marks them: the module, and how they are got out of it.
TABLES: dict[str, Callable[[Any], Iterable[str]]] = {
    "appliance.domain.status": lambda module: module.MEANING.values(),
    "appliance.domain.log": lambda module: (deed.value for deed in module.Deed),
    "appliance.domain.group": lambda module: module.MEMBERSHIP.values(),
    "appliance.domain.identity": lambda module: (
        *module.MEANING.values(),
        *module.ASKED.values(),
        *(text for text in module.ACCEPT.values() if text),
        *module.REFUSE.values(),
        *module.DECIDED.values(),
    ),
    "appliance.domain.tempo": lambda module: (
        "default",
        *(origin.value for origin in module.Origin),
        *(text for knob in module.KNOBS for text in (knob.help, knob.unit) if text not in ("s", "h", "min")),
    ),
    "appliance.domain.eligibility": lambda module: module.SENTENCES.values(),
    "appliance.domain.recipes": lambda module: (text for one in module.RECIPES for text in (one.title, one.hint)),
    "appliance.settings": lambda module: (setting.help for setting in module.SETTINGS),
}

HEADER = """msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
WIDTH = 110
_PLACE = re.compile(r"\{[^{}]*\}|%\([^)]*\)[sd]")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')

Key = tuple[str, ...]  # a text, or its singular and plural


def update_all() -> None:
    """Bring the translators' files up to date with the texts that there are, and compile them."""
    python = workshop.python()
    with step("texts: appliance/web/locale"):
        said = workshop.run([python, Path(__file__)])
    print(said, end="")
    compile_all()


def compile_all() -> None:
    """Have a .mo beside each .po; what has not changed is left alone."""
    for source in sorted(LOCALES.glob("*/LC_MESSAGES/*.po")):
        content = machine(read(source.read_text(encoding="utf-8")))
        target = source.with_suffix(".mo")
        if not target.is_file() or target.read_bytes() != content:
            number, temporary = tempfile.mkstemp(prefix=".new-", dir=target.parent)
            with open(number, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)


def read(text: str) -> dict[Key, tuple[str, ...]]:
    """The translations of a .po file, its header under the empty text; without what is fuzzy or not translated."""
    found: dict[Key, tuple[str, ...]] = {}
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        if any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines()):
            continue
        fields: dict[str, str] = {}
        name = ""
        for line in lines:
            word, _, rest = ("", "", line) if line.startswith('"') else line.partition(" ")
            name = word or name
            string = _STRING.fullmatch(rest.strip())
            if not string or not re.fullmatch(r"msgid(_plural)?|msgstr(\[\d\])?", name):
                raise Stop(f"no line of a catalogue that build/catalogues.py knows: {line!r}")
            fields[name] = fields.get(name, "") + ast.literal_eval(string.group(0))
        translated = tuple(value for name, value in sorted(fields.items()) if name.startswith("msgstr"))
        if fields and all(translated):
            found[tuple(fields[name] for name in ("msgid", "msgid_plural") if name in fields)] = translated
    return found


def machine(translations: Mapping[Key, tuple[str, ...]]) -> bytes:
    """A .mo file: the same translations always give the same bytes, without a date."""
    pairs = sorted(("\0".join(key).encode(), "\0".join(value).encode()) for key, value in translations.items())
    count, start = len(pairs), 28
    texts = b""
    tables: list[list[tuple[int, int]]] = [[], []]
    for column in (0, 1):
        for pair in pairs:
            tables[column].append((len(pair[column]), start + 16 * count + len(texts)))
            texts += pair[column] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, count, start, start + 8 * count, 0, start + 16 * count)
    return head + b"".join(struct.pack("<2I", *entry) for table in tables for entry in table) + texts


def places(text: str) -> list[str]:
    """The {named} and %(named)s places of a text."""
    return sorted(_PLACE.findall(text.replace("{{", "").replace("}}", "")))


# -- with Babel


def extracted() -> "Catalog":
    """All texts that a page may show."""
    from babel.messages import Catalog
    from babel.messages.extract import extract
    from jinja2.ext import babel_extract

    catalogue = Catalog()
    for path in sorted(SOURCES.rglob("*")):
        if path.relative_to(SOURCES).parts[0] in NOT_SHOWN or path.suffix not in (".py", ".html"):
            continue
        method: Any = calls if path.suffix == ".py" else babel_extract
        with path.open("rb") as file:
            for _, message, _, _ in extract(method, file, KEYWORDS, options=TEMPLATES):
                add(catalogue, message)
    for name, texts in TABLES.items():
        for text in texts(importlib.import_module(name)):
            add(catalogue, text)
    return catalogue


# As appliance/web/console/pages.py sets its environment up; a template that cannot be parsed is an error.
TEMPLATES = {
    "silent": "false",
    "newstyle_gettext": "true",
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "extensions": "jinja2.ext.do",
}


def add(catalogue: "Catalog", message: Any) -> None:
    """Put a text among the texts, if it holds a word of a language."""
    first = message if isinstance(message, str) else message[0]
    if re.search(r"[^\W\d_]", _PLACE.sub("", first)):
        catalogue.add(message)


def calls(
    file: IO[bytes], keywords: Iterable[str], comment_tags: object, options: object
) -> Iterator[tuple[int, str, Any, list[str]]]:
    """The texts of a Python source, for Babel: also inside other calls, and both sides of an `x if y else z`."""
    for node in ast.walk(ast.parse(file.read())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name not in keywords:
            continue
        wanted = KEYWORDS[name] or (1,)
        if len(wanted) == 1 and len(node.args) >= wanted[0]:
            for text in strings(node.args[wanted[0] - 1]):
                yield node.lineno, "_", text, []
        elif len(wanted) == 2 and all(isinstance(word, ast.Constant) for word in node.args[:2]):
            yield node.lineno, name, tuple(getattr(word, "value", None) for word in node.args[:2]), []


def strings(node: ast.expr) -> Iterator[str]:
    """The literal texts that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from strings(node.body)
        yield from strings(node.orelse)


def updated(language: str, text: str, texts: "Catalog") -> str:
    """A .po file with exactly these texts: sorted, without places and dates, what was translated stays so."""
    from babel.messages.pofile import read_po, write_po

    known = read_po(io.BytesIO(text.encode()), locale=language, abort_invalid=True)
    known.update(texts, no_fuzzy_matching=True, keep_user_comments=True)
    output = io.BytesIO()
    write_po(output, known, width=WIDTH, omit_header=True, no_location=True, sort_output=True, ignore_obsolete=True)
    return HEADER.format(language=language) + output.getvalue().decode()


def main() -> None:
    """Update every .po file; what changed, in numbers."""
    sys.path.insert(0, str(ROOT))
    texts = extracted()
    for source in sorted(LOCALES.glob("*/LC_MESSAGES/*.po")):
        language, before = source.parts[-3], source.read_text(encoding="utf-8")
        after = updated(language, before, texts)
        if after != before:
            source.write_text(after, encoding="utf-8")
        done = set(read(after)) - {("",)}
        print(f"make: {source.relative_to(ROOT).as_posix()}: {len(texts)} texts, {len(texts) - len(done)} to translate")


if __name__ == "__main__":
    main()
