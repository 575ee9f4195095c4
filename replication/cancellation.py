"""gRPC swallows the cancellation of a task that waits for a call which is just being begun or failing."""

import asyncio


def raise_if_cancelled() -> None:
    """To be called where an error of a call is handled. Raises CancelledError if this task was cancelled meanwhile."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
