"""The zero detector: scores near zero that look like a broken prompt rather than a weak model."""

import re
from collections import Counter
from collections.abc import Iterator

from quipu.evals.report.reading import TaskRun

NEARLY = 0.02  # a score up to this is looked at
MOSTLY = 0.8  # share of answers that makes a sign
FEW = 5  # fewer answers are no evidence
_SYNTAX = re.compile(
    r"syntax ?error|indentation ?error|tab ?error|parse error|unexpected token", re.I
)
_UNNAMED = "without a message"


def signs(task: TaskRun, score: float) -> list[str]:
    """Warnings that name the likely cause, for a score near zero."""
    if score > NEARLY or task.texts.count < FEW:
        return []
    found = list(_of_texts(task)) or list(_of_details(task))  # which follow from the texts
    begin = f"the score is {100 * score:.1f} %, and "
    if found:
        return [begin + sign for sign in found]
    return [
        begin + "none of the usual signs of a broken prompt is there (empty, equal, echoed or"
        " endless answers, syntax errors): it may be true; look at some answers below"
    ]


def _of_texts(task: TaskRun) -> Iterator[str]:
    texts = task.texts

    def mostly(count: int) -> bool:
        return count >= MOSTLY * texts.count

    def share(count: int) -> str:
        return f"{count} of {texts.count} answers"

    if mostly(texts.empty):
        yield (
            f"{share(texts.empty)} are empty: a stop string that matches at once, an end token at"
            " the very beginning, or a prompt whose last white space was stripped"
        )
    elif mostly(most := max(texts.hashes.values())):
        yield (
            f"{share(most)} are the same text: the model may not see the prompt, or the weights"
            " may be converted wrongly"
        )
    if mostly(texts.loops):
        yield (
            f"{share(texts.loops)} repeat a few lines until max_tokens: usual for a small model"
            " under greedy decoding; in a large one, look for wrongly converted weights or a wrong"
            " position encoding"
        )
    elif mostly(length := texts.finish["length"]):
        yield (
            f"{share(length)} end only because max_tokens was reached: stop strings or the end"
            " token are missing, or the answer begins too late"
        )
    if mostly(texts.echoes):
        yield (
            f"{share(texts.echoes)} begin with the prompt itself: the server returns prompt and"
            " answer together, or the model repeats the question"
        )
    if mostly(texts.fenced):
        yield (
            f"{share(texts.fenced)} begin with a Markdown fence: a chat model answers a prompt"
            " that is to be continued; the fence is no program"
        )


def _of_details(task: TaskRun) -> Iterator[str]:
    details = Counter(
        verdict.message or _UNNAMED
        for problem in task.judged
        for verdict in problem.judged
        if verdict.value < 1
    )
    total = sum(details.values())
    if not total or not details.keys() - {_UNNAMED}:
        return
    syntax = sum(count for detail, count in details.items() if _SYNTAX.search(detail))
    if syntax >= MOSTLY * total:
        yield (
            f"{syntax} of {total} wrong answers are syntax errors: the answer is not what the"
            " program is put together from (indentation, a cut too early, prose, a fence)"
        )
        return
    detail, count = details.most_common(1)[0]
    if count >= MOSTLY * total and detail != _UNNAMED:
        yield f"{count} of {total} wrong answers fail with the same words: {detail}"
