"""`ferry-conform`: holds a server to docs/PROTOCOL.md from outside, and tells what it does otherwise.

Every rule is one check: a function marked by `trouble.check`, whose docstring is the rule. It talks to the server by a `Peer`, which
holds every frame that comes to the rules that always hold, so that a wrong frame is found wherever it comes.
"""
