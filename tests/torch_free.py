"""Everything a user does with a model, from a wheel, in an environment without PyTorch.

python tests/torch_free.py FOLDER     the environment is made there, anew each time
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]

IMPORTS = """
import importlib.util, sys
assert importlib.util.find_spec("torch") is None, "this environment has PyTorch"
import quipu, quipu.cli.main
from quipu.native import _runtime
with quipu.load() as llm:
    assert llm.backend.logits([1, 2, 3]).shape == (3, 4096)
assert str(quipu.__file__).startswith(sys.prefix), quipu.__file__
"""


def main(folder: Path) -> None:
    """Make the environment and try each command; raises at the first that fails."""
    folder = folder.resolve()
    venv.create(folder, clear=True, with_pip=True)
    python, quipu = folder / "bin" / "python", folder / "bin" / "quipu"
    subprocess.run([python, "-m", "pip", "install", "-q", PROJECT], check=True)
    with tempfile.TemporaryDirectory() as empty:

        def run(*command: str | Path) -> str:
            done = subprocess.run(command, cwd=empty, check=True, stdout=subprocess.PIPE, text=True)
            return done.stdout

        run(python, "-c", IMPORTS)
        answer = json.loads(run(quipu, "complete", "import os\n", "--max-tokens", "8", "--json"))
        assert answer["usage"]["completion_tokens"] == 8, answer
        filled = run(quipu, "infill", "--max-tokens", "8", "--json", "--", _file(empty))
        assert json.loads(filled)["token_ids"], filled
        run(quipu, "convert", "quipu-6m", "small.quipu", "--to", "native", "--quantize", "int8")
        assert "q8_0" in run(quipu, "info", "small.quipu")
        again = run(quipu, "complete", "import os\n", "--model", "small.quipu", "--max-tokens", "8")
        assert again, "an answer without text"
        speed = json.loads(run(quipu, "bench", "--model", "small.quipu", "--rounds", "1", "--json"))
        assert speed["decode_tokens_per_s"] > 0, speed
    print("without PyTorch: complete, infill, convert, info, bench and the Python face answer")


def _file(folder: str) -> str:
    (Path(folder) / "code.py").write_text("def add(a, b):\n    <FILL_ME>\n")
    return "code.py"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
