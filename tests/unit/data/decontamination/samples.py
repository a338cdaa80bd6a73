"""A folder of small benchmarks in the forms that the real ones come in."""

import gzip
import json

HUMANEVAL = {
    "task_id": "HumanEval/900",
    "prompt": (
        "from typing import List\n\n\n"
        "def widest_gap(readings: List[float], floor: float) -> float:\n"
        '    """Of all neighbours in the sorted readings above the floor, find the pair that lies\n'
        "    farthest apart and return how far; return zero when fewer than two remain.\n"
        '    """\n'
    ),
    "canonical_solution": (
        "    kept = sorted(reading for reading in readings if reading > floor)\n"
        "    widest = 0.0\n"
        "    for low, high in zip(kept, kept[1:]):\n"
        "        if high - low > widest:\n"
        "            widest = high - low\n"
        "    return widest\n"
    ),
    "entry_point": "widest_gap",
    "test": "def check(candidate):\n    assert candidate([1.0, 2.5, 9.25], 0.5) == 6.75\n",
}
MBPP = {
    "task_id": 901,
    "text": "Write a function to count the vowels that follow a doubled consonant in a given word.",
    "code": (
        "def count_after_double(word):\r\n    total = 0\r\n    for i in range(2, len(word)):\r\n"
        "        if word[i] in 'aeiou' and word[i - 1] == word[i - 2]:\r\n"
        "            total += 1\r\n    return total\r\n"
    ),
}
JAVA = {
    "name": "HumanEval_900_widest_gap",
    "language": "java",
    "prompt": (
        "class Problem {\n"
        "    // Of all neighbours in the sorted readings above the floor, find the\n"
        "    // pair that lies farthest apart and return how far; return zero when\n"
        "    // fewer than two remain.\n"
        "    public static float widestGap(ArrayList<Float> readings, float floor) {\n"
    ),
    "tests": (
        "    }\n    public static void main(String[] args) {\n"
        "        assert(widestGap(a, b) == 6.75f);\n    }\n"
    ),
}
GSM = {
    "question": "Ola packs seven crates of pears each morning and sells four crates before noon, "
    "so how many crates does she carry home after nine mornings of steady trade?",
    "answer": "She keeps 7 - 4 = 3 crates a day and 3 * 9 = 27 crates in all. #### 27",
}


def write(folder):
    """The folder of benchmarks; returns it."""
    for name in ("humaneval", "mbpp", "multipl-e/clean", "gsm8k"):
        (folder / name).mkdir(parents=True)
    (folder / "README.md").write_text("not a benchmark")
    (folder / "mbpp" / "SOURCE.txt").write_text("not a benchmark")
    with gzip.open(folder / "humaneval" / "HumanEval.jsonl.gz", "wt") as file:
        file.write(json.dumps(HUMANEVAL) + "\n")
    (folder / "mbpp" / "mbpp.jsonl").write_text(json.dumps(MBPP) + "\n")
    (folder / "multipl-e" / "clean" / "humaneval-java.jsonl").write_text(json.dumps(JAVA) + "\n")
    (folder / "gsm8k" / "test.json").write_text(json.dumps(GSM) + "\n" + json.dumps(GSM) + "\n")
    return folder
