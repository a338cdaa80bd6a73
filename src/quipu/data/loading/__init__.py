"""Training rows from token shards, as a pure function of shards, recipe and row number.

`mixture` decides which group a row comes from, `parts` where long files are cut, `plan` which parts
share a row, `infilling` how a part is rearranged, `rows` puts them together.
"""
