"""Archives for tests: honest ones, and hostile ones that no appliance may build and no agent may unpack.

Every hostile archive is small, made here byte by byte, and harmless to read: none is ever unpacked by a tool.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

MOMENT = 1_700_000_000
DATE = (2023, 11, 14, 22, 13, 20)

Entry = tuple[tarfile.TarInfo, bytes]


# Honest archives


def zip_of(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip: names that end in / are folders, names that end in .sh may be executed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zip_entry(name, compression=compression), data)
    return out.getvalue()


def targz_of(files: Mapping[str, bytes], *, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar.gz: names that end in / are folders, names that end in .sh may be executed."""
    return gzip.compress(tar_of([tar_entry(name, data) for name, data in files.items()], format), mtime=0)


def zip_entry(name: str, *, mode: int | None = None, compression: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("entry", DATE)
    entry.filename = name  # as it is: the constructor would cut it at a NUL
    entry.create_system = 3
    entry.compress_type = compression
    if mode is None:
        mode = stat.S_IFDIR | 0o755 if name.endswith("/") else stat.S_IFREG | _mode(name)
    entry.external_attr = mode << 16
    return entry


def tar_entry(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, mode: int | None = None) -> Entry:
    entry = tarfile.TarInfo(name.rstrip("/") if name.strip("/") else name)
    entry.type = tarfile.DIRTYPE if name.endswith("/") and kind == tarfile.REGTYPE else kind
    entry.size, entry.mtime = len(data), MOMENT
    entry.mode = mode if mode is not None else 0o755 if entry.isdir() else _mode(name)
    return entry, data


def tar_of(entries: Iterable[Entry], format: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for entry, data in entries:
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _mode(name: str) -> int:
    return 0o755 if name.endswith(".sh") else 0o644


# Hostile archives


@lru_cache(maxsize=1)
def hostile() -> list[tuple[str, bytes]]:
    """Name and bytes of every hostile archive; the name says what is wrong and which format it has."""
    return [*_names(), *_pairs(), *_zip_kinds(), *_tar_kinds(), *_zip_structure(), *_tar_structure(), *_neither()]


_NAMES = {
    "parent folder": "../evil",
    "parent folder inside": "bin/../../evil",
    "parent folder at the end": "bin/..",
    "absolute": "/etc/evil",
    "drive": "C:/evil",
    "drive without slash": "C:evil",
    "backslash": "..\\evil",
    "share with backslashes": "\\\\server\\share\\evil",
    "share with slashes": "//server/share/evil",
    "second stream": "setup.sh:evil",
    "NUL": "setup.sh\0.txt",
    "newline": "setup\n.sh",
    "escape sequence": "\x1b[2Jsetup.sh",
    "eight-bit control": "setup\x9b2J.sh",
    "writing direction": "setup\u202efdp.exe",
    "line separator": "setup\u2028.sh",
    "reserved CON": "CON",
    "reserved nul with an ending": "bin/nul.txt",
    "reserved COM1": "com1.log",
    "reserved lpt with a superscript": "LPT\u00b9",
    "reserved aux with spaces": "aux  .txt",
    "reserved CONIN$": "conin$",
    "trailing dot": "setup.",
    "trailing space": "setup ",
    "trailing dot of a folder": "bin./setup.sh",
    "100 folders deep": "d/" * 100 + "evil",
    "300 characters": "e" * 300,
}
_PAIRS = {
    "case clash": ("README", "readme"),
    "case clash of sharp s": ("stra\u00dfe", "STRASSE"),
    "Unicode clash": ("caf\u00e9", "cafe\u0301"),
    "same name twice": ("setup.sh", "setup.sh"),
    "same name with a dot folder": ("setup.sh", "./setup.sh"),
    "file below a file": ("bin", "bin/setup.sh"),
    "file where a folder was": ("bin/setup.sh", "bin"),
    "folder where a file was": ("bin", "bin/"),
}


def _names() -> Iterable[tuple[str, bytes]]:
    for title, name in _NAMES.items():
        yield f"{title}.zip", _zip((zip_entry("ok.sh"), b"#"), (zip_entry(name), b"evil"))
        entries = [tar_entry(name, b"evil")]
        if "\0" in name:  # it ends the name in the header itself
            entries = [_named(tarfile.XHDTYPE, _pax({"path": name})), tar_entry("ok", b"evil")]
        yield f"{title}.tar.gz", _targz(tar_entry("ok.sh", b"#"), *entries)
        if len(name) < 100 and name.isascii() and "\0" not in name:
            yield f"{title}.ustar.tar.gz", _ustar(name)
    for title in ("parent folder", "absolute"):
        name = _NAMES[title]
        yield f"{title} as GNU long name.tar.gz", _targz(_named(tarfile.GNUTYPE_LONGNAME, name), tar_entry("ok", b"x"))
        record = _pax({"path": name})
        yield f"{title} as pax path.tar.gz", _targz(_named(tarfile.XHDTYPE, record), tar_entry("ok", b"x"))
        yield f"{title} as global pax path.tar.gz", _targz(_named(tarfile.XGLTYPE, record), tar_entry("ok", b"x"))
    two = _named(tarfile.GNUTYPE_LONGNAME, "ok"), _named(tarfile.XHDTYPE, _pax({"path": "../evil"}))
    yield "GNU name over pax name.tar.gz", _targz(*two, tar_entry("x", b"x"))


def _pairs() -> Iterable[tuple[str, bytes]]:
    for title, (first, second) in _PAIRS.items():
        yield f"{title}.zip", _zip((zip_entry(first), b"1"), (zip_entry(second), b"" if second[-1] == "/" else b"2"))
        yield f"{title}.tar.gz", _targz(tar_entry(first, b"1"), tar_entry(second, b"" if second[-1] == "/" else b"2"))


def _zip_kinds() -> Iterable[tuple[str, bytes]]:
    for title, mode in {
        "symlink": stat.S_IFLNK | 0o777,
        "chardev": stat.S_IFCHR | 0o666,
        "blockdev": stat.S_IFBLK | 0o666,
        "fifo": stat.S_IFIFO | 0o666,
        "socket": stat.S_IFSOCK | 0o666,
        "setuid": stat.S_IFREG | 0o4755,
        "setgid": stat.S_IFREG | 0o2755,
    }.items():
        yield f"{title}.zip", _zip((zip_entry("evil", mode=mode), b"/etc"))
    link = zip_entry("l", mode=stat.S_IFLNK | 0o777)
    yield "symlink then file through it.zip", _zip((link, b".."), (zip_entry("l/evil"), b"evil"))
    yield "symlink that looks like a folder.zip", _zip((zip_entry("l/", mode=stat.S_IFLNK | 0o777), b".."))
    for system in (0, 2, 5, 16, 30):  # unzip takes several of these for systems that have links
        link = zip_entry("l", mode=stat.S_IFLNK | 0o777)
        link.create_system = system
        yield f"symlink from system {system}.zip", _zip((link, b".."))


def _tar_kinds() -> Iterable[tuple[str, bytes]]:
    for title, kind in {
        "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "chardev": tarfile.CHRTYPE,
        "blockdev": tarfile.BLKTYPE,
        "fifo": tarfile.FIFOTYPE,
    }.items():
        entry, _ = tar_entry("evil", kind=kind)
        entry.linkname = "/etc/passwd"
        yield f"{title}.tar.gz", _targz((entry, b""))
    link, _ = tar_entry("l", kind=tarfile.SYMTYPE)
    link.linkname = ".."
    yield "symlink then file through it.tar.gz", _targz((link, b""), tar_entry("l/evil", b"evil"))
    yield "setuid.tar.gz", _targz(tar_entry("evil", b"#", mode=0o4755))
    yield "setgid.tar.gz", _targz(tar_entry("evil", b"#", mode=0o2755))
    yield "setgid folder.tar.gz", _targz(tar_entry("evil/", mode=0o2755))
    yield "unknown kind.tar.gz", _targz(tar_entry("evil", b"x" * 512, kind=b"Z"))
    yield "volume mark.tar.gz", _targz(tar_entry("evil", kind=b"V"))
    yield "GNU folder listing.tar.gz", _targz(tar_entry("evil", b"Yx\0\0", kind=b"D"))
    yield "sparse.tar.gz", gzip.compress(_sparse() + b"\0" * 1024, mtime=0)
    marks = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "9" * 15}
    numbers = b"999999999\n" + b"1\n" * 100_000
    yield "sparse by pax.tar.gz", _targz(_named(tarfile.XHDTYPE, _pax(marks)), tar_entry("s", numbers))


def _zip_structure() -> Iterable[tuple[str, bytes]]:
    honest = _zip((zip_entry("setup.sh"), b"#!/bin/sh\n" * 40), (zip_entry("data"), b"data" * 100))
    yield "truncated.zip", honest[:-30]
    yield "truncated in the data.zip", honest[:60]
    yield "encrypted.zip", _flagged(honest, 0x1)
    yield "damaged data.zip", honest[:45] + b"\xff\xff\xff\xff" + honest[49:]
    yield "damaged directory.zip", honest.replace(b"PK\x01\x02", b"PK\x01\x03", 1)
    yield "wrong checksum.zip", _patched(honest, 16, struct.pack("<L", 1))
    yield "bomb.zip", bomb_zip(200, declared=400 * 1024**2)
    yield "more than it says.zip", _patched(bomb_zip(1), 24, struct.pack("<L", 10))
    yield "less than it says.zip", _patched(honest, 24, struct.pack("<L", 401))
    yield "same bytes under two names.zip", _twice(honest)
    yield "offset before the file.zip", _shifted(honest, 0x7FFFFFFF)
    yield "unknown compression.zip", _patched(honest, 10, struct.pack("<H", 97))
    yield "lzma.zip", _zip((zip_entry("setup.sh", compression=zipfile.ZIP_LZMA), b"#!/bin/sh"))
    yield "another name in front of the data.zip", b"PK\x03\x04" + honest[4:30] + b"SETUP.SH" + honest[38:]
    yield "no directory.zip", honest[: honest.index(b"PK\x01\x02")]
    yield "directory larger than the file.zip", honest[:-10] + struct.pack("<LLH", 5_000, 0, 0)
    yield "a directory of 4 GiB.zip", honest[:-10] + struct.pack("<LLH", 0xFFFFFFF0, 0, 0)
    yield "entries without end.zip", many_entries(100_001)


def _tar_structure() -> Iterable[tuple[str, bytes]]:
    first, evil = tar_of([tar_entry("ok", b"ok")])[:1024], tar_of([tar_entry("../evil", b"evil")])
    whole = tar_of([tar_entry("setup.sh", b"#!/bin/sh\n" * 400)])
    packed = gzip.compress(whole, mtime=0)
    yield "truncated.tar.gz", packed[:-20]
    yield "truncated trailer.tar.gz", packed[:-4]
    yield "truncated inside.tar.gz", gzip.compress(whole[:2048], mtime=0)
    yield "header cut off.tar.gz", gzip.compress(first + evil[:300], mtime=0)
    yield "wrong checksum.tar.gz", packed[:-8] + b"\0\0\0\0" + packed[-4:]
    yield "garbage behind the stream.tar.gz", packed + b"evil"
    yield "not a tar.tar.gz", gzip.compress(b"#!/bin/sh\necho evil\n" * 100, mtime=0)
    # tarfile stops without a word at each of these, GNU tar reads on
    yield "member in a second stream.tar.gz", gzip.compress(first, mtime=0) + gzip.compress(evil, mtime=0)
    yield "member behind a damaged header.tar.gz", gzip.compress(first + b"\1" * 512 + evil, mtime=0)
    yield "member behind the end.tar.gz", gzip.compress(first + b"\0" * 1024 + evil, mtime=0)
    yield "member behind one empty block.tar.gz", gzip.compress(first + b"\0" * 512 + evil, mtime=0)
    yield "zeros without end.tar.gz", gzip.compress(first + b"\0" * 4 * 1024**2, mtime=0)
    yield "negative size.tar.gz", gzip.compress(first + _sized(b"\xff" * 11 + b"\xfb") + evil, mtime=0)
    yield "size of 8 EiB.tar.gz", gzip.compress(first + _sized(b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7), mtime=0)
    yield "negative pax size.tar.gz", _targz(_named(tarfile.XHDTYPE, _pax({"size": "-512"})), tar_entry("x", b"x"))
    yield "huge long name.tar.gz", _targz(_named(tarfile.GNUTYPE_LONGNAME, "e" * 1_000_000), tar_entry("x"))
    yield "huge pax header.tar.gz", _targz(_named(tarfile.XHDTYPE, _pax({"comment": "e" * 1_000_000})), tar_entry("x"))
    yield "pax header without member.tar.gz", gzip.compress(_header(tarfile.XHDTYPE, 0) + b"\0" * 1024, mtime=0)
    yield "pax length that lies.tar.gz", _targz(_named(tarfile.XHDTYPE, b"999 path=evil\n"), tar_entry("x"))
    yield "streams without end.tar.gz", packed + gzip.compress(b"", mtime=0) * 10_000


def _neither() -> Iterable[tuple[str, bytes]]:
    yield "empty", b""
    yield "one byte", b"P"
    yield "text.zip", b"this is no archive\n"
    yield "plain tar.tar.gz", tar_of([tar_entry("ok", b"ok")])
    yield "bzip2.tar.gz", b"BZh91AY&SY" + b"\0" * 60
    yield "only the magic.zip", b"PK\x03\x04"
    yield "only the magic.tar.gz", b"\x1f\x8b"
    yield "program in front.zip", b"MZ" + b"\0" * 100 + zip_of({"ok": b"ok"})


# Bombs and crowds, also for tests that measure


def bomb_zip(mebibytes: int, *, declared: int | None = None) -> bytes:
    """One member of that many MiB of zeros in about 1 KiB for each; `declared` is the size that the headers name."""
    data, crc = _zeros(mebibytes)
    size = mebibytes * 1024**2 if declared is None else declared
    fields = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 0x21, crc, len(data), size, 4, 0)
    local = b"PK\x03\x04" + fields + b"zero"
    central = (
        b"PK\x01\x02" + struct.pack("<H", 0x0314) + fields + struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, 0) + b"zero"
    )
    return local + data + central + _end(1, len(central), len(local) + len(data))


