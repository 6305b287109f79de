# SPDX-License-Identifier: Apache-2.0
"""Everything that is done with passwords, once, in a process of its own: for looking at all that it wrote.

Standard input is a JSON :class:`Task`; the current directory gets the logs, tracebacks, reports and the database. The
secrets that came up go into a file elsewhere. Every logger is at DEBUG, so SQLAlchemy shows statements and rows.
"""

import faulthandler
import json
import logging
import os
import shutil
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

import sealpass
from sealpass.__main__ import main as run_command
from sealpass.backends.pkcs11 import connection
from sealpass.backends.registry import key_maker
from sealpass.bench.qualification import Plan, qualification
from sealpass.bench.qualification import flow as qualification_flow
from sealpass.core import argon2_hash
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.encrypt import encrypt_password
from sealpass.core.uri import KeyUri
from sealpass.service import migrations
from sealpass.service.audit import audit
from sealpass.service.letter_pdf import Letter, render
from sealpass.service.record_table import RecordTable
from sealpass.service.rotation import Rotation
from sealpass.softhsm.provisioning import provision
from tests.support.sealing import CHEAP
from tests.support.tokens import TAG, flip_bit

_DEVICE_REMOVED = 0x32
_COMMAND = (sys.executable, "-W", "error", "-m", "sealpass")
_MOST_FRAMES = 50_000
"""Characters."""
_SHORTEST = 8
"""Characters of a password of a qualification; shorter ones would be found in any text."""


@dataclass(frozen=True, repr=False)
class Task:
    """What the run is given."""

    database: str
    secrets_file: str
    """Where to put the secrets that came up, by their names."""
    wrong_pin_file: str
    block_list_file: str
    passwords: dict[str, str]
    planted: dict[str, str]
    """Passwords to let out on purpose, by the channel."""


