"""Golden token ids of every prompt format, worked out by hand from the formats' description.

Each list is written in the parts that the format names, so that a reader can check it: on Code
Llama's vocabulary (from ../shared; skipped where that is absent), and on a small one made by hand
(see unit/text/vocabularies.py: `▁` is 281, `print` 269, `▁print` 270, a byte b is 3 + b).
"""

import pytest

from quipu.text import chat, infill
from quipu.text.chat import Message
from quipu.text.tokenizer import Tokenizer
from unit.text.vocabularies import SHARED

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/tokenizer")

BOS, EOS, NEWLINE, SPACE = 1, 2, 13, 29871
PRE, SUF, MID, EOT, STEP = 32007, 32008, 32009, 32010, 32015

PREFIX = "def greet(name):\n    return "
MIDDLE = '"Hi " + name'
SUFFIX = '\n\nprint(greet("x"))\n'
# ▁def ▁gre et ( name ): \n ▁▁▁ ▁return ▁
PREFIX_IDS = [822, 1395, 300, 29898, 978, 1125, NEWLINE, 1678, 736, SPACE]
# " Hi ▁" ▁+ ▁name
MIDDLE_IDS = [29908, 18567, 376, 718, 1024]
# \n \n print ( g reet (" x ")) \n
SUFFIX_IDS = [NEWLINE, NEWLINE, 2158, 29898, 29887, 4521, 703, 29916, 5783, NEWLINE]
# The same with the cursor's space merged into what follows it: ▁def ... ▁return ▁" Hi ▁" ▁+ ▁name
JOINED_IDS = [*PREFIX_IDS[:-1], 376, 18567, 376, 718, 1024]

CONVERSATION = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hi! "),
    Message(role="assistant", content=" Hello."),
    Message(role="user", content="Add 1 and 2."),
)
ANSWER = Message(role="assistant", content="3")

# ▁[ INST ] … ▁[ / INST ]
OPEN, CLOSE = [518, 25580, 29962], [518, 29914, 25580, 29962]
# ▁<< SY S >> \n Be ▁brief . \n < </ SY S >> \n \n
SYSTEM = [3532, 14816, 29903, 6778, NEWLINE, 3629, 11473, 29889, NEWLINE, 29966, 829, 14816]
SYSTEM += [29903, 6778, NEWLINE, NEWLINE]
HI, HELLO = [18567, 29991], [15043, 29889]  # Hi ! and ▁Hello .
ADD = [3462, SPACE, 29896, 322, SPACE, 29906, 29889]  # ▁Add ▁ 1 ▁and ▁ 2 .


# Each of " Source: …" and "\n\n …" is a text of its own: a dummy space, then its own space.
def _header(role: int) -> list[int]:
    return [SPACE, 7562, 29901, role]  # ▁ ▁Source : ▁role


BREAK = [SPACE, NEWLINE, NEWLINE]
SYSTEM_ROLE, USER_ROLE, ASSISTANT_ROLE = 1788, 1404, 20255
# ▁ ▁Source : ▁assistant \n Dest ination : ▁user, then ▁ \n \n ▁
ASK = [SPACE, 7562, 29901, 20255, NEWLINE, 14994, 3381, 29901, 1404, *BREAK, SPACE]

# ▁ d e f ▁f ( x ) : \n ▁▁▁▁ re; ▁def is out of reach, as no merge makes ▁d or de on the way.
SMALL_PREFIX_IDS = [281, 285, 286, 287, 263, 308, 305, 309, 321, 13, 260, 262]
SMALL_SUFFIX_IDS = [13, 269, 308, 287, 308, 329, 309, 309]  # \n print ( f ( 1 ) )


