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
_NAMES = {
    **dict.fromkeys(("sconstruct", "sconscript", "wscript"), "python"),
    **dict.fromkeys((".bashrc", ".bash_profile", ".profile", "pkgbuild", "apkbuild"), "bash"),
}
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
    """The group a language belongs to; "" for none of ours."""
    return GROUPS.get(language, "")
