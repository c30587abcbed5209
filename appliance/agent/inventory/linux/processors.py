"""CPUS: one row for each socket, from /proc/cpuinfo, the caches in sysfs and the firmware."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import smbios
from ..reading import read_text, read_word
from ..rows import Row, number
from .hardware import arch

_LOGICAL_LIMIT = 8192
_CPUINFO_LIMIT = 32 << 20  # 2 KiB for each logical processor
_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "CentaurHauls": "VIA", "HygonGenuine": "Hygon"}
_IMPLEMENTERS = {0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x51: "Qualcomm", 0x61: "Apple"}
_64_BITS = frozenset({"x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "riscv64", "mips64", "loongarch64"})


def processors(root: str, parts: Sequence[smbios.Structure]) -> list[Row]:
    machine = arch(root)
    common, logical = _cpuinfo(read_text(f"{root}/proc/cpuinfo", _CPUINFO_LIMIT))
    sockets: dict[str, list[dict[str, str]]] = {}
    for cpu in logical:
        sockets.setdefault(cpu.get("physical id", "0"), []).append(cpu)
    firmware = smbios.processors(parts)
    rows = []
    for index, cpus in enumerate(sockets.values()):
        known = firmware[index] if index < len(firmware) else {}
        first = {**common, **cpus[0]}
        cores = len({cpu["core id"] for cpu in cpus if "core id" in cpu}) or len(cpus)
        speed = _speed_mhz(root, first, known)
        width = "64" if machine in _64_BITS else "32"
        row = {
            "MANUFACTURER": _vendor(first) or known.get("MANUFACTURER", ""),
            "TYPE": _name(first) or known.get("TYPE", "") or machine,
            "SPEED": speed,
            "CURRENT_SPEED": known.get("CURRENT_SPEED", "") or speed,
            "CORES": str(cores),
            "LOGICAL_CPUS": str(len(cpus)),
            "THREADS": str(len(cpus)),
            "CPUARCH": machine,
            "DATA_WIDTH": "64" if " lm " in f" {first.get('flags', '')} " else width,
            "CURRENT_ADDRESS_WIDTH": width,
            "L2CACHESIZE": _second_level_cache(root, [cpu.get("processor", "") for cpu in cpus]),
            "NBSOCKET": str(len(sockets)),
        }
        for field in ("SERIALNUMBER", "VOLTAGE", "SOCKET"):
            row[field] = known.get(field, "")
        rows.append(row)
    return rows


def _cpuinfo(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What holds for the machine, and one dictionary for each logical processor."""
    common: dict[str, str] = {}
    logical: list[dict[str, str]] = []
    for block in re.split(r"\n[ \t]*\n", text):
        cpu: dict[str, str] = {}
        for line in block.splitlines():
            key, colon, value = line.partition(":")
            if colon:
                cpu.setdefault(key.strip(), value.strip())
        if cpu.get("processor", "").isdigit():
            if len(logical) < _LOGICAL_LIMIT:
                logical.append(cpu)
        else:  # ARM and POWER end with a block about the board
            common.update(cpu)
    return common, logical


def _vendor(cpu: dict[str, str]) -> str:
    if "vendor_id" in cpu:
        return _VENDORS.get(cpu["vendor_id"], cpu["vendor_id"])
    try:
        return _IMPLEMENTERS.get(int(cpu.get("CPU implementer", "0"), 16), "")
    except ValueError:
        return ""


def _name(cpu: dict[str, str]) -> str:
    # "cpu": POWER; "uarch": RISC-V; "Model" and "Hardware": the board, where ARM names no processor
    keys = ("model name", "cpu", "uarch", "Processor", "Hardware", "Model")
    return " ".join(next((cpu[key] for key in keys if cpu.get(key)), "").split())


def _speed_mhz(root: str, cpu: dict[str, str], firmware: Row) -> str:
    """The rated speed; what the processor does at this moment only where nothing else is known."""
    rated = re.search(r"@ ([0-9.]{1,6}) ?GHz", cpu.get("model name", ""))
    if rated:
        try:
            return str(round(float(rated[1]) * 1000))
        except ValueError:
            pass
    if firmware.get("CURRENT_SPEED"):
        return firmware["CURRENT_SPEED"]
    scaling = f"{root}/sys/devices/system/cpu/cpu{cpu.get('processor', '0')}/cpufreq"
    for name in ("base_frequency", "cpuinfo_max_freq"):
        khz = number(read_word(f"{scaling}/{name}"))
        if khz > 0:
            return str(khz // 1000)
    return str(number(cpu.get("cpu MHz", "") or cpu.get("clock", "")) or "")


def _second_level_cache(root: str, cpus: Sequence[str]) -> str:
    """Written like lscpu does, since that is what the genuine agent sends: "4 MiB (2 instances)"."""
    total_kib = 0
    seen: set[str] = set()
    for cpu in cpus:
        for index in ("index2", "index1", "index3"):  # the usual place first
            folder = f"{root}/sys/devices/system/cpu/cpu{cpu}/cache/{index}"
            if read_word(f"{folder}/level") != "2":
                continue
            shared = read_word(f"{folder}/shared_cpu_list") or cpu
            if shared not in seen:
                seen.add(shared)
                total_kib += number(read_word(f"{folder}/size"))
            break
        else:
            break  # no cache known for this one, so for none
    if total_kib <= 0:
        return ""
    size = f"{total_kib / 1024:g} MiB" if total_kib >= 1024 else f"{total_kib} KiB"
    return f"{size} ({len(seen)} instance{'s' if len(seen) > 1 else ''})"
