"""``comity demo``: two hospitals share a model, not data, end to end on this machine (issue 2, item 9).

``python -m comity.demo`` plays it, and drives everything through the command line, as the two hospitals'
staff would. It needs the extra ``demo``. Nothing here is imported by another package.

| modules | hold |
|---|---|
| ``study``, ``model``, ``weights`` | the patients, a logistic regression in NumPy, safetensors files |
| ``summarise``, ``train``, ``average``, ``evaluate`` | programs that a hospital runs on its own files |
| ``patients`` | a program that hands the patients out, for whoever plays by hand |
| ``console``, ``processes``, ``narrator``, ``checks`` | commands, children, what is told, what must hold |
| ``stage``, ``agreement``, ``learning``, ``ending``, ``story`` | the demo's steps, in order |
"""
