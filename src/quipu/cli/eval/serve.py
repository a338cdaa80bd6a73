"""quipu eval serve: judge programs that come from other machines."""

import argparse
import signal
import sys

from quipu.cli.eval.judge import add_place, key, opened_here

PORT = 8642
EPILOG = """\
For machines that cannot confine programs (macOS, Windows), or that lack compilers: evaluations give
its address with --sandbox, here as there with the same QUIPU_SANDBOX_KEY. Whoever has the key can
run confined programs here. The key and all programs travel as they are: over an open network put
a TLS proxy before it, or a tunnel.

examples:
  quipu eval serve                                              callers on this machine only
  QUIPU_SANDBOX_KEY=... quipu eval serve --host 0.0.0.0         callers elsewhere
  docker run -e QUIPU_SANDBOX_KEY -p 8642:8642 IMAGE quipu eval serve --host 0.0.0.0
  QUIPU_SANDBOX_KEY=... quipu eval humaneval --sandbox http://linux-machine:8642
"""


def register(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "serve",
        help="judge programs for other machines",
        description="Run programs that other machines send in this one's sandbox.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=PORT, help=f"0: any that is free ({PORT})")
    add_place(parser.add_argument_group("sandbox"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from quipu.evals.remote.server import JudgeServer

    judge = opened_here(args)
    try:
        with JudgeServer(judge, args.host, args.port, key()) as server:
            signal.signal(signal.SIGTERM, _leave)
            layers = ", ".join(judge.layers)
            print(f"judging programs at {server.address}, confined by {layers}", flush=True)
            try:
                server.serve_forever()
            except (KeyboardInterrupt, SystemExit):
                sys.stderr.write("ended\n")
    finally:
        judge.close()
    return 0


def _leave(*_: object) -> None:
    raise SystemExit
