"""Which language a file is in, by its name or its first line, and which group that belongs to."""

import re

# What a mixture weighs. JavaScript trains as TypeScript does: the one is nearly the other's subset.
GROUPS = {
    "python": "python",
    "cpp": "cpp",
    "java": "java",
    "php": "php",
    "typescript": "typescript",
    "javascript": "typescript",
    "csharp": "csharp",
    "bash": "bash",
    "markdown": "text",
    "rst": "text",
    "text": "text",
}
LANGUAGES = tuple(GROUPS)

_EXTENSIONS = {
    **dict.fromkeys(("py", "pyi", "pyw", "ipynb"), "python"),
    # C is C++ here, headers too: no reader could tell a `.h` of one from the other's.
    **dict.fromkeys(("c", "h", "cc", "cpp", "cxx", "c++", "hh", "hpp", "hxx", "h++"), "cpp"),
    **dict.fromkeys(("inl", "ipp", "tpp", "txx"), "cpp"),
    "java": "java",
    "php": "php",
    **dict.fromkeys(("ts", "tsx", "mts", "cts"), "typescript"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("cs", "csx"), "csharp"),
    **dict.fromkeys(("sh", "bash"), "bash"),
    **dict.fromkeys(("md", "markdown"), "markdown"),
    "rst": "rst",
}
# Languages of no group of ours, which a package can ask for: together they are the group OTHER.
OTHER = "other"
_OTHER_EXTENSIONS = {
    "go": "go", "rs": "rust", "rb": "ruby", "swift": "swift", "scala": "scala", "dart": "dart",
    "lua": "lua", "r": "r", "jl": "julia", "hs": "haskell", "elm": "elm", "nim": "nim",
    "zig": "zig", "sql": "sql", "vue": "vue", "svelte": "svelte", "css": "css", "scss": "css",
    "proto": "protobuf", "tf": "terraform", "cmake": "cmake", "sol": "solidity", "cu": "cuda",
    "glsl": "glsl", "asm": "assembly", "vhd": "vhdl", "sv": "verilog", "groovy": "groovy",
    **dict.fromkeys(("kt", "kts"), "kotlin"),
    **dict.fromkeys(("pl", "pm"), "perl"),
    **dict.fromkeys(("ml", "mli"), "ocaml"),
    **dict.fromkeys(("ex", "exs"), "elixir"),
    **dict.fromkeys(("erl", "hrl"), "erlang"),
    **dict.fromkeys(("clj", "cljs", "cljc"), "clojure"),
    **dict.fromkeys(("fs", "fsx"), "fsharp"),
    **dict.fromkeys(("m", "mm"), "objective-c"),
    **dict.fromkeys(("f90", "f95", "f03"), "fortran"),
    **dict.fromkeys(("html", "htm"), "html"),
    **dict.fromkeys(("yml", "yaml"), "yaml"),
    **dict.fromkeys(("ps1", "psm1"), "powershell"),
    **dict.fromkeys(("el", "lisp", "scm"), "lisp"),
    **dict.fromkeys(("zsh", "fish"), "shell"),
}  # fmt: skip
_OTHER_NAMES = {"makefile": "make", "dockerfile": "docker", "cmakelists.txt": "cmake"}
_NAMES = {
    **dict.fromkeys(("sconstruct", "sconscript", "wscript"), "python"),
    **dict.fromkeys((".bashrc", ".bash_profile", ".profile", "pkgbuild", "apkbuild"), "bash"),
}
_OTHER_LANGUAGES = {*_OTHER_EXTENSIONS.values(), *_OTHER_NAMES.values()}
# A .txt is for people when it is called so or lies among documents; others are data.
_PROSE = re.compile(
    r"(readme|change(s|log)|history|news|release[-_ ]?notes|whats[-_ ]?new|install|contributing"
    r"|hacking|upgrad(e|ing)|migrat(e|ion|ing)|todo|faq|tutorial|overview|design|about)"
    r"([-_.].*)?"
)
_NO_PROSE = re.compile(
    r"(cmakelists|requirements|constraints|robots|spelling|dictionary|wordlist|words)([-_.].*)?"
)
_DOCUMENTS = {"doc", "docs", "documentation", "guide", "guides", "manual", "tutorial", "tutorials"}
_INTERPRETERS = {
    **dict.fromkeys(("sh", "bash", "dash", "ksh"), "bash"),
    **dict.fromkeys(("node", "nodejs"), "javascript"),
    **dict.fromkeys(("deno", "bun", "ts-node", "tsx"), "typescript"),
    "python": "python",
    "pypy": "python",
    "php": "php",
}
_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*)?(?:\S*/)?([A-Za-z-]+)")


def by_name(path: str) -> str:
    """Language of a file of this name; "" when the name does not tell."""
    last = path.rpartition("/")[2]
    name = last.lower()
    if name in _NAMES:
        return _NAMES[name]
    stem, _, extension = name.rpartition(".")
    if stem and extension in _EXTENSIONS:
        return _EXTENSIONS[extension]
    if extension == "txt":
        folders = path.lower().split("/")[:-1]
        among = not _DOCUMENTS.isdisjoint(folders) and not _NO_PROSE.fullmatch(stem)
        return "text" if among or _PROSE.fullmatch(stem) else ""
    # `install` may be a program; INSTALL is for people.
    shouted = last.isupper() or name in ("readme", "changelog")
    return "text" if not stem and shouted and _PROSE.fullmatch(name) else ""


def other_by_name(path: str) -> str:
    """Language of a file of this name that belongs to no group of ours; "" if none is known."""
    name = path.rpartition("/")[2].lower()
    if by_name(path):
        return ""
    stem, _, extension = name.rpartition(".")
    return _OTHER_NAMES.get(name) or (_OTHER_EXTENSIONS.get(extension, "") if stem else "")


def may_have_shebang(path: str) -> bool:
    """Whether only the first line can tell the language: a name without an extension."""
    return "." not in path.rpartition("/")[2] and not by_name(path)


def by_shebang(text: str) -> str:
    """Language of a script, by its first line; "" when that does not tell."""
    found = _SHEBANG.match(text[:200].partition("\n")[0])
    return _INTERPRETERS.get(found[1].lower(), "") if found else ""


def language_of(path: str, text: str) -> str:
    """Language of a file, "" when it is none of ours."""
    named = by_name(path)
    # Qt keeps translations, which are XML, in files called .ts as well.
    if named == "typescript" and text.lstrip()[:200].startswith(("<?xml", "<!DOCTYPE")):
        return ""
    return named or (by_shebang(text) if may_have_shebang(path) else "")


def group_of(language: str) -> str:
    """The group a language belongs to; "" for none of ours, nor of the others."""
    return GROUPS.get(language) or (OTHER if language in _OTHER_LANGUAGES else "")
