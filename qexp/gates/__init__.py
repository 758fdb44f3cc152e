"""Scheduling the gates of one circuit on one machine: the problem itself, without Gymnasium.

A circuit is a list of `Gate`, a machine is `MachineProperties`, and which gates may swap places is a
`CommutationRulebook`. `Problem` puts the three together and `Dispatch` builds a schedule from them, gate by
gate and cycle by cycle, `BatchedDispatch` many at once.
"""
