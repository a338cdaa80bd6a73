"""The last stage: a vocabulary, trained or given, then a shard from each file of texts."""

from collections.abc import Callable, Sequence
from pathlib import Path

from quipu.data.corpus import jobs
from quipu.data.corpus.jobs import Done, Failed, Job
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.tokens.manifest import MANIFEST, TOKENIZER, tokenizer_files
from quipu.data.tokens.stage import copy_tokenizer, finish, train_vocabulary, write_shard
from quipu.data.tokens.texts import is_for_training
from quipu.data.tokens.writing import shard_files
from quipu.errors import DataError

VERSION = 1
Run = Callable[[Sequence[Job], str], list[Done | Failed]]


def build_tokens(recipe: CorpusRecipe, folder: Path, texts: Sequence[Path], run: Run) -> None:
    """Make the folder of token shards; files of former builds go."""
    for_training = [path for path in texts if is_for_training(path)]
    if not for_training:
        raise DataError("nothing is left to train on", remedy="hold out less, or cap less")
    given = recipe.tokenizer
    first = _trained(recipe, folder, for_training) if given is None else _given(given, folder)
    (vocabulary,) = jobs.complete(run([first], "tokens"))
    tokenizer = (first.output, *first.also)
    done = jobs.complete(run([_shard(folder, path, tokenizer) for path in texts], "tokens"))
    made = [vocabulary, *done]
    keep = {path.name for one in made for path in (one.job.output, *one.job.also)}
    remove_others(folder, {*keep, *(f"{name}.done" for name in keep), MANIFEST})
    finish(folder, [one.facts for one in done], vocabulary=vocabulary.facts)


def _trained(recipe: CorpusRecipe, folder: Path, for_training: Sequence[Path]) -> Job:
    return jobs.make(
        "vocabulary",
        train_vocabulary,
        (for_training, recipe.vocab, recipe.sample),
        folder / TOKENIZER,
        reads=for_training,
        version=VERSION,
        size=sum(path.stat().st_size for path in for_training),
    )


def _given(source: Path, folder: Path) -> Job:
    files = tokenizer_files(source)
    return jobs.make(
        "tokenizer",
        copy_tokenizer,
        tuple(files),
        folder / files[0].name,
        also=tuple(folder / file.name for file in files[1:]),
        reads=files,
        version=VERSION,
    )


def _shard(folder: Path, texts: Path, tokenizer: tuple[Path, ...]) -> Job:
    first, *others = shard_files(folder, texts.stem)
    return jobs.make(
        f"tokens {texts.stem}",
        write_shard,
        (texts, *tokenizer),
        first,
        also=tuple(others),
        reads=(texts, *tokenizer),
        version=VERSION,
        size=texts.stat().st_size,
    )


def remove_others(folder: Path, names: set[str]) -> None:
    """Remove the files of a folder that have none of these names."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in names:
            path.unlink()
