"""The charter: what partners agreed, as data that people edit, sign and read, and that compiles to policy.

``model`` is the charter, ``editing`` and ``canonical`` its two forms (YAML that people edit, RFC 8785 JSON
that they sign), ``schema`` the published description of both. ``cedar`` makes its policy, ``evaluate`` asks
it. Nothing here signs, stores, counts or enforces.
"""
