"""What a corpus is made of, for people: a page with plots, a card, and documents to look at.

`facts` counts a corpus folder once, `plots` and `page` make report.html of the counts, `card` makes
card.md; `looking` draws random documents and packed rows.
"""
