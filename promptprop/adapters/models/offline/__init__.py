"""The simulated model: answers from a world file, says so in every reply, and touches no network.

`world` reads and checks a world file, `rows` finds its rows inside a message, `meaning` tells what a prompt states,
`task` answers as the task model, `evidence`, `roles` and `draft` play critic and rewriter, `client` is the port.
"""
