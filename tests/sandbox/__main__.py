"""`python -m tests.sandbox`: starts a local Vega and prints the settings for a bot. With `-m MODULE`, also runs that module."""

import argparse
import asyncio
import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any, NoReturn, Optional

from tests.sandbox import HOST, Sandbox
from tests.sandbox.launcher import Child, freeze_garbage, run_summary, settings, signals
from tests.sandbox.markets import PRODUCTS
from tests.sandbox.room.announcements import announce_room, room_secret, warn_of_the_network, write_env_files

PORT, WALLET_PORT = 3008, 1789  # as in .env.example
DEFAULT_SEED = 0
MAX_PARTIES = 200


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the error as one line, without argparse's usage."""
        exit_with_error(message)


def port(text: str) -> int:
    """Parse a port. argparse prints the error message of ArgumentTypeError."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, not {text}")
    return int(text)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="python -m tests.sandbox",
        usage="%(prog)s [options] [-m MODULE [argument …]]",
        description="A local Vega: chain, traders, data node, wallet, and a dashboard.",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON when all ports listen, and nothing else")
    parser.add_argument(
        "--port", type=port, help=f"port of data node, controls and dashboard; 0: any free port (default {PORT}, with -m 0)"
    )
    parser.add_argument("--wallet-port", type=port, help=f"port of the wallet; 0: any free port (default {WALLET_PORT}, with -m 0)")
    parser.add_argument("--block-time", type=float, default=1.0, metavar="S", help="seconds between blocks; 0: on demand (default 1)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N", help="seed of ids, keys, token and traders (default 0)")
    parser.add_argument("--no-traders", action="store_true", help="run without the built-in traders")
    parser.add_argument("--markets", metavar="FILE", help="JSON file of assets and markets (default: tests/sandbox/markets.json)")
    parser.add_argument("--null-chain", action="store_true", help="answer with a hash where the network would reject a transaction")
    parser.add_argument("--market", choices=PRODUCTS, metavar="PRODUCT", help="product of the bot's market (default future)")
    parser.add_argument("--host", default=HOST, metavar="ADDRESS", help=f"address to listen on; 0.0.0.0 for a room (default {HOST})")
    parser.add_argument("--parties", type=int, default=0, metavar="N", help="number of participants; each has a funded key and a token")
    parser.add_argument("--env-dir", type=Path, metavar="DIR", help="write .env files of the participants; keeps tokens after a restart")
    parser.add_argument("--no-inside", action="store_true", help="with -m: do not observe the bot for the view “Inside the bot”")
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="run a module, with its arguments, against the sandbox"
    )
    options = parser.parse_args(arguments)
    if options.module == []:
        parser.error("-m needs a module name")
    package = options.module[0].partition(".")[0] if options.module else ""
    if options.module and not (package and importlib.util.find_spec(package)):
        parser.error(f"No module named {options.module[0]!r}")
    if not 0 <= options.block_time < float("inf"):
        parser.error("--block-time must be zero or more seconds")
    if not 0 <= options.parties <= MAX_PARTIES:
        parser.error(f"--parties must be 0 to {MAX_PARTIES}, not {options.parties}")
    if options.env_dir and not options.parties:
        parser.error("--env-dir needs --parties")
    for name, default in (("port", PORT), ("wallet_port", WALLET_PORT)):
        if getattr(options, name) is None:  # several sandboxes with -m can run at the same time
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
            null_chain=options.null_chain,
        )
    except (ValueError, OSError) as error:
        exit_with_error(error)


def choose_market(sandbox: Sandbox, product: Optional[str]) -> str:
    """Return the id of the chosen product's market; by default of the future, or of the first market."""
    if product and product not in sandbox.markets:
        exit_with_error(f"there is no {product} in the markets file")
    return sandbox.markets.get(product or "future") or next(iter(sandbox.chain.markets))


def announcement(sandbox: Sandbox) -> dict[str, Any]:
    content = {
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
        content["teacher_key"] = room.teacher_key
        content["participants"] = {name: {"token": one.token, "code": one.code} for name, one in room.participants.items()}
    return content


def announce(sandbox: Sandbox, options: argparse.Namespace, market_id: str) -> None:
    """Print the addresses and settings, as JSON or as lines for `.env`; with a module, print only warnings."""
    if not sandbox.is_private:
        warn_of_the_network(sandbox)
    if options.json:
        print(json.dumps(announcement(sandbox)), flush=True)
    elif not options.module:
        print(f"# A local Vega is running. Dashboard: {sandbox.url()}")
        print(f"# Settings for a bot on the market {sandbox.chain.markets[market_id].name}:")
        print(*(f"{key}={value}" for key, value in settings(sandbox, market_id).items()), sep="\n")
        announce_room(sandbox, sys.stdout)
        print(f"# Controls: the buttons of the dashboard, or curl {sandbox.control_url}")
        print("# Press Ctrl+C to stop.", flush=True)


async def run_module(sandbox: Sandbox, options: argparse.Namespace, market_id: str, child: Child) -> int:
    """Run a module against the sandbox, print that it was started, and return its exit status."""
    output = sys.stderr if options.json else None  # standard output has only the line of JSON
    try:
        observe = not options.no_inside
        observed = sandbox.inside.environment(sandbox.url()) if observe else {}
        child.start(options.module, {**settings(sandbox, market_id), **observed}, output, observe)
    except OSError as error:
        await sandbox.stop()
        exit_with_error(f"{options.module[0]} could not be started: {error.strerror or error}")
    if not options.json:
        name = sandbox.chain.markets[market_id].name
        print(f"sandbox: running {' '.join(options.module)} on {name}; dashboard: {sandbox.url()}; Ctrl+C stops both", file=sys.stderr)
        announce_room(sandbox, sys.stderr)
    if not options.block_time:
        print("sandbox: with --block-time 0 blocks are made only by POST /control/block", file=sys.stderr)
    if options.no_traders:
        print("sandbox: with --no-traders the book is empty until someone places orders", file=sys.stderr)
    status = await child.wait()
    print(f"sandbox: {options.module[0]} ended with status {status} | {run_summary(sandbox, market_id)}", file=sys.stderr)
    return status


async def serve(options: argparse.Namespace) -> int:
    """Run the sandbox until a signal arrives or the module ends, and return the exit status."""
    sandbox, child, stopped = make_sandbox(options), Child(), asyncio.Event()
    market_id = sandbox.chosen_market = choose_market(sandbox, options.market)
    for number in signals():  # set handlers explicitly: a shell may have started this process with SIGINT ignored
        handler = (child.forward_signal, number) if options.module else (stopped.set,)
        asyncio.get_running_loop().add_signal_handler(number, *handler)
    try:
        await sandbox.start()
        write_env_files(sandbox, options.env_dir)
    except ValueError as error:
        await sandbox.stop()
        exit_with_error(error)
    except OSError as error:
        await sandbox.stop()
        exit_with_error(f"{error.strerror or error}; choose others with --port and --wallet-port (0: any free port)")
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
    if isinstance(sys.stdout, io.TextIOWrapper):  # None if it was closed
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that cannot show all characters, as standard error does
    options = parse_arguments(sys.argv[1:])
    raise SystemExit(asyncio.run(serve(options)))


if __name__ == "__main__":
    main()
