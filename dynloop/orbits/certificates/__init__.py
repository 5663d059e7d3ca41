"""Certificates: proofs by interval arithmetic that cycles exist, and labelled estimates where there is no proof.

From the bottom up: `backend` (python-flint), `trace` (what an evaluation remembers), `slopes`, `whole`, `balls` and
`pairs` (numbers), `functions` and `words` (what names mean on them), `remade` (a step that runs on them), `enclosure`
(a map on boxes); then `shooting`, `multipliers` and `proof` (one cycle), `subdivision` and `census` (all of a box),
`kantorovich` (estimates); `certificate` and `in_box` are the doors. The last three alone import without python-flint.
"""
