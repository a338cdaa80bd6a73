"""Fine-tuning on a folder of code, from the folder to the model, as a user types it."""

import json

import pytest

from quipu.checkpoint.opening import open_checkpoint
from quipu.config import Abilities

RECIPE = "quipu_recipes.finetune:folder"
SETTINGS = ("optimisation.matrix_lr=3e-3", "optimisation.other_lr=3e-3")


def module(number):
    """Code in words that the small model has not seen."""
    return "".join(
        f"class Kettle{number}_{i}:\n"
        f'    """A kettle that boils {number} litres."""\n\n'
        f"    def boil(self, litres={number}):\n        return litres * self.heat + {i}\n\n\n"
        for i in range(4)
    )


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my code")
    (folder / "inside").mkdir()
    for number in range(24):
        (folder / "inside" / f"kettle{number}.py").write_text(module(number))
    (folder / "README.md").write_text("# Kettles\n\nThey boil water, some of it twice a day.\n" * 3)
    return folder


def tuned(quipu, code, start, run, *settings):
    asked = ("train", RECIPE, f"source={code}", f"start={start}", "--run", run, "--no-compile")
    return quipu(*asked, *SETTINGS, *settings)


def bits(quipu, corpus, *what):
    ran = quipu(
        "train", "evaluate", *what, "--corpus", corpus, "--lines", 0, "--which", "newest",
        "--row-tokens", 64, "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return json.loads(ran.out)["sources"]["python"]["bits_per_byte"]


@pytest.mark.parametrize("how", ["lora", "full"])
def test_a_model_learns_a_folder_and_becomes_a_file_that_runs(quipu, code, model, tmp_path, how):
    run, corpus = tmp_path / "run", tmp_path / "run" / "corpus"
    ran = tuned(quipu, code, model, run, f"how={how}", "epochs=6")
    assert ran.code == 0, ran.err
    assert ran.out == f"{run}\n"
    before = bits(quipu, corpus, "--model", model)
    assert bits(quipu, corpus, run) < 0.8 * before
    target = tmp_path / "mine.quipu"
    exported = quipu("export", run, target, "--to", "native", "--quantize", "int8")
    assert exported.code == 0, exported.err
    assert bits(quipu, corpus, "--model", target) < 0.8 * before
    assert open_checkpoint(target).abilities == Abilities(infill=True)
    assert quipu("complete", "class Kettle", "--model", target, "--max-tokens", 4).code == 0


def test_what_was_read_once_is_trained_on_though_files_change(quipu, model, tmp_path):
    changing = tmp_path / "changing"
    changing.mkdir()
    for number in range(12):
        (changing / f"kettle{number}.py").write_text(module(number))
    asked = (quipu, changing, model, tmp_path / "run", "epochs=1")
    assert tuned(*asked).code == 0
    (changing / "kettle1.py").write_text(module(99))
    again = tuned(*asked)
    assert again.code == 0, again.err
    assert "prepare" not in again.err


def test_any_language_can_be_tuned_on(quipu, model, tmp_path):
    folder = tmp_path / "tool"
    folder.mkdir()
    for number in range(16):
        body = "".join(
            f"// Kettle{number}x{i} boils.\nfunc Kettle{number}x{i}(litres int) int {{\n"
            f"\treturn litres*{number} + {i}\n}}\n\n"
            for i in range(6)
        )
        (folder / f"kettle{number}.go").write_text(f"package kettle\n\n{body}")
    ran = tuned(quipu, folder, model, tmp_path / "run", "epochs=1")
    assert ran.code == 0, ran.err
    told = json.loads((tmp_path / "run" / "corpus" / "manifest.json").read_text())
    assert set(told["groups"]) == {"other"}
    assert told["held_out"]["other"]["documents"] == 1


@pytest.mark.parametrize("to", ["gguf", "native", "meta"])
def test_it_starts_from_any_layout(quipu, code, model, tmp_path, to):
    start = tmp_path / f"start.{to}"
    assert quipu("convert", model, start, "--to", to, "--dtype", "bf16").code == 0
    ran = tuned(quipu, code, start, tmp_path / "run", "epochs=0.2")
    assert ran.code == 0, ran.err
    assert quipu("export", tmp_path / "run", tmp_path / "model").code == 0
    files = open_checkpoint(tmp_path / "model").tokenizer_files()
    assert set(open_checkpoint(start).tokenizer_files()) <= set(files)


def test_a_run_is_tuned_further(quipu, code, model, tmp_path):
    assert tuned(quipu, code, model, tmp_path / "one", "epochs=0.3").code == 0
    ran = tuned(quipu, code, tmp_path / "one", tmp_path / "two", "epochs=0.3", "how=full")
    assert ran.code == 0, ran.err
    assert quipu("export", tmp_path / "two", tmp_path / "model").code == 0
    assert open_checkpoint(tmp_path / "model").abilities == Abilities(infill=True)


def test_a_dry_run_tells_the_size_that_the_folder_gives(quipu, code, model, tmp_path):
    ran = tuned(quipu, code, model, tmp_path / "run", "--dry-run")
    assert ran.code == 0, ran.err
    assert "trained" in ran.out
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_what_cannot_be_tuned_on_is_refused(refused, model, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    asked = ("train", RECIPE, f"start={model}", "--run", tmp_path / "run")
    assert "without source=" in refused(*asked, code=2)
    assert "a folder of code" in refused(*asked, "source=/nowhere", code=2)
    assert "lora, full" in refused(*asked, f"source={empty}", "how=half", code=2)
    told = refused("train", RECIPE, f"source={empty}", "start=/nowhere", code=2)
    assert "/nowhere" in told


def test_a_folder_without_code_is_refused(quipu, model, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("1,2,3\n" * 100)
    ran = tuned(quipu, tmp_path / "data", model, tmp_path / "run")
    assert ran.code == 1
    assert "no document passed all steps; got language (1)" in ran.err
    assert "Traceback" not in ran.err


def test_less_text_than_a_row_is_refused(quipu, model, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.py").write_text(module(1))
    ran = tuned(quipu, tmp_path / "data", model, tmp_path / "run", "epochs=0.01")
    assert ran.code == 2
    assert "less than one row" in ran.err


def test_several_processes_want_a_corpus_that_was_read(quipu, code, model, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    ran = tuned(quipu, code, model, tmp_path / "run")
    assert ran.code == 2
    assert "give --corpus" in ran.err


def test_the_embedded_model_is_what_is_tuned_without_a_start(quipu, code, tmp_path):
    ran = quipu("train", RECIPE, f"source={code}", "--run", tmp_path / "run", "--dry-run")
    assert ran.code == 0, ran.err
    told = json.loads((tmp_path / "run" / "corpus" / "tokens" / "manifest.json").read_text())
    assert told["vocab"] == 4096
