"""The genuine OCS Inventory NG communication server of Debian 12, private and on loopback, beside our agent.

A MariaDB without network and an Apache with mod_perl, both with all that is theirs in one temporary folder. Nothing of
the system is changed: no service, no port but two free ones, no database but its own. What had to be right:

- The schema is the base file of the package ocsinventory-reports, as it is: Debian pairs server 2.8.1 with a newer
  console, whose later updates drop a column that this server still reads.
- READ-COMMITTED: with MariaDB's default this server loses inventories to deadlocks.
- It insists on Perl's XML::Parser, which its package does not ask for (libxml-parser-perl).
- Settings in the table `config` win over those of Apache's file.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from xml.sax.saxutils import quoteattr

from appliance.trust.authority import issue_server, make_authority
from tests.whole.site import CLEAN, WAIT

READY = 60.0  # seconds for a server to answer
END = 20.0  # seconds for one to end
DATABASE = "ocsweb"  # this name, the user and the password are those of the package's own Apache file
PEERS = Path(__file__).resolve().parents[2] / ".work" / "peers"  # where build/peers.py unpacks packages
SCHEMA = "usr/share/ocsinventory-reports/files/ocsbase_new.sql"
APACHE_FILE = Path("/etc/apache2/conf-available/ocsinventory-server.conf")
ACCOUNT = "www-data"  # both servers leave root for it

# The genuine console's form: every attribute, always.
INFO = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<DOWNLOAD ID="{id}" PRI="{priority}" ACT="{act}" DIGEST="{digest}" PROTO="HTTP" FRAGS="{fragments}" '
    'DIGEST_ALGO="MD5" DIGEST_ENCODE="Hexa" {argument} NOTIFY_USER="0" NOTIFY_TEXT="" NOTIFY_COUNTDOWN="" '
    'NOTIFY_CAN_ABORT="0" NOTIFY_CAN_DELAY="0" NEED_DONE_ACTION="0" NEED_DONE_ACTION_TEXT="" GARDEFOU="rien" />\n'
)
ARGUMENT = {"LAUNCH": "NAME", "EXECUTE": "COMMAND", "STORE": "PATH"}

OPTIONS = {
    "DOWNLOAD": 1,
    "DOWNLOAD_CYCLE_LATENCY": 0,
    "DOWNLOAD_FRAG_LATENCY": 0,
    "DOWNLOAD_PERIOD_LATENCY": 0,
    "DOWNLOAD_PERIOD_LENGTH": 10,
    "DOWNLOAD_TIMEOUT": 30,
    "DOWNLOAD_EXECUTION_TIMEOUT": 120,
    "FREQUENCY": 0,  # every prolog is answered with SEND
    "PROLOG_FREQ": 24,
    "INVENTORY_DIFF": 1,
    "IPDISCOVER": 0,  # this machine is not made a network scanner
    "LOGLEVEL": 1,
}

Row = dict[str, "str | None"]


class GenuineServer:
    """The running server: its addresses, its database, and what its console would do."""

    def __init__(self, folder: Path, http_port: int, https_port: int) -> None:
        self.folder = folder
        self.http = f"http://127.0.0.1:{http_port}/ocsinventory"
        self.https = f"https://127.0.0.1:{https_port}/ocsinventory"
        self.places = (f"127.0.0.1:{https_port}/download", f"127.0.0.1:{http_port}/download")  # info, fragments
        self.bundle = folder / "cacert.pem"
        self._ids = count(int(time.time()))

    def ask(self, sql: str) -> list[Row]:
        """Rows as {column: value}; None is NULL."""
        printed = query(self.folder, sql)
        return [
            {field.attrib["name"]: None if _is_nil(field) else field.text or "" for field in row}
            for row in (ElementTree.fromstring(printed) if printed else ())
        ]

    def value(self, sql: str) -> str | None:
        """The only value of the only row."""
        (row,) = self.ask(sql)
        (value,) = row.values()
        return value

    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table and their types."""
        known = self.ask(
            "select column_name as name, data_type as type from information_schema.columns"
            f" where table_schema = '{DATABASE}' and table_name = {quoted(table)}"
        )
        return {str(column["name"]): str(column["type"]) for column in known}

    def set(self, **options: int) -> None:
        """Settings of the console's configuration page."""
        for name, number in options.items():
            self.ask(
                f"insert into config (NAME, IVALUE, TVALUE) values ('{name}', {number}, '')"
                f" on duplicate key update IVALUE = {number}"
            )

    def package(
        self,
        name: str,
        act: str,
        argument: str,
        *,
        archive: bytes = b"",
        fragments: int = 1,
        priority: int = 1,
    ) -> str:
        """Build and activate a package like the console: its id."""
        package = str(next(self._ids))
        place = self.folder / "download" / package
        place.mkdir()
        pieces = cut(archive, fragments) if archive else []
        for number, piece in enumerate(pieces, 1):
            (place / f"{package}-{number}").write_bytes(piece)
        (place / "info").write_text(
            INFO.format(
                id=package,
                priority=priority,
                act=act,
                digest=hashlib.md5(archive).hexdigest() if archive else "",
                fragments=len(pieces),
                argument=f"{ARGUMENT[act]}={quoteattr(argument)}",
            ),
            encoding="utf-8",
        )
        self.ask(
            "insert into download_available (FILEID, NAME, PRIORITY, FRAGMENTS, SIZE, OSNAME, COMMENT) values"
            f" ('{package}', {quoted(name)}, {priority}, {len(pieces)}, {len(archive)}, 'LINUX', '')"
        )
        self.ask(
            "insert into download_enable (FILEID, INFO_LOC, PACK_LOC, CERT_PATH, CERT_FILE) values"
            f" ('{package}', '{self.places[0]}', '{self.places[1]}', 'INSTALL_PATH', 'INSTALL_PATH/cacert.pem')"
        )
        return package

    def affect(self, *packages: str, force: bool = False) -> None:
        """Give packages to every computer (again), as the console does it: one waiting row for each."""
        for package in packages:
            activation = self.value(f"select ID from download_enable where FILEID = '{package}'")
            self.ask(f"delete from devices where NAME like 'DOWNLOAD%' and IVALUE = {activation}")
            rows = {"DOWNLOAD": "null", **({"DOWNLOAD_FORCE": "'1'"} if force else {})}
            for name, text in rows.items():
                self.ask(
                    "insert into devices (HARDWARE_ID, NAME, IVALUE, TVALUE)"
                    f" select ID, '{name}', {activation}, {text} from hardware"
                )

    def result(self, package: str) -> str | None:
        """What the console shows for the only computer that the package was given to."""
        return self.value(
            "select TVALUE from devices d join download_enable e on e.ID = d.IVALUE"
            f" where d.NAME = 'DOWNLOAD' and e.FILEID = '{package}'"
        )

    def counts(self) -> tuple[int, int, int]:
        """Results as the console adds them up: waiting or notified, success, error."""
        waiting = "TVALUE is null or TVALUE = 'NOTIFIED'"
        error = "TVALUE like 'ERR%' or TVALUE like 'EXIT_CODE%'"
        (row,) = self.ask(
            f"select coalesce(sum({waiting}), 0) as a, coalesce(sum(TVALUE like 'SUCCESS%'), 0) as b,"
            f" coalesce(sum({error}), 0) as c from devices where NAME = 'DOWNLOAD'"
        )
        return int(row["a"] or 0), int(row["b"] or 0), int(row["c"] or 0)

    def history(self) -> list[str | None]:
        """The packages that the computer said to have."""
        return [row["PKG_ID"] for row in self.ask("select PKG_ID from download_history order by PKG_ID")]

    def requests(self) -> list[str]:
        """Apache's access log: `POST /ocsinventory 200`."""
        return read(self.folder / "log" / "access.log").splitlines()

    def errors(self) -> list[str]:
        """Apache's error log, where the server complains of its database too."""
        return read(self.folder / "log" / "apache-error.log").splitlines()

    def logs(self) -> str:
        """The ends of all logs, for whoever has to find out."""
        return tails(self.folder)

    def agent(self, python: str, pyz: Path, basedir: Path, *words: str) -> str:
        """Our agent straight from the archive, isolated and without site-packages, to its end: what it printed."""
        done = subprocess.run(
            [python, "-I", "-S", pyz, "agent", "--basedir", basedir, *words],
            env={**CLEAN, "HOME": "/nonexistent"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout + done.stderr

    def contact(self, python: str, pyz: Path, basedir: Path, *words: str, bundle: Path | None = None) -> str:
        """One contact of our agent with all it brings: what it said."""
        where = ("--server", self.http, "--ca", str(bundle or self.bundle))
        return self.agent(python, pyz, basedir, *where, "--once", "--debug", *words)


@contextmanager
def genuine_server() -> Iterator[GenuineServer]:
    """The server from its start to its end; then nothing is left of it."""
    with ExitStack() as stack:
        # /tmp: a socket's path has 107 characters at most, and the servers' account has to come through.
        folder = Path(tempfile.mkdtemp(prefix="ocs-genuine-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        for name in ("data", "run", "log", "download"):
            (folder / name).mkdir()
            own(folder / name)
        start_mariadb(folder, stack)
        load(folder)
        server = start_apache(folder, stack)
        server.set(**OPTIONS)
        yield server


def start_mariadb(folder: Path, stack: ExitStack) -> None:
    """A database server with an empty database directory, reachable through a socket in the folder only."""
    config = folder / "my.cnf"
    config.write_text(
        f"""[mariadbd]
datadir={folder}/data
socket={folder}/run/sock
pid-file={folder}/run/mariadb.pid
log-error={folder}/log/mariadb.log
skip-networking
character-set-server=utf8mb3
collation-server=utf8mb3_general_ci
transaction-isolation=READ-COMMITTED
max_allowed_packet=64M
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=OFF
innodb_use_native_aio=OFF
{f"user={ACCOUNT}" if os.geteuid() == 0 else ""}
"""
    )
    words = [f"--defaults-file={config}", "--auth-root-authentication-method=normal", "--skip-test-db"]
    made = subprocess.run(
        ["mariadb-install-db", *words], env=CLEAN, capture_output=True, text=True, timeout=READY, check=False
    )
    assert made.returncode == 0, f"mariadb-install-db: {made.stdout}{made.stderr}\n{tails(folder)}"
    process = start(["mariadbd", f"--defaults-file={config}"], folder / "log" / "mariadb.out", stack)

    def answers() -> bool:
        said = subprocess.run([*client(folder), "-e", "select 1"], env=CLEAN, capture_output=True, check=False)
        return said.returncode == 0

    wait("MariaDB", answers, process, folder)


def load(folder: Path) -> None:
    """The schema of the Debian package, and the account that the server uses."""
    schema = PEERS / "ocsinventory-reports" / SCHEMA
    if not schema.is_file():
        schema = Path("/") / SCHEMA
    assert schema.is_file(), f"no {SCHEMA} of the package ocsinventory-reports: `python3 build/make.py test` gets it"
    query(folder, f"create database {DATABASE} character set utf8 collate utf8_bin", database="")
    query(folder, "create user ocs@localhost identified by 'ocs'", database="")
    query(folder, f"grant all on {DATABASE}.* to ocs@localhost", database="")
    query(folder, schema.read_text("utf-8"))


def start_apache(folder: Path, stack: ExitStack) -> GenuineServer:
    """Apache with the server's own file, and with the download folder that the console would fill."""
    authority = make_authority(int(time.time()))
    issued = issue_server(authority, ["localhost", "127.0.0.1"], int(time.time()))
    (folder / "cacert.pem").write_text(authority.certificate)
    (folder / "server.pem").write_text(issued.certificate)
    (folder / "server.key").write_text(issued.private_key)
    (folder / "server.key").chmod(0o600)
    http_port, https_port = free_ports(2)
    (folder / "apache.conf").write_text(apache_conf(folder, http_port, https_port))
    words = ["apache2", "-f", str(folder / "apache.conf"), "-D", "FOREGROUND"]
    process = start(words, folder / "log" / "apache.out", stack)

    def answers() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", http_port, timeout=READY)
        try:
            connection.request("GET", "/ocsinventory")
            return connection.getresponse().status == 400  # the genuine handler's answer to a bare GET
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    wait("Apache", answers, process, folder)
    return GenuineServer(folder, http_port, https_port)


def apache_conf(folder: Path, http_port: int, https_port: int) -> str:
    """Apache's configuration: prefork, as Debian runs this server."""
    names = [
        "mpm_prefork",
        "authn_core",
        "authn_file",
        "authz_core",
        "authz_user",
        "auth_basic",
        "alias",
        "ssl",
        "perl",
    ]
    modules = "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in names)
    return f"""ServerRoot {folder}
ServerName localhost
DocumentRoot {folder}/download
PidFile {folder}/run/apache.pid
DefaultRuntimeDir {folder}/run
Mutex file:{folder}/run default
{f"User {ACCOUNT}" if os.geteuid() == 0 else ""}
{f"Group {ACCOUNT}" if os.geteuid() == 0 else ""}
ErrorLog {folder}/log/apache-error.log
LogLevel warn
{modules}
LogFormat "%m %U %>s" plain
CustomLog {folder}/log/access.log plain
StartServers 2
MinSpareServers 1
MaxSpareServers 4
MaxRequestWorkers 16
KeepAlive On
Listen 127.0.0.1:{http_port}
Listen 127.0.0.1:{https_port}
Include {APACHE_FILE}
PerlSetEnv OCS_OPT_DBI_MYSQL_SOCKET "{folder}/run/sock"
PerlSetEnv OCS_OPT_LOGPATH "{folder}/log/"
<Directory />
  AllowOverride None
  Require all denied
</Directory>
<Directory {folder}/download>
  Require all granted
</Directory>
Alias /download {folder}/download
SSLSessionCache none
<VirtualHost 127.0.0.1:{https_port}>
  SSLEngine on
  SSLCertificateFile {folder}/server.pem
  SSLCertificateKeyFile {folder}/server.key
  CustomLog {folder}/log/access.log plain
</VirtualHost>
"""


def start(command: Sequence[str], log: Path, stack: ExitStack) -> subprocess.Popen[bytes]:
    """A server in a process group of its own, which ends with the stack."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=CLEAN, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    stack.callback(end, process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; after a while, end it and whatever it left behind."""
    process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END)
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its group had its own id
    except ProcessLookupError:
        pass


def wait(name: str, answers: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until it answers; fails with the logs where it ended or takes too long."""
    limit = time.monotonic() + READY
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise AssertionError(f"{name} ended with {process.returncode}:\n{tails(folder)}")
        if answers():
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} did not answer within {READY:.0f} s:\n{tails(folder)}")


def client(folder: Path, database: str = "") -> list[str]:
    """The command line of MariaDB's client."""
    words = ["--no-defaults", f"--socket={folder}/run/sock", "--user=root", "--default-character-set=utf8mb4"]
    return ["mariadb", *words, *([database] if database else [])]


def query(folder: Path, sql: str, database: str = DATABASE) -> str:
    """Run SQL; what comes back, as XML, empty where nothing does."""
    done = subprocess.run(
        [*client(folder, database), "--xml"],
        input=sql,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert done.returncode == 0, f"{sql[:500]}\n{done.stderr}\n{tails(folder)}"
    return done.stdout


def _is_nil(field: ElementTree.Element) -> bool:
    return any(name.endswith("}nil") for name in field.attrib)


def quoted(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def cut(data: bytes, fragments: int) -> list[bytes]:
    """Fragments as the genuine console cuts them: all of one size but the last, which gets the rest."""
    size = len(data) // fragments
    return [data[at * size : (at + 1) * size if at + 1 < fragments else None] for at in range(fragments)]


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def own(path: Path) -> None:
    """Give a folder to the account that the servers leave root for."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        os.chown(path, account.pw_uid, account.pw_gid)


def read(path: Path) -> str:
    """A log file's text, empty where there is none."""
    return path.read_text("utf-8", errors="replace") if path.exists() else ""


def tails(folder: Path, lines: int = 30) -> str:
    """The last lines of every log."""
    found = sorted((folder / "log").iterdir()) if (folder / "log").is_dir() else []
    return "\n".join(f"--- {path.name}\n" + "\n".join(read(path).splitlines()[-lines:]) for path in found)
