"""Exercises that check themselves: `python -m tests.exercises` lists them, `python -m tests.exercises 3` checks one.

Each exercise is a folder: README.md (the task), exercise.py (the learner edits this file), check.py and solution.py. The checks use
`checking`, `orders`, `sandbox_helpers` and `interleaving`. `runner` starts a process for each check (`child`), so that an error in the
learner's code cannot break or stop the command.
"""