@needs_shared
class TestCodeLlama:
    def test_completion(self, code_llama: Tokenizer) -> None:
        assert code_llama.encode(PREFIX) == PREFIX_IDS

    def test_infill_prompt_psm(self, code_llama: Tokenizer) -> None:
        ids = infill.prompt(code_llama, PREFIX, SUFFIX, "psm")
        assert ids == [BOS, PRE, *PREFIX_IDS, SUF, *SUFFIX_IDS, MID]

    def test_infill_prompt_spm(self, code_llama: Tokenizer) -> None:
        ids = infill.prompt(code_llama, PREFIX, SUFFIX, "spm")
        assert ids == [BOS, PRE, SUF, *SUFFIX_IDS, MID, *PREFIX_IDS]

    def test_infill_sample_psm(self, code_llama: Tokenizer) -> None:
        ids = infill.document(code_llama, PREFIX, MIDDLE, SUFFIX, "psm")
        assert ids == [BOS, PRE, *PREFIX_IDS, SUF, *SUFFIX_IDS, MID, *MIDDLE_IDS, EOT]

    def test_infill_sample_spm(self, code_llama: Tokenizer) -> None:
        ids = infill.document(code_llama, PREFIX, MIDDLE, SUFFIX, "spm")
        assert ids == [BOS, PRE, SUF, *SUFFIX_IDS, MID, *JOINED_IDS, EOT]

    def test_infill_with_nothing_around_the_cursor(self, code_llama: Tokenizer) -> None:
        assert infill.prompt(code_llama, "", "", "psm") == [BOS, PRE, SUF, MID]
        assert infill.prompt(code_llama, "", "", "spm") == [BOS, PRE, SUF, MID]

    def test_chat_prompt_inst(self, code_llama: Tokenizer) -> None:
        past = [BOS, *OPEN, *SYSTEM, *HI, *CLOSE, *HELLO, SPACE, EOS]
        asked = [BOS, *OPEN, *ADD, *CLOSE]
        assert chat.prompt(code_llama, CONVERSATION) == [*past, *asked]

    def test_chat_sample_inst(self, code_llama: Tokenizer) -> None:
        ids, mask = chat.document(code_llama, [*CONVERSATION, ANSWER])
        question = [BOS, *OPEN, *SYSTEM, *HI, *CLOSE]
        answer = [*HELLO, SPACE, EOS]
        asked = [BOS, *OPEN, *ADD, *CLOSE]
        last = [SPACE, 29941, SPACE, EOS]
        assert ids == [*question, *answer, *asked, *last]
        sizes = [len(part) for part in (question, answer, asked, last)]
        assert mask == [
            on for on, size in zip([False, True] * 2, sizes, strict=True) for _ in range(size)
        ]

    def test_chat_prompt_source(self, code_llama_70b: Tokenizer) -> None:
        assert chat.prompt(code_llama_70b, CONVERSATION) == [
            BOS,
            *[*_header(SYSTEM_ROLE), *BREAK, 1522, 11473, 29889, STEP],
            *[*_header(USER_ROLE), *BREAK, 6324, 29991, STEP],
            *[*_header(ASSISTANT_ROLE), *BREAK, *HELLO, STEP],
            *[*_header(USER_ROLE), *BREAK, *ADD, STEP],
            *ASK,
        ]

    def test_chat_prompt_source_without_system(self, code_llama_70b: Tokenizer) -> None:
        assert chat.prompt(code_llama_70b, CONVERSATION[1:2]) == [
            BOS,
            *[*_header(SYSTEM_ROLE), STEP],
            *[*_header(USER_ROLE), *BREAK, 6324, 29991, STEP],
            *ASK,
        ]

    def test_chat_sample_source(self, code_llama_70b: Tokenizer) -> None:
        ids, mask = chat.document(code_llama_70b, [*CONVERSATION, ANSWER])
        assert ids == [*chat.prompt(code_llama_70b, CONVERSATION), 29941, STEP]
        trained = [token_id for token_id, on in zip(ids, mask, strict=True) if on]
        assert trained == [*HELLO, STEP, 29941, STEP]

    def test_stop_ids(self, code_llama: Tokenizer, code_llama_70b: Tokenizer) -> None:
        assert chat.stop_ids(code_llama) == (EOS,)
        assert chat.stop_ids(code_llama_70b) == (STEP, EOS)


class TestHandmade:
    def test_infill_prompts(self, handmade: Tokenizer) -> None:
        texts = "def f(x):\n    re", "\nprint(f(1))"
        psm = [1, 354, *SMALL_PREFIX_IDS, 355, *SMALL_SUFFIX_IDS, 356]
        spm = [1, 354, 355, *SMALL_SUFFIX_IDS, 356, *SMALL_PREFIX_IDS]
        assert infill.prompt(handmade, *texts, "psm") == psm
        assert infill.prompt(handmade, *texts, "spm") == spm

    def test_infill_samples(self, handmade: Tokenizer) -> None:
        texts = "def f(x):\n    re", "turn x", "\nprint(f(1))"
        psm = [1, 354, *SMALL_PREFIX_IDS, 355, *SMALL_SUFFIX_IDS, 356, 275, 273, 281, 305, 357]
        spm = [1, 354, 355, *SMALL_SUFFIX_IDS, 356]
        spm += [*SMALL_PREFIX_IDS[:-1], 272, 273, 281, 305, 357]  # … retu rn ▁ x
        assert infill.document(handmade, *texts, "psm") == psm
        assert infill.document(handmade, *texts, "spm") == spm

    def test_chat_inst(self, handmade: Tokenizer) -> None:
        messages = [
            Message(role="user", content="print 1"),
            Message(role="assistant", content="print(1)"),
            Message(role="user", content="f"),
        ]
        inst = [342, 340, 338, 341]  # I N S T
        opened, closed = [281, 310, *inst, 311], [281, 310, 316, *inst, 311]
        question, answer = [1, *opened, 270, 281, 329, *closed], [270, 308, 329, 309, 281, 2]
        assert chat.prompt(handmade, messages) == [*question, *answer, 1, *opened, 263, *closed]
        mask = [False] * len(question) + [True] * len(answer)
        assert chat.document(handmade, messages[:2]) == ([*question, *answer], mask)

    def test_chat_source(self, handmade_with_step: Tokenizer) -> None:
        ids, mask = chat.document(
            handmade_with_step,
            [Message(role="user", content="f"), Message(role="assistant", content="print(1)")],
        )
        source = [259, 338, 296, 302, 299, 284, 286, 321]  # ▁▁ S o u r c e :
        system = [281, 300, 306, 300, 301, 286, 294]  # ▁ s y s t e m
        user = [281, 302, 300, 286, 299]  # ▁ u s e r
        assistant = [281, 282, 300, 300, 290, 300, 301, 282, 264]  # ▁ a s s i s t a nt
        to_user = [13, 350, 286, 300, 301, 261, 282, 301, 290, 296, 295, 321, *user]
        prompt = [1, *source, *system, 354, *source, *user, 281, 13, 13, 263, 354]
        prompt += [*source, *assistant, *to_user, 281, 13, 13, 281]
        answer = [269, 308, 329, 309, 354]
        assert ids == [*prompt, *answer]
        assert mask == [False] * len(prompt) + [True] * len(answer)