@dataclass(repr=False)
class FullRun:
    """The run, and what it needs."""

    task: Task
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        logging.basicConfig(filename="debug.log", level=logging.DEBUG)
        logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)  # which it sets to WARNING itself
        logging.captureWarnings(capture=True)
        warnings.simplefilter("always")
        self.fault_file = Path("faults").open("w")  # noqa: SIM115 - until the process ends
        faulthandler.enable(self.fault_file)
        self.secrets |= self.task.passwords
        self._watch_hashes()
        made = provision("softhsm2", Path("token"))
        os.environ.update(made.config)
        self.token = KeyUri.parse(made.uri)
        for name in ("pin", "so-pin"):
            self.secrets[name] = (Path("token") / name).read_text().strip()
        self.secrets["wrong PIN"] = Path(self.task.wrong_pin_file).read_text().strip()
        self.old, self.new = (str(self._maker(name).create_aes(256)) for name in ("seal-2026", "seal-2027"))
        self.rsa = str(self._maker("e2ee").create_rsa(2048, UnwrapMode.NATIVE))
        self.database = sealpass.Database(self.task.database)
        migrations.upgrade(self.database)
        event.listen(self.database.engine, "before_cursor_execute", self._dump_frames)

    def _maker(self, name: str) -> Any:
        return key_maker(self.token.replace(path={"object": name.encode()}))

    def _watch_hashes(self) -> None:
        hash_password = argon2_hash.hash_password

        def watched(password: bytes, parameters: argon2_hash.Argon2Parameters) -> str:
            hashed = hash_password(password, parameters)
            # Salts are drawn for each: of two equal passwords the ends differ, too.
            self.secrets[f"inner hash {len(self.secrets)}"] = hashed.rpartition("$")[2]
            return hashed

        argon2_hash.hash_password = watched

    def _dump_frames(self, *_: Any) -> None:
        """As a crash would: in the middle of the work, with a password at hand. Enough is enough."""
        if self.fault_file.tell() < _MOST_FRAMES:
            faulthandler.dump_traceback(self.fault_file)

    def fails(self, kind: type[BaseException], run: Callable[[], object], *, with_locals: bool = False) -> None:
        """Run what must fail, and write down all that an error log would, and a tracker without local variables."""
        try:
            run()
        except kind as error:
            logging.getLogger("application").exception("it failed")
            with Path("tracebacks").open("a") as file:
                file.writelines(traceback.format_exception(error))
                print(
                    repr(error), error.args, getattr(error, "hint", None), getattr(error, "__dict__", None), file=file
                )
            if with_locals:
                shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                Path("locals").write_text("".join(shown.format()))
        else:
            raise AssertionError(f"no {kind.__name__}")

    # -- in Python -------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Everything that a login service does, and what goes wrong there."""
        p = self.task.passwords
        policy = sealpass.PasswordPolicy(
            min_length=20, history=2, block_list=sealpass.BlockList.load(Path(self.task.block_list_file))
        )
        self.seal, self.unwrap = sealpass.KeyRing(self.old), sealpass.KeyRing(self.rsa)
        with self.seal, self.unwrap:
            self.plain = sealpass.SqlPasswordRepository(
                sealpass.PasswordStorage(self.database),
                sealpass.Passwords(self.seal, hashing=CHEAP),
                policy,
                lock_out=sealpass.LockOut(attempts=3, seconds=60),
            )
            profile = sealpass.SEALPASS.allowing_sha1()
            self.e2ee = sealpass.E2eePasswordRepository(
                self.plain, self.unwrap, profile, sealpass.SqlNonceStore(self.database)
            )
            self._use(p)
            self._refuse(p)
            self._lose_the_device(p)
            self._rotate(p)
            self._plant()

    def _sent(self, password: str, purpose: str = "check") -> str:
        return encrypt_password(password, self.e2ee.announce("flow", purpose))

    def _log_in(self, subject: str | None, password: str) -> sealpass.PasswordCheck:
        return self.e2ee.check("flow", subject, self._sent(password))

    def _use(self, p: dict[str, str]) -> None:
        e2ee = self.e2ee
        assert e2ee.register("flow", "ada", self._sent(p["first"], "register")) == "done"
        assert e2ee.register("flow", "bob", self._sent(p["first"], "register")) == "done"
        assert self._log_in("ada", p["first"])
        assert not self._log_in("ada", p["wrong"])
        assert not self._log_in(None, p["wrong"])
        assert e2ee.change("flow", "ada", self._sent(p["first"]), self._sent(p["second"], "change")) == "done"
        assert e2ee.reset("flow", "ada", self._sent(p["reset"], "reset")) == "done"
        assert e2ee.admin_set("flow", "ada", self._sent(p["admin"], "admin-set")) == "done"
        found = self._log_in("ada", p["admin"])
        assert found.must_change
        new = self._sent(p["third"], "change")
        assert e2ee.change_forced("flow", "ada", new, generation=found.generation) == "done"
        issued = e2ee.issue_letter("eve", register=True)
        assert issued.password is not None
        self.secrets["letter"] = issued.password
        letter = Letter(recipient=("Eve",), sender=("Bank",), login="eve", date=date(2026, 11, 22))
        assert render(letter, issued.password)
        assert self._log_in("eve", issued.password).must_change

    def _refuse(self, p: dict[str, str]) -> None:
        e2ee = self.e2ee
        for name in ("short", "blocked", "first"):
            sent = (self._sent(p["first"]), self._sent(p[name], "change"))
            self.fails(sealpass.PolicyViolation, lambda sent=sent: e2ee.change("flow", "bob", *sent))  # type: ignore[misc]
        self.fails(sealpass.TokenRejected, lambda: e2ee.check("flow", "ada", p["third"]))
        self.fails(sealpass.TokenRejected, lambda: e2ee.check("flow", "ada", self._sent(p["third"], "reset")))
        broken = flip_bit(self._sent(p["third"]), TAG, 3)
        self.fails(sealpass.DecryptionFailed, lambda: e2ee.check("flow", "ada", broken))
        self.fails(sealpass.ConfigError, lambda: self.plain.register("a\ud800", p["third"]))
        for _ in range(4):
            assert not self._log_in("bob", p["wrong"])
        assert not self._log_in("bob", p["first"])
        passwords = sealpass.Passwords(self.seal, hashing=CHEAP)
        record = passwords.hash(p["first"], "bob")
        self.fails(sealpass.RecordRefused, lambda: passwords.verify(record, p["first"], "ada"))
        storage = sealpass.PasswordStorage(self.database)
        self.fails(sealpass.RecordRefused, lambda: storage.create("too-long", current=record + "A" * 2000))
        breaks_a_rule = "UPDATE sealpass_record SET key_id = 'another'"
        self.fails(
            sealpass.ConfigError,
            lambda: self.database.write(lambda opened: opened.exec_driver_sql(breaks_a_rule)),
        )
        storage.create("damaged", current=record)
        assert not self._log_in("damaged", p["first"])
        self.fails(sealpass.ConfigError, lambda: passwords.hash(p["first"] + "\ud800", "bob"))

    def _lose_the_device(self, p: dict[str, str]) -> None:
        connection.RETRY_SECONDS = 0.0
        functions: Any = self.seal.current_sealer._functions  # type: ignore[attr-defined]
        decrypt_init = functions.decrypt_init
        for password in (p["third"], self.task.planted["locals"]):
            functions.decrypt_init = lambda *_: _DEVICE_REMOVED
            with_locals = password == self.task.planted["locals"]
            self.fails(
                sealpass.BackendUnavailable,
                lambda password=password: self.plain.check("ada", password),  # type: ignore[misc]
                with_locals=with_locals,
            )
            functions.decrypt_init = decrypt_init
        assert self._log_in("ada", p["third"])

    def _rotate(self, p: dict[str, str]) -> None:
        self.seal.replace(self.new, [self.old])
        assert self._log_in("ada", p["third"])
        assert Rotation(self.database, self.seal).run().moved
        counts = RecordTable(self.database).counts()
        logging.getLogger("application").info("%s", audit(counts, [self.seal.current_sealer.key_id]))

    # -- by commands -----------------------------------------------------------------------------------------------

    def _command(self, status: int, *arguments: str, stdin: str = "", shows_password: bool = False) -> str:
        """Run it with --debug, and where it fails once more with --json; the standard output of the first run."""
        outputs = []
        for options in ([], ["--json"]) if status else ([],):
            done = self._started([*_COMMAND, "--debug", *arguments, *options], stdin)
            assert done.returncode == status, (arguments, done.stderr)
            with Path("commands").open("a") as file:
                file.write(done.stderr if shows_password else done.stdout + done.stderr)
            outputs.append(done.stdout)
        return outputs[0].strip()

    @staticmethod
    def _started(command: list[str], stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run it, and write down its arguments: every process of the machine can read them."""
        with Path("arguments").open("a") as file:
            file.write("\n".join(command) + "\n")
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def commands(self) -> None:
        """The command line, on the same keys and tables."""
        p, database = self.task.passwords["command"], self.task.database
        token = self._command(0, "encrypt", self.rsa, "--allow-sha1", "--nonce", "n", stdin=p)
        unwrap = ("unwrap", self.rsa, "--allow-sha1", "--nonce", "n")
        self._command(0, *unwrap, stdin=token, shows_password=True)
        self._command(1, *unwrap, stdin=flip_bit(token, TAG, 3))
        self._command(1, *unwrap, stdin=p)
        record = self._command(0, "hash", self.new, "--subject", "ada", "--hashing", "owasp-12-mib", stdin=p)
        self._command(0, "verify", self.new, record, "--subject", "ada", stdin=p)
        self._command(2, "verify", self.new, record, "--subject", "bob", stdin=p)
        pin = f"pin-source=file:{Path('token').absolute() / 'pin'}"
        assert pin in self.rsa
        self._command(3, "doctor", self.rsa.replace(pin, f"pin-source=file:{self.task.wrong_pin_file}"))
        self._command(1, "records", "audit", database, self.old)
        self._command(0, "records", "rotate", database, self.old, "--previous", self.new)

    def qualify(self) -> None:
        """A qualification with its reports; it makes passwords of its own."""
        whole = qualification_flow.Flow.__init__

        def recording(one: qualification_flow.Flow, *arguments: Any, **options: Any) -> None:
            whole(one, *arguments, **options)
            if len(one.password) >= _SHORTEST:
                self.secrets[f"qualification: {one.password}"] = one.password

        few = Plan(threads=(1,), seconds=30.0, warm_up_seconds=0.02, max_tokens=40, min_samples=20)
        with (
            patch.object(qualification_flow.Flow, "__init__", recording),
            patch.object(qualification, "QUICK", few),
        ):
            assert run_command(["qualify", "--quick", "--allow-sha1", self.rsa, "--out", "reports"]) == 0

    # -- the positive control --------------------------------------------------------------------------------------

    def _plant(self) -> None:
        planted = self.task.planted
        sys.stdout.write(planted["standard output"])
        sys.stderr.write(planted["standard error"])
        logging.getLogger("application").debug("the password is %s", planted["log"])
        warnings.warn(planted["warning"], stacklevel=1)
        storage = sealpass.PasswordStorage(self.database)
        storage.create("planted", current=planted["database"])
        storage.create("planted-hash", current=argon2_hash.hash_password(planted["inner hash"].encode(), CHEAP))
        self.secrets["planted inner hash"] = self.secrets.popitem()[1]
        self._started(["true", planted["arguments"]])

        def fail() -> None:
            raise ValueError(f"cannot hash {planted['exception']}")

        self.fails(ValueError, fail)

    def finish(self) -> None:
        """Keep the files of SQLite as they are at work, and tell the secrets."""
        for path in Path().glob("passwords.db*"):
            shutil.copy(path, f"at-work-{path.name}")
        self.database.close()
        Path(self.task.secrets_file).write_text(json.dumps(self.secrets))


if __name__ == "__main__":
    run = FullRun(Task(**json.load(sys.stdin)))
    run.serve()
    if run.database.is_sqlite:  # the commands are the same on any
        run.commands()
        run.qualify()
    run.finish()
