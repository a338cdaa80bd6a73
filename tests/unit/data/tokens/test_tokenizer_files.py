"""Every file that checkpoints call a tokenizer's goes with the shards."""

from quipu.checkpoint.tokenizer_facts import FILES
from quipu.data.tokens.manifest import TOKENIZER_FILES


def test_shards_and_checkpoints_mean_the_same_files():
    assert {*TOKENIZER_FILES} == {*FILES}
