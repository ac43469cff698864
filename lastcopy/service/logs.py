"""Log lines of the service, on stderr: for people, or one JSON object a line."""

import logging
import sys
from typing import Any

import structlog


def begin(*, json_lines: bool) -> None:
    """Send all log lines of this process to stderr, as people or programs read them. Changes the process's logging."""
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    last: list[Any] = [structlog.processors.JSONRenderer()] if json_lines else [structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)]
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.root.handlers[:] = [handler]
    for name in list(logging.root.manager.loggerDict):  # libraries that brought printers of their own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
        if name.partition(".")[0] in ("uvicorn", "streamlit"):
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("lastcopy").setLevel(logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def log() -> Any:  # noqa: ANN401  # structlog's logger, whose methods are made as they are called
    """The log of the service."""
    return structlog.stdlib.get_logger("lastcopy")


def unanswered(path: str, error: Exception) -> None:
    """Say why a question has no answer: who asked is not told."""
    log().error("the catalog cannot answer", path=path, error=str(error), cause=repr(error.__cause__) if error.__cause__ else None)
