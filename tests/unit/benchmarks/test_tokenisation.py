"""The measurement of tokenisation compares like with like."""

from data_speed.tokenisation import as_tokenizers

import small


def test_the_same_vocabulary_in_the_peer_gives_the_same_ids() -> None:
    peer, ours = as_tokenizers(small.tokenizer_model()), small.tokenizer()
    for text in [small.source(3), "  two  spaces\t\r\n", "é🦙 <s> <PRE>", "x"]:
        assert peer.encode(text, add_special_tokens=False).ids == ours.encode(text)
