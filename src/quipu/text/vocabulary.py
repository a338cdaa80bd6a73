"""Training of a vocabulary: SentencePiece BPE like Llama's, with infilling specials.

Unknown is 0, beginning 1, end 2; then the infilling specials, the 256 bytes, and what was learned.
Digits stand alone, runs of spaces up to 16 are pieces of their own, line ends are always bytes.
"""

import io
from collections.abc import Iterable, Iterator

import sentencepiece

from quipu.errors import TokenizerError
from quipu.text.pieces import SPACE
from quipu.text.sentencepiece_model import with_dummy_prefix

INFILL_SPECIALS = ("<PRE>", "<SUF>", "<MID>", "<EOT>")
LONGEST_LINE = 4096  # characters; longer lines are data, not code, and would teach nothing


def train_tokenizer(texts: Iterable[str], vocab: int) -> bytes:
    """Learn `vocab` pieces from whole texts; return the bytes of a tokenizer.model.

    Raises TokenizerError if `vocab` is too small for all bytes, or too large for `texts`.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab,
            max_sentence_length=4 * LONGEST_LINE,  # bytes
            unk_id=0,
            bos_id=1,
            eos_id=2,
            pad_id=-1,
            control_symbols=[SPACE + special for special in INFILL_SPECIALS],
            byte_fallback=True,
            character_coverage=0.9995,
            split_digits=True,
            allow_whitespace_only_pieces=True,
            max_sentencepiece_length=16,
            treat_whitespace_as_suffix=False,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            # Lines inside a text carry no dummy space when they are encoded: learn from them as
            # they will be met, and switch the dummy space on only in the finished model.
            add_dummy_prefix=False,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        reason = str(error).rpartition("] ")[2] or error  # after the library's file and line
        raise TokenizerError(
            "vocabulary cannot be trained",
            got=f"{vocab} pieces ({reason})",
            remedy="choose another size or give more text",
        ) from error
    return with_dummy_prefix(model.getvalue(), True)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for line in text.split("\n"):
            # SPACE itself would be taken for a space, NUL ends a line inside the trainer.
            if line and len(line) <= LONGEST_LINE and SPACE not in line and "\0" not in line:
                yield line
