"""Training rows from token shards and dialogues, as a pure function of those, recipe and number.

`mixture` decides which source a row comes from, `mixed` gives it. Of shards, `parts` says where
long files are cut, `plan` which parts share a row, `infilling` how a part is rearranged; `rows`
puts them together. `dialogues` does the same for dialogues.
"""
