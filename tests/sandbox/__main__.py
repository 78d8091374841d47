"""`python -m tests.sandbox`: starts a local Vega and prints the settings to use; with `-m MODULE`, runs that module in it."""

import argparse
import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any, NoReturn, Optional

from tests.sandbox import HOST, Sandbox
from tests.sandbox.launcher import Child, freeze_garbage, run_summary, settings, signals
from tests.sandbox.markets import PRODUCTS
from tests.sandbox.room.announcements import announce_room, room_secret, warn_of_the_network, write_env_files

PORT, WALLET_PORT = 3008, 1789  # those of .env.example
DEFAULT_SEED = 0
MAX_PARTIES = 200


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without argparse's usage."""
        exit_with_error(message)


def port(text: str) -> int:
    """Read a port as argparse has it: what it raises here becomes the message."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, not {text}")
    return int(text)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m tests.sandbox",
        usage="%(prog)s [options] [-m MODULE [argument …]]",
        description="A local Vega: chain, traders, data node and wallet, and a page to watch it on.",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON once everything listens, nothing else")
    parser.add_argument("--port", type=port, help=f"of data node, controls and page; 0 for any free one (default {PORT}, with -m 0)")
    parser.add_argument("--wallet-port", type=port, help=f"of the wallet (default {WALLET_PORT}, with -m 0)")
    parser.add_argument("--block-time", type=float, default=1.0, metavar="S", help="seconds from block to block; 0: on demand (default 1)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N", help="for ids, keys, token and traders (default 0)")
    parser.add_argument("--no-traders", action="store_true", help="leave the markets to others")
    parser.add_argument("--markets", metavar="FILE", help="JSON file of assets and markets (default markets.json beside the code)")
    parser.add_argument("--market", choices=PRODUCTS, metavar="PRODUCT", help="future (default), perpetual or spot")
    parser.add_argument("--host", default=HOST, metavar="ADDRESS", help=f"to listen on; 0.0.0.0 lets a whole room in (default {HOST})")
    parser.add_argument("--parties", type=int, default=0, metavar="N", help="participants p01, p02, … with a funded key and a token each")
    parser.add_argument("--env-dir", type=Path, metavar="DIR", help="write a .env file for each participant; tokens then outlive a restart")
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="run a module, with arguments, in the sandbox"
    )
    options = parser.parse_args(arguments)
    if options.module == []:
        parser.error("-m needs the name of a module")
    package = options.module[0].partition(".")[0] if options.module else ""
    if options.module and not (package and importlib.util.find_spec(package)):
        parser.error(f"No module named {options.module[0]!r}")
    if not 0 <= options.block_time < float("inf"):
        parser.error("--block-time must be zero or more seconds")
    if not 0 <= options.parties <= MAX_PARTIES:
        parser.error(f"--parties must be 0 to {MAX_PARTIES}, not {options.parties}")
    if options.env_dir and not options.parties:
        parser.error("--env-dir is for the participants of --parties")
    for name, default in (("port", PORT), ("wallet_port", WALLET_PORT)):
        if getattr(options, name) is None:  # several sandboxes that each run a module do not get in each other's way
            setattr(options, name, 0 if options.module else default)
    return options


def exit_with_error(problem: object) -> NoReturn:
    print(f"python -m tests.sandbox: error: {problem}", file=sys.stderr)
    raise SystemExit(2)


def make_sandbox(options: argparse.Namespace) -> Sandbox:
    try:
        return Sandbox(
            block_time=options.block_time,
            seed=options.seed,
            traders=not options.no_traders,
            markets=options.markets,
            port=options.port,
            wallet_port=options.wallet_port,
            host=options.host,
            participants=options.parties,
            secret=room_secret(options.env_dir),
        )
    except (ValueError, OSError) as error:
        exit_with_error(error)


def choose_market(sandbox: Sandbox, product: Optional[str]) -> str:
    """Return the market asked for; unasked, the future, or the first market where there is no future."""
    if product and product not in sandbox.markets:
        exit_with_error(f"there is no {product} in the markets file")
    return sandbox.markets.get(product or "future") or next(iter(sandbox.chain.markets))


def announcement(sandbox: Sandbox) -> dict[str, Any]:
    told = {
        "node_url": sandbox.node_url,
        "ws_url": sandbox.ws_url,
        "wallet_url": sandbox.wallet_url,
        "token": sandbox.token,
        "control_url": sandbox.control_url,
        "parties": sandbox.parties,
        "markets": sandbox.markets,
    }
    room = sandbox.room
    if room.participants:
        told["teacher_key"] = room.teacher_key
        told["participants"] = {name: {"token": one.token, "code": one.code} for name, one in room.participants.items()}
    return told


def announce(sandbox: Sandbox, options: argparse.Namespace, market_id: str) -> None:
    """Say where everything is: to a program as JSON, to a person as lines for `.env`, unless there is a module to run."""
    if not sandbox.is_private:
        warn_of_the_network(sandbox)
    if options.json:
        print(json.dumps(announcement(sandbox)), flush=True)
    elif not options.module:
        print(f"# A local Vega is running. Watch it at {sandbox.url()}")
        print(f"# The settings for a bot on its market {sandbox.chain.markets[market_id].name}:")
        print(*(f"{key}={value}" for key, value in settings(sandbox, market_id).items()), sep="\n")
        announce_room(sandbox, sys.stdout)
        print(f"# What can be done to it: the buttons of that page, or curl {sandbox.control_url}")
        print("# Ctrl+C stops it.", flush=True)


async def run_module(sandbox: Sandbox, options: argparse.Namespace, market_id: str, child: Child) -> int:
    """Run a module in the sandbox, say so as soon as it has been started, and return its exit status."""
    output = sys.stderr if options.json else None  # standard output holds nothing but the line of JSON
    try:
        await child.start(options.module, settings(sandbox, market_id), output)
    except OSError as error:
        await sandbox.stop()
        exit_with_error(f"{options.module[0]} could not be started: {error.strerror or error}")
    if not options.json:
        name = sandbox.chain.markets[market_id].name
        print(f"sandbox: {' '.join(options.module)} trades {name}; watch it at {sandbox.url()}; Ctrl+C ends both", file=sys.stderr)
        announce_room(sandbox, sys.stderr)
    if not options.block_time:
        print("sandbox: with --block-time 0 nothing moves until somebody asks for a block by POST /control/block", file=sys.stderr)
    if options.no_traders:
        print("sandbox: with --no-traders the book is empty until somebody quotes", file=sys.stderr)
    status = await child.wait()
    print(f"sandbox: {options.module[0]} ended with status {status} | {run_summary(sandbox, market_id)}", file=sys.stderr)
    return status


async def serve(options: argparse.Namespace) -> int:
    """Run the sandbox until a signal comes, or until the module that runs in it has ended; return the exit status."""
    sandbox, child, stopped = make_sandbox(options), Child(), asyncio.Event()
    market_id = sandbox.chosen_market = choose_market(sandbox, options.market)
    for number in signals():  # explicitly: a shell may have started us with SIGINT ignored
        handler = (child.forward_signal, number) if options.module else (stopped.set,)
        asyncio.get_running_loop().add_signal_handler(number, *handler)
    try:
        await sandbox.start()
        write_env_files(sandbox, options.env_dir)
    except OSError as error:
        await sandbox.stop()
        exit_with_error(f"{error.strerror or error}; --port and --wallet-port choose others, 0 any free one")
    announce(sandbox, options, market_id)
    housekeeping = asyncio.create_task(freeze_garbage())
    status = 0
    if options.module:
        status = await run_module(sandbox, options, market_id, child)
    else:
        await stopped.wait()
    housekeeping.cancel()
    await sandbox.stop()
    return status


def main() -> None:
    options = parse_arguments(sys.argv[1:])
    raise SystemExit(asyncio.run(serve(options)))


if __name__ == "__main__":
    main()
