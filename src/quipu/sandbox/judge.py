"""Whole programs in eight languages judged: built, run, and told passed from failed."""

import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from quipu.errors import SandboxError, UsageError
from quipu.sandbox.checker import CheckerError, TypeScript
from quipu.sandbox.languages import LANGUAGES, Language, Tools
from quipu.sandbox.local import PATH, LocalSandbox
from quipu.sandbox.program import Apart, Limits, Outcome, Program, Sandbox

_HEADER = "#include <bits/stdc++.h>\n"
_JARS = "javatuples-1.2.jar"


def cache_folder() -> Path:
    """Where compiled headers and npm packages lie: QUIPU_CACHE, else the user's cache folder."""
    named = os.environ.get("QUIPU_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quipu"


def typescript_module() -> Path:
    """Where the npm package typescript is looked for."""
    return cache_folder() / "node_modules" / "typescript"


def missing(language: Language) -> list[str]:
    """What this machine lacks for a language: executables, and the npm package of TypeScript."""
    found = [name for name in language.executables if shutil.which(name) is None]
    if language.name == "typescript" and not (typescript_module() / "package.json").is_file():
        found.append("the npm package typescript")
    return found


def remedy(language: Language) -> str:
    """The command that installs what a language lacks."""
    lacking = missing(language)
    commands = []
    if set(lacking) & set(language.executables):
        commands.append(f"apt-get install -y {' '.join(language.packages)}")
    if language.name == "typescript":
        commands.append(f"npm install --prefix {cache_folder()} typescript@5")
    return " && ".join(commands)


def required(name: str) -> Language:
    """A language that can be judged here.

    Raises UsageError for one that is not one of LANGUAGES, SandboxError for one without its tools.
    """
    language = LANGUAGES.get(name)
    if language is None:
        raise UsageError("language", got=name, allowed=", ".join(LANGUAGES))
    lacking = missing(language)
    if lacking:
        raise SandboxError(
            f"{name} programs cannot be judged here",
            got=f"no {', no '.join(lacking)}",
            remedy=remedy(language),
        )
    return language


def versions(language: str) -> dict[str, str]:
    """Executables that judge a language, with their versions."""
    found = {"python": sys.version.split()[0]} if language == "python" else {}
    for name in LANGUAGES[language].executables:
        path = shutil.which(name)
        if path is None:
            continue
        option = "-version" if name in ("java", "javac") else "--version"
        words = subprocess.run([path, option], capture_output=True, env=_plain(), check=False)
        text = (words.stdout or words.stderr).decode(errors="replace")
        found[name] = text.partition("\n")[0].strip()
    return found


def _plain() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}


class LocalJudge:
    """Builds and runs whole programs in a sandbox. Implements `Judge`."""

    def __init__(self, sandbox: Sandbox, tools: Tools | None = None) -> None:
        """`sandbox` is this judge's own from here on."""
        self.sandbox = sandbox
        self.tools = tools or Tools()
        self._checker: TypeScript | None = None
        self._known: dict[str, Language] = {}  # those whose tools have been found

    @property
    def layers(self) -> tuple[str, ...]:
        return self.sandbox.layers

    def require(self, language: str) -> None:
        self._language(language)

    def versions(self, language: str) -> Mapping[str, str]:
        return versions(language)

    def judge(
        self,
        language: str,
        source: str,
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        complete: bool = False,
        apart: Apart | None = None,
    ) -> Outcome:
        known = self._language(language)
        text = source
        if language == "typescript":
            checked = self._checked(source)
            if isinstance(checked, Outcome):
                return checked
            text = checked
        bounds = limits or Limits()
        if language not in ("python", "cpp"):  # threads of a runtime count as processes
            bounds = dataclasses.replace(bounds, processes=max(bounds.processes, 256))
        program = Program(
            files={known.file(text): text.encode(errors="surrogatepass")},
            commands=known.commands(text, self.tools, bounds),
            stdin=stdin,
            complete=complete and language == "python",
            apart=apart if language == "python" else None,
            environment=self._environment(known),
        )
        return _told(known, self.sandbox.run(program))

    def close(self) -> None:
        if self._checker is not None:
            self._checker.close()
        self.sandbox.close()

    def _language(self, name: str) -> Language:
        return self._known.get(name) or self._known.setdefault(name, required(name))

    def _environment(self, language: Language) -> Mapping[str, str]:
        if language.withheld and self.tools.commands:
            return {**language.environment, "PATH": self.tools.commands}
        return language.environment

    def _checked(self, source: str) -> str | Outcome:
        """JavaScript of a TypeScript program, or how it failed."""
        if self._checker is None:
            self._checker = TypeScript(typescript_module())
        try:
            errors, script = self._checker.check(source)
        except CheckerError as error:
            return Outcome(status="sandbox_error", detail=str(error))
        if errors:
            report = "\n".join(errors).encode()
            return Outcome(status="failed", exit_code=2, stderr=report, detail="type errors")
        return script


