"""The languages that can be judged, each a small value: its file, how to build and run it.

Commands and pass rules are those of MultiPL-E's and the paper's harnesses where those agree with
their published verdicts (tests/parity/test_verdicts.py).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quipu.sandbox.program import Command, Limits

# Threads of a runtime count as processes.
_THREADS = 256
BUILD = Limits(cpu_s=30, processes=_THREADS, memory_bytes=4 * 2**30)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Files beside the compilers: what makes a language quick, or complete. Empty: go without."""

    header: str = ""  # a C++ header that is compiled beforehand, and includes the standard library
    classpath: str = ""  # jar files for Java, separated by colons
    commands: str = ""  # a folder of commands, in place of the machine's, for Bash


@dataclass(frozen=True, kw_only=True)
class Language:
    """How programs of a language become files and commands."""

    name: str
    extension: str
    commands: Callable[[str, Tools, Limits], tuple[Command, ...]]  # of a source
    file: Callable[[str], str]  # name for a source
    stop: tuple[str, ...] = ()  # where a model's function ends, as MultiPL-E has it
    executables: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()  # Debian's, for what is needed
    withheld: tuple[str, ...] = ()  # commands that its programs do not find
    environment: Mapping[str, str] = field(default_factory=dict)
    fails_on: tuple[bytes, ...] = ()  # words on stderr of a runtime that ends with 0 all the same


def _run(*words: str, bounded: bool = True) -> Callable[[str, Tools, Limits], tuple[Command, ...]]:
    def commands(_source: str, _tools: Tools, limits: Limits) -> tuple[Command, ...]:
        return (Command(words=words, limits=limits, bounded_space=bounded),)

    return commands


def _named(name: str) -> Callable[[str], str]:
    return lambda _source: name


def _python(_source: str, _tools: Tools, limits: Limits) -> tuple[Command, ...]:
    return (Command(words=("python", "program.py"), limits=limits, warm=True),)


def _cpp(_source: str, tools: Tools, limits: Limits) -> tuple[Command, ...]:
    header = ("-include", tools.header) if tools.header else ()
    build = ("g++", "-std=c++17", *header, "program.cpp", "-o", "program")
    return Command(words=build, limits=BUILD), Command(words=("./program",), limits=limits)


_CLASS = re.compile(r"^\s*(?:public\s+|final\s+|abstract\s+)*(?:class|enum|record)\s+(\w+)", re.M)
_PUBLIC = re.compile(r"^\s*public\s+(?:final\s+|abstract\s+)*(?:class|enum|record)\s+(\w+)", re.M)


def _java_main(source: str) -> str:
    """The class that holds `main`: the last one that begins before it."""
    names: list[str] = _CLASS.findall(source.partition("static void main")[0])
    return names[-1] if names else "Problem"


def _java_file(source: str) -> str:
    public = _PUBLIC.search(source)
    return f"{public[1] if public else _java_main(source)}.java"


def _java(source: str, tools: Tools, limits: Limits) -> tuple[Command, ...]:
    place = f".:{tools.classpath}" if tools.classpath else "."
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-XX:-UsePerfData")
    heap = f"-Xmx{limits.memory_bytes * 3 // 4 // 2**20}m"
    build = ("javac", *(f"-J{o}" for o in quick), "-encoding", "UTF8", "-cp", place)
    run = ("java", *quick, heap, "-Xss64m", "-ea", "-cp", place, _java_main(source))
    return (
        Command(words=(*build, _java_file(source)), limits=BUILD, bounded_space=False),
        Command(words=run, limits=limits, bounded_space=False),
    )


def _csharp(_source: str, _tools: Tools, limits: Limits) -> tuple[Command, ...]:
    build = ("mcs", "-d:DEBUG", "-r:System.Numerics.dll", "program.cs", "-out:program.exe")
    return (
        Command(words=build, limits=BUILD, bounded_space=False),
        Command(words=("mono", "program.exe"), limits=limits, bounded_space=False),
    )


LANGUAGES: dict[str, Language] = {
    language.name: language
    for language in (
        Language(
            name="python",
            extension="py",
            commands=_python,
            file=_named("program.py"),
            stop=("\nclass", "\ndef", "\n#", "\nif", "\nprint"),
        ),
        Language(
            name="cpp",
            extension="cpp",
            commands=_cpp,
            file=_named("program.cpp"),
            stop=("\n}",),
            executables=("g++",),
            packages=("g++",),
        ),
        Language(
            name="java",
            extension="java",
            commands=_java,
            file=_java_file,
            stop=("\n    }\n",),
            executables=("javac", "java"),
            packages=("openjdk-17-jdk-headless",),
        ),
        Language(
            name="php",
            extension="php",
            # Not -n: without its configuration PHP has no ctype and mbstring functions.
            commands=_run("php", "-f", "program.php"),
            file=_named("program.php"),
            stop=("\nfunction", "\n?>", "\n//", "\n#"),
            executables=("php",),
            packages=("php-cli", "php-mbstring"),
        ),
        Language(
            name="typescript",
            extension="ts",
            commands=_run("node", "program.js", bounded=False),  # once it is checked, see judge
            file=_named("program.js"),
            stop=("\nfunction ", "\n/*", "\n//", "\nclass"),
            executables=("node",),
            packages=("nodejs", "npm"),
        ),
        Language(
            name="javascript",
            extension="js",
            commands=_run("node", "program.js", bounded=False),
            file=_named("program.js"),
            stop=("\nfunction ", "\n/*", "\n//", "\nconsole.log"),
            executables=("node",),
            packages=("nodejs",),
        ),
        Language(
            name="csharp",
            extension="cs",
            commands=_csharp,
            file=_named("program.cs"),
            stop=("\n    }\n",),
            executables=("mcs", "mono"),
            packages=(
                "mono-mcs",
                "mono-runtime",
                "libmono-system-numerics4.0-cil",
                "libmono-system-core4.0-cil",
            ),
            environment={"MONO_TRACE_LISTENER": "Console.Error"},
            # Mono ends with 0 after a failed Debug.Assert.
            fails_on=(b"TraceListener.Fail", b"Unhandled Exception"),
        ),
        Language(
            name="bash",
            extension="sh",
            commands=_run("bash", "program.sh"),
            file=_named("program.sh"),
            stop=("\n}",),
            executables=("bash",),
            packages=("bash",),
            # MultiPL-E's container (Ubuntu 22.04) has none of them, and many answers call bc: with
            # it a score is 2 points above the published ones.
            withheld=("bc", "dc", "gawk", "jq"),
        ),
    )
}
