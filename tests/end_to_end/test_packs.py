"""A corpus carried in pieces gives the same tokens where it arrives."""

import json
import shutil
import sys

import pytest

from quipu.data.tokens.reading import TokenShards


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    from quipu.cli.main import main

    folder = tmp_path_factory.mktemp("corpora") / "tiny"
    asked = ["data", "build", "quipu_recipes.corpus.tiny:tiny", "vocab=512", "shard_tokens=30000"]
    assert main([*asked, "--to", str(folder), "--processes", "1"]) == 0
    return folder


def packed(quipu, corpus, folder, *options):
    ran = quipu("data", "pack", corpus, "--to", folder, "--processes", 1, *options)
    assert ran.code == 0, ran.err
    return [line.split("  ")[0] for line in ran.out.splitlines()]


def shards(folder):
    """Contents of all files of token shards."""
    return {path.name: path.read_bytes() for path in (folder / "tokens").glob("*-*.*")}


def test_all_pieces_give_the_same_shards(quipu, corpus, tmp_path):
    pieces = packed(quipu, corpus, tmp_path / "pieces", "--megabytes", 0.1)
    assert len(pieces) > 3
    sizes = [sum(f.stat().st_size for f in p.iterdir()) for p in (tmp_path / "pieces").glob("p*-*")]
    assert max(sizes) <= 100_000
    ran = quipu("data", "unpack", *pieces, "--to", tmp_path / "there", "--processes", 1)
    assert ran.code == 0, ran.err
    here, there = shards(corpus), shards(tmp_path / "there")
    done = {name for name in here if name.endswith(".done")}
    assert {n: d for n, d in here.items() if n not in done} == {
        n: d for n, d in there.items() if not n.endswith(".done")
    }
    assert "python" in ran.out


def test_the_first_piece_alone_holds_all_that_is_held_out(quipu, corpus, tmp_path):
    pieces = packed(quipu, corpus, tmp_path / "pieces", "--megabytes", 0.2)
    assert quipu("data", "unpack", pieces[0], "--to", tmp_path / "there").code == 0
    here, there = TokenShards.open(corpus / "tokens"), TokenShards.open(tmp_path / "there/tokens")
    for name in here.groups:
        if name.startswith("held-out"):
            assert there.group(name).lengths.sum() == here.group(name).lengths.sum()
    assert 0 < there.group("python").lengths.sum() < here.group("python").lengths.sum()


def test_what_was_dropped_stays_behind(quipu, corpus, tmp_path):
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    assert quipu("data", "drop", "folder/json", "--corpus", copy).code == 0
    dropped = json.loads((copy / "tokens" / "manifest.json").read_text())["dropped"]
    pieces = packed(quipu, copy, tmp_path / "pieces")
    assert quipu("data", "unpack", *pieces, "--to", tmp_path / "there").code == 0
    there = TokenShards.open(tmp_path / "there" / "tokens")
    numbers = {n for name in there.groups for n in there.group(name).documents.tolist()}
    assert dropped
    assert numbers.isdisjoint(dropped)


def test_packing_again_does_nothing_twice_and_fewer_pieces_leave_no_old_ones(
    quipu, corpus, tmp_path
):
    small = packed(quipu, corpus, tmp_path / "pieces", "--megabytes", 0.1)
    one = packed(quipu, corpus, tmp_path / "pieces", "--share", "text=0")
    assert len(one) == 1 < len(small)
    assert sorted(p.name for p in (tmp_path / "pieces").glob("piece-*")) == ["piece-00"]
    assert not list((tmp_path / "pieces" / "piece-00").glob("text-*"))


def test_shards_are_made_where_there_is_no_pyarrow(quipu, corpus, tmp_path, monkeypatch):
    pieces = packed(quipu, corpus, tmp_path / "pieces")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    from quipu.data.corpus import packs

    class Here:
        def run(self, wanted):
            return map(packs.jobs.perform, wanted)

    packs.unpack([tmp_path / "pieces" / "piece-00"], tmp_path / "there", Here())
    assert len(pieces) == 1
    assert shards(tmp_path / "there")


def test_what_cannot_travel_is_refused(refused, quipu, corpus, tmp_path):
    to = ("--to", tmp_path / "x")
    assert "larger than a piece" in refused("data", "pack", corpus, *to, "--megabytes", 0.02)
    assert "group of the corpus" in refused("data", "pack", corpus, *to, "--share", "go=1", code=2)
    assert "0 to 1" in refused("data", "pack", corpus, *to, "--share", "text=2", code=2)
    assert "GROUP=X" in refused("data", "pack", corpus, *to, "--share", "text", code=2)
    assert "manifest" in refused("data", "pack", tmp_path, *to)
    assert "is no piece" in refused("data", "unpack", tmp_path, *to)
    pieces = packed(quipu, corpus, tmp_path / "pieces")
    other = tmp_path / "other"
    shutil.copytree(pieces[0], other)
    (other / "tokenizer.model").write_bytes(b"")
    assert "different corpora" in refused("data", "unpack", pieces[0], other, *to)
