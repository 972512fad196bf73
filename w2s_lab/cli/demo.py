"""`w2s-lab demo`: dashboards in front of a class."""

import argparse
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from w2s_lab import assets
from w2s_lab.cli.arguments import add_store


def add(commands: Any) -> None:
    """The command and its options."""
    command = commands.add_parser(
        "demo",
        help="a dashboard in front of a class, screen by screen",
        description=_demo.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  w2s-lab demo --prepare\n"
        "  w2s-lab demo\n"
        "  w2s-lab demo why\n"
        "  w2s-lab demo my_demos/week_3.ipynb",
    )
    command.add_argument(
        "what", nargs="?", metavar="NAME", help="a demo, a notebook of your own, or a folder of them (default: a menu)"
    )
    command.add_argument("--prepare", action="store_true", help="train and read now what the demos show, then end")
    command.add_argument("--port", type=int, default=0, metavar="N", help="of 127.0.0.1 (default: any that is free)")
    command.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    add_store(command)
    command.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    """Show one dashboard in the browser, large, with a question before each answer; without a name, a menu. Only this
    machine can open it, and nothing is asked of another one. Ctrl-C ends it."""
    from w2s_lab.classroom.demos import serve

    store = assets.user_path(arguments.store)
    demos = serve.find_demos(arguments.what)
    if arguments.prepare:
        return _prepare(serve.DemoProcess(store), demos)
    server = serve.DemoServer(demos, store, port=arguments.port)
    address = server.address(next(iter(demos)) if len(demos) == 1 else "")
    print(f"{address}\nThe address is for this machine alone. Ctrl-C ends the demos.", flush=True)
    try:
        if not arguments.no_browser:
            webbrowser.open(address)
        server.serve_forever()
    except KeyboardInterrupt:
        print("ended")
    finally:
        server.server_close()
    return 0


def _prepare(process: Any, demos: Mapping[str, Path]) -> int:
    """Open each demo once, and say how long it took; returns the exit status."""
    failed = 0
    try:
        for name, notebook in demos.items():
            print(f"{name} ...", flush=True)
            started = time.monotonic()
            error = process.open(notebook).get("error")
            print(f"{name}: {error or f'ready, after {time.monotonic() - started:.0f} s'}", flush=True)
            failed += bool(error)
    finally:
        process.end()
    return 1 if failed else 0
