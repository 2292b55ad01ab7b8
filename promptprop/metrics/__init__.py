"""Programmatic metrics: code that judges an answer against its example.

`registry` names the types, `scoring` combines their judgements into one score. A new metric is one file here and one
line in the registry; its `Options` describe themselves to the configuration schema and to `docs/metrics.md`.
"""
