"""Infilling prompts and training samples: the one place where their layout is written.

    PSM   BOS <PRE> prefix <SUF> suffix <MID> middle <EOT>
    SPM   BOS <PRE> <SUF> suffix <MID> prefix middle <EOT>

The prefix is encoded as a text that begins, with the dummy space of SentencePiece; suffix and, in
PSM order, middle are continuations without it. In SPM order prefix and middle are one string, so
that no token breaks between them. Layouts: arXiv 2308.12950, section 2.3 and appendix E.

A middle that begins in SPM order after an empty prefix starts with the dummy space, as a completion
of an empty prompt does: such a request sets `drop_space`.
"""

from typing import Literal, assert_never

from quipu.errors import AbilityError
from quipu.text.tokenizer import InfillIds, Tokenizer

Order = Literal["psm", "spm"]


def prompt(tokenizer: Tokenizer, prefix: str, suffix: str, order: Order = "psm") -> list[int]:
    """Token ids that ask for the middle; the answer ends with `tokenizer.infill.eot`.

    Raises AbilityError if the vocabulary has no infilling tokens.
    """
    return _layout(tokenizer, prefix, "", suffix, order)


def document(
    tokenizer: Tokenizer, prefix: str, middle: str, suffix: str, order: Order
) -> list[int]:
    """Token ids of a training sample, from BOS to `<EOT>`. Raises AbilityError as `prompt` does."""
    ids = _layout(tokenizer, prefix, middle, suffix, order)
    return [*ids, _infill_ids(tokenizer).eot]


def _layout(tokenizer: Tokenizer, prefix: str, middle: str, suffix: str, order: Order) -> list[int]:
    infill = _infill_ids(tokenizer)
    begin = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
    suffix_ids = tokenizer.encode(suffix, dummy_prefix=False)
    if order == "psm":
        before = [*begin, infill.pre, *tokenizer.encode(prefix), infill.suf, *suffix_ids]
        return [*before, infill.mid, *tokenizer.encode(middle, dummy_prefix=False)]
    if order == "spm":
        before = [*begin, infill.pre, infill.suf, *suffix_ids, infill.mid]
        return [*before, *tokenizer.encode(prefix + middle)]
    assert_never(order)


def _infill_ids(tokenizer: Tokenizer) -> InfillIds:
    if tokenizer.infill is None:
        raise AbilityError(
            "model cannot infill: its vocabulary has no infilling tokens",
            allowed="a vocabulary with <PRE>, <SUF>, <MID> and <EOT>",
            remedy="use complete, or a model trained to infill",
        )
    return tokenizer.infill
