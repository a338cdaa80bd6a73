"""Notebooks as scripts: code as it is, prose as comments, commands to the shell commented out."""

import ast
import json
import warnings


class NotANotebook(Exception):
    """The file is no notebook that we can read; the message says why."""


def script(text: str) -> str:
    """The notebook's cells in order, a blank line between; NotANotebook."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotANotebook("bad JSON") from error
    cells = found.get("cells") if isinstance(found, dict) else None
    if cells is None and isinstance(found, dict):  # format 3 and older: cells in worksheets
        sheets = found.get("worksheets")
        cells = [
            cell
            for sheet in (sheets if isinstance(sheets, list) else [])
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
            for cell in sheet["cells"]
        ] or None
    if not isinstance(cells, list):
        raise NotANotebook("no cells")
    if not _in_python(found):
        raise NotANotebook("not in Python")
    parts = [_cell(cell) for cell in cells if isinstance(cell, dict)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _in_python(notebook: dict[str, object]) -> bool:
    metadata = notebook.get("metadata")
    about = metadata if isinstance(metadata, dict) else {}
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        value = about.get(key)
        if isinstance(value, dict) and isinstance(value.get(name), str):
            return str(value[name]).lower() in ("python", "python2", "python3", "ipython")
    return True


def _cell(cell: dict[str, object]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str) or not source.strip():
        return ""
    lines = source.strip("\n").splitlines()
    if cell.get("cell_type") == "code":
        # A cell whose first line is %%bash and the like is in another language altogether.
        if lines[0].lstrip().startswith("%%"):
            return "\n".join(_comment(line) for line in lines)
        if _is_python("\n".join(lines)):  # then a line that begins with % goes on from the last
            return "\n".join(lines)
        return "\n".join(_without_magic(line) for line in lines)
    return "\n".join(_comment(line) for line in lines)


def _is_python(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _comment(line: str) -> str:
    return f"# {line}".rstrip()


def _without_magic(line: str) -> str:
    """The line, commented out when it is for the notebook's shell rather than for Python."""
    stripped = line.lstrip()
    asks = stripped.endswith("?") and not stripped.startswith("#")
    if not stripped.startswith(("%", "!", "?")) and not asks:
        return line
    indent = line[: len(line) - len(stripped)]
    return f"{indent}# {stripped}".rstrip()
