"""A model of yours, trained further on a folder of your own code, with infilling.

    quipu train quipu_recipes.finetune:folder source=FOLDER start=MODEL --run runs/mine
    quipu export runs/mine models/mine.quipu --to native --quantize int8

The folder is read once, into RUN/corpus, in the model's own tokens: of a git checkout what is
committed, else all files but environments and what version control keeps. Some files are held out:
`quipu train evaluate` measures the model before and after on them.
"""

import math
from pathlib import Path

from quipu.counts import parameters
from quipu.data.corpus.recipe import CorpusRecipe
from quipu.data.dedup.settings import Near
from quipu.data.documents import Map, Step
from quipu.data.loading.mixture import Infilling
from quipu.data.sources.packages import Package
from quipu.data.steps.generated import Generated
from quipu.data.steps.paths import Vendored
from quipu.data.steps.quality import Quality
from quipu.data.steps.redact import Redact
from quipu.data.steps.shape import DataLike, LongLines, Minified, TooShort
from quipu.errors import UsageError
from quipu.llm import TRAINED, model_path
from quipu.text.tokenizer import Tokenizer
from quipu.train.recipe import LearningRate, Lora, Optimisation
from quipu.train.start import config_of, tokenizer_files
from quipu.train.tuning import Tuning
from quipu_recipes.family import INFILLING

# No licences: it is yours. Secrets and addresses are not learnt all the same.
STEPS: tuple[Step | Map, ...] = (
    Vendored(),
    TooShort(),
    LongLines(),
    Minified(),
    DataLike(),
    Generated(),
    Redact(),
    Quality(),
)
ROW_TOKENS = 2_048  # or the model's context: what an editor sends is seldom longer
LARGE = 1e9  # parameters, from which on fp32 arithmetic is too slow and too wide


def folder(source: Path, start: str = "", how: str = "lora", epochs: float = 2.0) -> Tuning:
    """Train `start` (a model, a run; nothing: the embedded model) on the code below `source`.

    `how` is lora (adapters beside frozen weights, merged by the export) or full.
    """
    if how not in ("lora", "full"):
        raise UsageError("how", got=how, allowed="lora, full")
    path = model_path(start or TRAINED).resolve()
    model = config_of(path)
    infills = Tokenizer.from_files(tokenizer_files(path)).infill is not None
    size = parameters(model)
    # 2e-5 is what Code Llama's instruct stage is thought to have had at 7B (arXiv 2307.09288 has it
    # for Llama 2); smaller models bear more, about by the root of their size. Adapters want ten
    # times the rate of all weights, whatever the size.
    rate = 2e-5 * math.sqrt(7e9 / size) * (10 if how == "lora" else 1)
    return Tuning(
        name=path.stem if start else "embedded",
        start=str(path),
        model=model,
        corpus=_corpus(source),
        row_tokens=min(model.context, ROW_TOKENS),
        epochs=epochs,
        infilling=INFILLING if infills else Infilling(rate=0.0),
        optimisation=Optimisation(
            matrices="adamw", matrix_lr=rate, other_lr=rate, weight_decay=0.0
        ),
        learning_rate=LearningRate(kind="cosine", warmup_steps=20, floor=0.1),
        lora=Lora() if how == "lora" else None,
        dtype="bfloat16" if size >= LARGE else "float32",
    )


def _corpus(source: Path) -> CorpusRecipe:
    """All of a folder; a twentieth of its files, and at least one of eight, is held out."""
    place = source.expanduser().resolve()
    if not place.is_dir():
        raise UsageError("source", got=source, allowed="a folder of code")
    ecosystem = "git" if (place / ".git").exists() else "folder"
    return CorpusRecipe(
        name=place.name,
        packages=(
            Package(
                ecosystem=ecosystem,
                name=place.name.replace(" ", "-"),
                others=True,  # it is the user's language, whatever it is
                place=place,
            ),
        ),
        steps=STEPS,
        near=Near(),
        cap_bytes=2**40,
        held_out=0.05,
        held_out_by="file",
    )
