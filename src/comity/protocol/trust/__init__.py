"""How two identities come to an agreement and end it: state, transitions and offline evidence, all pure.

``relationship`` holds the state that is stored, ``machine`` the transitions, ``evidence`` the verification of
an exported agreement. Spec: docs/reference/protocol/trust.md; SECURITY.md rules 2, 5 and 6.
"""
