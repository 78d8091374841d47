"""Plays many seeds on all cores, each in a process of its own, so a rule's own state starts empty with each seed."""

import dataclasses
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Optional

from bot.settings import load_own_settings
from tests.backtest.engine import Backtest, Rule, RuleError
from tests.backtest.figures import Result, Snapshot


class UnknownRuleError(ValueError):
    """There is no such rule; the message is one line."""


class WorkerError(RuntimeError):
    """A process ended without a result; the message is one line."""


@dataclass(frozen=True)
class Job:
    """One run of one rule with one seed."""

    rule: str  # as `load_rule` takes it
    seed: int
    blocks: int
    traders: str
    market: str
    max_abs_position: float
    records: bool = False  # whether to return a snapshot of each block, for a plot


@dataclass(frozen=True)
class Played:
    """What a job gave."""

    result: Result
    snapshots: list[Snapshot]  # empty unless the job records


def load_rule(name: str) -> Rule:
    """Import a rule given as `module:function`. If its module has `rule_settings`, as `main.py` has, read them as the bot does.

    Raises:
        UnknownRuleError: there is no such module or function.
        SettingsError: the rule's settings are wrong. Other exceptions are those of the module itself.
    """
    module_name, _, function = name.partition(":")
    if not module_name or not function:
        raise UnknownRuleError(f"a rule is module:function, not {name!r}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module imports another one that is missing
        raise UnknownRuleError(f"no module {error.name!r}; start from the folder that it is in") from error
    rule = getattr(module, function, None)
    if not callable(rule):
        raise UnknownRuleError(f"module {module_name!r} has no function {function!r}")
    own = getattr(module, "rule_settings", None)
    if dataclasses.is_dataclass(own) and dataclasses.fields(own):
        module.rule_settings = load_own_settings(type(own))  # type: ignore[attr-defined]
    return rule  # type: ignore[no-any-return]


def build(job: Job) -> Backtest:
    """Return the run of a job, ready to play."""
    return Backtest(load_rule(job.rule), job.seed, job.traders, job.market, job.max_abs_position)


def play_jobs(jobs: list[Job], progress: Callable[[int], None]) -> list[Played]:
    """Play all jobs on all cores, and return what they gave, in their order.

    Args:
        jobs: what to play.
        progress: gets the number of blocks played since its last call.

    Raises:
        RuleError: a rule failed; of several, the one that failed first. The other processes are ended.
        WorkerError: a process ended without a result.
    """
    # Fork is faster, but unsafe on macOS, whose libraries start threads.
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    waiting = list(enumerate(jobs))[::-1]
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    played: dict[int, Played] = {}
    try:
        while waiting or running:
            while waiting and len(running) < available_cores():
                number, job = waiting.pop()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_play, args=(job, sender), daemon=True)
                process.start()
                sender.close()
                running[receiver] = number, process
            for receiver in wait(list(running)):
                assert isinstance(receiver, Connection)
                message = _receive(receiver)
                number, process = running[receiver]
                if isinstance(message, int):
                    progress(message)
                    continue
                del running[receiver]
                receiver.close()
                process.join()
                if isinstance(message, RuleError):
                    message.rule = jobs[number].rule
                    raise message
                if message is None:
                    raise WorkerError(f"{jobs[number].rule}, seed {jobs[number].seed}: the process ended with status {process.exitcode}")
                played[number] = message
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    return [played[number] for number in range(len(jobs))]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _receive(receiver: Connection) -> Any:
    try:
        return receiver.recv()
    except EOFError:
        return None


def _play(job: Job, sender: Connection) -> None:
    """Play one job, and send its progress, then the result or the exception. Runs in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process gets it too, and ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    snapshots: list[Snapshot] = []
    message: Any
    try:
        observe: Optional[Callable[[Snapshot], None]] = snapshots.append if job.records else None
        message = Played(build(job).run(job.blocks, observe, sender.send), snapshots)
    except RuleError as error:
        message = error
    sender.send(message)