def bomb_zlib(mebibytes: int, window: int = zlib.MAX_WBITS) -> bytes:
    """A zlib (or, with 16 + MAX_WBITS, gzip) stream of that many MiB of zeros, without an end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    head = packer.compress(b"\0") + packer.flush(zlib.Z_FULL_FLUSH)
    return head + _mebibyte_of_zeros() * mebibytes


def many_entries(count: int) -> bytes:
    """A zip of that many empty files."""
    local, central, offset = [], [], 0
    for number in range(count):
        name = b"%07d" % number
        fields = struct.pack("<HHHHHLLLHH", 20, 0, 0, 0, 0x21, 0, 0, 0, len(name), 0)
        local.append(b"PK\x03\x04" + fields + name)
        central.append(b"PK\x01\x02\x14\x03" + fields + struct.pack("<HHHLL", 0, 0, 0, 0o100644 << 16, offset) + name)
        offset += len(local[-1])
    directory = b"".join(central)
    return b"".join(local) + directory + _end(count & 0xFFFF, len(directory), offset)


def _zeros(mebibytes: int) -> tuple[bytes, int]:
    crc = 0
    for _ in range(mebibytes):
        crc = zlib.crc32(b"\0" * 1024**2, crc)
    return _mebibyte_of_zeros() * mebibytes + b"\x03\0", crc


@lru_cache(maxsize=1)
def _mebibyte_of_zeros() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(b"\0" * 1024**2) + packer.flush(zlib.Z_FULL_FLUSH)


# Bytes below what the standard library would write


def _zip(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive._didModify = True
        for entry, data in entries:
            archive.NameToInfo.pop(entry.filename, None)  # the same name twice without its warning
            archive.writestr(entry, data)
    return out.getvalue()


def _targz(*entries: Entry) -> bytes:
    return gzip.compress(tar_of(entries), mtime=0)


def _named(kind: bytes, text: str | bytes) -> Entry:
    """A header in front of a member that gives it a name or attributes."""
    data = text if isinstance(text, bytes) else text.encode() + b"\0"
    return tar_entry("././@LongLink", data, kind=kind)


def _pax(records: Mapping[str, str]) -> bytes:
    lines = []
    for key, value in records.items():
        body = f" {key}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        lines.append(str(length).encode() + body)
    return b"".join(lines)


def _ustar(name: str) -> bytes:
    """A tar of the oldest kind, the name in its header as it is."""
    raw = bytearray(_header(tarfile.REGTYPE, 4))
    raw[:100] = name.encode().ljust(100, b"\0")
    return gzip.compress(_summed(raw) + b"evil".ljust(512, b"\0") + b"\0" * 1024, mtime=0)


def _header(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("evil")
    entry.type, entry.size, entry.mtime = kind, size, MOMENT
    return entry.tobuf(tarfile.USTAR_FORMAT)


def _sized(field: bytes) -> bytes:
    raw = bytearray(_header(tarfile.REGTYPE, 0))
    raw[124:136] = field
    return _summed(raw)


def _sparse() -> bytes:
    raw = bytearray(_header(tarfile.GNUTYPE_SPARSE, 512))
    raw[257:265] = b"ustar  \0"
    raw[386:398], raw[398:410] = b"%011o\0" % 0, b"%011o\0" % 512
    raw[483:495] = b"%011o\0" % (1 << 32)
    return _summed(raw) + b"x" * 512


def _summed(raw: bytearray) -> bytes:
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def _end(count: int, size: int, offset: int) -> bytes:
    return b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, count, count, size, offset, 0)


def _patched(archive: bytes, at: int, field: bytes) -> bytes:
    """A zip with a field of its last entry overwritten: in the directory at `at`, and in front of the data."""
    central = archive.rindex(b"PK\x01\x02")
    local = struct.unpack_from("<L", archive, central + 42)[0]
    raw = bytearray(archive)
    raw[central + at : central + at + len(field)] = field
    raw[local + at - 2 : local + at - 2 + len(field)] = field
    return bytes(raw)


def _flagged(archive: bytes, flag: int) -> bytes:
    return _patched(archive, 8, struct.pack("<H", flag))


def _shifted(archive: bytes, offset: int) -> bytes:
    raw = bytearray(archive)
    raw[-6:-2] = struct.pack("<L", offset)
    return bytes(raw)


def _twice(archive: bytes) -> bytes:
    """A second entry in the directory that points at the bytes of the first."""
    start, size = archive.index(b"PK\x01\x02"), 46 + len("setup.sh")
    entry = archive[start : start + size]
    directory = archive[start:-22] + entry.replace(b"setup.sh", b"setup.sx")
    return archive[:start] + directory + _end(3, len(directory), start)