def _told(language: Language, outcome: Outcome) -> Outcome:
    """The outcome of a runtime that reports a failure on stderr alone."""
    signs = [sign.decode() for sign in language.fails_on if sign in outcome.stderr]
    if outcome.status == "passed" and signs:
        return dataclasses.replace(outcome, status="failed", detail=f"{signs[0]} on stderr")
    return outcome


def tools_here(data: Path | None) -> Tools:
    """Tools of this machine: a compiled C++ header and a folder of commands, both made on first
    use; jars of a data folder.
    """
    jar = data / "multipl-e" / _JARS if data else None
    return Tools(
        header=_compiled_header() or "",
        classpath=str(jar.resolve()) if jar and jar.is_file() else "",
        commands=_commands(LANGUAGES["bash"].withheld),
    )


def _commands(withheld: Sequence[str]) -> str:
    """Path of a folder of links to this machine's commands but some; awk is mawk, if it is here."""
    found: dict[str, str] = {}
    for place in filter(os.path.isdir, PATH.split(":")):
        for name in sorted(os.listdir(place)):
            if name not in withheld:
                found.setdefault(name, f"{place}/{name}")
    if "mawk" in found:
        found["awk"] = found["mawk"]
    name = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
    folder = cache_folder() / f"commands-{name}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
            made = Path(aside, "commands")
            made.mkdir()
            for command, path in found.items():
                (made / command).symlink_to(path)
            with contextlib.suppress(OSError):  # another process was first
                made.rename(folder)
    return str(folder.resolve())


def _compiled_header() -> str | None:
    """Path of the header beside its compiled form; None without a compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    version = subprocess.run([compiler, "--version"], capture_output=True).stdout
    name = hashlib.sha256(version + _HEADER.encode()).hexdigest()[:16]
    folder = cache_folder() / f"cpp-{name}"
    header = folder / "all.h"
    if not (folder / "all.h.gch").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        header.write_text(_HEADER)
        aside = folder / f"all.{os.getpid()}.gch"
        build = [compiler, "-std=c++17", "-x", "c++-header", str(header), "-o", str(aside)]
        if subprocess.run(build, capture_output=True).returncode:
            return None
        aside.replace(folder / "all.h.gch")
    return str(header.resolve())


def open_judge(
    *,
    data: Path | None = None,
    workers: int = 1,
    allow_weaker: Sequence[str] = (),
    bubblewrap: bool = False,
) -> LocalJudge:
    """A judge over a sandbox of its own that may read the tools. Raises SandboxError."""
    tools = tools_here(data)
    read = [str(Path(tools.header).parent)] if tools.header else []
    read += tools.classpath.split(":") if tools.classpath else []
    read += [tools.commands] if tools.commands else []
    sandbox = LocalSandbox(
        workers=workers, allow_weaker=allow_weaker, read=read, bubblewrap=bubblewrap
    )
    return LocalJudge(sandbox, tools)
