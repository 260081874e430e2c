"""`dualtilt answer`: answer the open prompt of a session."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("prompt", help="the prompt's id: preflight, flip or flip-check")
    parser.add_argument("value", help="one of the choices that the prompt lists")
    parser.add_argument("--reason", default="", help="reason, if the choice needs one")
    parser.add_argument(
        "--session", type=Path, metavar="DIR", help="the session's folder, if several run"
    )


def run(args: argparse.Namespace) -> int:
    """Answer the prompt; an error names the open prompt and its choices."""
    from controller.app.follow_queue import present_session
    from controller.common.exit_codes import ExitCode
    from controller.model.commands import Answer
    from controller.service.session_client import ServiceClient, the_only_session

    answer = Answer(prompt_id=args.prompt, value=args.value, reason=args.reason)
    folder = (
        present_session(args.session)
        if args.session is not None
        else the_only_session("--session ")
    )
    with ServiceClient.connect(folder) as client:
        client.answer(answer)
    print(f"{args.prompt}: answered {args.value}")
    return ExitCode.OK
