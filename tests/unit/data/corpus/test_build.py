"""A whole build of a tiny corpus: what stays, in which order, and the same bytes every time."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import small
import small_corpus
from quipu.data.corpus import build as building
from quipu.data.corpus.executors.local import LocalExecutor
from quipu.data.corpus.holding import files_held_out, is_drawn
from quipu.data.corpus.provenance import why
from quipu.data.dedup.settings import Near
from quipu.data.sources.packages import Package
from quipu.data.tokens.reading import TokenShards
from quipu.errors import DataError, TokenizerError
from quipu.text.tokenizer import Tokenizer

HERE = LocalExecutor(0)


def build(recipe, folder, executor, until="tokens", **more):
    """A build without the report, whose pictures take longer than all else here."""
    return building.build(recipe, folder, executor, until=until, **more)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return small_corpus.write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def corpus(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    build(small_corpus.recipe_of(sources), folder, HERE)
    return folder


def documents(folder):
    return pq.read_table(folder / "documents.parquet").to_pylist()


def test_every_file_has_a_row_and_a_state(corpus):
    states = {row["id"]: row["state"] for row in documents(corpus)}
    assert states["folder/alpha/1/m1.py"] == "kept"
    assert states["folder/beta/1/copy.py"].startswith("exact duplicate of folder/alpha/1/m1.py")
    assert states["folder/gamma/1/secret.py"] == "word: forbidden"
    assert states["folder/gamma/1/data.bin"].startswith(("encoding", "language"))
    assert len(states) == 5 * 5 + 3


def test_numbers_are_rows_and_texts_follow_them_in_import_order(corpus):
    rows = documents(corpus)
    assert [row["number"] for row in rows] == list(range(len(rows)))
    alpha = [row["path"] for row in rows if row["package"] == "folder/alpha" and row["split"]]
    assert alpha == ["m2.py", "m1.py", "m0.py", "README.md"]
    for file in sorted((corpus / "texts").glob("*.parquet")):
        for row in pq.read_table(file).to_pylist():
            told = rows[row["number"]]
            assert (told["state"], told["package"]) == ("kept", row["package"])
            assert told["bytes"] == len(row["text"].encode())


def test_tokens_are_the_texts_and_whole_packages_are_held_out(corpus):
    rows = documents(corpus)
    shards = TokenShards.open(corpus / "tokens")
    shards.verify()
    tokenizer = Tokenizer.from_files(
        {"tokenizer.model": (corpus / "tokens" / "tokenizer.model").read_bytes()}
    )
    texts = {
        row["number"]: row["text"]
        for file in (corpus / "texts").glob("*.parquet")
        for row in pq.read_table(file).to_pylist()
    }
    seen = {}
    for name in shards.groups:
        group = shards.group(name)
        for index, number in enumerate(group.documents.tolist()):
            seen[number] = name
            assert group.ids(index).tolist() == tokenizer.encode(texts[number])
    assert sorted(seen) == [row["number"] for row in rows if row["state"] == "kept"]
    held = {row["package"] for row in rows if row["split"] == "held out"}
    assert held == {f"folder/{n}" for n in small_corpus.NAMES if is_drawn(f"folder/{n}", 0.3)}
    assert held
    for number, name in seen.items():
        assert name.startswith("held-out-") == (rows[number]["package"] in held)


def test_the_manifest_counts_what_is_there(corpus):
    told = json.loads((corpus / "manifest.json").read_text())
    rows = documents(corpus)
    kept = [row for row in rows if row["state"] == "kept"]
    assert sum(one["kept"] for one in told["packages"]) == len(kept)
    assert sum(one["documents"] for one in told["languages"].values()) == len(kept)
    assert sum(told["dropped"].values()) == len(rows) - len(kept)
    assert told["missing"] == []
    assert str(corpus) not in (corpus / "manifest.json").read_text()
    assert {"tokens", "vocabulary", "licences", "groups", "held_out"} <= set(told)


def test_processes_change_nothing(sources, corpus, tmp_path):
    with LocalExecutor(2) as executor:
        build(small_corpus.recipe_of(sources), tmp_path, executor)
    assert small_corpus.contents(tmp_path) == small_corpus.contents(corpus)


def test_a_second_build_does_nothing_and_changes_nothing(sources, tmp_path):
    recipe = small_corpus.recipe_of(sources)
    build(recipe, tmp_path, HERE)
    before = small_corpus.contents(tmp_path)
    told = []
    build(recipe, tmp_path, HERE, told=told.append)
    assert all(one.skipped == one.done for one in told if one.stage != "fetch")
    assert small_corpus.contents(tmp_path) == before


def done_anew(recipe, folder):
    """Jobs of each stage that were not skipped."""
    anew = {}
    last = {}
    for_stage = []
    build(recipe, folder, HERE, told=for_stage.append)
    for one in for_stage:
        key = (one.stage, one.total)
        anew[one.stage] = anew.get(one.stage, 0) + (one.done - one.skipped) - last.get(key, 0)
        last[key] = 0 if one.done == one.total else one.done - one.skipped
    return anew


@pytest.mark.parametrize(
    ("change", "again", "untouched"),
    [
        ({"cap_bytes": 900}, {"select", "texts", "tokens"}, {"prepare", "deduplicate"}),
        ({"near": Near(jaccard=0.9)}, {"deduplicate", "select"}, {"prepare"}),
        ({"vocab": 330}, {"tokens"}, {"prepare", "deduplicate", "select", "texts"}),
        ({"steps": ()}, {"prepare", "deduplicate", "select", "texts", "tokens"}, set()),
        ({"name": "other"}, set(), {"prepare", "deduplicate", "select", "texts", "tokens"}),
    ],
    ids=lambda value: ",".join(sorted(value)) if isinstance(value, dict) else "",
)
def test_a_change_redoes_what_depends_on_it_and_no_more(
    sources, tmp_path, change, again, untouched
):
    recipe = small_corpus.recipe_of(sources)
    build(recipe, tmp_path / "changed", HERE)
    changed = replace(recipe, **change)
    anew = done_anew(changed, tmp_path / "changed")
    assert {stage for stage, count in anew.items() if count and stage != "fetch"} >= again
    assert not any(anew[stage] for stage in untouched)
    build(changed, tmp_path / "fresh", HERE)
    files = small_corpus.contents(tmp_path / "fresh")
    found = small_corpus.contents(tmp_path / "changed")
    assert {name: found[name] for name in files} == files


def test_a_cap_keeps_the_best_of_each_group_of_a_package(sources, tmp_path):
    build(small_corpus.recipe_of(sources, cap_bytes=700, steps=(small_corpus.Longer(),)), tmp_path,
          HERE, until="select")  # fmt: skip
    rows = documents(tmp_path)
    for package in {row["package"] for row in rows}:
        mine = [row for row in rows if row["package"] == package and row["group"] == "python"]
        kept = [row for row in mine if row["state"] == "kept"]
        assert sum(row["bytes"] for row in kept) <= 700
        capped = [row for row in mine if row["state"].startswith("cap: ")]
        left = 700 - sum(row["bytes"] for row in kept)
        assert all(row["bytes"] > left for row in capped)


def test_a_package_that_is_not_there_is_missing_with_a_reason(sources, tmp_path):
    recipe = small_corpus.recipe_of(sources)
    lost = Package(ecosystem="folder", name="lost", version="1", place=str(tmp_path / "lost"))
    manifest = build(
        replace(recipe, packages=(*recipe.packages, lost)), tmp_path / "c", HERE, until="select"
    )
    (missing,) = manifest["missing"]
    assert missing["package"] == "folder:lost==1"
    assert missing["reason"]


def test_a_package_whose_process_is_killed_is_missing_and_all_others_are_there(sources, tmp_path):
    deadly = small_corpus.Deadly(package="folder/delta")
    recipe = small_corpus.recipe_of(sources, steps=(small_corpus.NoSecrets(), deadly))
    with LocalExecutor(2) as executor:
        manifest = build(recipe, tmp_path, executor, until="select")
    (missing,) = manifest["missing"]
    assert missing["package"] == "folder:delta==1"
    assert "killed" in missing["reason"]
    present = {row["package"] for row in documents(tmp_path)}
    assert present == {f"folder/{name}" for name in small_corpus.NAMES if name != "delta"}


def test_a_package_named_twice_is_refused(sources, tmp_path):
    recipe = small_corpus.recipe_of(sources)
    with pytest.raises(DataError, match="twice"):
        build(replace(recipe, packages=recipe.packages * 2), tmp_path, HERE)


def test_a_corpus_of_nothing_says_where_to_look(tmp_path):
    (tmp_path / "empty").mkdir()
    package = Package(ecosystem="folder", name="empty", place=str(tmp_path / "empty"))
    recipe = small_corpus.recipe_of(tmp_path, packages=(package,))
    with pytest.raises(DataError, match="no document passed"):
        build(recipe, tmp_path / "c", HERE)


def test_two_builds_in_one_folder_are_refused(sources, tmp_path):
    recipe = small_corpus.recipe_of(sources)

    def meanwhile(_):
        with pytest.raises(DataError, match="another process"):
            build(recipe, tmp_path, HERE)

    build(recipe, tmp_path, HERE, until="fetch", told=meanwhile)


def test_a_folder_that_is_none_is_refused(sources, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        build(small_corpus.recipe_of(sources), tmp_path / "file", HERE)


@pytest.mark.parametrize("wrong", [{"held_out": 1.5}, {"cap_bytes": 0}, {"vocab": 3}])
def test_a_recipe_out_of_range_is_refused(sources, wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        small_corpus.recipe_of(sources, **wrong)


def test_where_a_recipe_lies_is_no_part_of_its_fingerprint(sources, tmp_path):
    there = small_corpus.write_sources(tmp_path / "there")
    here, other = (small_corpus.recipe_of(folder) for folder in (sources, there))
    assert here.fingerprint() == other.fingerprint()
    assert here.fingerprint() != replace(here, held_out=0.5).fingerprint()


def test_why_knows_ids_packages_hashes_and_files(sources, corpus, tmp_path):
    by_id = why(corpus, "folder/alpha/1/m1.py").found[0]
    assert by_id.match == "id"
    assert by_id.tokens > 0
    assert by_id.shard
    assert why(corpus, by_id.sha256).found[0].id == by_id.id
    by_file = why(corpus, str(sources / "alpha" / "m1.py"))
    assert {one.id for one in by_file.found} == {by_id.id, "folder/beta/1/copy.py"}
    changed = tmp_path / "windows.py"
    changed.write_bytes((sources / "alpha" / "m1.py").read_bytes().replace(b"\n", b"\r\n"))
    assert why(corpus, str(changed)).found[0].match == "text"
    changed.write_text((sources / "alpha" / "m1.py").read_text() + "\nNEW = 1\n")
    alike = why(corpus, str(changed)).found
    assert alike[0].match.endswith("alike")
    assert {"folder/alpha/1/m1.py", "folder/beta/1/copy.py"} <= {one.id for one in alike}
    changed.write_text("nothing = like(this)\n")
    assert why(corpus, str(changed)).documents == 0
    package = why(corpus, "alpha")
    assert package.documents == 5
    assert why(corpus, "nothing").documents == 0
    with pytest.raises(DataError, match="build it first"):
        why(tmp_path, "alpha")


def test_a_given_tokenizer_is_copied_and_none_is_trained(sources, tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    (given / "tokenizer.model").write_bytes(small.tokenizer_model())
    (given / "chat_template.jinja").write_text("none")
    (given / "model.safetensors").write_bytes(b"no part of a tokenizer")
    recipe = small_corpus.recipe_of(sources, tokenizer=given)
    build(recipe, tmp_path / "corpus", HERE)
    tokens = tmp_path / "corpus" / "tokens"
    shards = TokenShards.open(tokens, small.tokenizer())
    assert shards.manifest.vocabulary == {"given": ["tokenizer.model", "chat_template.jinja"]}
    assert (tokens / "tokenizer.model").read_bytes() == small.tokenizer_model()
    assert (tokens / "chat_template.jinja").exists()
    assert not (tokens / "model.safetensors").exists()
    text = small.tokenizer().decode(shards.document("python", 0))
    assert text.startswith(("from .m", "def step_"))


def test_a_folder_without_a_tokenizer_is_refused(sources, tmp_path):
    recipe = small_corpus.recipe_of(sources, tokenizer=tmp_path)
    with pytest.raises(TokenizerError, match="no tokenizer"):
        build(recipe, tmp_path / "corpus", HERE)


def test_files_may_be_held_out_one_by_one(sources, tmp_path):
    build(small_corpus.recipe_of(sources, held_out_by="file", held_out=0.2), tmp_path, HERE)
    kept = [row for row in documents(tmp_path) if row["state"] == "kept"]
    out = [row for row in kept if row["split"] == "held out"]
    assert len(out) == round(0.2 * len(kept))
    assert len({row["package"] for row in out} & {r["package"] for r in kept if r not in out}) > 0


def test_few_files_are_all_trained_on_and_one_of_many_is_drawn():
    paths = [f"m{i}.py" for i in range(40)]
    assert files_held_out(paths[:7], 0.05) == set()
    assert len(files_held_out(paths[:8], 0.05)) == 1
    assert len(files_held_out(paths, 0.05)) == 2
    assert files_held_out(paths, 0.0) == set()
    before = {paths[i] for i in files_held_out(paths, 0.2)}
    after = {paths[1:][i] for i in files_held_out(paths[1:], 0.2)}
    assert len(before & after) >= 7


def test_nothing_left_says_what_went_and_why(sources, tmp_path):
    recipe = small_corpus.recipe_of(sources, packages=(
        Package(ecosystem="folder", name="away", place=str(tmp_path / "away")),
    ))  # fmt: skip
    with pytest.raises(DataError, match="no files; 1 of 1 packages missing; not found"):
        build(recipe, tmp_path / "corpus", HERE)


def test_recipes_that_ask_for_nothing_new_keep_their_fingerprints(sources):
    told = small_corpus.recipe_of(sources).as_json()
    assert "tokenizer" not in told
    assert "held_out_by" not in told
    assert all("others" not in package for package in told["packages"])
